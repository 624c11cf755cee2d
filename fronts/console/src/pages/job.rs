//! `/queries/{name}/edit`, `/start` and `/stop`: the text, inputs and outputs of a query that is there, and whether it runs.
//!
//! The form is the one that makes a query, filled in with what the query is; what is sent becomes a section, as there.

use askama::Template;
use axum::Form as Fields;
use axum::extract::{Multipart, Path, State};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use millstream_catalog::pipeline::Known;
use millstream_catalog::pipeline::form::{Form, query_fields};
use millstream_catalog::{DesiredState, QueryDefinition};
use serde::Deserialize;

use super::form::{Control, Drawing, Sent, ShownPart, Wrong};
use super::{Frame, failed};
use crate::Console;
use crate::console::not_found;
use crate::create::{CreateRefusal, JobAsk, JobStart};
use crate::error::ConsoleError;
use crate::page::Page;

/// What is asked elsewhere or never: a query keeps its name and its language, and a start says where it begins.
const HIDDEN: &[&str] = &["name", "dialect", "start_at", "stopped"];

#[derive(Template)]
#[template(path = "pages/job.html")]
struct JobPage {
    frame: Frame,
    name: String,
    href: String,
    running: bool,
    version: u64,
    parts: Vec<ShownPart>,
    asks_token: bool,
    mistakes: Vec<String>,
    section: Option<String>,
}

/// What is sent to start or stop a query.
#[derive(Debug, Deserialize)]
pub struct Asked {
    #[serde(default)]
    token: String,
    /// `now`, `last-output` or `time`.
    #[serde(default)]
    from: String,
    /// With `time`: when.
    #[serde(default)]
    at: String,
}

/// `GET /queries/{name}/edit`: the form with what the query is.
///
/// # Errors
/// [`ConsoleError::NotFound`].
pub async fn show(State(console): State<Console>, Path(name): Path<String>) -> Response {
    let drawn = console.query(&name).and_then(|query| {
        let fields = query_fields(&query, &Known::of(console.catalog()));
        let sent = Sent { fields, version: query.version, ..Sent::default() };
        draw(&console, &query, &sent, Wrong::default(), None)
    });
    drawn.map_or_else(|error| failed(&error), |html| Html(html).into_response())
}

/// `POST /queries/{name}/edit`: changes the query, or draws the form again with what is wrong.
///
/// # Errors
/// [`ConsoleError::NotFound`]; [`ConsoleError::Invalid`] for a body that is no form.
pub async fn change(
    State(console): State<Console>,
    Path(name): Path<String>,
    body: Multipart,
) -> Result<Response, ConsoleError> {
    let query = console.query(&name)?;
    let form = form()?;
    let sent = Sent::read(body).await?;
    if !sent.more.is_empty() {
        return Ok(Html(draw(&console, &query, &sent, Wrong::default(), None)?).into_response());
    }
    let mut fields = query_fields(&query, &Known::of(console.catalog()));
    fields.retain(|field, _| HIDDEN.contains(&field.as_str()));
    fields.extend(sent.filled());
    let section = match form.section(&fields) {
        Ok(section) => section,
        Err(mistakes) => {
            let html = draw(&console, &query, &sent, Wrong::of_fields(mistakes), None)?;
            return Ok(Html(html).into_response());
        }
    };
    let text = section.text.clone();
    if sent.only_section {
        return Ok(Html(draw(&console, &query, &sent, Wrong::default(), Some(text))?).into_response());
    }
    let ask = JobAsk::Change { section: text.clone(), version: sent.version };
    match console.job(sent.token.clone(), name.clone(), ask).await {
        Ok(_) => Ok(Redirect::to(&Page::Query(name).href()).into_response()),
        Err(refusal) => {
            let wrong = Wrong::of_refusal(form, &section, refusal);
            Ok(Html(draw(&console, &query, &sent, wrong, Some(text))?).into_response())
        }
    }
}

/// `POST /queries/{name}/start`.
///
/// # Errors
/// Told on a page.
pub async fn start(State(console): State<Console>, Path(name): Path<String>, Fields(asked): Fields<Asked>) -> Response {
    let start = match asked.from.as_str() {
        "now" => Ok(JobStart::Now),
        "last-output" => Ok(JobStart::LastOutput),
        "time" => {
            asked.at.trim().parse::<jiff::Timestamp>().map(|at| JobStart::At(at.as_millisecond())).map_err(|_| {
                ConsoleError::Invalid(format!("expected a time such as 2026-01-31T12:00:00Z, found `{}`", asked.at))
            })
        }
        other => Err(ConsoleError::Invalid(format!("expected `now`, `last-output` or `time`, found `{other}`"))),
    };
    match start {
        Ok(start) => ask(&console, name, asked.token, JobAsk::Start(start)).await,
        Err(error) => failed(&error),
    }
}

/// `POST /queries/{name}/stop`.
///
/// # Errors
/// Told on a page.
pub async fn stop(State(console): State<Console>, Path(name): Path<String>, Fields(asked): Fields<Asked>) -> Response {
    ask(&console, name, asked.token, JobAsk::Stop).await
}

/// Asks and leads back to the query.
async fn ask(console: &Console, name: String, token: String, ask: JobAsk) -> Response {
    if let Err(error) = console.query(&name) {
        return failed(&error);
    }
    match console.job(token, name.clone(), ask).await {
        Ok(_) => Redirect::to(&Page::Query(name).href()).into_response(),
        Err(CreateRefusal::Forbidden) => failed(&ConsoleError::Forbidden),
        Err(refusal) => failed(&ConsoleError::Invalid(refusal.to_string())),
    }
}

fn draw(
    console: &Console,
    query: &QueryDefinition,
    sent: &Sent,
    mut wrong: Wrong,
    section: Option<String>,
) -> Result<String, ConsoleError> {
    let drawing = Drawing { form: form()?, fresh: false, hidden: HIDDEN, removable: true };
    let page = Page::Query(query.name.clone());
    let page = JobPage {
        href: page.href(),
        frame: Frame::of(&page),
        name: query.name.clone(),
        running: query.desired == DesiredState::Running,
        version: sent.version,
        parts: drawing.parts(sent, &mut wrong),
        asks_token: console.create_needs_token(),
        mistakes: wrong.left(),
        section,
    };
    Ok(page.render()?)
}

fn form() -> Result<&'static Form, ConsoleError> {
    Form::of("query").ok_or_else(|| not_found("form", "query"))
}
