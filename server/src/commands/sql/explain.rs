//! `millstream sql explain FILE`

use anyhow::Context as _;
use millstream_query::explain;

use super::written::{Planned, Written};
use crate::cli::SqlArgs;
use crate::commands::remote::say;

/// Prints a query's plan.
///
/// # Errors
/// The mistakes of its text, or inputs whose columns are not known.
pub fn run(args: &SqlArgs) -> anyhow::Result<()> {
    let written = Written::of(args)?;
    let Planned { program, unknown } = written.planned()?;
    let program = program.with_context(|| {
        let input = unknown.first().map_or("NAME", String::as_str);
        format!(
            "the columns of `{}` are not known, and a plan is made of columns\n  try: --input {input}=FILE with some of \
             its events, or --pipeline FILE",
            unknown.join("`, `")
        )
    })?;
    say(explain(&program, &written.order).trim_end());
    Ok(())
}
