//! JSON records of which each holds several rows: the elements of an array in it. What stands beside the array is in each of them.
//!
//! A record is read as any other first, which decides what is wrong with it; its array is found in the text then. Source: "Working with
//! JSONPath" in the service's developer guide.

use super::column::Column;
use super::json::JsonReader;
use super::json_text::Cursor;
use crate::plan::{ColumnOrigin, RowsWithin, SourceColumn, SourcePlan};
use crate::value::json;

/// What the rows of one record may repeat of what stands beside its array.
const REPEATED_BYTES_MAX: usize = 16 << 20;

/// An element of which nothing is there.
const NOTHING: &str = "{}";

/// Reads records of one source whose rows are within them.
pub(super) struct PartsReader {
    within: RowsWithin,
    /// Reads what stands beside the array.
    beside: JsonReader,
    /// That, by record.
    repeated: Vec<Column>,
    /// Its columns.
    outer: Vec<usize>,
    /// Reads an element.
    element: JsonReader,
}

impl PartsReader {
    pub(super) fn new(source: &SourcePlan, within: &RowsWithin, ignore_case: bool) -> Self {
        let is_inner = |column: &SourceColumn| inner(&within.path, column).is_some();
        let only = |keep: &dyn Fn(&SourceColumn) -> Option<ColumnOrigin>| {
            let mut source = source.clone();
            for column in &mut source.columns {
                // What no field is of is read by nobody.
                column.origin = keep(column).unwrap_or(ColumnOrigin::Arrival);
            }
            source
        };
        let beside = only(&|column| (!is_inner(column)).then(|| column.origin.clone()));
        let element = only(&|column| inner(&within.path, column));
        let is_field = |column: &SourceColumn| matches!(column.origin, ColumnOrigin::Field { .. });
        let outer = (0..).zip(&beside.columns).filter(|(_, column)| is_field(column)).map(|(place, _)| place);
        Self {
            within: within.clone(),
            outer: outer.collect(),
            beside: JsonReader::new(&beside, ignore_case),
            repeated: source.columns.iter().map(|column| Column::new(&column.data_type, column.fit)).collect(),
            element: JsonReader::new(&element, ignore_case),
        }
    }

    /// Adds the rows of a record and says how many they are. On an error the columns may hold some of them.
    pub(super) fn read(&mut self, data: &[u8], columns: &mut [Column]) -> Result<usize, String> {
        self.repeated.iter_mut().for_each(|column| column.truncate(0));
        let objects = self.beside.read(data, &mut self.repeated)?;
        let text = std::str::from_utf8(data).map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
        let mut rows = 0;
        for (place, object) in objects_of(text)?.into_iter().enumerate().take(objects) {
            rows += self.elements(object, place, columns)?;
        }
        Ok(rows)
    }

    /// Adds the rows of one object.
    fn elements(&mut self, object: &str, place: usize, columns: &mut [Column]) -> Result<usize, String> {
        let value = self.within.path.iter().try_fold(object, |value, name| {
            json::members(value).find(|(known, _)| known == name).map(|(_, value)| value)
        });
        let mut elements: Vec<&str> = match value {
            Some(array) if array.starts_with('[') => json::elements(array).collect(),
            Some(object) if object.starts_with('{') => vec![object],
            _ if self.within.always => Vec::new(),
            _ => return Err(format!("expected an array at $.{}", self.within.path.join("."))),
        };
        if self.within.always {
            // A row is made of what stands beside, whatever the elements are.
            elements.iter_mut().filter(|element| !element.starts_with('{')).for_each(|element| *element = NOTHING);
            if elements.is_empty() {
                elements.push(NOTHING);
            }
        }
        let beside: usize = self.outer.iter().map(|&column| self.repeated[column].bytes_of(place)).sum();
        if beside.saturating_mul(elements.len()) > REPEATED_BYTES_MAX {
            let (count, most) = (elements.len(), REPEATED_BYTES_MAX >> 20);
            return Err(format!("its {count} rows would repeat {beside} bytes each, more than {most} MiB together"));
        }
        let mut rows = 0;
        for element in elements {
            // All columns have as many rows.
            let before = columns.first().map_or(0, Column::len);
            // An array would be read as records of its own.
            if !element.starts_with('{') {
                return Err(Cursor::new(element).expected("a JSON object"));
            }
            self.element.read(element.as_bytes(), columns)?;
            for &column in &self.outer {
                columns[column].truncate(before);
                columns[column].push_from(&self.repeated[column], place)?;
            }
            rows += 1;
        }
        Ok(rows)
    }
}

/// Where the value of a column is in an element; `None`: it stands beside the array, or is no field.
fn inner(array: &[String], column: &SourceColumn) -> Option<ColumnOrigin> {
    let ColumnOrigin::Field { path, position } = &column.origin else { return None };
    let rest = path.strip_prefix(array).filter(|rest| !rest.is_empty())?;
    Some(ColumnOrigin::Field { path: rest.to_vec(), position: *position })
}

