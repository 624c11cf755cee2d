//! Stream Analytics' functions that cut time: `TumblingWindow(…)` and its kin, and `Windows(…)`, which is several at once.
//!
//! Source: "Windowing functions (Azure Stream Analytics)" and the pages of the single windows.

use super::interval::unit_millis;
use super::syntax::{Call, Expr, ExprKind, Literal, Over, Select, UnaryOperator};
use super::window::{Window, check_length};
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::plan::{HOPS_PER_WINDOW_MAX, WindowBounds, WindowKind, WindowSpec};

/// The most windows in one `Windows(…)`: each is an aggregation of its own.
const WINDOWS_MAX: usize = 32;

/// A function's form: the names of its lengths, which may be given one by one (`Duration(second, 10)`), and an example.
struct Form {
    names: [&'static str; 2],
    lengths: &'static [&'static str],
    /// Whether it takes `Offset(unit, count)` too.
    offset: bool,
    example: &'static str,
}

const TUMBLING: Form = Form {
    names: ["tumblingwindow", "tumbling"],
    lengths: &["duration"],
    offset: true,
    example: "TumblingWindow(minute, 1), or TumblingWindow(Duration(minute, 1))",
};
const HOPPING: Form = Form {
    names: ["hoppingwindow", "hopping"],
    lengths: &["duration", "hop"],
    offset: true,
    example: "HoppingWindow(second, 10, 5), or HoppingWindow(Duration(second, 10), Hop(second, 5))",
};
const SLIDING: Form = Form {
    names: ["slidingwindow", "sliding"],
    lengths: &["duration"],
    offset: false,
    example: "SlidingWindow(minute, 1), or SlidingWindow(Duration(minute, 1))",
};
const SESSION: Form = Form {
    names: ["sessionwindow", "session"],
    lengths: &["timeout", "maxduration"],
    offset: false,
    example: "SessionWindow(minute, 5, 60), or SessionWindow(Timeout(minute, 5), MaxDuration(hour, 1))",
};
const FORMS: [Form; 4] = [TUMBLING, HOPPING, SLIDING, SESSION];

