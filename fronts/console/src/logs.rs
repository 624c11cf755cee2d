//! What a function prints: the group that its lines are kept in, its newest lines, and those that follow.

use millstream_insight::LogEvent;
use millstream_types::Millis;

use crate::Console;

/// How far back the newest lines are looked for, in steps: most functions printed a moment ago.
const LOOK_BACK_MS: [Millis; 4] = [30_000, 600_000, 86_400_000, Millis::MAX / 2];
/// Lines that one look takes.
const LOOK_MAX: usize = 10_000;

/// The group of a function's lines.
pub fn group(function: &str) -> String {
    format!("/aws/lambda/{function}")
}

/// The newest lines, oldest first; none when it never printed.
pub fn newest(console: &Console, function: &str, limit: usize) -> Vec<LogEvent> {
    let now = console.clock().now();
    let mut lines = Vec::new();
    for back in LOOK_BACK_MS {
        lines = between(console, function, (now - back, Millis::MAX), 0);
        if lines.len() >= limit {
            break;
        }
    }
    lines.split_off(lines.len().saturating_sub(limit))
}

/// Lines taken in after the one of id `after`, oldest first.
pub fn behind(console: &Console, function: &str, after: u64) -> Vec<LogEvent> {
    between(console, function, (Millis::MIN, Millis::MAX), after)
}

fn between(console: &Console, function: &str, times: (Millis, Millis), after: u64) -> Vec<LogEvent> {
    let events = console.insight().logs.events(&group(function), None, times, after, LOOK_MAX);
    events.unwrap_or_default().into_iter().map(|(_, event)| event).collect()
}
