//! Which message of a queue is next: all its messages in memory without their contents. Pure, knows no clock.

use std::collections::{BTreeMap, BTreeSet};

use millstream_types::Millis;

use crate::message::MessageId;
use crate::record::State;

/// Messages that one receive lets expire or become dead letters: what is over waits for the next.
const SWEPT_MAX: usize = 1_000;

/// How many messages a queue holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that can be received.
    pub visible: usize,
    /// Those that somebody has received and may still delete.
    pub in_flight: usize,
    /// Those that were sent for later.
    pub delayed: usize,
}

impl Counts {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> usize {
        self.visible + self.in_flight + self.delayed
    }
}

/// The messages of one queue.
#[derive(Debug, Default)]
pub(crate) struct QueueIndex {
    messages: BTreeMap<MessageId, State>,
    /// By the time at which they are visible.
    order: BTreeSet<(Millis, MessageId)>,
    /// By the time at which they expire.
    expiry: BTreeSet<(Millis, MessageId)>,
    /// Those that were received and were hidden when last counted, by the time at which they are visible.
    in_flight: BTreeSet<(Millis, MessageId)>,
    /// The same of those that were sent for later.
    delayed: BTreeSet<(Millis, MessageId)>,
    retention: Millis,
}

/// What a receive does; nothing is done yet.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// Gone.
    pub(crate) expired: Vec<MessageId>,
    /// On their way to the dead-letter queue, as they will be there.
    pub(crate) dead: Vec<(MessageId, State)>,
    /// For the receiver, as they will be.
    pub(crate) taken: Vec<(MessageId, State)>,
}

impl Plan {
    pub(crate) fn is_empty(&self) -> bool {
        self.expired.is_empty() && self.dead.is_empty() && self.taken.is_empty()
    }
}

