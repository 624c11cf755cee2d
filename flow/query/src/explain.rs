//! A plan as text for people: what is read, what is done, what is kept and when results appear.
//!
//! Here is what is said of each step; [`tree`] draws them below the outputs, [`time`] says how time moves and how long something
//! lasts, [`kept`] what bounds the state and what a change leaves of it.

mod kept;
mod time;
mod tree;

use millstream_catalog::{EventOrder, QueryDialect};

use self::time::lasting;
use crate::expression::types;
use crate::plan::{
    AnalyticCall, AnalyticFunction, Condition, Extent, Join, JoinSide, Model, Operator, Parts, PatternMatch, Place,
    Program, ScalarExpr, Scored, Sort, SourceColumn, Step, WindowAggregate, WindowBounds, WindowKind,
};

/// The plan: its steps as a tree below each output, then the times of its sources, then what bounds its state.
#[must_use]
pub fn explain(program: &Program, order: &EventOrder) -> String {
    let mut text = String::new();
    tree::draw(&mut text, program);
    line(&mut text, "");
    for source in &program.sources {
        time::source_lines(&mut text, source, order);
    }
    time::watermark_lines(&mut text, program);
    line(&mut text, "");
    kept::lines(&mut text, program);
    text
}

/// What a step does, in a line.
pub(crate) fn step_title(program: &Program, step: &Step) -> String {
    let mut text = String::new();
    step_lines(&mut text, program, step);
    text.lines().next().unwrap_or_default().to_owned()
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// Columns of a source with their types.
fn columns_with_types<'c>(dialect: QueryDialect, columns: impl Iterator<Item = &'c SourceColumn>) -> String {
    let column = |column: &SourceColumn| format!("{} {}", column.name, types::name(dialect, &column.data_type));
    let columns: Vec<String> = columns.map(column).collect();
    if columns.is_empty() { "no column".to_owned() } else { columns.join(", ") }
}

fn step_lines(text: &mut String, program: &Program, step: &Step) {
    let name = step.name.as_ref().map_or(String::new(), |name| format!(" ({name})"));
    let head = format!("step {}{name}", step.id);
    match &step.operator {
        Operator::Union => line(text, &format!("{head}: all rows")),
        Operator::Errors => {
            line(text, &format!("{head}: records that are no rows, and what fails in the steps below"));
        }
        Operator::Project { predicate, columns, .. } => {
            line(text, &format!("{head}: project"));
            if let Some(predicate) = predicate {
                line(text, &format!("  where {}", predicate.text));
            }
            line(text, &format!("  {}", columns_text(columns)));
            line(text, "  state: none");
        }
        Operator::Analytic(analytic) => {
            line(text, &format!("{head}: each row, once the watermark has passed it, with those before it"));
            if let Some(predicate) = &analytic.predicate {
                line(text, &format!("  where {}", predicate.text));
            }
            for call in &analytic.calls {
                line(text, &format!("  {}", call.text));
                line(text, &format!("  state: {}", looked_back(call)));
                line(text, &format!("  after a change: {}", kept::looked_back_again(call)));
            }
        }
        Operator::PatternMatch(pattern) => pattern_lines(text, &head, pattern),
        Operator::Sort(sort) => sort_lines(text, &head, sort),
        Operator::Scored(scored) => scored_lines(text, &head, scored),
        Operator::Apply(apply) => {
            let parts = if apply.parts == Parts::Elements { "element" } else { "property" };
            let rest = if apply.outer { ", or one without any" } else { "" };
            line(text, &format!("{head}: a row for each {parts} of {}{rest}", apply.value.text));
            line(text, "  state: none");
        }
        Operator::WindowAggregate(aggregate) => {
            line(text, &format!("{head}: {}", window_text(aggregate)));
            aggregate_lines(text, aggregate);
        }
        Operator::Join(join) => {
            line(text, &format!("{head}: join, {}", distance_text(join)));
            key_lines(text, &join.sides, join.predicate.as_ref());
            join_lines(text, join);
        }
        Operator::Lookup(lookup) => {
            let name = &program.references[lookup.reference].name;
            line(text, &format!("{head}: each row with those of {name} that it matches"));
            key_lines(text, &lookup.sides, lookup.predicate.as_ref());
            if lookup.sides[0].unmatched_ms.is_some() {
                line(text, "  rows without a match are given, too");
            }
            line(text, &format!("  state: none but the rows of {name}"));
        }
    }
}

