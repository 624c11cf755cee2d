//! Records that are shaped like those before: what stands between two of their values is compared, not read.
//!
//! Such a gap (blanks, separators, names, braces) was read as JSON once. A gap that begins at the same place of the nesting, behind a
//! value, and has the same bytes says the same again, so only values are read. Which gap comes next is guessed from the last one;
//! where the guess fails the others are tried, and at what none of them fits the row is given back to [`super::json`], which reads
//! all of it its own way and teaches the gaps that it has. What comes of a row never depends on what was learned before it.

use super::column::Column;
use super::json::{Field, Object};
use super::json_text::Cursor;
use super::plain::skip_plain;
use super::words::Literal;

/// Gaps that are known at once: more than most inputs have names.
const GAPS_MAX: usize = 128;
/// Bytes of a gap: more than most names have.
const GAP_BYTES_MAX: usize = 256;
/// After a row that taught nothing, or found no room, as many rows teach nothing: inputs whose names never come again would cost
/// twice otherwise.
const PAUSE: u32 = 1_000;
/// Where a row's first gap begins: in none of its objects.
const START: usize = usize::MAX;

/// The shapes of the rows of one source.
#[derive(Default)]
pub(super) struct Shapes {
    gaps: Vec<Gap>,
    /// The gap with which the last row began.
    first: usize,
    /// Objects that are looked into, by the fields that lead there.
    nests: Vec<Vec<usize>>,
    pause: u32,
}

/// What stands between two values.
struct Gap {
    /// The nest in which it begins, or [`START`].
    from: usize,
    text: Literal,
    leads: Leads,
    /// The gap that was found behind it last time.
    next: usize,
}

/// What follows a gap.
enum Leads {
    /// A value in a nest: of one of its fields, with the column, or of none that is wanted.
    Value { nest: usize, field: Option<usize>, column: Option<usize> },
    /// Nothing: the row is complete.
    End,
}

/// A row that is read with the help of its gaps.
pub(super) struct Row<'r> {
    pub(super) data: &'r [u8],
    pub(super) at: usize,
    /// The data as a text, once they were checked.
    pub(super) text: Option<&'r str>,
    /// Rows before it.
    pub(super) before: usize,
}

impl Shapes {
    /// Reads a row into the columns and gives its end. `None`: it has no known shape, and the columns may hold a part of it.
    pub(super) fn read(&mut self, mut row: Row<'_>, root: &Object, columns: &mut [Column]) -> Option<usize> {
        let (mut last, mut guess, mut nest) = (None, self.first, START);
        let mut filled = 0;
        loop {
            let place = self.find(&row, guess, nest)?;
            if place != guess {
                self.follow(last, place);
            }
            let gap = &self.gaps[place];
            row.at += gap.text.length;
            let Leads::Value { nest: inner, field, column } = gap.leads else { break };
            match column {
                None => {
                    row.at = skip_plain(row.data, row.at)
                        .or_else(|| self.other_value(&mut row, root, (inner, field), columns))?
                }
                Some(column) => {
                    let found = &mut columns[column];
                    let again = found.len() > row.before;
                    let plain = if again { None } else { found.read_plain(row.data, row.at) };
                    row.at = plain.or_else(|| self.other_value(&mut row, root, (inner, field), columns))?;
                    filled += usize::from(!again);
                }
            }
            (last, guess, nest) = (Some(place), self.gaps[place].next, inner);
        }
        if filled < columns.len() {
            columns.iter_mut().filter(|column| column.len() == row.before).for_each(Column::push_null);
        }
        Some(row.at)
    }

    /// The gap at the row's place.
    #[inline]
    fn find(&self, row: &Row<'_>, guess: usize, nest: usize) -> Option<usize> {
        let fits = |gap: &Gap| gap.from == nest && gap.text.begins(row.data, row.at);
        if self.gaps.get(guess).is_some_and(fits) { Some(guess) } else { self.gaps.iter().position(fits) }
    }

