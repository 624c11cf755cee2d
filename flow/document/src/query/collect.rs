//! What needs all documents before its first row: order, aggregates, groups and distinct values.
//!
//! Bounded: [`super::COLLECTED_BYTES_MAX`] bytes are held, then the query is refused.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::error::QueryError;
use super::evaluate::Row;
use super::syntax::{AggregateKind, Query, Sort};
use super::value::{Defined, canonical, compare, float, number, weight};
use super::{BOUND_PER_DOCUMENT_MAX, COLLECTED_BYTES_MAX};

/// Rows under way to a query's answer.
pub struct Collector {
    query: Arc<Query>,
    /// Rows from the first that will be looked at.
    wanted: u64,
    /// Rows with the values that order them.
    rows: Vec<(Vec<Defined>, Value)>,
    groups: Groups,
    /// Rows seen, for DISTINCT.
    seen: HashSet<String>,
    /// About how much is held.
    bytes: usize,
}

/// Groups by their values, in the order of their first documents.
#[derive(Default)]
struct Groups {
    by_values: HashMap<String, usize>,
    all: Vec<Group>,
}

struct Group {
    /// The document that the groups' own values are read from: all documents of the group have the same.
    first: Value,
    sums: Vec<Sum>,
}

impl Collector {
    /// Nothing yet. `wanted`: rows that the caller will look at; those behind them are forgotten under way.
    #[must_use]
    pub fn new(query: Arc<Query>, wanted: u64) -> Self {
        Self { query, wanted, rows: Vec::new(), groups: Groups::default(), seen: HashSet::new(), bytes: 0 }
    }

    /// Takes a document.
    ///
    /// # Errors
    /// [`QueryError::TooManyRows`], [`QueryError::TooMuchCollected`].
    pub fn add(&mut self, document: &Value) -> Result<(), QueryError> {
        let query = Arc::clone(&self.query);
        query.each_row(document, &mut |row| {
            if query.aggregates.is_empty() && query.group_by.is_empty() {
                self.take_row(&query, row);
                if self.bytes > COLLECTED_BYTES_MAX {
                    self.prune(&query);
                }
            } else {
                self.take_grouped(&query, row);
            }
            if self.bytes > COLLECTED_BYTES_MAX { Err(QueryError::TooMuchCollected) } else { Ok(()) }
        })
    }

    /// The query's rows, in order; bounds are not applied yet.
    #[must_use]
    pub fn finish(mut self) -> Vec<Value> {
        let query = Arc::clone(&self.query);
        // An aggregate without groups has a row even when no document came.
        if query.group_by.is_empty() && !query.aggregates.is_empty() && self.groups.all.is_empty() {
            self.groups.all.push(Group { first: Value::Null, sums: sums(&query) });
        }
        for group in std::mem::take(&mut self.groups.all) {
            let mut row = Row {
                document: &group.first,
                sources: Vec::new(),
                aggregates: Vec::new(),
                work_left: Cell::new(BOUND_PER_DOCUMENT_MAX),
            };
            row.aggregates = group.sums.into_iter().map(Sum::result).collect();
            if let Some(sources) = group.first.as_object() {
                row.sources = sources.iter().map(|(alias, value)| (alias.as_str(), value)).collect();
            }
            if let Some(value) = query.project(&row) {
                self.keep(&query, Vec::new(), value);
            }
        }
        sort(&mut self.rows, &query.order_by);
        self.rows.into_iter().map(|(_, row)| row).collect()
    }

    fn take_row(&mut self, query: &Query, row: &Row<'_, '_>) {
        if let Some(value) = query.project(row) {
            let order = query.order_by.iter().map(|sort| row.value(&sort.by)).collect();
            self.keep(query, order, value);
        }
    }

    fn keep(&mut self, query: &Query, order: Vec<Defined>, value: Value) {
        if query.distinct {
            let mut text = String::new();
            canonical(Some(&value), &mut text);
            let bytes = text.len();
            if !self.seen.insert(text) {
                return;
            }
            self.bytes += bytes;
        }
        self.bytes += row_weight(&order, &value);
        self.rows.push((order, value));
    }

