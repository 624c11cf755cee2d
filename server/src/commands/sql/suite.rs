//! `millstream sql test PATH…`: runs tests of queries, tells what differs, and writes what came into their files where asked to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use millstream_query::Trial;

use super::compare::{Compared, compare, compare_refused};
use super::golden::Golden;
use super::rows::by_time;
use super::run::{refusal, tried};
use super::written::read;
use crate::cli::SqlTestArgs;
use crate::commands::remote::say;

/// What the names of tests end in.
const ENDING: &str = ".test.toml";
/// Rows that a test gives at most.
const ROWS_MAX: usize = 10_000;
/// Rows that came as expected and are shown around one that did not.
const AROUND: usize = 2;

/// What became of a test.
enum Outcome {
    Passed,
    Updated,
    /// What differs.
    Failed(String),
}

/// Runs all tests and says what became of each.
///
/// # Errors
/// That not all passed, or that there are none.
pub fn run(args: &SqlTestArgs) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for path in &args.paths {
        collect(path, &mut files)?;
    }
    if files.is_empty() {
        bail!("there are no tests: files whose names end in `{ENDING}`");
    }
    let (mut passed, mut failed, mut updated) = (0, 0, 0);
    for file in &files {
        let shown = file.display();
        match one(file, args.update) {
            Ok(Outcome::Passed) => {
                passed += 1;
                say(&format!("ok      {shown}"));
            }
            Ok(Outcome::Updated) => {
                updated += 1;
                say(&format!("updated {shown}"));
            }
            Ok(Outcome::Failed(told)) => {
                failed += 1;
                say(&format!("FAILED  {shown}\n{told}"));
            }
            Err(error) => {
                failed += 1;
                say(&format!("FAILED  {shown}\n{error:#}"));
            }
        }
    }
    let updates = if updated > 0 { format!(", {updated} updated") } else { String::new() };
    let summary = format!("{passed} passed, {failed} failed{updates}");
    if failed > 0 {
        bail!(summary);
    }
    say(&summary);
    Ok(())
}

/// The tests of a path: a file as it is, of a folder all of them in it and below, in the order of their names.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let cannot = || format!("cannot read {}", path.display());
    if !std::fs::metadata(path).with_context(cannot)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).with_context(cannot)?.collect::<Result<Vec<_>, _>>().with_context(cannot)?;
    let mut entries: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    entries.sort();
    for entry in entries {
        // A link to a folder may lead back up.
        if entry.is_dir() && !entry.is_symlink() {
            collect(&entry, files)?;
        } else if entry.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ENDING)) {
            files.push(entry);
        }
    }
    Ok(())
}

fn one(file: &Path, update: bool) -> anyhow::Result<Outcome> {
    let text = read(file)?;
    let golden = Golden::read(file, &text)?;
    // Mistakes of the text are something that a test may expect.
    let (found, mistakes) = match golden.query.mistakes()? {
        None => (tried(&golden.query, golden.arrival, ROWS_MAX)?, Vec::new()),
        Some(mistakes) => (Trial::default(), mistakes),
    };
    let refused: Vec<String> = mistakes.into_iter().chain(found.errors.iter().map(refusal)).collect();
    if update {
        return updated(file, &text, &golden, &found, refused);
    }
    if golden.outputs.is_empty() && golden.refused.lines.is_empty() {
        bail!("it expects nothing\n  try: millstream sql test --update {}", file.display());
    }
    let told = difference(&golden, &found, refused)?;
    Ok(if told.is_empty() { Outcome::Passed } else { Outcome::Failed(told.trim_end().to_owned()) })
}

/// What differs, each row on its line; empty when nothing does.
fn difference(golden: &Golden, found: &Trial, refused: Vec<String>) -> anyhow::Result<String> {
    let mut told = String::new();
    for (name, expected) in &golden.outputs {
        let output = found.outputs.iter().find(|output| output.name.eq_ignore_ascii_case(name));
        if output.is_none() && !found.outputs.is_empty() {
            let known: Vec<&str> = found.outputs.iter().map(|output| output.name.as_str()).collect();
            bail!("the query writes no output `{name}`; its outputs are `{}`", known.join("`, `"));
        }
        let rows = output.map_or(&[][..], |output| &output.rows);
        told.push_str(&shown(&format!("output {name}"), &compare(&expected.lines, rows)));
    }
    told.push_str(&shown("refused", &compare_refused(&golden.refused.lines, refused)));
    Ok(told)
}

/// Lines of what differs with some of what does not around them.
fn shown(title: &str, compared: &[Compared]) -> String {
    let differs = |row: &Compared| !matches!(row, Compared::Same(_));
    if !compared.iter().any(differs) {
        return String::new();
    }
    let mut text = format!("  {title} (- expected and did not come, + came and was not expected)\n");
    for (index, row) in compared.iter().enumerate() {
        let near = &compared[index.saturating_sub(AROUND)..(index + AROUND + 1).min(compared.len())];
        match row {
            Compared::Missing(row) => text.push_str(&format!("  - {row}\n")),
            Compared::Besides(row) => text.push_str(&format!("  + {row}\n")),
            Compared::Same(row) if near.iter().any(differs) => text.push_str(&format!("    {row}\n")),
            Compared::Same(_) => {}
        }
    }
    text
}

/// Writes what came into the test's file, where it is not what is expected: the outputs that it names, or all.
fn updated(file: &Path, text: &str, golden: &Golden, found: &Trial, refused: Vec<String>) -> anyhow::Result<Outcome> {
    let differs = |compared: Vec<Compared>| compared.iter().any(|row| !matches!(row, Compared::Same(_)));
    let mut outputs = BTreeMap::new();
    for output in &found.outputs {
        let named = golden.outputs.iter().find(|(name, _)| output.name.eq_ignore_ascii_case(name));
        let (name, differs) = match named {
            Some((name, expected)) => (name, differs(compare(&expected.lines, &output.rows))),
            None => (&output.name, golden.outputs.is_empty()),
        };
        if differs {
            let rows = by_time(&output.rows).into_iter().map(|row| row.text.clone());
            outputs.insert(name.clone(), rows.collect());
        }
    }
    let refused_differ = differs(compare_refused(&golden.refused.lines, refused.clone()));
    if outputs.is_empty() && !refused_differ {
        return Ok(Outcome::Passed);
    }
    let text = golden.updated(text, &outputs, refused_differ.then_some(refused.as_slice()));
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(Outcome::Updated)
}
