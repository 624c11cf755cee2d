//! What bounds the state, and what is left of it when the query is changed.

use super::line;
use super::time::lasting;
use crate::plan::{AnalyticCall, AnalyticFunction, Extent, Operator, Program, WindowKind};
use crate::waiting::KEPT_BYTES_MAX;
use crate::{join, window};

/// How windows are had again when the query is changed.
pub(super) fn windows_again(kind: WindowKind) -> String {
    match kind {
        WindowKind::Tumbling { size_ms } | WindowKind::Hopping { size_ms, .. } | WindowKind::Sliding { size_ms } => {
            format!("open windows are made again of the records of the last {}", lasting(size_ms))
        }
        WindowKind::Session { .. } => "open sessions are made again of their records".to_owned(),
        WindowKind::Stagger { .. } => "windows are made again of all records that are still there".to_owned(),
    }
}

/// How what a function looks back to is had again when the query is changed.
pub(super) fn looked_back_again(call: &AnalyticCall) -> String {
    let length_ms = match &call.function {
        AnalyticFunction::Value { extent: Extent::Time(length_ms), .. }
        | AnalyticFunction::Aggregate { extent: Extent::Time(length_ms), .. }
        | AnalyticFunction::Anomaly { extent: Extent::Time(length_ms), .. } => *length_ms,
        AnalyticFunction::IsFirst { interval_ms, .. } => *interval_ms,
        AnalyticFunction::Value { .. } | AnalyticFunction::Aggregate { .. } | AnalyticFunction::Anomaly { .. } => {
            return "made again of all records that are still there".to_owned();
        }
    };
    format!("made again of the records of the last {}", lasting(length_ms))
}

/// What bounds the state of the steps that keep something, and what a change keeps.
pub(super) fn lines(text: &mut String, program: &Program) {
    let any = |is: fn(&Operator) -> bool| program.steps.iter().any(|step| is(&step.operator));
    let mut bounds = Vec::new();
    if any(|operator| matches!(operator, Operator::WindowAggregate(_))) {
        bounds.push(format!("{} groups of windows in a step", grouped(window::GROUPS_MAX)));
    }
    if any(keeps_rows) {
        bounds.push(format!("{} MiB of rows and values that a step looks back to or orders", KEPT_BYTES_MAX >> 20));
    }
    if any(|operator| matches!(operator, Operator::Join(_))) {
        bounds.push(format!("{} rows of a join, 256 bytes of a longer row as one", grouped(join::ROWS_MAX)));
    }
    if bounds.is_empty() {
        line(text, "state: none but the positions in the shards");
    } else {
        line(text, "state, at most; beyond it the query stops and says so");
        bounds.iter().for_each(|bound| line(text, &format!("  {bound}")));
        line(text, "  all of it: 1 GiB in a checkpoint, of which only what changed is written");
    }
    line(
        text,
        "after a change it goes on where it was: positions and watermark stay, what was given is not given again",
    );
}

fn keeps_rows(operator: &Operator) -> bool {
    matches!(operator, Operator::Analytic(_) | Operator::PatternMatch(_) | Operator::Sort(_) | Operator::Scored(_))
}

/// A number with its thousands apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}
