//! `millstream sql translate FILE --to flink|flink-ddl|asa`

use anyhow::bail;
use millstream_catalog::RecordFormat;
use millstream_query::{Goal, Outcome};

use super::written::Written;
use crate::cli::{SqlTranslateArgs, TranslateTo};
use crate::commands::remote::say;

/// Prints a query in another language; what is not simply the same there is told on standard error, a line each.
///
/// # Errors
/// The mistakes of its text; that something is not carried over.
pub fn run(args: &SqlTranslateArgs) -> anyhow::Result<()> {
    let written = Written::of(&args.sql)?;
    let goal = match args.to {
        TranslateTo::Flink => Goal::Flink,
        TranslateTo::FlinkDdl => Goal::FlinkTables,
        TranslateTo::Asa => Goal::StreamAnalytics,
    };
    if goal == Goal::FlinkTables
        && let Some(input) = written.inputs.iter().find(|input| input.format != RecordFormat::Json)
    {
        bail!("`{}` is delimited text, and tables are written for topics of JSON", input.name);
    }
    let translation = written.translated(goal, args.within_tolerance, &args.bootstrap)?;
    say(translation.text.trim_end());
    let file = written.file.display();
    for note in &translation.notes {
        let line = written.first_line.saturating_add(usize::try_from(note.line.saturating_sub(1)).unwrap_or_default());
        let outcome = match note.outcome {
            Outcome::Rewritten => "exact in other words",
            Outcome::Refused => "not carried over",
        };
        eprintln!("{file}:{line}:{}: {outcome}: {}", note.column, note.message);
    }
    let refused = translation.notes.iter().filter(|note| note.outcome == Outcome::Refused).count();
    if refused > 0 {
        bail!("{refused} constructs are not carried over: what is printed is not the same query");
    }
    Ok(())
}
