//! How the rows of a query are written for people and programs: JSON, delimited text, a table.

use std::collections::BTreeSet;

use anyhow::Context as _;
use millstream_query::{TrialOutput, TrialRow};
use serde_json::{Map, Value};

use crate::cli::RowsFormat;

/// The rows of an output as a text that ends in a line break, in the order of their times.
///
/// # Errors
/// A row that cannot be written.
pub fn written(output: &TrialOutput, format: RowsFormat) -> anyhow::Result<String> {
    match format {
        RowsFormat::Json => Ok(by_time(&output.rows).iter().map(|row| format!("{}\n", row.text)).collect()),
        RowsFormat::Csv => csv(output),
        RowsFormat::Table => Ok(table(output)),
    }
}

/// Several outputs, each told from the others.
///
/// # Errors
/// A row that cannot be written.
pub fn several(outputs: &[&TrialOutput], format: RowsFormat) -> anyhow::Result<String> {
    let mut text = String::new();
    for output in outputs {
        if format == RowsFormat::Json {
            let name = Value::from(output.name.as_str());
            for row in by_time(&output.rows) {
                text.push_str(&format!("{{\"output\":{name},\"row\":{}}}\n", row.text));
            }
            continue;
        }
        let between = if text.is_empty() { "" } else { "\n" };
        text.push_str(&format!("{between}{}\n{}", output.name, written(output, format)?));
    }
    Ok(text)
}

/// Rows in the order of their times; those of one time in the order in which they came.
pub fn by_time(rows: &[TrialRow]) -> Vec<&TrialRow> {
    let mut rows: Vec<&TrialRow> = rows.iter().collect();
    rows.sort_by_key(|row| row.time);
    rows
}

fn csv(output: &TrialOutput) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&output.columns)?;
    for row in by_time(&output.rows) {
        writer.write_record(cells(output, row).into_iter().map(|(text, _)| text))?;
    }
    let bytes = writer.into_inner().context("the rows could not be written")?;
    Ok(String::from_utf8(bytes)?)
}

/// Columns under each other; numbers end where their column ends.
fn table(output: &TrialOutput) -> String {
    let rows: Vec<Vec<(String, bool)>> = by_time(&output.rows).into_iter().map(|row| cells(output, row)).collect();
    let numbers: BTreeSet<usize> = (0..output.columns.len())
        .filter(|&column| rows.iter().any(|row| row.get(column).is_some_and(|(_, number)| *number)))
        .collect();
    let length = |text: &str| text.chars().count();
    let width = |(index, name): (usize, &String)| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|(text, _)| length(text));
        cells.chain([length(name)]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = output.columns.iter().enumerate().map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).enumerate().map(|(column, (text, width))| {
            let gap = " ".repeat(width.saturating_sub(length(text)));
            if numbers.contains(&column) { format!("{gap}{text}") } else { format!("{text}{gap}") }
        });
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text = line(&mut output.columns.iter().map(String::as_str));
    let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    text.push_str(&line(&mut rules.iter().map(String::as_str)));
    for row in &rows {
        text.push_str(&line(&mut row.iter().map(|(text, _)| text.as_str())));
    }
    text
}

/// By column, the text of a row's value and whether it is a number. What is missing or NULL has none.
fn cells(output: &TrialOutput, row: &TrialRow) -> Vec<(String, bool)> {
    let values: Map<String, Value> = serde_json::from_str(&row.text).unwrap_or_default();
    let cell = |column: &String| match values.get(column) {
        None | Some(Value::Null) => (String::new(), false),
        Some(Value::String(text)) => (text.clone(), false),
        Some(value) => (value.to_string(), value.is_number()),
    };
    output.columns.iter().map(cell).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn output() -> TrialOutput {
        let row = |time, text: &str| TrialRow { time, text: text.to_owned() };
        let rows = vec![row(2, r#"{"name":"B, b","n":10}"#), row(1, r#"{"name":null,"n":7}"#)];
        TrialOutput { name: "out".into(), columns: vec!["name".into(), "n".into()], rows }
    }

    #[test]
    fn rows_come_in_the_order_of_their_times() {
        let output = output();
        assert_eq!(
            written(&output, RowsFormat::Json).unwrap(),
            "{\"name\":null,\"n\":7}\n{\"name\":\"B, b\",\"n\":10}\n"
        );
        assert_eq!(written(&output, RowsFormat::Csv).unwrap(), "name,n\n,7\n\"B, b\",10\n");
        assert_eq!(written(&output, RowsFormat::Table).unwrap(), "name   n\n----  --\n       7\nB, b  10\n");
        let two = [&output, &output];
        assert!(
            several(&two, RowsFormat::Json)
                .unwrap()
                .starts_with("{\"output\":\"out\",\"row\":{\"name\":null,\"n\":7}}\n")
        );
        assert!(several(&two, RowsFormat::Csv).unwrap().starts_with("out\nname,n\n,7\n"));
    }
}
