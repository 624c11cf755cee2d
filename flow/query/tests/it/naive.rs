//! Which windows there are, from all times at once and with nothing kept between them: each kind as its definition reads.

use std::collections::BTreeSet;

use millstream_query::plan::{WindowBounds, WindowKind, WindowSpec};

/// A window's start, its end, and the places of the times in it.
pub type Window = (i64, i64, Vec<usize>);

/// How many of so many keys rows have in common that share their windows.
pub fn partition(kind: WindowKind, keys: usize) -> usize {
    match kind {
        WindowKind::Tumbling { .. } | WindowKind::Hopping { .. } => 0,
        WindowKind::Session { partition, .. } => partition,
        WindowKind::Sliding { .. } | WindowKind::Stagger { .. } => keys,
    }
}

/// All windows of rows that share them.
pub fn windows(window: WindowSpec, times: &[i64]) -> Vec<Window> {
    match window.kind {
        WindowKind::Tumbling { size_ms } => aligned(window, size_ms, size_ms, times),
        WindowKind::Hopping { size_ms, hop_ms } => aligned(window, size_ms, hop_ms, times),
        WindowKind::Sliding { size_ms } => {
            let changes: BTreeSet<i64> = times.iter().flat_map(|time| [*time, time + size_ms]).collect();
            let windows =
                changes.into_iter().map(|end| (end - size_ms, end, inside(window, end - size_ms, end, times)));
            windows.filter(|(.., rows)| !rows.is_empty()).collect()
        }
        WindowKind::Session { timeout_ms, longest_ms, .. } => sessions(timeout_ms, longest_ms, times),
        WindowKind::Stagger { size_ms } => {
            let mut windows: Vec<Window> = Vec::new();
            for (row, time) in in_order(times) {
                match windows.last_mut() {
                    Some((_, end, rows)) if time < *end => rows.push(row),
                    _ => windows.push((time, time + size_ms, vec![row])),
                }
            }
            windows
        }
    }
}

/// Every aligned window near a time.
fn aligned(window: WindowSpec, size: i64, hop: i64, times: &[i64]) -> Vec<Window> {
    let mut starts = BTreeSet::new();
    for time in times {
        let near = (time - window.offset_ms).div_euclid(hop);
        let reach = size / hop + 2;
        starts.extend((near - reach..=near + reach).map(|number| number * hop + window.offset_ms));
    }
    starts.into_iter().map(|start| (start, start + size, inside(window, start, start + size, times))).collect()
}

fn inside(window: WindowSpec, start: i64, end: i64, times: &[i64]) -> Vec<usize> {
    let inside = |time: i64| match window.bounds {
        WindowBounds::ClosedOpen => start <= time && time < end,
        WindowBounds::OpenClosed => start < time && time <= end,
    };
    (0..times.len()).filter(|row| inside(times[*row])).collect()
}

/// Sessions, one after the other. A window ends at its timeout or at the first multiple of the longest duration at which it is
/// that old; then another begins there, which may stay without rows.
fn sessions(timeout: i64, longest: i64, times: &[i64]) -> Vec<Window> {
    let too_old = |start: i64| {
        let mut checks = (0..).map(|number| (start.div_euclid(longest) + number) * longest);
        checks.find(|check| check - start >= longest).unwrap()
    };
    let mut windows: Vec<Window> = Vec::new();
    let mut last = i64::MIN;
    for (row, time) in in_order(times) {
        if windows.is_empty() || time - last > timeout {
            windows.push((time, 0, Vec::new()));
        }
        while time > too_old(windows.last().unwrap().0) {
            let end = too_old(windows.last().unwrap().0);
            windows.last_mut().unwrap().1 = end;
            windows.push((end, 0, Vec::new()));
        }
        let open = windows.last_mut().unwrap();
        (last, open.1) = (time, too_old(open.0).min(time + timeout));
        open.2.push(row);
    }
    windows.retain(|(.., rows)| !rows.is_empty());
    windows
}

/// Times with their places, earliest first.
fn in_order(times: &[i64]) -> Vec<(usize, i64)> {
    let mut order: Vec<(usize, i64)> = times.iter().copied().enumerate().collect();
    order.sort_by_key(|(_, time)| *time);
    order
}
