//! Orders, made up from a seed: each is placed, and most are paid a while later.

use std::collections::VecDeque;

use millstream_types::{Millis, time::rfc3339};
use serde::Serialize;
use serde_json::{Value, json};

/// Orders that wait to be paid at once: the next one pays for the first.
const UNPAID_MAX: usize = 5;

/// An event in the topic's form. Source: "Azure Event Grid event schema".
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderEvent {
    id: String,
    subject: String,
    event_type: &'static str,
    event_time: String,
    data: Value,
    data_version: &'static str,
}

/// Events that a seed decides.
pub struct RandomOrders {
    random: fastrand::Rng,
    seed: u64,
    made: u64,
    unpaid: VecDeque<(u64, u32)>,
}

impl RandomOrders {
    /// The orders of a seed.
    pub fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), seed, made: 0, unpaid: VecDeque::new() }
    }

    /// What happens next, at `now`.
    pub fn next(&mut self, now: Millis) -> OrderEvent {
        let pays = self.unpaid.len() >= UNPAID_MAX || (!self.unpaid.is_empty() && self.random.f64() < 0.4);
        let paid = if pays { self.unpaid.pop_front() } else { None };
        let (event_type, (number, total)) = match paid {
            Some(order) => ("Shop.OrderPaid", order),
            None => ("Shop.OrderPlaced", self.place()),
        };
        self.made += 1;
        OrderEvent {
            id: format!("{}-{now}-{}", self.seed, self.made),
            subject: format!("orders/{number}"),
            event_type,
            event_time: rfc3339(now),
            data: json!({ "total": total }),
            data_version: "1",
        }
    }

    fn place(&mut self) -> (u64, u32) {
        let order = (self.made + 1, self.random.u32(5..=500));
        self.unpaid.push_back(order);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_placed_before_it_is_paid_and_a_seed_decides_all() {
        let (mut orders, mut again) = (RandomOrders::new(7), RandomOrders::new(7));
        let mut placed = Vec::new();
        for now in 0..100 {
            let event = orders.next(now);
            assert_eq!(event, again.next(now));
            match event.event_type {
                "Shop.OrderPlaced" => placed.push(event.subject),
                _ => assert!(placed.contains(&event.subject)),
            }
        }
        assert!((40..100).contains(&placed.len()));
    }
}
