//! `AnomalyDetection_SpikeAndDip(value, confidence, history, mode)` and `AnomalyDetection_ChangePoint(value, confidence, history)`.
//!
//! Source: the pages of these functions in "Analytic functions (Azure Stream Analytics)".

use arrow::datatypes::DataType;

use super::syntax::{Call, Expr, ExprKind, Literal};
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::expression::{Binder, types};
use crate::plan::{AnalyticFunction, Detector, Extent, Side, VALUE, WINDOW_ROWS_MAX};

/// Such a function of the rows that `extent` reaches back to.
pub(super) fn anomaly(
    binder: &Binder,
    call: &Call,
    name: &str,
    extent: Extent,
    at: Position,
) -> Result<AnalyticFunction, PlanError> {
    let spikes = name == "ANOMALYDETECTION_SPIKEANDDIP";
    let (value, confidence, history, side) = match call.arguments.as_slice() {
        [value, confidence, history, mode] if spikes => (value, confidence, history, Some(side(name, mode)?)),
        [value, confidence, history] if !spikes => (value, confidence, history, None),
        arguments => {
            let takes = if spikes {
                "4 arguments (value, confidence, history, mode)"
            } else {
                "3 arguments (value, confidence, history)"
            };
            let message = format!("{name} takes {takes}, found {}", arguments.len());
            return Err(PlanError::new(PlanErrorCode::Syntax, at, message));
        }
    };
    let detector = Detector { side, confidence: confidence_of(name, confidence)?, history: history_of(name, history)? };
    let bound = binder.bind(value)?;
    let value = match bound.data_type {
        VALUE | DataType::Int64 => types::convert(bound, &DataType::Float64, false),
        _ => binder.typed(bound, &DataType::Float64, value.at)?,
    };
    Ok(AnalyticFunction::Anomaly { value, detector, extent })
}

/// `'spikes'`, `'dips'` or `'spikesanddips'`.
fn side(name: &str, mode: &Expr) -> Result<Side, PlanError> {
    let text = match &mode.kind {
        ExprKind::Literal(Literal::Text(text)) => text.to_lowercase(),
        _ => String::new(),
    };
    match text.as_str() {
        "spikes" => Ok(Side::Spikes),
        "dips" => Ok(Side::Dips),
        "spikesanddips" => Ok(Side::Both),
        _ => {
            let message = format!("{name} takes 'spikes', 'dips' or 'spikesanddips' as its mode");
            Err(PlanError::new(PlanErrorCode::Syntax, mode.at, message).hint("'spikesanddips'"))
        }
    }
}

/// A percentage, in hundredths of a percent.
fn confidence_of(name: &str, confidence: &Expr) -> Result<u32, PlanError> {
    let percent = number(confidence).and_then(|digits| digits.parse::<f64>().ok());
    let percent = percent.filter(|percent| (1.0..=100.0).contains(percent));
    percent.map(|percent| (percent * 100.0).round() as u32).ok_or_else(|| {
        let message = format!("{name} takes a percentage from 1 to 100 as its confidence");
        PlanError::new(PlanErrorCode::Syntax, confidence.at, message).hint("95")
    })
}

fn history_of(name: &str, history: &Expr) -> Result<usize, PlanError> {
    let events = number(history).and_then(|digits| digits.parse::<usize>().ok());
    events.filter(|events| (1..=WINDOW_ROWS_MAX).contains(events)).ok_or_else(|| {
        let message = format!("{name} takes a whole number of events as its history, 1 to {WINDOW_ROWS_MAX}");
        PlanError::new(PlanErrorCode::Window, history.at, message).hint("120")
    })
}

/// The digits of a number that stands in a call.
fn number(argument: &Expr) -> Option<&str> {
    match &argument.kind {
        ExprKind::Literal(Literal::Number(digits)) => Some(digits),
        _ => None,
    }
}
