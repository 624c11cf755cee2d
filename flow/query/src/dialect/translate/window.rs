//! The windows of a `SELECT`: which there are in the other language, and what their start, end and time are called there.
//!
//! Windows that are closed at their end, as Stream Analytics', are in milliseconds those that are closed at their start and lie a
//! millisecond later; and the other way around. So `(start, end]` is a TUMBLE with an offset of a millisecond, whose `window_time` is
//! the end, and `[start, end)` is a TumblingWindow with an offset of a millisecond less, whose System.Timestamp() is a millisecond
//! before the end.

use millstream_catalog::QueryDialect;

use super::super::standard::window_table::{is_window_column, window_column};
use super::super::syntax::{Expr, ExprKind, Select};
use super::super::window::{grouping, monotonic, step_window};
use super::super::window_call::window_call;
use super::Writer;
use super::expression::Place;
use super::select::Read;
use super::spelling::Spelling;
use crate::error::Position;
use crate::expression::{Binder, Scope};
use crate::plan::{WindowBounds, WindowKind, WindowSpec};

/// The windows of a `SELECT`.
pub(super) struct Windowed {
    /// What stands behind FROM.
    pub source: String,
    /// What stands first behind GROUP BY.
    pub keys: Vec<String>,
    /// The other keys, as they are in the query.
    pub key_syntax: Vec<Expr>,
    /// Whether the other language's windows lie a millisecond beside those of the query.
    pub shifted: bool,
    /// How long a window is.
    pub size_ms: i64,
}