/// Whether behind a call of this name `OVER (PARTITION BY …)` may stand.
pub(super) fn takes_partition(name: &str) -> bool {
    SESSION.names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The window that an expression is; `None`: it is none.
pub(super) fn window_call(expr: &Expr) -> Result<Option<Window>, PlanError> {
    let Some((call, form)) = window_of(expr) else { return Ok(None) };
    let (lengths, offset_ms) = lengths(call, form, expr.at)?;
    let [first, second] = lengths;
    let kind = match form.names {
        names if names == TUMBLING.names => WindowKind::Tumbling { size_ms: first },
        names if names == HOPPING.names => WindowKind::Hopping { size_ms: first, hop_ms: second },
        names if names == SLIDING.names => WindowKind::Sliding { size_ms: first },
        _ => WindowKind::Session { timeout_ms: first, longest_ms: second, partition: 0 },
    };
    check(kind, expr.at)?;
    let partition_by = match call.over.as_deref() {
        Some(Over::Window(frame)) if !frame.only_partitions() => {
            let message = "a session's OVER says what sessions are partitioned by, and nothing else";
            return Err(PlanError::new(PlanErrorCode::Window, frame.at, message).hint("OVER (PARTITION BY key)"));
        }
        Some(Over::Window(frame)) => frame.partition_by.clone(),
        _ => Vec::new(),
    };
    let spec = WindowSpec { kind, offset_ms, bounds: WindowBounds::OpenClosed };
    Ok(Some(Window { spec, start: None, partition_by }))
}

fn window_of(expr: &Expr) -> Option<(&Call, &'static Form)> {
    let ExprKind::Call(call) = &expr.kind else { return None };
    let name = call.full_name().to_lowercase();
    let form = FORMS.iter().find(|form| form.names.contains(&name.as_str()))?;
    Some((call, form))
}

fn check(kind: WindowKind, at: Position) -> Result<(), PlanError> {
    match kind {
        WindowKind::Hopping { size_ms, hop_ms } => {
            check_length(size_ms, "the window", at)?;
            check_length(hop_ms, "the hop", at)?;
            let windows = size_ms / hop_ms;
            if windows <= HOPS_PER_WINDOW_MAX {
                return Ok(());
            }
            let message = format!("an instant lies in {windows} windows, at most {HOPS_PER_WINDOW_MAX} are kept");
            Err(PlanError::new(PlanErrorCode::Window, at, message).hint("a longer hop"))
        }
        WindowKind::Session { timeout_ms, longest_ms, .. } => {
            check_length(timeout_ms, "the timeout", at)?;
            check_length(longest_ms, "the maximum duration", at)
        }
        kind => check_length(kind.size_ms(), "the window", at),
    }
}

/// A function's lengths and its offset in milliseconds, from `(unit, length, …)` or `(Duration(unit, length), …)`.
fn lengths(call: &Call, form: &Form, at: Position) -> Result<([i64; 2], i64), PlanError> {
    let wrong = || {
        let message = format!("`{}` is not given as a window", call.full_name());
        PlanError::new(PlanErrorCode::Window, at, message).hint(form.example)
    };
    let mut found = [0, 0];
    let parts = call.arguments.as_slice();
    if let [unit, counts @ ..] = parts
        && counts.len() == form.lengths.len()
        && named(unit).is_none()
    {
        for (place, count) in counts.iter().enumerate() {
            found[place] = length(unit, count).ok_or_else(wrong)?;
        }
        return Ok((found, 0));
    }
    let known = |name: &str| form.lengths.contains(&name) || (form.offset && name == "offset");
    if !parts.iter().all(|part| named(part).is_some_and(|(name, ..)| known(&name))) {
        return Err(wrong());
    }
    let part = |name: &str| {
        let found = parts.iter().filter_map(named).find(|part| part.0 == name);
        found.map(|(_, unit, count)| length(unit, count).ok_or_else(wrong)).transpose()
    };
    for (place, name) in form.lengths.iter().enumerate() {
        found[place] = part(name)?.ok_or_else(wrong)?;
    }
    Ok((found, part("offset")?.unwrap_or(0)))
}

/// `Duration(unit, count)` and its like.
fn named(expr: &Expr) -> Option<(String, &Expr, &Expr)> {
    let ExprKind::Call(call) = &expr.kind else { return None };
    let [unit, count] = call.arguments.as_slice() else { return None };
    Some((call.full_name().to_lowercase(), unit, count))
}

/// The milliseconds of `DURATION(unit, count)`.
pub(super) fn duration(expr: &Expr) -> Option<i64> {
    named(expr).filter(|(name, ..)| name == "duration").and_then(|(_, unit, count)| length(unit, count))
}

/// The milliseconds of so many units, as they stand in a call.
pub(super) fn length(unit: &Expr, count: &Expr) -> Option<i64> {
    let ExprKind::Name(parts) = &unit.kind else { return None };
    let [unit] = parts.as_slice() else { return None };
    length_of(&unit.text, count)
}

/// The milliseconds of so many of a unit, by its name.
pub(super) fn length_of(unit: &str, count: &Expr) -> Option<i64> {
    let count = match &count.kind {
        ExprKind::Literal(Literal::Number(digits)) => digits.parse::<i64>().ok()?,
        ExprKind::Unary { operator: UnaryOperator::Negate, operand } => match &operand.kind {
            ExprKind::Literal(Literal::Number(digits)) => -digits.parse::<i64>().ok()?,
            _ => return None,
        },
        _ => return None,
    };
    unit_millis(unit)?.checked_mul(count)
}

/// The `SELECT`s that one with `Windows(…)` stands for, one for each window; `None`: it has no such call.
pub(super) fn one_for_each(select: &Select) -> Result<Option<Vec<Select>>, PlanError> {
    let several = select.group_by.iter().enumerate().find_map(|(place, expr)| match &expr.kind {
        ExprKind::Call(call) if is_several(call) => Some((place, expr, call)),
        _ => None,
    });
    let Some((place, expr, call)) = several else { return Ok(None) };
    if call.arguments.is_empty() || call.arguments.len() > WINDOWS_MAX {
        let message = format!("Windows takes 1 to {WINDOWS_MAX} windows, found {}", call.arguments.len());
        return Err(PlanError::new(PlanErrorCode::Window, expr.at, message));
    }
    let windows = call.arguments.iter().map(identified).collect::<Result<Vec<_>, _>>()?;
    check_ids(&windows)?;
    let select = |(id, window): &(Option<String>, &Expr)| {
        let mut one = select.clone();
        one.group_by[place] = (*window).clone();
        one.window_id.clone_from(id);
        one
    };
    Ok(Some(windows.iter().map(select).collect()))
}

fn is_several(call: &Call) -> bool {
    call.full_name().eq_ignore_ascii_case("windows")
}

/// `Window('id', TumblingWindow(…))`, or a window without an id.
fn identified(expr: &Expr) -> Result<(Option<String>, &Expr), PlanError> {
    let wrong = |at, message: &str| {
        PlanError::new(PlanErrorCode::Window, at, message)
            .hint("Windows(Window('a', TumblingWindow(minute, 1)), Window('b', TumblingWindow(hour, 1)))")
    };
    let (id, window) = match &expr.kind {
        ExprKind::Call(call) if call.full_name().eq_ignore_ascii_case("window") => match call.arguments.as_slice() {
            [Expr { kind: ExprKind::Literal(Literal::Text(id)), .. }, window] => (Some(id.clone()), window),
            _ => return Err(wrong(expr.at, "`Window` takes an id in quotes and a window")),
        },
        _ => (None, expr),
    };
    match &window.kind {
        ExprKind::Call(call) if is_several(call) => Err(wrong(window.at, "`Windows` stands inside `Windows`")),
        _ if window_of(window).is_none() => Err(wrong(window.at, "`Windows` takes windows, this is none")),
        _ => Ok((id, window)),
    }
}

/// Either all windows have ids or none has, and no two are the same but for their case.
fn check_ids(windows: &[(Option<String>, &Expr)]) -> Result<(), PlanError> {
    let mut seen: Vec<String> = Vec::new();
    for (id, window) in windows {
        let error = match id.as_ref().map(|id| id.to_lowercase()) {
            None if windows.iter().any(|(id, _)| id.is_some()) => {
                PlanError::new(PlanErrorCode::Window, window.at, "some windows of `Windows` have an id, this has none")
                    .hint("Window('id', …) around each of them, or around none")
            }
            Some(id) if seen.contains(&id) => {
                let message = format!("two windows of `Windows` have the id `{id}`; case does not count");
                PlanError::new(PlanErrorCode::Duplicate, window.at, message).hint("another id")
            }
            id => {
                seen.extend(id);
                continue;
            }
        };
        return Err(error);
    }
    Ok(())
}