    /// Notes that one gap was behind another one, or came first.
    fn follow(&mut self, last: Option<usize>, place: usize) {
        match last {
            None => self.first = place,
            Some(last) => self.gaps[last].next = place,
        }
    }

    /// A value that is not plain.
    #[cold]
    fn other_value(
        &self,
        row: &mut Row<'_>,
        root: &Object,
        (nest, field): (usize, Option<usize>),
        columns: &mut [Column],
    ) -> Option<usize> {
        if row.text.is_none() {
            row.text = std::str::from_utf8(row.data).ok();
        }
        let mut cursor = Cursor::new(row.text?);
        cursor.at = row.at;
        let path = &self.nests[nest];
        let field = field.map(|field| object_at(root, path).map(|object| &object.fields[field]));
        cursor.value(field.flatten(), columns, row.before, path.len()).ok()?;
        Some(cursor.at)
    }

    /// Learns the gaps of a row, which is one object of JSON.
    pub(super) fn learn(&mut self, row: &str, root: &Object) {
        if self.pause > 0 {
            self.pause -= 1;
            return;
        }
        let mut lesson = Lesson { cursor: Cursor::new(row), path: Vec::new(), from: (0, None), gaps: Vec::new() };
        let known = self.gaps.len();
        if lesson.object(root).is_some() {
            lesson.gap(None, true);
            self.take(lesson.gaps);
        }
        if self.gaps.len() == known {
            self.pause = PAUSE;
        }
    }

    /// Takes the gaps of a row.
    fn take(&mut self, gaps: Vec<Learned<'_>>) {
        if gaps.len() > GAPS_MAX || gaps.iter().any(|gap| gap.text.len() > GAP_BYTES_MAX) {
            return;
        }
        if self.gaps.len() + gaps.len() > GAPS_MAX {
            // What is known may be of records that come no more.
            *self = Self { pause: PAUSE, ..Self::default() };
        }
        let mut last = None;
        for Learned { from, to, text, field, column, is_end } in gaps {
            let (from, nest) = (from.map_or(START, |path| self.nest(path)), self.nest(to));
            let same = |gap: &Gap| gap.from == from && gap.text.is(text);
            let place = self.gaps.iter().position(same).unwrap_or_else(|| {
                let leads = if is_end { Leads::End } else { Leads::Value { nest, field, column } };
                self.gaps.push(Gap { from, text: Literal::new(text), leads, next: self.gaps.len() + 1 });
                self.gaps.len() - 1
            });
            self.follow(last, place);
            last = Some(place);
        }
    }

    fn nest(&mut self, path: Vec<usize>) -> usize {
        self.nests.iter().position(|known| *known == path).unwrap_or_else(|| {
            self.nests.push(path);
            self.nests.len() - 1
        })
    }
}

/// The object that fields lead to.
fn object_at<'o>(root: &'o Object, path: &[usize]) -> Option<&'o Object> {
    path.iter().try_fold(root, |object, field| Some(&object.fields.get(*field)?.inner))
}

/// A row that is read once more, for its gaps.
struct Lesson<'l> {
    cursor: Cursor<'l>,
    /// The fields that lead to the object at hand.
    path: Vec<usize>,
    /// Where the gap at hand begins: the place, and the object if it is not the row's first.
    from: (usize, Option<Vec<usize>>),
    gaps: Vec<Learned<'l>>,
}

/// A gap as it stands in a row.
struct Learned<'l> {
    from: Option<Vec<usize>>,
    to: Vec<usize>,
    text: &'l str,
    field: Option<usize>,
    column: Option<usize>,
    is_end: bool,
}

