//! Quotas over restarts, at once, and when their periods are over.

#![allow(clippy::unwrap_used)]

use std::ops::Bound;
use std::sync::Arc;

use millstream_types::ManualClock;

use super::counter::UNUSED_MAX;
use super::removal::SWEEP_ROWS;
use super::*;

const THREE: Allowance = Allowance { calls: Some(3), bytes: None, period: Period::FromFirstCall(1_000) };

fn storage() -> Storage {
    Storage::in_memory(Arc::new(ManualClock::at(0)))
}

#[tokio::test]
async fn calls_are_counted_over_restarts_and_come_back_with_the_period() {
    let storage = storage();
    let quotas = Quotas::new(storage.clone());
    for _ in 0..2 {
        assert_eq!(quotas.take("k", THREE, 1, 100).await.unwrap(), Ok(()));
    }
    let quotas = Quotas::new(storage);
    assert_eq!(quotas.take("k", THREE, 1, 200).await.unwrap(), Ok(()));
    assert_eq!(quotas.take("k", THREE, 1, 300).await.unwrap(), Err(Exceeded::Calls(800)));
    assert_eq!(quotas.take("other", THREE, 1, 300).await.unwrap(), Ok(()));
    assert_eq!(quotas.take("k", THREE, 1, 1_100).await.unwrap(), Ok(()));
}

#[tokio::test]
async fn bytes_end_a_quota_too() {
    let storage = storage();
    let quotas = Quotas::new(storage.clone());
    let allowance = Allowance { calls: None, bytes: Some(10), period: Period::Forever };
    assert_eq!(quotas.take("k", allowance, 1, 0).await.unwrap(), Ok(()));
    quotas.add("k", 0, 5).await.unwrap();
    // A counter that had to make room is read again.
    quotas.counters().clear();
    quotas.add("k", 0, 6).await.unwrap();
    let again = Quotas::new(storage);
    assert_eq!(again.take("k", allowance, 1, 9).await.unwrap(), Err(Exceeded::Bytes(Millis::MAX)));
}

#[tokio::test]
async fn what_is_counted_for_a_subscription_goes_with_it() {
    let quotas = Quotas::new(storage());
    let once = Allowance { calls: Some(1), ..THREE };
    for key in ["s\na\n0\none", "s\na\n0\ntwo"] {
        assert_eq!(quotas.take(key, once, 1, 5).await.unwrap(), Ok(()));
    }
    quotas.forget(&["one".to_owned()]).await.unwrap();
    assert_eq!(quotas.take("s\na\n0\none", once, 1, 5).await.unwrap(), Ok(()));
    assert!(quotas.take("s\na\n0\ntwo", once, 1, 5).await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_at_once_are_counted_exactly() {
    let quotas = Arc::new(Quotas::new(storage()));
    let allowance = Allowance { calls: Some(25), ..THREE };
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let quotas = Arc::clone(&quotas);
            tokio::spawn(async move { quotas.take("k", allowance, 1, 5).await.unwrap().is_ok() })
        })
        .collect();
    let mut taken = 0;
    for call in calls {
        taken += usize::from(call.await.unwrap());
    }
    assert_eq!(taken, 25);
}

const DAY: Allowance = Allowance { period: Period::Fixed { begin: 0, end: 1_000 }, ..THREE };
const NEXT_DAY: Allowance = Allowance { period: Period::Fixed { begin: 1_000, end: 2_000 }, ..THREE };

#[tokio::test]
async fn what_is_reserved_is_durable_once_it_is_settled_and_written() {
    let storage = storage();
    let quotas = Quotas::new(storage.clone());
    for _ in 0..3 {
        assert_eq!(quotas.reserve("k", DAY, 10).await.unwrap(), Ok(0));
    }
    assert_eq!(quotas.reserve("k", DAY, 10).await.unwrap(), Err(Exceeded::Calls(990)));
    quotas.settle("k", 0, 1);
    quotas.settle("k", 0, 2);
    let settled = ["k".to_owned()];
    quotas.write(Transaction::new(), settled.iter(), |_, _, counter| assert_eq!(counter.left(3), 0)).unwrap();
    let again = Quotas::new(storage);
    assert_eq!(again.left("k", DAY, 10).await.unwrap(), Some(1), "the third has no line yet");
    again.grant("k", (DAY, 3), 2, 10).await.unwrap();
    assert_eq!(again.left("k", DAY, 10).await.unwrap(), Some(2));
    assert_eq!(again.reserve("k", DAY, 10).await.unwrap(), Ok(0));
    assert_eq!(again.left("k", NEXT_DAY, 1_000).await.unwrap(), Some(3), "what was granted ends with its period");
}

