//! What a search for patterns gives, from all rows at once: from each row on the ways through the pattern are tried one after the
//! other, what is preferred first, going back over rows where one fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{SchemaRef, TimestampMillisecondType};
use datafusion_common::ScalarValue;
use millstream_query::plan::{Condition, Kept, KeptOf, Pattern, PatternMatch, Skip};

use crate::reference::{evaluate, last};

/// The rows of a step.
pub fn matches(schema: &SchemaRef, plan: &PatternMatch, input: &RecordBatch) -> RecordBatch {
    let times = last(input);
    let times = times.as_primitive::<TimestampMillisecondType>();
    let mut order: Vec<u32> = (0..input.num_rows() as u32).collect();
    order.sort_by_key(|row| times.value(*row as usize));
    let rows = take_record_batch(input, &UInt32Array::from(order)).unwrap();
    let keys: Vec<ArrayRef> = plan.partition_by.iter().map(|key| evaluate(key, &rows)).collect();
    let mut of_keys: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for row in 0..rows.num_rows() {
        let key: Vec<_> = keys.iter().map(|key| ScalarValue::try_from_array(key, row).unwrap()).collect();
        of_keys.entry(format!("{key:?}")).or_default().push(row);
    }
    let found = of_keys.values().flat_map(|of_key| Search::new(plan, &rows, of_key).all());
    let results: Vec<RecordBatch> = found.map(|found| result(schema, plan, &found)).collect();
    concat_batches(schema, &results).unwrap()
}

fn result(schema: &SchemaRef, plan: &PatternMatch, found: &RecordBatch) -> RecordBatch {
    let columns = plan.columns.iter().map(|(_, column)| evaluate(column, found)).chain([last(found)]).collect();
    RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
}

/// A search among the rows of a key.
struct Search<'a> {
    plan: &'a PatternMatch,
    /// Which rows these are.
    of_key: &'a [usize],
    times: Vec<i64>,
    /// By variable of which rows it is, where the row alone tells.
    of_row: Vec<Option<ArrayRef>>,
    values: Vec<ArrayRef>,
}

/// One try from a row on: which rows it had to know.
struct Tried {
    begun: usize,
    /// The furthest row that it looked at.
    furthest: usize,
    /// Whether it looked for a row that is not there, or comes too late.
    looked_beyond: bool,
}

impl<'a> Search<'a> {
    fn new(plan: &'a PatternMatch, rows: &RecordBatch, of_key: &'a [usize]) -> Self {
        let of_row = |variable: &millstream_query::plan::Variable| match &variable.condition {
            Condition::OfRow(condition) => Some(evaluate(condition, rows)),
            Condition::Always | Condition::OfMatch(_) => None,
        };
        let times = last(rows);
        let times = of_key.iter().map(|row| times.as_primitive::<TimestampMillisecondType>().value(*row));
        Self {
            plan,
            of_key,
            times: times.collect(),
            of_row: plan.variables.iter().map(of_row).collect(),
            values: plan.values.iter().map(|value| evaluate(value, rows)).collect(),
        }
    }

    /// All matches, each as a row of the plan's schema.
    fn all(&self) -> Vec<RecordBatch> {
        let (mut found, mut next, mut known) = (Vec::new(), 0, i64::MIN);
        for begun in 0..self.of_key.len() {
            if begun < next {
                continue;
            }
            let mut tried = Tried { begun, furthest: begun, looked_beyond: false };
            let matched = self.first(std::slice::from_ref(&self.plan.pattern), &mut Vec::new(), &mut tried);
            let decided = match tried.looked_beyond {
                true => self.times[begun] + self.plan.within_ms + 1,
                false => self.times[tried.furthest],
            };
            known = if self.plan.skip == Skip::PastLastRow { known.max(decided) } else { decided };
            let Some(variables) = matched else { continue };
            if self.plan.skip == Skip::PastLastRow {
                next = begun + variables.len();
            }
            found.push(self.so_far(begun, &variables, known));
        }
        found
    }

