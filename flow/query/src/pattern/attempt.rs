//! Attempts to match: of each key one for each row at which a match may begin, until it is decided.
//!
//! An attempt follows all ways through the pattern at once, what is preferred first. Ways that will go on in the same manner are
//! one, so their number is bounded by the pattern's length where no condition reads what was matched before.

use std::collections::VecDeque;
use std::sync::Arc;

use super::nodes::{Next, Nodes};
use super::{Row, TooMuch};
use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::{Kept, Skip};

/// The most ways that one attempt may follow at once.
pub(super) const WAYS_MAX: usize = 1_000;

/// The most ways that all attempts of one key may follow at once: each of its rows is held against all of them.
pub(super) const WAYS_OF_KEY_MAX: usize = 100_000;

/// What an attempt or a way takes besides what it keeps, and what each value that it keeps takes besides its bytes.
const WAY_BYTES: usize = 96;
const VALUE_BYTES: usize = 32;

/// Which row of a key: its time, and how many rows of that time came before it.
pub(super) type Spot = (i64, u32);

/// The attempts of a key, the first begun first.
#[derive(Default)]
pub(super) struct Attempts {
    list: VecDeque<Attempt>,
    newest: Option<Spot>,
    bytes: usize,
}

/// What came of a match that begins with one row.
struct Attempt {
    begun: Spot,
    /// What may still be preferred to `best`, the most preferred first; nothing: it is decided.
    ways: Vec<Way>,
    /// The last row of the best match so far, and what is kept of it.
    best: Option<(Spot, Taken)>,
}

/// A part of a match: the place at which its next row is expected.
struct Way {
    place: usize,
    taken: Taken,
}

/// What is kept of the rows of a match.
#[derive(Clone, Default)]
pub(super) struct Taken {
    /// By [`Kept`] its value as bytes; empty: there was no such row.
    pub(super) values: Vec<Arc<[u8]>>,
    /// The kinds of its rows, each with how many follow each other; where they are listed.
    pub(super) variables: Vec<(u32, u32)>,
}

impl Taken {
    /// Whether both decide alike how a match goes on.
    fn decides_like(&self, other: &Self, kept: &[Kept]) -> bool {
        kept.iter().zip(self.values.iter().zip(&other.values)).all(|(kept, (own, other))| !kept.decides || own == other)
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let values = self.values.iter().map(|value| value.len() + VALUE_BYTES).sum::<usize>();
        values + self.variables.len() * size_of::<(u32, u32)>()
    }

    fn write(&self, writer: &mut Writer) {
        self.values.iter().for_each(|value| writer.bytes(value));
        writer.count(self.variables.len());
        for (variable, count) in &self.variables {
            writer.int(i64::from(*variable));
            writer.int(i64::from(*count));
        }
    }

    fn read(values: usize, reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let mut taken = Self::default();
        for _ in 0..values {
            taken.values.push(reader.bytes()?.into());
        }
        for _ in 0..reader.count()? {
            taken.variables.push((small(reader)?, small(reader)?));
        }
        Ok(taken)
    }
}

impl Attempts {
    /// Lets a match begin with the row of a key that comes now. Gives which row it is.
    pub(super) fn begin(&mut self, time: i64, nodes: &Nodes, nothing: &Taken) -> Spot {
        let begun = match self.newest {
            Some((newest, count)) if newest == time => (time, count + 1),
            _ => (time, 0),
        };
        self.newest = Some(begun);
        let way = |next: &Next| match next {
            Next::Row(place) => Some(Way { place: *place, taken: nothing.clone() }),
            Next::End => None,
        };
        let ways = nodes.first().iter().filter_map(way).collect();
        self.list.push_back(Attempt { begun, ways, best: None });
        begun
    }

    /// All ways, those of the first attempt first, in the order of preference.
    pub(super) fn ways(&self) -> impl Iterator<Item = (usize, &Taken)> {
        self.list.iter().flat_map(|attempt| &attempt.ways).map(|way| (way.place, &way.taken))
    }

    /// Takes a row on all ways to which it fits, given in the order of [`Attempts::ways`]; the others end.
    pub(super) fn advance(&mut self, row: &Row, at: Spot, fits: &[bool], nodes: &Nodes) -> Result<(), TooMuch> {
        let mut rest = fits;
        let mut all = 0;
        for attempt in &mut self.list {
            let (own, behind) = rest.split_at(attempt.ways.len());
            rest = behind;
            attempt.advance(row, at, own, nodes)?;
            all += attempt.ways.len();
            if all > WAYS_OF_KEY_MAX {
                return Err(TooMuch::WaysOfKey);
            }
        }
        Ok(())
    }