impl Lesson<'_> {
    /// Passes over an object; `None` where its gaps cannot be learned.
    fn object(&mut self, wanted: &Object) -> Option<()> {
        self.cursor.take(b'{', "`{`").ok()?;
        if self.cursor.peek()? == b'}' {
            self.cursor.at += 1;
            return Some(());
        }
        loop {
            self.cursor.peek()?;
            let name = self.cursor.string().ok()?;
            self.cursor.take(b':', "`:`").ok()?;
            self.member(wanted, wanted.find(&name))?;
            let closes = self.cursor.peek()? == b'}';
            self.cursor.at += 1;
            if closes {
                return Some(());
            }
        }
    }

    fn member(&mut self, wanted: &Object, field: Option<usize>) -> Option<()> {
        let found = field.map(|index| &wanted.fields[index]);
        if let (Some(index), Some(Field { column, inner, .. })) = (field, found)
            && !inner.fields.is_empty()
            && self.cursor.peek()? == b'{'
        {
            if column.is_some() {
                return None;
            }
            self.path.push(index);
            self.object(inner)?;
            self.path.pop();
            return Some(());
        }
        self.cursor.peek()?;
        self.gap(field.zip(Some(found.and_then(|field| field.column))), false);
        self.cursor.skip(self.path.len() + 1).ok()?;
        self.from = (self.cursor.at, Some(self.path.clone()));
        Some(())
    }

    /// A gap that ends here.
    fn gap(&mut self, field: Option<(usize, Option<usize>)>, is_end: bool) {
        let (start, from) = std::mem::take(&mut self.from);
        self.gaps.push(Learned {
            from,
            to: self.path.clone(),
            text: &self.cursor.text[start..self.cursor.at],
            field: field.map(|(field, _)| field),
            column: field.and_then(|(_, column)| column),
            is_end,
        });
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::ArrayRef;
    use arrow::datatypes::DataType;
    use proptest::prelude::*;

    use super::super::json::JsonReader;
    use super::*;
    use crate::plan::{ColumnOrigin, Fit, SourceColumn, SourcePlan, TIMESTAMP, TimeSource, VALUE};

    /// Fields of all types, two of them in an object, one of which stands for itself and for what is in it.
    const FIELDS: [(&str, DataType, Fit); 9] = [
        ("a", DataType::Int64, Fit::Converted),
        ("b", DataType::Float64, Fit::Converted),
        ("c", DataType::Utf8, Fit::Converted),
        ("d", DataType::Boolean, Fit::Converted),
        ("e", TIMESTAMP, Fit::Converted),
        ("f", VALUE, Fit::Converted),
        ("g.x", DataType::Int64, Fit::Converted),
        ("g.y.z", DataType::Utf8, Fit::Exact),
        ("h.x", VALUE, Fit::Converted),
    ];

    fn source() -> SourcePlan {
        let column = |(position, (path, data_type, fit)): (usize, &(&str, DataType, Fit))| SourceColumn {
            name: (*path).to_owned(),
            data_type: data_type.clone(),
            origin: ColumnOrigin::Field { path: path.split('.').map(str::to_owned).collect(), position },
            fit: *fit,
        };
        SourcePlan {
            name: "s".to_owned(),
            columns: FIELDS.iter().enumerate().map(column).collect(),
            schema: std::sync::Arc::new(arrow::datatypes::Schema::empty()),
            time: TimeSource::Arrival,
            watermark_ms: None,
            timelines: Vec::new(),
            rows_within: None,
        }
    }

    fn columns() -> Vec<Column> {
        FIELDS.iter().map(|(_, data_type, fit)| Column::new(data_type, *fit)).collect()
    }

    /// What comes of one record.
    fn rows(reader: &mut JsonReader, data: &[u8]) -> Result<(usize, Vec<ArrayRef>), String> {
        let mut columns = columns();
        let rows = reader.read(data, &mut columns)?;
        Ok((rows, columns.iter_mut().map(Column::finish).collect()))
    }

    const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "A", "\\u0061", "x", "\u{e4}"];
    const VALUES: [&str; 34] = [
        "1",
        "-0",
        "17",
        "-250",
        "01",
        "1.5",
        "-0.0",
        "1e3",
        "1e400",
        "123456789012345",
        "9007199254740993",
        "12345678901234567890",
        "0.1234567890123456789",
        "\"\"",
        "\"MSFT\"",
        "\"a rather long text of ASCII\"",
        "\"\u{e4}\u{1f600}\"",
        "\"\\\"\\u00e4\\n\"",
        "\"\\ud800\"",
        "\"2026-11-21T04:05:06.789Z\"",
        "\" 2026-11-21 \"",
        "true",
        "false",
        "null",
        "nul",
        "[1, {\"x\":2}]",
        "[]",
        "{}",
        "{\"x\":1}",
        "{\"x\":7,\"y\":{\"z\":\"t\"}}",
        "{\"y\":{\"z\":\"\\u0000\"},\"x\":-3}",
        "{ \"x\" : 4 , \"q\":[null]}",
        "{\"x\":{\"x\":1e999}}",
        "\"\u{7}\"",
    ];

    /// Few shapes and many values, so that much of what is read was seen before.
    fn record() -> impl Strategy<Value = Vec<u8>> {
        let member = (0..NAMES.len(), 0..VALUES.len());
        let shape = prop_oneof![3 => Just(0), 1 => 1usize..4];
        (proptest::collection::vec(member, 0..5), shape, any::<prop::sample::Index>(), 0u8..12).prop_map(
            |(members, shape, at, change)| {
                let (open, colon, comma, close) = [
                    ("{", ":", ",", "}"),
                    ("{ ", ": ", ", ", "}\n"),
                    ("[{", ":", ",", "}]"),
                    (" {", ":", "\t,", "}{}"),
                ][shape];
                let member = |(name, value): &(usize, usize)| format!("\"{}\"{colon}{}", NAMES[*name], VALUES[*value]);
                let members: Vec<String> = members.iter().map(member).collect();
                let mut bytes = format!("{open}{}{close}", members.join(comma)).into_bytes();
                let place = at.index(bytes.len());
                match change {
                    0 => bytes.truncate(place),
                    1 => bytes[place] = 0xff,
                    2 => bytes[place] ^= 1,
                    3 => drop(bytes.remove(place)),
                    4 => bytes.insert(place, b' '),
                    _ => {}
                }
                bytes
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn what_was_learned_changes_nothing(records in proptest::collection::vec(record(), 1..60), ignore_case in any::<bool>()) {
            let mut learning = JsonReader::new(&source(), ignore_case);
            for data in records.iter().chain(&records) {
                let alone = rows(&mut JsonReader::new(&source(), ignore_case), data);
                prop_assert_eq!(rows(&mut learning, data), alone, "{}", String::from_utf8_lossy(data));
            }
        }
    }

    #[test]
    fn rows_of_a_known_shape_are_read_by_it() {
        let mut reader = JsonReader::new(&source(), false);
        let first = br#"{"c":"S1","q":[1],"g":{"x":1,"y":{"z":"t"}},"b":1.5}"#;
        let second = "{\"c\":\"\u{e4}\",\"q\":{},\"g\":{\"x\":-20,\"y\":{\"z\":\"\"}},\"b\":7}";
        rows(&mut reader, first).unwrap();
        let (mut columns, root) = (columns(), reader.root());
        let row = |text| Row { data: text, at: 0, text: None, before: 0 };
        let mut shapes = Shapes::default();
        shapes.learn(std::str::from_utf8(first).unwrap(), root);
        assert_eq!(shapes.read(row(second.as_bytes()), root, &mut columns), Some(second.len()));
        assert_eq!(columns.iter().map(Column::len).collect::<Vec<_>>(), [1; FIELDS.len()]);
        assert_eq!(shapes.read(row(br#"{"c":"S1","q":[1],"b":1.5,"b":2}"#), root, &mut columns), None);
    }

    #[test]
    fn inputs_whose_names_never_come_again_are_not_learned_for_ever() {
        let mut shapes = Shapes::default();
        let root = Object::default();
        for row in 0..10_000 {
            shapes.learn(&format!("{{\"n{row}\":1}}"), &root);
            assert!(shapes.gaps.len() <= GAPS_MAX);
        }
        let long = format!("{{\"{}\":1}}", "n".repeat(GAP_BYTES_MAX));
        let known = shapes.gaps.len();
        shapes.pause = 0;
        shapes.learn(&long, &root);
        assert_eq!((shapes.gaps.len(), shapes.pause), (known, PAUSE));
    }
}
