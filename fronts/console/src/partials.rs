//! The partials that several pages share. A partial is the same markup at the first paint and in a live update.

use askama::Template;
use millstream_insight::{LogEvent, Sample};

use crate::chart;
use crate::format;
use crate::page::Page;
use crate::tail::Placed;

/// Characters of a payload in a list; the record's own page shows more.
const PAYLOAD_CHARS: usize = 400;
/// Characters of a printed line.
const LINE_CHARS: usize = 1_000;
/// Characters of a partition key in a list.
const KEY_CHARS: usize = 40;

/// How a figure or a cell is to be felt: classes of the style sheet.
pub const WARN: &str = "warn";
/// See [`WARN`].
pub const BAD: &str = "bad";

/// A band of figures.
#[derive(Template)]
#[template(path = "partials/figures.html")]
pub struct Figures {
    /// The figures in their order.
    pub figures: Vec<Figure>,
}

/// A number and what it says.
pub struct Figure {
    /// What it says.
    pub label: &'static str,
    /// The number.
    pub value: String,
    /// Its unit or a remark.
    pub note: String,
    /// Empty, [`WARN`] or [`BAD`].
    pub tone: &'static str,
}

impl Figure {
    /// A figure without a tone.
    pub fn new(label: &'static str, value: String, note: &str) -> Self {
        Self { label, value, note: note.to_owned(), tone: "" }
    }

    /// A rate a second.
    pub fn rate(label: &'static str, value: f64) -> Self {
        Self::new(label, format::number(value), "/s")
    }

    /// A count that is good at zero.
    pub fn trouble(label: &'static str, count: u64, note: &str) -> Self {
        let tone = if count > 0 { BAD } else { "" };
        Self { tone, ..Self::new(label, format::count(count), note) }
    }

    /// A lag in milliseconds, which worries above a limit.
    pub fn lag(label: &'static str, millis: Option<f64>, worrying_ms: f64) -> Self {
        let value = millis.map_or("–".to_owned(), chart::millis);
        let tone = if millis.is_some_and(|millis| millis > worrying_ms) { WARN } else { "" };
        Self { tone, ..Self::new(label, value, "") }
    }
}

/// Charts side by side.
#[derive(Template)]
#[template(path = "partials/charts.html")]
pub struct Charts {
    /// The charts in their order.
    pub charts: Vec<Chart>,
}

/// A chart with its words.
pub struct Chart {
    /// What it shows.
    pub title: &'static str,
    /// The picture.
    pub svg: String,
    /// The newest value.
    pub last: String,
    /// The highest value.
    pub peak: String,
}

impl Chart {
    /// A chart of a metric's seconds.
    pub fn of(title: &'static str, samples: &[Sample], unit: fn(f64) -> String) -> Self {
        Self {
            title,
            svg: chart::chart(title, samples, unit),
            last: unit(samples.last().map_or(0.0, |sample| sample.value)),
            peak: unit(chart::peak(samples)),
        }
    }
}

/// A list of resources.
#[derive(Template)]
#[template(path = "partials/listing.html")]
pub struct Listing {
    /// Heads of the cells.
    pub columns: &'static [&'static str],
    /// The resources.
    pub rows: Vec<ListRow>,
    /// What to say when there are none.
    pub empty: &'static str,
    /// The address of the rest.
    pub next: Option<String>,
}

/// A resource in a list.
pub struct ListRow {
    /// Its page.
    pub href: String,
    /// Its name.
    pub name: String,
    /// What else says who it is.
    pub note: String,
    /// Its last minute.
    pub spark: String,
    /// Its cells, one a column.
    pub cells: Vec<ListCell>,
}

/// A cell.
pub struct ListCell {
    /// What it shows.
    pub text: String,
    /// Empty, [`WARN`] or [`BAD`].
    pub tone: &'static str,
}

impl From<String> for ListCell {
    fn from(text: String) -> Self {
        Self { text, tone: "" }
    }
}

impl From<Figure> for ListCell {
    /// The figure in a row: its value with its unit.
    fn from(figure: Figure) -> Self {
        let unit = if figure.note == "/s" { figure.note.as_str() } else { "" };
        Self { text: format!("{}{unit}", figure.value), tone: figure.tone }
    }
}

