//! `millstream sql check FILE`

use millstream_catalog::QueryDialect;
use millstream_query::{Program, output_names};

use super::written::{Planned, Written};
use crate::cli::{DialectName, SqlArgs};
use crate::commands::remote::say;

/// Checks a query and says what it reads and writes.
///
/// # Errors
/// Every mistake, each at its line and column.
pub fn run(args: &SqlArgs) -> anyhow::Result<()> {
    let written = Written::of(args)?;
    let Planned { program, unknown } = written.planned()?;
    let language = match written.dialect {
        QueryDialect::Kinesis => DialectName::Kinesis,
        QueryDialect::StreamAnalytics => DialectName::StreamAnalytics,
    };
    let language = clap::ValueEnum::to_possible_value(&language).map(|value| value.get_name().to_owned());
    let does = match &program {
        Some(program) => described(program),
        None => format!("writes {}", output_names(written.dialect, &written.sql, &[]).join(", ")),
    };
    say(&format!("{}: sound ({}): {does}", written.file.display(), language.unwrap_or_default()));
    for input in unknown {
        eprintln!(
            "note: the columns of `{input}` are not known, so they were not checked\n  try: --input {input}=FILE with \
             some of its events, or --pipeline FILE{}",
            if written.dialect == QueryDialect::StreamAnalytics { ", or CREATE TABLE in the text" } else { "" }
        );
    }
    Ok(())
}

fn described(program: &Program) -> String {
    let reads = program.sources.iter().chain(&program.references).map(|source| source.name.as_str());
    let writes = program.output_names().map(|name| {
        let columns = program.output_columns(name).unwrap_or_default();
        let columns: Vec<String> = columns.into_iter().map(|(column, _)| column).collect();
        format!("{name} ({})", columns.join(", "))
    });
    let (reads, writes): (Vec<&str>, Vec<String>) = (reads.collect(), writes.collect());
    format!("reads {}, writes {}", reads.join(", "), writes.join(", "))
}
