//! The editor of a query's text: its mistakes in place, at `POST /queries/{name}/check` for the module that asks while somebody
//! types, and the change that saves it. What it gives on a sample is in `trial.rs`.

use askama::Template;
use axum::Form as Fields;
use axum::extract::{Path, State};
use axum::response::Html;
use millstream_catalog::QueryDefinition;
use millstream_catalog::pipeline::Known;
use millstream_catalog::pipeline::form::{Form, query_fields};
use millstream_query::PlanError;
use serde::Deserialize;

use crate::Console;
use crate::console::not_found;
use crate::create::JobAsk;
use crate::error::ConsoleError;

/// Characters that are shown in front of a mistake and behind it.
const AROUND: usize = 60;

/// What the editor holds.
pub(super) struct Editor {
    pub(super) href: String,
    pub(super) sql: String,
    /// By input or reference data: what stands for its records.
    pub(super) samples: Vec<(String, String)>,
    pub(super) mistakes: Mistakes,
    /// Which change of the query the text was made from.
    pub(super) version: u64,
    pub(super) asks_token: bool,
}

/// What is wrong with a text.
#[derive(Template, Default)]
#[template(path = "partials/sql_mistakes.html")]
pub(super) struct Mistakes {
    /// Whether it was looked at.
    checked: bool,
    found: Vec<Mistake>,
}

/// A mistake with the line on which it stands, cut at its word.
struct Mistake {
    line: u64,
    column: u64,
    message: String,
    hint: Option<String>,
    before: String,
    word: String,
    after: String,
}

impl Mistakes {
    /// The mistakes of a text that was looked at.
    pub(super) fn of(sql: &str, found: &[PlanError]) -> Self {
        Self { checked: true, found: found.iter().map(|found| Mistake::of(sql, found)).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

impl Mistake {
    fn of(sql: &str, found: &PlanError) -> Self {
        let place = |number: u64| usize::try_from(number.saturating_sub(1)).unwrap_or_default();
        let line: Vec<char> = sql.lines().nth(place(found.line)).unwrap_or_default().chars().collect();
        let begin = place(found.column).min(line.len());
        let end = begin + word_length(&line[begin..]);
        Self {
            line: found.line,
            column: found.column,
            message: format!("error[{}]: {}", found.code, found.message),
            hint: found.hint.clone(),
            before: line[begin.saturating_sub(AROUND)..begin].iter().collect(),
            word: line[begin..end].iter().collect(),
            after: line[end..].iter().take(AROUND).collect(),
        }
    }
}

/// How many characters the word has with which a line begins: a name, one in quotes, or a single sign.
fn word_length(line: &[char]) -> usize {
    let closing = match line.first() {
        Some(quote @ ('"' | '\'')) => Some(*quote),
        Some('[') => Some(']'),
        _ => None,
    };
    let closed = closing.and_then(|closing| line.iter().skip(1).position(|char| *char == closing));
    let named = line.iter().take_while(|char| char.is_alphanumeric() || **char == '_').count();
    closed.map_or(named.max(1), |inside| inside + 2).min(line.len())
}

/// A text to be looked at.
#[derive(Debug, Deserialize)]
pub struct Asked {
    sql: String,
}

/// `POST /queries/{name}/check`: what is wrong with a text for the query, as the editor shows it.
///
/// # Errors
/// [`ConsoleError::NotFound`].
pub async fn check(
    State(console): State<Console>,
    Path(name): Path<String>,
    Fields(asked): Fields<Asked>,
) -> Result<Html<String>, ConsoleError> {
    let found = console.queries().mistakes(&name, &asked.sql).await?;
    Ok(Html(Mistakes::of(&asked.sql, &found).render()?))
}

/// Makes a text the query's own; nothing else of the query changes.
///
/// # Errors
/// [`ConsoleError::Forbidden`] without the token; [`ConsoleError::Invalid`] with what is wrong, or that somebody else changed it.
pub(super) async fn save(
    console: &Console,
    query: &QueryDefinition,
    sql: &str,
    version: u64,
    token: String,
) -> Result<(), ConsoleError> {
    let form = Form::of("query").ok_or_else(|| not_found("form", "query"))?;
    let mut fields = query_fields(query, &Known::of(console.catalog()));
    fields.insert("sql".to_owned(), sql.to_owned());
    let section = form.section(&fields).map_err(|mistakes| {
        let told: Vec<String> = mistakes.iter().map(|wrong| format!("{}: {}", wrong.field, wrong.message)).collect();
        ConsoleError::Invalid(told.join("\n"))
    })?;
    let ask = JobAsk::Change { section: section.text, version };
    match console.job(token, query.name.clone(), ask).await {
        Ok(_) => Ok(()),
        Err(crate::CreateRefusal::Forbidden) => Err(ConsoleError::Forbidden),
        Err(refusal) => Err(ConsoleError::Invalid(refusal.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use millstream_query::{PlanErrorCode, Position};

    use super::*;

    #[test]
    fn a_mistake_marks_its_word() {
        let cut = |sql: &str, line, column| {
            let found = Mistake::of(sql, &PlanError::new(PlanErrorCode::Syntax, Position { line, column }, "wrong"));
            (found.before, found.word, found.after)
        };
        let parts = |before: &str, word: &str, after: &str| (before.to_owned(), word.to_owned(), after.to_owned());
        assert_eq!(cut("SELECT\n  SUM(sharse) AS s", 2, 7), parts("  SUM(", "sharse", ") AS s"));
        assert_eq!(cut("a = = b", 1, 5), parts("a = ", "=", " b"));
        assert_eq!(cut("SUM(\"a b\")", 1, 5), parts("SUM(", "\"a b\"", ")"));
        assert_eq!(cut("a \"b", 1, 3), parts("a ", "\"", "b"), "a quote that nothing closes");
        assert_eq!(cut("SELECT a", 1, 9), parts("SELECT a", "", ""), "the end of the text");
        assert_eq!(cut("", 7, 7), parts("", "", ""));
    }
}
