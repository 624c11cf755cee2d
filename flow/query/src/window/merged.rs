//! Where the panes of hopping windows are added up: groups keep their places from window to window.
//!
//! A pane's groups are looked for once, when the first window holds it. From then on it is known where each of them is, so that
//! a window which overlaps the one before costs a pass over arrays. Panes are added in the order of time, each time anew: what
//! comes of a window depends on its rows alone.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;

use super::pane::Pane;
use super::{Closed, Ended};
use crate::plan::AggregateCall;

pub(super) struct Merged {
    /// The groups of all panes that are known; between two windows nothing is accumulated of them.
    groups: Pane,
    /// By place: how many panes have its group.
    uses: Vec<u32>,
    /// By the start of a pane: where its groups are, those that came first.
    places: BTreeMap<i64, Vec<u32>>,
    /// The places in the order of their keys, while they are those of the last window.
    order: Option<Vec<u32>>,
}

impl Merged {
    pub(super) fn new(aggregates: &[AggregateCall]) -> Self {
        Self { groups: Pane::new(aggregates), uses: Vec::new(), places: BTreeMap::new(), order: None }
    }

    /// The result of a window: its start and end, and its panes by their starts. `None`: it has no group. All panes that are
    /// known are in it.
    pub(super) fn window<'p>(
        &mut self,
        (start, end): (i64, i64),
        panes: impl Iterator<Item = (i64, &'p Pane)>,
        key_types: &[DataType],
    ) -> Option<Closed> {
        for (begin, pane) in panes {
            self.add(begin, pane);
        }
        if self.groups.len() == 0 {
            return None;
        }
        let Self { groups, order, .. } = self;
        let order = order.get_or_insert_with(|| groups.in_order(groups.in_use()));
        let ended = order.iter().map(|&place| Ended { start, end, place }).collect();
        let closed = groups.finish(ended, key_types);
        groups.reset_all();
        Some(closed)
    }

    /// Adds a pane to the window.
    fn add(&mut self, begin: i64, pane: &Pane) {
        let places = self.places.entry(begin).or_default();
        for key in pane.keys().skip(places.len()) {
            let place = self.groups.slot(key);
            if self.uses.len() <= place as usize {
                self.uses.resize(place as usize + 1, 0);
            }
            let uses = &mut self.uses[place as usize];
            if *uses == 0 {
                self.order = None;
            }
            *uses += 1;
            places.push(place);
        }
        self.groups.merge_into(places, pane);
    }

    /// Forgets the panes that begin before a time, and groups that no other has.
    pub(super) fn drop_before(&mut self, start: i64) {
        while let Some(pane) = self.places.first_entry().filter(|pane| *pane.key() < start) {
            for place in pane.remove() {
                let uses = &mut self.uses[place as usize];
                *uses -= 1;
                if *uses == 0 {
                    self.groups.detach(place);
                    self.groups.release(place);
                    self.order = None;
                }
            }
        }
    }
}
