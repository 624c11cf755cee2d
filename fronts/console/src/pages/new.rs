//! `/new` and `/new/{kind}`: what can be made here, and the form that makes it.
//!
//! A form becomes the pipeline file's section, which is shown and carried out as a file is. What is wrong is said at its field.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Multipart, Path, State};
use axum::response::{Html, IntoResponse as _, Response};
use bytes::Bytes;
use millstream_catalog::pipeline::form::Form;

use super::Frame;
use super::form::{Control, Drawing, Sent, ShownPart, Wrong};
use crate::Console;
use crate::console::not_found;
use crate::create::{NewCode, NewSection};
use crate::error::ConsoleError;
use crate::page::Page;

#[derive(Template)]
#[template(path = "pages/new.html")]
struct KindsPage {
    frame: Frame,
    kinds: Vec<(String, &'static str, &'static str)>,
}

#[derive(Template)]
#[template(path = "pages/new_form.html")]
struct FormPage {
    frame: Frame,
    title: &'static str,
    about: &'static str,
    parts: Vec<ShownPart>,
    asks_token: bool,
    /// What is wrong and belongs to no field.
    mistakes: Vec<String>,
    /// The section, when the fields make one.
    section: Option<String>,
    /// What was done, and where to look at it.
    made: Option<(Vec<String>, String)>,
}

/// The kinds that can be made, or the empty form of one.
pub(super) fn page(console: &Console, kind: &str, frame: Frame) -> Result<String, ConsoleError> {
    if kind.is_empty() {
        let entry = |form: &'static Form| (Page::New(form.kind.to_owned()).href(), form.title, form.about);
        return Ok(KindsPage { frame, kinds: Form::all().map(entry).collect() }.render()?);
    }
    draw(console, drawing(form(kind)?, true), &Sent::default(), Wrong::default(), None, None)
}

/// Makes what a form says, or draws it again with what is wrong.
///
/// # Errors
/// [`ConsoleError::NotFound`] for a kind that is none; [`ConsoleError::Invalid`] for a body that is no form.
pub async fn run(
    State(console): State<Console>,
    Path(kind): Path<String>,
    body: Multipart,
) -> Result<Response, ConsoleError> {
    let form = form(&kind)?;
    let sent = Sent::read(body).await?;
    let html = if sent.more.is_empty() {
        make(&console, form, sent).await?
    } else {
        draw(&console, drawing(form, false), &sent, Wrong::default(), None, None)?
    };
    Ok(Html(html).into_response())
}

async fn make(console: &Console, form: &'static Form, sent: Sent) -> Result<String, ConsoleError> {
    let drawing = drawing(form, false);
    let mut fields = sent.filled();
    let code = code(form, &mut fields, &sent.package);
    let section = match form.section(&fields) {
        Ok(section) => section,
        Err(mistakes) => return draw(console, drawing, &sent, Wrong::of_fields(mistakes), None, None),
    };
    let text = section.text.clone();
    if sent.only_section {
        return draw(console, drawing, &sent, Wrong::default(), Some(text), None);
    }
    let new = NewSection { token: sent.token.clone(), text: text.clone(), code };
    match console.create(new).await {
        Ok(lines) => {
            let name = fields.get(form.subject()).map(String::as_str).unwrap_or_default();
            let made = Some((lines, made_page(form.kind, name, &fields).href()));
            draw(console, drawing, &sent, Wrong::default(), Some(text), made)
        }
        Err(refusal) => draw(console, drawing, &sent, Wrong::of_refusal(form, &section, refusal), Some(text), None),
    }
}

/// Takes the code out of a form and leaves where a pipeline file would have it.
fn code(form: &Form, fields: &mut BTreeMap<String, String>, package: &Bytes) -> Option<NewCode> {
    if !form.has_code() {
        return None;
    }
    let code = match (package.is_empty(), fields.remove("code")) {
        (false, _) => NewCode::Zip(package.clone()),
        (true, Some(source)) => NewCode::Source(source),
        (true, None) => return None,
    };
    let name = fields.get("name").map(String::as_str).unwrap_or_default();
    fields.insert("code".to_owned(), format!("functions/{name}"));
    Some(code)
}

fn drawing(form: &'static Form, fresh: bool) -> Drawing {
    Drawing { form, fresh, hidden: &[], removable: false }
}

fn draw(
    console: &Console,
    drawing: Drawing,
    sent: &Sent,
    mut wrong: Wrong,
    section: Option<String>,
    made: Option<(Vec<String>, String)>,
) -> Result<String, ConsoleError> {
    let parts = drawing.parts(sent, &mut wrong);
    let form = drawing.form;
    let page = FormPage {
        frame: Frame::of(&Page::New(form.kind.to_owned())),
        title: form.title,
        about: form.about,
        parts,
        asks_token: console.create_needs_token(),
        mistakes: wrong.left(),
        section,
        made,
    };
    Ok(page.render()?)
}

fn form(kind: &str) -> Result<&'static Form, ConsoleError> {
    Form::of(kind).ok_or_else(|| not_found("form", kind))
}

/// Where to look at what was made.
fn made_page(kind: &str, name: &str, fields: &BTreeMap<String, String>) -> Page {
    let name = name.to_owned();
    match kind {
        "stream" => Page::Stream(name),
        "delivery-stream" => Page::Delivery(name),
        "table" => Page::Table(name, String::new()),
        "function" | "mapping" => Page::Function(name),
        "query" => Page::Query(name),
        "queue" => Page::Queue(name),
        "role" | "user" => Page::Access(String::new()),
        "event-hubs-namespace" => Page::Hubs(String::new()),
        "event-hub" => {
            let namespace = fields.get("namespace").cloned().unwrap_or_else(|| "default".to_owned());
            Page::Hub(namespace, name)
        }
        "blob-container" => Page::bucket(&name),
        "cosmos-database" => Page::Documents(String::new()),
        "event-grid-topic" | "sns-topic" => Page::Topic(name),
        "api-management" => Page::Service(name),
        "api" => Page::Services(String::new()),
        "usage-plan" | "api-key" | "portal" | "marketplace-product" => Page::Plans(String::new()),
        _ => Page::Overview,
    }
}