fn pattern_lines(text: &mut String, head: &str, pattern: &PatternMatch) {
    let keys: Vec<&str> = pattern.partition_by.iter().map(|key| key.text.as_str()).collect();
    let of = if keys.is_empty() { "all rows".to_owned() } else { format!("each {}", keys.join(", ")) };
    line(text, &format!("{head}: a row for each match of a pattern of rows of {of}"));
    for variable in &pattern.variables {
        match &variable.condition {
            Condition::Always => line(text, &format!("  {}: any row", variable.name)),
            Condition::OfRow(condition) | Condition::OfMatch(condition) => {
                line(text, &format!("  {}: {}", variable.name, condition.text));
            }
        }
    }
    line(text, &format!("  {}", columns_text(&pattern.columns)));
    let within = pattern.within_ms.saturating_add(1);
    let values = pattern.kept.len();
    line(
        text,
        &format!("  state: {values} value(s) for each row at which a match may begin, less than {within} ms old"),
    );
}

fn sort_lines(text: &mut String, head: &str, sort: &Sort) {
    let rows = sort.stretch_ms.map_or("an instant".to_owned(), |stretch| format!("each {stretch} ms"));
    let keys =
        sort.keys.iter().map(|(key, descending)| format!("{}{}", key.text, if *descending { " DESC" } else { "" }));
    let keys = keys.collect::<Vec<_>>().join(", ");
    let most = sort.most.map_or(String::new(), |most| format!(", the first {most}"));
    line(text, &format!("{head}: the rows of {rows} by {keys}{most}, once the watermark has passed them"));
    line(text, "  state: rows that wait for the watermark");
}

fn scored_lines(text: &mut String, head: &str, scored: &Scored) {
    let names: Vec<&str> = scored.numbers.iter().map(|(name, _)| name.as_str()).collect();
    let (what, kept) = match &scored.model {
        Model::Forest(forest) => {
            let points = format!("{} trees of {} points", forest.trees, forest.sample);
            (format!("a random cut forest of {points}, {} row(s) each", forest.shingle), points)
        }
        Model::Hotspots(hotspots) => (
            format!("regions of at least {} rows within {}", hotspots.least, hotspots.radius),
            format!("the last {} rows", hotspots.window),
        ),
    };
    line(text, &format!("{head}: each row, once the watermark has passed it, with what a model says of it"));
    line(text, &format!("  {what}, over {}", names.join(", ")));
    line(text, &format!("  state: {kept}"));
}

/// What is kept for a function that looks back.
fn looked_back(call: &AnalyticCall) -> String {
    let each = if call.partition_by.is_empty() { "" } else { " of each key" };
    let back = |extent: &Extent| match extent {
        Extent::Time(length_ms) => format!("at most {} old", lasting(*length_ms)),
        Extent::Rows(count) => format!("at most {count} rows back"),
    };
    match &call.function {
        AnalyticFunction::Value { place: Place::Before(rows) | Place::Last(rows), extent, .. } => {
            format!("the last {rows} value(s){each}, {}", back(extent))
        }
        AnalyticFunction::Value { extent, .. } | AnalyticFunction::Aggregate { extent, .. } => {
            format!("a value of each row{each}, {}", back(extent))
        }
        AnalyticFunction::Anomaly { detector, extent, .. } => {
            format!("the last {} values{each}, {}", detector.history, back(extent))
        }
        AnalyticFunction::IsFirst { interval_ms, .. } => {
            format!("whether the current {} had a row{each}", lasting(*interval_ms))
        }
    }
}

fn distance_text(join: &Join) -> String {
    let (low, high) = join.distance;
    format!("the second {} to {} after the first", lasting(low), lasting(high))
}

fn key_lines(text: &mut String, sides: &[JoinSide; 2], predicate: Option<&ScalarExpr>) {
    let [left, right] = sides;
    for (left, right) in left.keys.iter().zip(&right.keys) {
        line(text, &format!("  on {} = {}", left.text, right.text));
    }
    if let Some(predicate) = predicate {
        line(text, &format!("  on {}", predicate.text));
    }
}