    /// The kinds of the rows of the first match: behind the rows of `before` come those of `rest`.
    fn first(&self, rest: &[Pattern], before: &mut Vec<usize>, tried: &mut Tried) -> Option<Vec<usize>> {
        let Some((pattern, behind)) = rest.split_first() else { return Some(before.clone()) };
        match pattern {
            Pattern::Row(variable) => {
                let row = tried.begun + before.len();
                if row >= self.times.len() || self.times[row] > self.times[tried.begun] + self.plan.within_ms {
                    tried.looked_beyond = true;
                    return None;
                }
                tried.furthest = tried.furthest.max(row);
                before.push(*variable);
                let fits = self.fits(tried.begun, before);
                let found = if fits { self.first(behind, before, tried) } else { None };
                before.pop();
                found
            }
            Pattern::Sequence(parts) => self.first(&[parts, behind].concat(), before, tried),
            Pattern::Either(ways) => {
                ways.iter().find_map(|way| self.first(&[std::slice::from_ref(way), behind].concat(), before, tried))
            }
            Pattern::Repeat { pattern: part, least, most, greedy } => {
                let again = Pattern::Repeat {
                    pattern: part.clone(),
                    least: least.saturating_sub(1),
                    most: most.map(|most| most.saturating_sub(1)),
                    greedy: *greedy,
                };
                let more = [&[(**part).clone(), again], behind].concat();
                let mut ways = Vec::new();
                if *most != Some(0) {
                    ways.push(more.as_slice());
                }
                if *least == 0 {
                    ways.insert(if *greedy { ways.len() } else { 0 }, behind);
                }
                ways.into_iter().find_map(|way| self.first(way, before, tried))
            }
        }
    }

    /// Whether the last of some rows is of its kind.
    fn fits(&self, begun: usize, variables: &[usize]) -> bool {
        let (row, variable) = (begun + variables.len() - 1, variables[variables.len() - 1]);
        let is_true = |values: &ArrayRef, row: usize| values.as_boolean().iter().nth(row).flatten() == Some(true);
        match (&self.plan.variables[variable].condition, &self.of_row[variable]) {
            (Condition::OfRow(_), Some(of_row)) => is_true(of_row, self.of_key[row]),
            (Condition::OfMatch(condition), _) => {
                is_true(&evaluate(condition, &self.so_far(begun, variables, self.times[row])), 0)
            }
            _ => true,
        }
    }

    /// What is kept of a match, with a time.
    fn so_far(&self, begun: usize, variables: &[usize], time: i64) -> RecordBatch {
        let kept = |kept: &Kept| {
            let of_kind = (0..variables.len()).filter(|place| variables[*place] == kept.variable);
            let value =
                |place: usize| ScalarValue::try_from_array(&self.values[kept.value], self.of_key[begun + place]);
            let values: Vec<ScalarValue> = of_kind.map(|place| value(place).unwrap()).collect();
            let there = values.iter().filter(|value| !value.is_null());
            let found = match kept.of {
                KeptOf::First => values.first(),
                KeptOf::Last => values.last(),
                KeptOf::Least => there.min_by(|a, b| a.partial_cmp(b).unwrap()),
                KeptOf::Greatest => there.max_by(|a, b| a.partial_cmp(b).unwrap()),
            };
            let none = ScalarValue::try_from(self.values[kept.value].data_type()).unwrap();
            found.cloned().unwrap_or(none).to_array().unwrap()
        };
        let names: Vec<&str> = variables.iter().map(|variable| self.plan.variables[*variable].name.as_str()).collect();
        let listed = self.plan.lists_variables.then(|| serde_json::to_string(&names).unwrap());
        let rest = [ScalarValue::LargeUtf8(listed), ScalarValue::TimestampMillisecond(Some(time), None)];
        let columns = self.plan.kept.iter().map(kept).chain(rest.map(|value| value.to_array().unwrap())).collect();
        RecordBatch::try_new(Arc::clone(&self.plan.schema), columns).unwrap()
    }
}
