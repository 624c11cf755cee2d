//! Rows with what a model says of each and of those before it.
//!
//! Rows wait until the watermark has passed them ([`crate::waiting`]), so that the model learns from them in the order of their times
//! whatever way they came in. Knows no SQL. Read next: [`crate::forest`], [`crate::hotspots`].

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Float64Builder, StringBuilder};
use arrow::datatypes::{DataType, Float64Type};

use crate::executor::state::{Reader, StateError, Writer};
use crate::forest::{Attribution, Forest};
use crate::hotspots::{Hotspots, Region};
use crate::plan::{Explanation, Model, Scored};
use crate::value::json;
use crate::waiting::{Due, KEPT_BYTES_MAX, Waiting};
use crate::window::{CLOSED_ROWS, Closed};

/// The state of one step.
pub(crate) struct Scoring {
    waiting: Waiting,
    /// How many of a row's values go on; the others are what the model learns from.
    passed: usize,
    /// What these are called.
    names: Vec<String>,
    model: State,
}

enum State {
    Forest(Box<Forest>, Explanation),
    Hotspots(Hotspots),
}

/// More rows wait than may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "more than {} MiB of rows wait to be scored; use fewer columns or less tolerance for disorder",
    KEPT_BYTES_MAX / 1024 / 1024
)]
pub(crate) struct TooMuch;

impl Scoring {
    pub(crate) fn new(plan: &Scored) -> Self {
        let types = plan.inputs().into_iter().map(|input| input.data_type.clone()).collect();
        let columns = plan.numbers.len();
        let model = match &plan.model {
            Model::Forest(forest) => State::Forest(Box::new(Forest::new(*forest, columns)), forest.explanation),
            Model::Hotspots(hotspots) => State::Hotspots(Hotspots::new(*hotspots, columns)),
        };
        let names = plan.numbers.iter().map(|(name, _)| name.clone()).collect();
        Self { waiting: Waiting::new(types), passed: plan.columns.len(), names, model }
    }

    /// Adds rows: their times, and the values of all inputs.
    pub(crate) fn add(&mut self, times: &[i64], inputs: &[ArrayRef]) -> Result<(), TooMuch> {
        self.waiting.add(times.iter().copied(), inputs);
        if self.waiting.bytes() > KEPT_BYTES_MAX { Err(TooMuch) } else { Ok(()) }
    }

    /// The rows that none can come before any more, with their results.
    pub(crate) fn close(&mut self, watermark: i64) -> Vec<Closed> {
        let mut closed = Vec::new();
        while let Some(due) = self.waiting.take_due(watermark, |rows, _| rows < CLOSED_ROWS) {
            closed.push(self.evaluate(due));
        }
        closed
    }

    fn evaluate(&mut self, Due { times, columns: inputs }: Due) -> Closed {
        let (columns, numbers) = inputs.split_at(self.passed);
        let numbers: Vec<_> = numbers.iter().map(|column| column.as_primitive::<Float64Type>()).collect();
        let (mut scores, mut texts) = (Float64Builder::new(), StringBuilder::new());
        let mut row = Vec::with_capacity(numbers.len());
        for place in 0..times.len() {
            row.clear();
            row.extend(numbers.iter().filter(|column| column.is_valid(place)).map(|column| column.value(place)));
            let is_whole = row.len() == numbers.len() && row.iter().all(|number| number.is_finite());
            match &mut self.model {
                State::Forest(forest, explanation) => {
                    let told = is_whole.then(|| forest.observe(&row));
                    scores.append_option(told.as_ref().map(Attribution::score));
                    texts.append_option(told.map(|told| explained(&self.names, &told, *explanation)));
                }
                State::Hotspots(hotspots) => {
                    texts.append_option(is_whole.then(|| described(&hotspots.observe(&row))));
                }
            }
        }
        let mut columns = columns.to_vec();
        match &self.model {
            State::Forest(_, Explanation::None) => columns.push(Arc::new(scores.finish())),
            State::Forest(..) => columns.extend([Arc::new(scores.finish()) as ArrayRef, Arc::new(texts.finish())]),
            State::Hotspots(_) => columns.push(Arc::new(texts.finish())),
        }
        Closed { starts: times.clone(), ends: times, columns, errors: Vec::new(), stops: None }
    }

    pub(crate) fn rows(&self) -> usize {
        self.waiting.rows()
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        self.waiting.write(writer);
        match &self.model {
            State::Forest(forest, _) => forest.write(writer),
            State::Hotspots(hotspots) => hotspots.write(writer),
        }
    }

    pub(crate) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.waiting.read(reader)?;
        match &mut self.model {
            State::Forest(forest, _) => forest.read(reader),
            State::Hotspots(hotspots) => hotspots.read(reader),
        }
    }
}

/// The columns that a model adds to a row.
pub(crate) fn result_columns(model: &Model) -> Vec<(&'static str, DataType)> {
    match model {
        Model::Forest(forest) if forest.explanation == Explanation::None => {
            vec![("ANOMALY_SCORE", DataType::Float64)]
        }
        Model::Forest(_) => vec![("ANOMALY_SCORE", DataType::Float64), ("ANOMALY_EXPLANATION", DataType::Utf8)],
        Model::Hotspots(_) => vec![("HOTSPOTS_RESULT", DataType::Utf8)],
    }
}

/// `{"PRICE":{"DIRECTION":"HIGH","STRENGTH":"0.0922","ATTRIBUTION_SCORE":"0.3792"},…}`, as the service writes it.
fn explained(names: &[String], told: &Attribution, explanation: Explanation) -> String {
    let mut text = String::from("{");
    for (place, (name, (low, high))) in names.iter().zip(told.columns()).enumerate() {
        let comma = if place > 0 { "," } else { "" };
        // Writing to a text cannot fail.
        let _ = write!(text, "{comma}{}:{{", json::quoted(name));
        if explanation == Explanation::Direction {
            let direction = if high > low { "HIGH" } else { "LOW" };
            let _ = write!(text, "\"DIRECTION\":\"{direction}\",\"STRENGTH\":\"{:.4}\",", (high - low).abs());
        }
        let _ = write!(text, "\"ATTRIBUTION_SCORE\":\"{:.4}\"}}", low + high);
    }
    text.push('}');
    text
}

/// `{"hotspots":[{"density":4.5,"minValues":[0.1,2],"maxValues":[1.2,3]}]}`, as the service writes it.
fn described(regions: &[Region]) -> String {
    let numbers = |values: &[f64]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let region = |region: &Region| {
        let (low, high) = (numbers(&region.low), numbers(&region.high));
        format!("{{\"density\":{},\"minValues\":[{low}],\"maxValues\":[{high}]}}", region.density)
    };
    format!("{{\"hotspots\":[{}]}}", regions.iter().map(region).collect::<Vec<_>>().join(","))
}