/// The objects of a record's text: one, several one after the other, or an array of them.
fn objects_of(text: &str) -> Result<Vec<&str>, String> {
    let (mut cursor, mut objects) = (Cursor::new(text), Vec::new());
    while cursor.peek().is_some() {
        let start = cursor.at;
        cursor.skip(0)?;
        let value = &text[start..cursor.at];
        match value.starts_with('[') {
            true => objects.extend(json::elements(value)),
            false => objects.push(value),
        }
    }
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use arrow::array::ArrayRef;
    use arrow::util::display::array_value_to_string;
    use millstream_catalog::{ColumnDefinition, ColumnType, QueryDialect};

    use super::*;
    use crate::dialect::{InputSchema, plan};

    /// The rows that columns with these mappings have of a record.
    fn rows(mappings: [&str; 2], record: &str) -> Result<Vec<String>, String> {
        let types = [("A", ColumnType::Text), ("B", ColumnType::BigInt)];
        let column = |((name, column_type), mapping): ((&str, _), &str)| ColumnDefinition {
            mapping: Some(mapping.to_owned()),
            ..ColumnDefinition::new(name, column_type)
        };
        let input = InputSchema::new("I", Some(types.into_iter().zip(mappings).map(column).collect()));
        let sql = "CREATE STREAM O (A VARCHAR(99), B BIGINT); CREATE PUMP P AS INSERT INTO O SELECT STREAM A, B FROM I";
        let program = plan(QueryDialect::Kinesis, sql, &[input]).map_err(|errors| errors[0].to_string())?;
        let source = &program.sources[0];
        let mut columns: Vec<Column> =
            source.columns.iter().map(|column| Column::new(&column.data_type, column.fit)).collect();
        let mut reader = PartsReader::new(source, source.rows_within.as_ref().unwrap(), false);
        let count = reader.read(record.as_bytes(), &mut columns)?;
        let arrays: Vec<ArrayRef> = columns[..2].iter_mut().map(Column::finish).collect();
        assert!(arrays.iter().all(|array| array.len() == count), "{count}");
        let shown = |row| {
            let value = |array: &ArrayRef| match array.is_null(row) {
                true => "NULL".to_owned(),
                false => array_value_to_string(array, row).unwrap(),
            };
            arrays.iter().map(value).collect::<Vec<_>>().join(" ")
        };
        Ok((0..count).map(shown).collect())
    }

    /// The example of the developer guide: what stands beside the array is repeated.
    #[test]
    fn elements_are_rows_and_what_stands_beside_is_in_each() {
        let record =
            r#"{"customer":"John Doe","orders":[{"id":23284,"name":"Widget"},{"id":63122},{"name":"Sprocket"}]}"#;
        let orders = ["$.customer", "$.orders[0:].id"];
        assert_eq!(rows(orders, record).unwrap(), ["John Doe 23284", "John Doe 63122", "John Doe NULL"]);
        let whole = ["$.orders[0:]", "$.orders[0:].id"];
        let all = r#"[{"id":23284,"name":"Widget"},{"id":63122},{"name":"Sprocket"}]"#;
        assert_eq!(rows(whole, record).unwrap()[1], format!("{all} 63122"));
        for without in [r#"{"customer":"J","orders":[]}"#, r#"{"customer":"J"}"#, r#"{"customer":"J","orders":[7]}"#] {
            assert_eq!(rows(orders, without).unwrap(), ["J NULL"], "{without}");
        }
        let two =
            r#"[{"customer":"J","orders":[{"id":1}]},{"customer":"K","orders":[{"id":2},{"id":3}]}] {"orders":[]}"#;
        assert_eq!(rows(orders, two).unwrap(), ["J 1", "K 2", "K 3", "NULL NULL"]);
    }

    #[test]
    fn rows_behind_a_path_are_those_that_are_there() {
        let within = ["$.data.records[*].s", "$.data.records[*].t.n"];
        let record = r#"{"data":{"records":[{"s":"a","t":{"n":1}},{"s":"b"}]},"records":[{"s":"x"}]}"#;
        assert_eq!(rows(within, record).unwrap(), ["a 1", "b NULL"]);
        assert_eq!(rows(within, r#"{"data":{"records":{"s":"a"}}}"#).unwrap(), ["a NULL"]);
        assert!(rows(within, r#"{"data":{"records":[]}}"#).unwrap().is_empty());
        for (wrong, told) in [
            (r#"{"data":7}"#, "expected an array at $.data.records"),
            (r#"{"data":{"records":[7]}}"#, "expected a JSON object"),
            (r#"{"data":{"records":[[{"s":"a"},{"s":"b"}]]}}"#, "expected a JSON object"),
            (r#"{"data":{"records":[{"s":"a"}"#, "not JSON at byte"),
        ] {
            let error = rows(within, wrong).unwrap_err();
            assert!(error.contains(told), "{wrong}: {error}");
        }
    }

    #[test]
    fn what_is_repeated_is_bounded() {
        let elements = vec!["{}"; 1_000].join(",");
        let record = format!(r#"{{"customer":"{}","orders":[{elements}]}}"#, "x".repeat(20_000));
        let error = rows(["$.customer", "$.orders[0:].id"], &record).unwrap_err();
        assert!(error.contains("its 1000 rows would repeat 200"), "{error}");
        assert_eq!(rows(["$.orders[0:].name", "$.orders[0:].id"], &record).unwrap().len(), 1_000);
        let record = format!(r#"{{"orders":[{}]}}"#, vec!["{}"; 3_000].join(","));
        let error = rows(["$.orders[0:]", "$.orders[0:].id"], &record).unwrap_err();
        assert!(error.contains("its 3000 rows would repeat 9001 bytes each"), "{error}");
    }

    #[test]
    fn only_one_array_of_a_schema_gives_rows() {
        for (mappings, told) in [
            (["$.a[0:].x", "$.b[0:].x"], "one array of an input's records gives rows"),
            (["$.a[0:].b[0:].x", "$.c"], "elements of arrays"),
            (["$.a[1].x", "$.c"], "elements of arrays"),
        ] {
            let error = rows(mappings, "{}").unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