impl QueueIndex {
    pub(crate) fn new(retention: Millis) -> Self {
        Self { retention, ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn get(&self, id: MessageId) -> Option<&State> {
        self.messages.get(&id)
    }

    /// Puts a message in, in place of what it was.
    pub(crate) fn put(&mut self, id: MessageId, state: State) {
        self.remove(id);
        self.order.insert((state.visible_at, id));
        self.expiry.insert((self.expires(&state), id));
        self.hidden(&state).insert((state.visible_at, id));
        self.messages.insert(id, state);
    }

    pub(crate) fn remove(&mut self, id: MessageId) {
        if let Some(state) = self.messages.remove(&id) {
            self.order.remove(&(state.visible_at, id));
            self.expiry.remove(&(self.expires(&state), id));
            self.hidden(&state).remove(&(state.visible_at, id));
        }
    }

    /// Where a message is counted while it is hidden.
    fn hidden(&mut self, state: &State) -> &mut BTreeSet<(Millis, MessageId)> {
        if state.receives > 0 { &mut self.in_flight } else { &mut self.delayed }
    }

    /// When the oldest message was sent.
    pub(crate) fn oldest(&self) -> Option<Millis> {
        // Ids rise with the order of sending; only messages that were moved may be a little younger.
        self.messages.first_key_value().map(|(_, state)| state.sent)
    }

    pub(crate) fn expires(&self, state: &State) -> Millis {
        state.expires.unwrap_or_else(|| state.sent.saturating_add(self.retention))
    }

    pub(crate) fn set_retention(&mut self, retention: Millis) {
        self.retention = retention;
        self.expiry = self.messages.iter().map(|(id, state)| (self.expires(state), *id)).collect();
    }

    /// The first ids from the oldest on, up to and with `last`.
    pub(crate) fn ids_until(&self, last: MessageId, limit: usize) -> Vec<MessageId> {
        self.messages.range(..=last).take(limit).map(|(id, _)| *id).collect()
    }

    pub(crate) fn expired(&self, now: Millis) -> Vec<MessageId> {
        self.expiry.range(..=(now, MessageId(u64::MAX))).take(SWEPT_MAX).map(|(_, id)| *id).collect()
    }

    /// Messages that can be received, in the order in which they would be.
    pub(crate) fn visible(&self, now: Millis) -> impl Iterator<Item = (MessageId, State)> {
        let visible = self.order.range(..=(now, MessageId(u64::MAX)));
        visible
            .filter_map(|(_, id)| self.messages.get(id).map(|state| (*id, *state)))
            .filter(move |(_, state)| self.expires(state) > now)
    }

    /// When the next message that is hidden now becomes visible.
    pub(crate) fn next_visible(&self, now: Millis) -> Option<Millis> {
        self.order.range((now.saturating_add(1), MessageId(0))..).next().map(|(at, _)| *at)
    }

    /// What a receive at `now` of at most `max` messages does, which are hidden for `hidden` milliseconds then. Messages
    /// that were received `receives_max` times become dead letters instead.
    pub(crate) fn plan(&self, now: Millis, max: usize, hidden: Millis, receives_max: Option<u32>) -> Plan {
        let mut plan = Plan { expired: self.expired(now), ..Plan::default() };
        for (id, state) in self.visible(now) {
            if plan.taken.len() >= max || plan.dead.len() >= SWEPT_MAX {
                break;
            }
            if receives_max.is_some_and(|receives_max| state.receives >= receives_max) {
                let fresh = State {
                    visible_at: now,
                    first_received: None,
                    receives: 0,
                    turn: state.turn.wrapping_add(1),
                    ..state
                };
                plan.dead.push((id, fresh));
                continue;
            }
            let taken = State {
                visible_at: now.saturating_add(hidden),
                first_received: state.first_received.or(Some(now)),
                receives: state.receives.saturating_add(1),
                turn: state.turn.wrapping_add(1),
                ..state
            };
            plan.taken.push((id, taken));
        }
        plan
    }

    /// How many messages are how. What has become visible since the last count is no longer looked at by the next, so each
    /// message costs its counting once.
    pub(crate) fn counts(&mut self, now: Millis) -> Counts {
        for hidden in [&mut self.in_flight, &mut self.delayed] {
            while hidden.first().is_some_and(|(visible_at, _)| *visible_at <= now) {
                hidden.pop_first();
            }
        }
        let (in_flight, delayed) = (self.in_flight.len(), self.delayed.len());
        Counts { visible: self.messages.len() - in_flight - delayed, in_flight, delayed }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sent(at: Millis) -> State {
        State { sent: at, visible_at: at, expires: None, first_received: None, receives: 0, turn: 0, dead_from: None }
    }

    fn take(index: &mut QueueIndex, now: Millis, max: usize, receives_max: Option<u32>) -> Plan {
        let plan = index.plan(now, max, 30, receives_max);
        plan.expired.iter().for_each(|id| index.remove(*id));
        plan.dead.iter().for_each(|(id, _)| index.remove(*id));
        plan.taken.iter().for_each(|(id, state)| index.put(*id, *state));
        plan
    }

    #[test]
    fn a_message_is_hidden_then_comes_again_then_is_a_dead_letter() {
        let mut index = QueueIndex::new(1_000);
        index.put(MessageId(1), sent(0));
        assert_eq!(take(&mut index, 0, 10, Some(2)).taken.len(), 1);
        assert!(take(&mut index, 29, 10, Some(2)).is_empty());
        assert_eq!(index.next_visible(29), Some(30));
        assert_eq!(index.counts(29), Counts { in_flight: 1, ..Counts::default() });
        let again = take(&mut index, 30, 10, Some(2)).taken[0].1;
        assert_eq!((again.receives, again.turn, again.first_received), (2, 2, Some(0)));
        let dead = take(&mut index, 60, 10, Some(2)).dead[0].1;
        assert_eq!((dead.receives, dead.turn, dead.sent), (0, 3, 0));
        assert_eq!(index.len(), 0);
    }

    #[test]
    fn messages_expire_by_their_own_time_or_the_queues() {
        let mut index = QueueIndex::new(1_000);
        index.put(MessageId(1), sent(0));
        index.put(MessageId(2), State { expires: Some(50), ..sent(0) });
        index.put(MessageId(3), State { visible_at: 40, ..sent(0) });
        assert_eq!(index.counts(0), Counts { visible: 2, in_flight: 0, delayed: 1 });
        assert_eq!(index.expired(50), [MessageId(2)]);
        assert_eq!(index.visible(50).map(|(id, _)| id).collect::<Vec<_>>(), [MessageId(1), MessageId(3)]);
        index.set_retention(10);
        assert_eq!(take(&mut index, 50, 10, None).expired, [MessageId(1), MessageId(3), MessageId(2)]);
        assert_eq!((index.order.len(), index.expiry.len()), (0, 0));
        assert_eq!((index.in_flight.len(), index.delayed.len()), (0, 0));
    }

    proptest! {
        /// Whatever is sent, received and deleted: what is not deleted is there, and nobody gets what is hidden.
        #[test]
        fn none_is_lost_and_none_is_seen_while_hidden(
            steps in prop::collection::vec((0_u8..3, 0_i64..40, 1_usize..4), 1..80),
        ) {
            let mut index = QueueIndex::new(Millis::MAX / 2);
            let (mut now, mut next) = (0, 0);
            let mut alive: BTreeMap<MessageId, Millis> = BTreeMap::new();
            for (what, wait, count) in steps {
                now += wait;
                match what {
                    0 => for _ in 0..count {
                        next += 1;
                        index.put(MessageId(next), sent(now));
                        alive.insert(MessageId(next), now);
                    },
                    1 => for (id, state) in take(&mut index, now, count, None).taken {
                        prop_assert!(alive[&id] <= now);
                        alive.insert(id, state.visible_at);
                    },
                    _ => if let Some((id, _)) = alive.pop_first() {
                        index.remove(id);
                    },
                }
                prop_assert_eq!(index.len(), alive.len());
                prop_assert_eq!(index.order.len(), alive.len());
                let visible = alive.values().filter(|at| **at <= now).count();
                prop_assert_eq!(index.visible(now).count(), visible);
                if what == 2 {
                    let counts = index.counts(now);
                    prop_assert_eq!((counts.visible, counts.all()), (visible, alive.len()));
                    prop_assert_eq!(counts.delayed, 0);
                }
            }
            let all = take(&mut index, now + 1_000, usize::MAX, None).taken;
            prop_assert_eq!(all.len(), alive.len());
        }
    }
}
