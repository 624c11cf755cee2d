//! A test of a query in a file: which query, events of its inputs, and the rows that are expected of them.
//!
//! The file is TOML. Expected rows are texts of JSON rows, a line each; with `--update` only these texts are replaced, so that what else
//! stands in the file stays as its author wrote it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::bail;
use millstream_catalog::RecordFormat;
use millstream_types::Millis;
use serde::Deserialize;
use toml::Spanned;

use super::run::{order, time};
use super::written::{Written, read};
use crate::cli::{DialectName, OutOfTolerance};

/// When events arrived unless the file or the events say it: whatever the clock says, a test gives the same.
const ARRIVAL: &str = "2000-01-01T00:00:00Z";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    sql: Option<Spanned<String>>,
    sql_file: Option<PathBuf>,
    pipeline: Option<PathBuf>,
    query: Option<String>,
    dialect: Option<DialectName>,
    arrival: Option<String>,
    late_tolerance_seconds: Option<i64>,
    out_of_order_tolerance_seconds: Option<u32>,
    out_of_tolerance: Option<OutOfTolerance>,
    #[serde(default)]
    input: BTreeMap<String, Sample>,
    #[serde(default)]
    reference: BTreeMap<String, Sample>,
    #[serde(default)]
    output: BTreeMap<String, Rows>,
    refused: Option<Rows>,
}

/// What stands for an input's events, or for reference data.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    text: Option<String>,
    file: Option<PathBuf>,
    /// What stands between the values of delimited text.
    delimiter: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    rows: Spanned<String>,
}

/// A test.
pub struct Golden {
    /// The query with its samples.
    pub query: Written,
    /// When events arrived that do not say it.
    pub arrival: Millis,
    /// By output: the rows that are expected, and where they stand in the file.
    pub outputs: BTreeMap<String, Expected>,
    /// What is expected to be refused.
    pub refused: Expected,
}

/// Lines that are expected.
#[derive(Debug, Default)]
pub struct Expected {
    /// The lines.
    pub lines: Vec<String>,
    /// The bytes of the file that say so; `None`: nothing does.
    span: Option<Range<usize>>,
}

impl Expected {
    fn of(rows: Rows) -> Self {
        let lines = rows.rows.get_ref().lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
        Self { lines: lines.collect(), span: Some(rows.rows.span()) }
    }
}