    /// Ends the attempts whose matches may have no row of that time or later.
    pub(super) fn end(&mut self, time: i64, within_ms: i64) {
        for attempt in &mut self.list {
            if attempt.end(within_ms) > time {
                break;
            }
            attempt.ways.clear();
        }
    }

    /// Takes the matches that are decided.
    pub(super) fn settle(&mut self, skip: Skip, mut found: impl FnMut(Taken)) {
        match skip {
            Skip::ToNextRow => self.list.retain_mut(|attempt| {
                if attempt.ways.is_empty()
                    && let Some((_, taken)) = attempt.best.take()
                {
                    found(taken);
                }
                !attempt.ways.is_empty()
            }),
            Skip::PastLastRow => {
                while let Some(first) = self.list.pop_front_if(|first| first.ways.is_empty()) {
                    let Some((last, taken)) = first.best else { continue };
                    found(taken);
                    while self.list.pop_front_if(|next| next.begun <= last).is_some() {}
                }
            }
        }
        let of_attempt = |attempt: &Attempt| {
            let ways = attempt.ways.iter().map(|way| WAY_BYTES + way.taken.bytes()).sum::<usize>();
            WAY_BYTES + ways + attempt.best.as_ref().map_or(0, |(_, taken)| taken.bytes())
        };
        self.bytes = self.list.iter().map(of_attempt).sum();
    }

    /// When the first attempt ends at the latest; `None`: there is none.
    pub(super) fn first_end(&self, within_ms: i64) -> Option<i64> {
        self.list.front().map(|attempt| attempt.end(within_ms))
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.count(self.list.len());
        for attempt in &self.list {
            write_spot(attempt.begun, writer);
            writer.count(attempt.ways.len());
            for way in &attempt.ways {
                writer.count(way.place);
                way.taken.write(writer);
            }
            writer.count(usize::from(attempt.best.is_some()));
            if let Some((last, taken)) = &attempt.best {
                write_spot(*last, writer);
                taken.write(writer);
            }
        }
    }

    /// Reads attempts that keep so many values.
    pub(super) fn read(nodes: &Nodes, values: usize, reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let mut attempts = Self::default();
        for _ in 0..reader.count()? {
            let (begun, mut ways, mut best) = (read_spot(reader)?, Vec::new(), None);
            for _ in 0..reader.count()? {
                let place = usize::try_from(reader.int()?).ok().filter(|place| *place < nodes.len());
                ways.push(Way { place: place.ok_or(StateError)?, taken: Taken::read(values, reader)? });
            }
            if reader.count()? > 0 {
                best = Some((read_spot(reader)?, Taken::read(values, reader)?));
            }
            attempts.list.push_back(Attempt { begun, ways, best });
        }
        // Counts what they take; the ways of an attempt that waits for an earlier one are none, and it stays.
        attempts.settle(Skip::PastLastRow, drop);
        Ok(attempts)
    }
}

impl Attempt {
    fn advance(&mut self, row: &Row, at: Spot, fits: &[bool], nodes: &Nodes) -> Result<(), TooMuch> {
        let mut next: Vec<Way> = Vec::with_capacity(self.ways.len());
        for (way, _) in std::mem::take(&mut self.ways).iter().zip(fits).filter(|(_, fits)| **fits) {
            let taken = row.taken(nodes.variable(way.place), &way.taken);
            for behind in nodes.behind(way.place) {
                match *behind {
                    Next::End => {
                        // What comes behind it is less preferred.
                        self.best = Some((at, taken));
                        self.ways = next;
                        return Ok(());
                    }
                    Next::Row(place) => {
                        let same = |other: &Way| other.place == place && other.taken.decides_like(&taken, row.kept());
                        if !next.iter().any(same) {
                            next.push(Way { place, taken: taken.clone() });
                        }
                    }
                }
            }
        }
        self.ways = next;
        if self.ways.len() > WAYS_MAX { Err(TooMuch::Ways) } else { Ok(()) }
    }

    /// The time of which no row belongs to its match any more.
    fn end(&self, within_ms: i64) -> i64 {
        self.begun.0.saturating_add(within_ms).saturating_add(1)
    }
}

fn write_spot((time, count): Spot, writer: &mut Writer) {
    writer.int(time);
    writer.int(i64::from(count));
}

fn read_spot(reader: &mut Reader<'_>) -> Result<Spot, StateError> {
    Ok((reader.int()?, small(reader)?))
}

fn small(reader: &mut Reader<'_>) -> Result<u32, StateError> {
    u32::try_from(reader.int()?).map_err(|_| StateError)
}