#[tokio::test]
async fn lines_that_are_not_counted_are_counted_again_once() {
    let storage = storage();
    let quotas = Quotas::new(storage.clone());
    for place in 1..=2 {
        quotas.reserve("k", DAY, 10).await.unwrap().unwrap();
        quotas.settle("k", 0, place);
    }
    // What is written at another time counts the same lines.
    quotas.grant("k", (DAY, 3), 1, 10).await.unwrap();
    let again = Quotas::new(storage);
    for offset in 0..3 {
        again.count_again("k", 0, offset).unwrap();
    }
    assert_eq!(again.left("k", DAY, 10).await.unwrap(), Some(0), "the last one was not counted");
    again.count_again("k", 1_000, 3).unwrap();
    assert_eq!(again.left("k", NEXT_DAY, 1_000).await.unwrap(), Some(2), "a line of the next period begins it");
    again.count_again("k", 0, 4).unwrap();
    assert_eq!(
        again.left("k", NEXT_DAY, 1_000).await.unwrap(),
        Some(2),
        "a late one of the last period is not of this"
    );
}

#[tokio::test]
async fn calls_that_are_settled_in_the_next_period_are_not_of_it() {
    let storage = storage();
    let quotas = Quotas::new(storage.clone());
    assert_eq!(quotas.reserve("k", DAY, 999).await.unwrap(), Ok(0));
    assert_eq!(quotas.reserve("k", NEXT_DAY, 1_000).await.unwrap(), Ok(1_000));
    quotas.settle("k", 0, 1);
    quotas.settle("k", 1_000, 2);
    quotas.write(Transaction::new(), ["k".to_owned()].iter(), |_, _, _| {}).unwrap();
    assert_eq!(Quotas::new(storage).left("k", NEXT_DAY, 1_000).await.unwrap(), Some(2));
}

#[tokio::test]
async fn counters_go_when_their_periods_are_over() {
    let storage = storage();
    let quotas = Quotas::new(storage.clone());
    let forever = Allowance { period: Period::Forever, ..THREE };
    for key in 0..SWEEP_ROWS + 5 {
        let name = format!("key {key}\n");
        quotas
            .with(&name, |counter| counter.take(THREE, 1, 0).and(Ok(quotas.submit(&name, counter))))
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
    quotas.take("late", THREE, 1, 500).await.unwrap().unwrap();
    quotas.take("always", forever, 1, 0).await.unwrap().unwrap();
    quotas.take("plan/p\nk", THREE, 1, 0).await.unwrap().unwrap();
    quotas.reserve("under way", THREE, 0).await.unwrap().unwrap();
    quotas.sweep(1_000, |key| !key.starts_with(b"plan/")).await.unwrap();
    storage.commit(Transaction::new()).await.unwrap();
    let all = (Bound::Unbounded, Bound::Unbounded);
    let left = storage.scan(&quotas.keyspace, all, false, 10).unwrap();
    assert_eq!(left.iter().map(|(key, _)| &key[..]).collect::<Vec<_>>(), [&b"always"[..], b"late", b"plan/p\nk"]);
    assert!(quotas.counters().contains_key("under way"));
    assert_eq!(quotas.take("key 7\n", THREE, 1, 1_000).await.unwrap(), Ok(()));
    quotas.sweep(UNUSED_MAX, |_| true).await.unwrap();
    storage.commit(Transaction::new()).await.unwrap();
    let left = storage.scan(&quotas.keyspace, all, false, 10).unwrap();
    assert_eq!(left.len(), 0, "without a period, but not called for very long");
}

#[test]
fn counters_of_older_versions_are_read() {
    let counter = Counter { begin: 7, calls: 8, bytes: 9, granted: -1, end: 70, place: 700, ..Counter::default() };
    assert_eq!(Counter::decoded(&counter.encoded()), Some(counter));
    let placeless = Counter { place: 0, ..counter };
    assert_eq!(Counter::decoded(&counter.encoded()[..40]), Some(placeless));
    let endless = Counter { end: Millis::MAX, ..placeless };
    assert_eq!(Counter::decoded(&counter.encoded()[..32]), Some(endless));
    assert_eq!(Counter::decoded(&counter.encoded()[..24]), Some(Counter { granted: 0, ..endless }));
    assert_eq!(Counter::decoded(&[1, 2]), None);
}