impl Golden {
    /// Reads a test and the files that it names, which are looked for beside it.
    ///
    /// # Errors
    /// What is wrong with the file, or a file that cannot be read.
    pub fn read(path: &Path, text: &str) -> anyhow::Result<Self> {
        let mut file: File =
            toml::from_str(text).map_err(|error| anyhow::anyhow!("{}", error.to_string().trim_end()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut query = query(&file, path, text, folder)?;
        if let Some(dialect) = file.dialect {
            query.dialect = dialect.into();
        }
        let (late, out_of_order) = (file.late_tolerance_seconds, file.out_of_order_tolerance_seconds);
        order(&mut query.order, late, out_of_order, file.out_of_tolerance)?;
        for (samples, reference) in [(std::mem::take(&mut file.input), false), (file.reference, true)] {
            for (name, sample) in samples {
                give(&mut query, &name, sample, folder, reference)?;
            }
        }
        let outputs = file.output.into_iter().map(|(name, rows)| (name, Expected::of(rows))).collect();
        let arrival = time(file.arrival.as_deref().unwrap_or(ARRIVAL))?;
        Ok(Self { query, arrival, outputs, refused: file.refused.map(Expected::of).unwrap_or_default() })
    }

    /// The file's text with other rows: by output, and of what is refused, those that are to be expected; what is `None` stays.
    pub fn updated(&self, text: &str, outputs: &BTreeMap<String, Vec<String>>, refused: Option<&[String]>) -> String {
        let mut edits: Vec<(Range<usize>, String)> = Vec::new();
        let mut added = String::new();
        let mut edit = |expected: Option<&Expected>, table: String, lines: &[String]| match expected
            .and_then(|expected| expected.span.clone())
        {
            Some(span) => edits.push((span, literal(lines))),
            None => added.push_str(&format!("\n[{table}]\nrows = {}\n", literal(lines))),
        };
        for (name, lines) in outputs {
            edit(self.outputs.get(name), format!("output.{}", key(name)), lines);
        }
        if let Some(lines) = refused {
            edit(Some(&self.refused), "refused".to_owned(), lines);
        }
        edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
        let mut text = text.to_owned();
        for (span, lines) in edits {
            text.replace_range(span, &lines);
        }
        if !added.is_empty() && !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text + &added
    }
}

/// The query that a test names.
fn query(file: &File, path: &Path, text: &str, folder: &Path) -> anyhow::Result<Written> {
    match (&file.sql, &file.sql_file, &file.pipeline) {
        (Some(sql), None, None) => {
            let mut query = Written::alone(path.to_owned(), sql.get_ref().clone());
            query.first_line = first_line(text, sql);
            Ok(query)
        }
        (None, Some(sql), None) => {
            let sql = folder.join(sql);
            let text = read(&sql)?;
            Ok(Written::alone(sql, text))
        }
        (None, None, Some(pipeline)) => {
            let name = file.query.as_deref();
            Written::in_pipeline(&folder.join(pipeline), |spec| name.is_none_or(|name| spec.name == name))
        }
        _ => bail!("expected one of `sql`, `sql_file` and `pipeline` (with `query`, the query's name in it)"),
    }
}

/// The line on which a text begins: a line break right behind its opening quotes is not part of it.
fn first_line(text: &str, value: &Spanned<String>) -> usize {
    let before = &text[..value.span().start];
    let opened = text[value.span()].trim_start_matches(['\'', '"']);
    1 + before.matches('\n').count() + usize::from(opened.starts_with(['\n', '\r']))
}

fn give(query: &mut Written, name: &str, sample: Sample, folder: &Path, reference: bool) -> anyhow::Result<()> {
    match (sample.text, sample.file) {
        (Some(text), None) => query.sample_text(name, text, None, reference),
        (None, Some(file)) => query.sample(name, &folder.join(file), reference)?,
        _ => bail!("expected either `text` or `file` of `{name}`"),
    }
    if let Some(delimiter) = sample.delimiter {
        query.format(name, RecordFormat::Csv { delimiter });
    }
    Ok(())
}

/// A name as a key of TOML: in quotes unless it needs none.
fn key(name: &str) -> String {
    let is_bare = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    match !name.is_empty() && name.chars().all(is_bare) {
        true => name.to_owned(),
        false => toml::Value::from(name).to_string(),
    }
}

/// Lines as a TOML text. JSON may write an apostrophe in another way, so that three of them never end the text.
fn literal(lines: &[String]) -> String {
    let lines: String = lines.iter().map(|line| format!("{}\n", line.replace("'''", "''\\u0027"))).collect();
    format!("'''\n{lines}'''")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TEXT: &str = "# What it shows.\nsql = '''\nSELECT a INTO out FROM i\n'''\n[input.i]\ntext = '{\"a\":1}'\n[output.out]\nrows = '''\n{\"a\":2}\n''' # old\n";

    #[test]
    fn an_update_replaces_rows_and_nothing_else() {
        let golden = Golden::read(Path::new("t.test.toml"), TEXT).unwrap();
        assert_eq!(
            (golden.query.first_line, golden.outputs["out"].lines.as_slice()),
            (3, [r#"{"a":2}"#.to_owned()].as_slice())
        );
        let outputs = BTreeMap::from([("out".to_owned(), vec![r#"{"a":"'''"}"#.to_owned()])]);
        let updated = golden.updated(TEXT, &outputs, Some(&["late: x".to_owned()]));
        let added =
            golden.updated("", &BTreeMap::from([("p-q".to_owned(), Vec::new()), ("p q".to_owned(), Vec::new())]), None);
        assert_eq!(added, "\n[output.\"p q\"]\nrows = '''\n'''\n\n[output.p-q]\nrows = '''\n'''\n");
        let expected = TEXT.replace(r#"{"a":2}"#, r#"{"a":"''\u0027"}"#) + "\n[refused]\nrows = '''\nlate: x\n'''\n";
        assert_eq!(updated, expected);
        let again = Golden::read(Path::new("t.test.toml"), &updated).unwrap();
        assert_eq!(again.refused.lines, ["late: x"]);
    }

    #[test]
    fn what_is_no_test_says_what_is_expected() {
        let told = |text: &str| Golden::read(Path::new("t"), text).err().unwrap().to_string();
        assert!(told("dialect = 'kinesis'").contains("expected one of `sql`"));
        assert!(told("sql = ''\n[input.a]\n").contains("expected either `text` or `file` of `a`"));
        assert!(told("sqll = ''").contains("sqll"));
        assert!(told("sql = ''\narrival = 'soon'").contains("expected a time"));
    }
}