    fn take_grouped(&mut self, query: &Query, row: &Row<'_, '_>) {
        let mut name = String::new();
        for value in &query.group_by {
            canonical(row.evaluate(value).as_deref(), &mut name);
            name.push('\n');
        }
        let at = match self.groups.by_values.get(&name) {
            Some(&at) => at,
            None => {
                let first = if query.group_by.is_empty() { Value::Null } else { sources(row) };
                self.bytes += name.len() + weight(&first) + query.aggregates.len() * size_of::<Sum>();
                self.groups.by_values.insert(name, self.groups.all.len());
                self.groups.all.push(Group { first, sums: sums(query) });
                self.groups.all.len() - 1
            }
        };
        for (sum, aggregate) in self.groups.all[at].sums.iter_mut().zip(&query.aggregates) {
            self.bytes += sum.add(row.evaluate(&aggregate.argument).as_deref());
        }
    }

    /// Forgets rows behind the last one that will be told.
    fn prune(&mut self, query: &Query) {
        let (skip, take) = query.bounds();
        let end = take.map_or(u64::MAX, |take| skip.saturating_add(take)).min(self.wanted);
        sort(&mut self.rows, &query.order_by);
        self.rows.truncate(usize::try_from(end).unwrap_or(usize::MAX));
        let rows: usize = self.rows.iter().map(|(order, row)| row_weight(order, row)).sum();
        self.bytes = rows + self.seen.iter().map(String::len).sum::<usize>();
    }
}

fn row_weight(order: &[Defined], value: &Value) -> usize {
    weight(value) + order.iter().flatten().map(weight).sum::<usize>()
}

/// A row's sources, to read the group's values from later.
fn sources(row: &Row<'_, '_>) -> Value {
    Value::Object(row.sources.iter().map(|(alias, value)| ((*alias).to_owned(), (*value).clone())).collect())
}

/// Stable: rows of the same values stay in the order of their documents.
fn sort(rows: &mut [(Vec<Defined>, Value)], by: &[Sort]) {
    if by.is_empty() {
        return;
    }
    rows.sort_by(|(left, _), (right, _)| {
        let each = by.iter().zip(left.iter().zip(right)).map(|(sort, (left, right))| {
            let order = compare(left.as_ref(), right.as_ref());
            if sort.descending { order.reverse() } else { order }
        });
        each.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
}

fn sums(query: &Query) -> Vec<Sum> {
    query.aggregates.iter().map(|aggregate| Sum::new(aggregate.kind)).collect()
}

/// An aggregate under way. Undefined values do not count; one that the aggregate cannot work with makes it undefined.
struct Sum {
    kind: AggregateKind,
    count: u64,
    sum: f64,
    extreme: Defined,
    undefined: bool,
}

impl Sum {
    fn new(kind: AggregateKind) -> Self {
        Self { kind, count: 0, sum: 0.0, extreme: None, undefined: false }
    }

    /// Takes a value, and tells about how many bytes more are held now.
    fn add(&mut self, value: Option<&Value>) -> usize {
        let Some(value) = value else { return 0 };
        self.count += 1;
        let before = self.extreme.as_ref().map_or(0, weight);
        match self.kind {
            AggregateKind::Count => {}
            AggregateKind::Sum | AggregateKind::Average => match value.as_number() {
                Some(number) => self.sum += float(number),
                None => self.undefined = true,
            },
            AggregateKind::Minimum => self.take_if(value, Ordering::is_lt),
            AggregateKind::Maximum => self.take_if(value, Ordering::is_gt),
        }
        self.extreme.as_ref().map_or(0, weight).saturating_sub(before)
    }

    fn take_if(&mut self, value: &Value, better: fn(Ordering) -> bool) {
        if value.is_array() || value.is_object() {
            self.undefined = true;
            return;
        }
        match &self.extreme {
            Some(known) if !better(compare(Some(value), Some(known))) => {}
            _ => self.extreme = Some(value.clone()),
        }
    }

    fn result(self) -> Defined {
        match self.kind {
            AggregateKind::Count => Some(self.count.into()),
            _ if self.undefined => None,
            AggregateKind::Sum => number(self.sum),
            AggregateKind::Average => {
                if self.count == 0 {
                    None
                } else {
                    number(self.sum / self.count as f64)
                }
            }
            AggregateKind::Minimum | AggregateKind::Maximum => self.extreme,
        }
    }
}