/// A table of cells.
#[derive(Template)]
#[template(path = "partials/grid.html")]
pub struct Grid {
    /// Heads of the columns.
    pub columns: Vec<Column>,
    /// The rows, a cell a column.
    pub rows: Vec<Vec<Cell>>,
    /// What to say when there are none.
    pub empty: &'static str,
    /// The address of the rest.
    pub next: Option<String>,
}

impl Grid {
    /// A grid whose columns are known; a name that begins with `#` is one of numbers.
    pub fn new(columns: &[&str], empty: &'static str) -> Self {
        Self { columns: columns.iter().copied().map(Column::named).collect(), rows: Vec::new(), empty, next: None }
    }
}

/// A column of a [`Grid`].
pub struct Column {
    /// Its head.
    pub name: String,
    /// Whether it holds numbers.
    pub number: bool,
}

impl Column {
    fn named(name: &str) -> Self {
        let bare = name.strip_prefix('#');
        Self { name: bare.unwrap_or(name).to_owned(), number: bare.is_some() }
    }
}

/// A cell of a [`Grid`].
#[derive(Default)]
pub struct Cell {
    /// What it shows.
    pub text: String,
    /// The page that it leads to.
    pub href: Option<String>,
    /// Empty, [`WARN`] or [`BAD`].
    pub tone: &'static str,
}

impl Cell {
    /// A cell that leads to a page.
    pub fn link(text: &str, page: &Page) -> Self {
        Self { text: text.to_owned(), href: Some(page.href()), tone: "" }
    }

    /// A count that is good at zero.
    pub fn trouble(count: u64) -> Self {
        Self { text: format::count(count), href: None, tone: if count > 0 { BAD } else { "" } }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// Resources on one page of a list.
pub const LIST_MAX: usize = 100;

/// The resources behind `after`, at most [`LIST_MAX`], and the name that the next page begins behind.
pub fn page_of<T>(all: Vec<T>, after: &str, name: impl Fn(&T) -> &str) -> (Vec<T>, Option<String>) {
    let mut rest: Vec<T> = all.into_iter().filter(|item| after.is_empty() || name(item) > after).collect();
    let more = rest.len() > LIST_MAX;
    rest.truncate(LIST_MAX);
    let next = rest.last().filter(|_| more).map(|last| name(last).to_owned());
    (rest, next)
}

/// Records of a stream.
#[derive(Template)]
#[template(path = "partials/records.html")]
pub struct Records {
    /// The records, newest first.
    pub records: Vec<RecordRow>,
}

/// A record in a list.
pub struct RecordRow {
    time: String,
    shard: u32,
    key: String,
    sequence: String,
    short: String,
    href: String,
    data: String,
}

impl From<Vec<Placed>> for Records {
    fn from(placed: Vec<Placed>) -> Self {
        Self { records: placed.into_iter().map(RecordRow::from).collect() }
    }
}

impl From<Placed> for RecordRow {
    fn from(placed: Placed) -> Self {
        let sequence = placed.sequence.to_string();
        Self {
            time: format::clock(placed.record.append_time),
            shard: placed.shard,
            key: format::payload(&placed.record.partition_key, KEY_CHARS),
            short: sequence[sequence.len().saturating_sub(8)..].to_owned(),
            href: Page::Trace(sequence.clone()).href(),
            sequence,
            data: format::payload(&placed.record.data, PAYLOAD_CHARS),
        }
    }
}

/// Printed lines.
#[derive(Template)]
#[template(path = "partials/logs.html")]
pub struct LogLines {
    /// The lines, newest first.
    pub lines: Vec<LogLine>,
}

/// A printed line.
pub struct LogLine {
    /// When it was printed.
    time: String,
    /// What.
    message: String,
    /// Whether it tells of a failure.
    failed: bool,
}

impl From<Vec<LogEvent>> for LogLines {
    /// Takes events oldest first, as the logs give them.
    fn from(events: Vec<LogEvent>) -> Self {
        let line = |event: LogEvent| LogLine {
            time: format::clock(event.timestamp),
            failed: ["ERROR", "[ERROR]", "Traceback", "Task timed out"].iter().any(|word| event.message.contains(word)),
            message: format::cut(&event.message, LINE_CHARS),
        };
        Self { lines: events.into_iter().rev().map(line).collect() }
    }
}