impl Writer<'_> {
    /// The windows of a `SELECT`, where it is grouped. The outer `None`: they are refused.
    pub(super) fn windowed(&mut self, select: &Select, read: &Read) -> Option<Option<Windowed>> {
        if !self.is_grouped(select) {
            return Some(None);
        }
        let at = select.group_by.first().map_or(select.at, |key| key.at);
        let binder = Binder { dialect: self.ask.dialect, sql: self.ask.sql, scope: Scope::Row(&read.scope) };
        let found = grouping(&binder, &read.scope, select, &mut Vec::new());
        let key_syntax: Vec<Expr> =
            select.group_by.iter().filter(|key| !is_of_window(&binder, read, key)).cloned().collect();
        let several = select.from.windows.as_ref().is_some_and(|table| table.windows.len() > 1);
        let Some(window) = found.window else {
            self.refuse(at, "groups without a window");
            return None;
        };
        if self.ask.dialect == QueryDialect::Standard && select.from.windows.is_none() {
            // Groups of a window's results by its start and end: that they are of one window, the results say.
            if !self.is_same_language() {
                self.refuse(at, "groups of a window's results by their window");
                return None;
            }
            let source = read.source.clone();
            return Some(Some(Windowed { source, keys: Vec::new(), key_syntax, shifted: false, size_ms: 0 }));
        }
        let cumulates = several.then(|| select.from.windows.as_ref().map(|table| table.windows.clone())).flatten();
        let time = read.time.clone().or((self.spelling == Spelling::StreamAnalytics).then(String::new));
        let Some(time) = time else {
            self.refuse(at, "windows over rows whose time is no column that windows may be made of");
            return None;
        };
        let partition: Vec<Expr> = window.partition_by;
        let told = match self.spelling {
            Spelling::Flink => self.flink_window(window.spec, cumulates.as_deref(), &partition, read, &time, at),
            Spelling::StreamAnalytics if several => {
                self.refuse(at, "CUMULATE: windows that begin together");
                None
            }
            Spelling::StreamAnalytics => self.stream_analytics_window(window.spec, at),
        };
        let (source, mut keys, shifted) = told?;
        // A table may have a column of that name, of the windows before.
        if self.is_same_language() && reads_window_time(select, read) {
            keys.push("window_time".to_owned());
        }
        let source = if source.is_empty() { read.source.clone() } else { source };
        let source = match (&select.from.alias, self.spelling) {
            (Some(alias), Spelling::Flink) => format!("{source} AS {}", self.spelling.name(&alias.text)),
            _ => source,
        };
        Some(Some(Windowed { source, keys, key_syntax, shifted, size_ms: window.spec.kind.size_ms() }))
    }

    /// A window table of Flink.
    fn flink_window(
        &mut self,
        spec: WindowSpec,
        cumulates: Option<&[WindowKind]>,
        partition: &[Expr],
        read: &Read,
        time: &str,
        at: Position,
    ) -> Option<(String, Vec<String>, bool)> {
        let closed_at_end = spec.bounds == WindowBounds::OpenClosed;
        let standard = self.ask.dialect == QueryDialect::Standard;
        // Of the standard dialect these are windows by `window_time`, or sessions: Flink's own.
        let shifted = closed_at_end && !standard;
        let function = self.flink_function(spec.kind, cumulates, partition, read, time, at)?;
        let offset_ms = spec.offset_ms + i64::from(shifted);
        let offset_ms = if spec.kind == (WindowKind::Tumbling { size_ms: 1 }) { 0 } else { offset_ms };
        if shifted {
            self.rewritten(
                at,
                "windows (start, end] are windows [start, end) a millisecond later; window_time is the end",
            );
        }
        let offset = if offset_ms == 0 { String::new() } else { format!(", {}", Spelling::interval(offset_ms)) };
        let mut keys = vec!["window_start".to_owned(), "window_end".to_owned()];
        if shifted {
            keys.push("window_time".to_owned());
        }
        Some((format!("TABLE({function}{offset}))"), keys, shifted))
    }

    /// The table function of a window and its arguments but the offset, not closed yet; or said why Flink has none.
    fn flink_function(
        &mut self,
        kind: WindowKind,
        cumulates: Option<&[WindowKind]>,
        partition: &[Expr],
        read: &Read,
        time: &str,
        at: Position,
    ) -> Option<String> {
        let table = format!("TABLE {}, DESCRIPTOR({})", read.name, self.spelling.name(time));
        let interval = Spelling::interval;
        Some(match (cumulates, kind) {
            (Some([first, ..]), WindowKind::Hopping { hop_ms, .. }) => {
                format!("CUMULATE({table}, {}, {}", interval(first.size_ms()), interval(hop_ms))
            }
            (_, WindowKind::Tumbling { size_ms }) => format!("TUMBLE({table}, {}", interval(size_ms)),
            (_, WindowKind::Hopping { size_ms, hop_ms }) if size_ms % hop_ms == 0 => {
                format!("HOP({table}, {}, {}", interval(hop_ms), interval(size_ms))
            }
            (_, WindowKind::Hopping { .. }) => {
                self.refuse(at, "a hopping window that is no multiple of its hop, which Flink has not");
                return None;
            }
            (_, WindowKind::Sliding { .. }) => {
                self.refuse(at, "a sliding window: Flink has none that gives a row at each change");
                return None;
            }
            (_, WindowKind::Session { timeout_ms, .. }) if self.ask.dialect == QueryDialect::Standard => {
                let place = Place { read, windowed: None };
                let keys: Vec<String> = partition.iter().map(|key| self.expression(key, place)).collect();
                let by = if keys.is_empty() { String::new() } else { format!(" PARTITION BY {}", keys.join(", ")) };
                format!(
                    "SESSION(TABLE {}{by}, DESCRIPTOR({}), {}",
                    read.name,
                    self.spelling.name(time),
                    interval(timeout_ms)
                )
            }
            (_, WindowKind::Session { .. }) => {
                self.refuse(at, "a session with a longest duration: Flink's sessions have none");
                return None;
            }
            (_, WindowKind::Stagger { .. }) => {
                self.refuse(at, "STAGGER: windows that begin with a key's first row");
                return None;
            }
        })
    }

    /// A window function of Stream Analytics.
    fn stream_analytics_window(&mut self, spec: WindowSpec, at: Position) -> Option<(String, Vec<String>, bool)> {
        // Windows by `window_time` are windows of rows that are a millisecond before the end there, too.
        let shifted = spec.bounds == WindowBounds::ClosedOpen || self.ask.dialect == QueryDialect::Standard;
        let offset_ms = spec.offset_ms - i64::from(shifted);
        let length = |name: &str, millis: i64| format!("{name}({})", Spelling::count(millis));
        let offset = if offset_ms == 0 { String::new() } else { format!(", Offset({})", Spelling::count(offset_ms)) };
        let function = match spec.kind {
            WindowKind::Tumbling { size_ms } => format!("TumblingWindow({}{offset})", length("Duration", size_ms)),
            WindowKind::Hopping { size_ms, hop_ms } => {
                format!("HoppingWindow({}, {}{offset})", length("Duration", size_ms), length("Hop", hop_ms))
            }
            WindowKind::Sliding { .. } | WindowKind::Session { .. } | WindowKind::Stagger { .. } => {
                self.refuse(at, "a window that Stream Analytics has not: its sessions have a longest duration");
                return None;
            }
        };
        if shifted {
            let how = "windows [start, end) are windows (start, end] with an offset of a millisecond less; \
                       System.Timestamp() is a millisecond before the end";
            self.rewritten(at, how);
        }
        Some((String::new(), vec![function], shifted))
    }
}

/// Whether a `SELECT` reads `window_time` of its windows.
fn reads_window_time(select: &Select, read: &Read) -> bool {
    fn reads(expr: &Expr, read: &Read) -> bool {
        let named = match &expr.kind {
            ExprKind::Name(parts) => window_column(&read.scope, parts) == Some("window_time"),
            _ => false,
        };
        named || expr.kind.parts().into_iter().any(|part| reads(part, read))
    }
    select.expressions().any(|expr| reads(expr, read))
}

/// Whether an expression behind `GROUP BY` is a window, or a row's time.
fn is_of_window(binder: &Binder, read: &Read, key: &Expr) -> bool {
    match binder.dialect {
        QueryDialect::Standard => is_window_column(&read.scope, key),
        QueryDialect::StreamAnalytics => {
            matches!(window_call(key), Ok(Some(_)))
                || binder.bind(key).is_ok_and(|value| value.same(&read.scope.rowtime()))
        }
        QueryDialect::Kinesis => {
            matches!(step_window(binder, &read.scope, monotonic(key)), Ok(Some(_)))
                || binder.bind(key).is_ok_and(|value| value.same(&read.scope.rowtime()))
        }
    }
}