fn join_lines(text: &mut String, join: &Join) {
    let [left, right] = &join.sides;
    for (side, which) in [(left, "first"), (right, "second")] {
        if let Some(given) = side.unmatched_ms {
            line(text, &format!("  rows of the {which} without a match are given {} after their time", lasting(given)));
        }
    }
    let [first, second] = join.waits_ms();
    line(text, &format!("  state: rows of the first for {}, of the second for {}", lasting(first), lasting(second)));
    line(text, &format!("  after a change: made again of the records of the last {}", lasting(first.max(second))));
}

fn aggregate_lines(text: &mut String, aggregate: &WindowAggregate) {
    if let Some(predicate) = &aggregate.predicate {
        line(text, &format!("  where {}", predicate.text));
    }
    let keys: Vec<&str> = aggregate.keys.iter().map(|key| key.text.as_str()).collect();
    let calls: Vec<&str> = aggregate.aggregates.iter().map(|call| call.text.as_str()).collect();
    line(text, &format!("  group by {}: {}", or_nothing(&keys), or_nothing(&calls)));
    if let Some(having) = &aggregate.having {
        line(text, &format!("  having {}", having.text));
    }
    line(text, &format!("  {}", columns_text(&aggregate.columns)));
    let each = if aggregate.keys.is_empty() { "window" } else { "key and window" };
    let values = aggregate.aggregates.len();
    line(text, &format!("  state: {values} value(s) for each {each}, {}", kept_text(aggregate.window.kind)));
    line(text, &format!("  after a change: {}", kept::windows_again(aggregate.window.kind)));
    if aggregate.aggregates.iter().any(|call| call.distinct) {
        line(text, "  state: DISTINCT also keeps each different value of a window");
    }
}

fn window_text(aggregate: &WindowAggregate) -> String {
    let bounds = match aggregate.window.bounds {
        WindowBounds::ClosedOpen => "[start, end)",
        WindowBounds::OpenClosed => "(start, end]",
    };
    let offset = match aggregate.window.offset_ms {
        0 => String::new(),
        offset => format!(", shifted by {}", lasting(offset)),
    };
    match aggregate.window.kind {
        WindowKind::Tumbling { size_ms } => format!("tumbling windows of {} {bounds}{offset}", lasting(size_ms)),
        WindowKind::Hopping { size_ms, hop_ms } => {
            format!("hopping windows of {} each {} {bounds}{offset}", lasting(size_ms), lasting(hop_ms))
        }
        WindowKind::Sliding { size_ms } => format!("sliding windows of {} {bounds}", lasting(size_ms)),
        WindowKind::Session { timeout_ms, longest_ms, partition } => {
            let keys: Vec<&str> = aggregate.keys.iter().take(partition).map(|key| key.text.as_str()).collect();
            let of = if keys.is_empty() { "all rows".to_owned() } else { format!("each {}", keys.join(", ")) };
            let (timeout, longest) = (lasting(timeout_ms), lasting(longest_ms));
            format!("sessions of {of} {bounds}, over after {timeout} without a row or when {longest} old")
        }
        WindowKind::Stagger { size_ms } => {
            format!("windows of {} {bounds} from each key's first row", lasting(size_ms))
        }
    }
}

/// How many windows are kept, and how long.
fn kept_text(kind: WindowKind) -> String {
    let windows = match kind {
        WindowKind::Tumbling { .. } | WindowKind::Stagger { .. } => 1,
        WindowKind::Hopping { size_ms, hop_ms } => (size_ms + hop_ms - 1) / hop_ms,
        WindowKind::Sliding { .. } => {
            return "and of each instant at which rows came, as long as the window".to_owned();
        }
        WindowKind::Session { .. } => return "until the watermark passes the session's end".to_owned(),
    };
    let plural = if windows == 1 { "window" } else { "windows" };
    format!("{windows} {plural} at a time, until the watermark passes the window's end")
}

fn columns_text(columns: &[(String, ScalarExpr)]) -> String {
    let columns: Vec<String> = columns.iter().map(|(name, value)| format!("{name} = {}", value.text)).collect();
    columns.join(", ")
}

fn or_nothing(texts: &[&str]) -> String {
    if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
}
