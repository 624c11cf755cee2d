//! `/new` and `/new/{kind}`: what can be made here, and the form that makes it.
//!
//! A form becomes the pipeline file's section, which is shown and carried out as a file is. What is wrong is said at its field.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse as _, Response};
use bytes::Bytes;
use millstream_catalog::pipeline::Mistake;
use millstream_catalog::pipeline::form::{Entry, FieldMistake, Form, Part, REPEATS_MAX, Section};

use super::Frame;
use crate::Console;
use crate::console::not_found;
use crate::create::{CreateRefusal, NewCode, NewSection};
use crate::error::ConsoleError;
use crate::page::Page;

/// The longest body: a function's package, as the engine takes it, and the other fields.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// Fields of one form: those of the longest with every part repeated as often as may be.
const FIELDS_MAX: usize = 1_024;

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

/// A part of a form as it is drawn.
struct ShownPart {
    title: String,
    fields: Vec<ShownField>,
    /// The part's name, for the button that adds one more behind this one.
    more: Option<&'static str>,
}

struct ShownField {
    name: String,
    label: &'static str,
    hint: &'static str,
    control: Control,
    value: String,
    required: bool,
    mistake: Option<String>,
}

/// What a field is drawn as.
enum Control {
    Line(&'static str),
    Area(u8),
    Choice(&'static [&'static str]),
    Switch,
    Code,
}

/// What came with a form besides its fields.
#[derive(Default)]
struct Sent {
    fields: BTreeMap<String, String>,
    token: String,
    /// The part that shall be there once more.
    more: String,
    /// Whether only the section is wanted.
    only_section: bool,
    package: Bytes,
}

/// What is wrong with a form, by field and besides.
#[derive(Default)]
struct Wrong {
    fields: BTreeMap<String, String>,
    others: Vec<String>,
}

/// The kinds that can be made, or the empty form of one.
pub(super) fn page(console: &Console, kind: &str, frame: Frame) -> Result<String, ConsoleError> {
    if kind.is_empty() {
        let entry = |form: &'static Form| (Page::New(form.kind.to_owned()).href(), form.title, form.about);
        return Ok(KindsPage { frame, kinds: Form::all().map(entry).collect() }.render()?);
    }
    let form = form(kind)?;
    draw(console, form, &Sent::default(), true, Wrong::default(), None, None)
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
    let sent = read(body).await?;
    let html = if sent.more.is_empty() {
        make(&console, form, sent).await?
    } else {
        draw(&console, form, &sent, false, Wrong::default(), None, None)?
    };
    Ok(Html(html).into_response())
}

async fn make(console: &Console, form: &'static Form, sent: Sent) -> Result<String, ConsoleError> {
    let mut fields: BTreeMap<String, String> =
        sent.fields.iter().filter(|(_, value)| !value.trim().is_empty()).map(own).collect();
    let code = code(form, &mut fields, &sent.package);
    let section = match form.section(&fields) {
        Ok(section) => section,
        Err(mistakes) => return draw(console, form, &sent, false, Wrong::of_fields(mistakes), None, None),
    };
    let text = section.text.clone();
    if sent.only_section {
        return draw(console, form, &sent, false, Wrong::default(), Some(text), None);
    }
    let new = NewSection { token: sent.token.clone(), text: text.clone(), code };
    match console.create(new).await {
        Ok(lines) => {
            let name = fields.get("name").map(String::as_str).unwrap_or_default();
            let made = Some((lines, made_page(form.kind, name, &fields).href()));
            draw(console, form, &sent, false, Wrong::default(), Some(text), made)
        }
        Err(refusal) => draw(console, form, &sent, false, Wrong::of_refusal(form, &section, refusal), Some(text), None),
    }
}

fn own((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

/// Takes the code out of a form and leaves where a pipeline file would have it.
fn code(form: &Form, fields: &mut BTreeMap<String, String>, package: &Bytes) -> Option<NewCode> {
    let has_code = form.parts.iter().flat_map(|part| part.fields).any(|field| field.entry == Entry::Code);
    let source = fields.remove("code");
    let code = match (package.is_empty(), source) {
        _ if !has_code => return None,
        (false, _) => NewCode::Zip(package.clone()),
        (true, Some(source)) => NewCode::Source(source),
        (true, None) => return None,
    };
    let name = fields.get("name").map(String::as_str).unwrap_or_default();
    fields.insert("code".to_owned(), format!("functions/{name}"));
    Some(code)
}

impl Wrong {
    fn of_fields(mistakes: Vec<FieldMistake>) -> Self {
        let fields = mistakes.into_iter().map(|mistake| (mistake.field, mistake.message)).collect();
        Self { fields, others: Vec::new() }
    }

    fn of_refusal(form: &Form, section: &Section, refusal: CreateRefusal) -> Self {
        let mut wrong = Self::default();
        match refusal {
            CreateRefusal::Forbidden => {
                let message = "this is not the node's token; `millstream keys` shows it";
                wrong.fields.insert("token".to_owned(), message.to_owned());
            }
            CreateRefusal::Failed(message) => wrong.others.push(message),
            CreateRefusal::Mistakes(mistakes) => {
                let drawn = |field: &str| form.parts.iter().any(|part| has(part, field));
                for Mistake { line, message, hint, .. } in mistakes {
                    let message = if hint.is_empty() { message } else { format!("{message}; {hint}") };
                    match section.field_at(line).filter(|field| drawn(field)) {
                        Some(field) => {
                            let said = wrong.fields.entry(field.to_owned()).or_default();
                            said.push_str(if said.is_empty() { "" } else { "\n" });
                            said.push_str(&message);
                        }
                        None => wrong.others.push(message),
                    }
                }
            }
        }
        wrong
    }
}

fn has(part: &Part, name: &str) -> bool {
    (1..=REPEATS_MAX).any(|index| part.fields.iter().any(|field| part.field_name(index, field) == name))
}

/// Draws a form with what was sent; `fresh`: with what it holds at first.
fn draw(
    console: &Console,
    form: &'static Form,
    sent: &Sent,
    fresh: bool,
    mut wrong: Wrong,
    section: Option<String>,
    made: Option<(Vec<String>, String)>,
) -> Result<String, ConsoleError> {
    let mut parts = Vec::new();
    for part in form.parts {
        let times = times(part, sent);
        for index in 1..=times {
            let more = (part.repeats && index == times && times < REPEATS_MAX).then_some(part.name);
            let title =
                if part.repeats && times > 1 { format!("{} {index}", part.title) } else { part.title.to_owned() };
            let fields = part.fields.iter().map(|field| {
                let name = part.field_name(index, field);
                let known = sent.fields.get(&name);
                let value = known
                    .cloned()
                    .unwrap_or_else(|| if fresh || part.repeats { field.start.to_owned() } else { String::new() });
                ShownField {
                    mistake: wrong.fields.remove(&name),
                    name,
                    label: field.label,
                    hint: field.hint,
                    control: control(field.entry),
                    value,
                    required: field.required,
                }
            });
            parts.push(ShownPart { title, fields: fields.collect(), more });
        }
    }
    // The token has no field of its own among the form's.
    let token = wrong.fields.remove("token");
    let left = wrong.fields.into_iter().map(|(field, message)| format!("{field}: {message}"));
    let mistakes: Vec<String> = token.into_iter().chain(wrong.others).chain(left).collect();
    let page = FormPage {
        frame: Frame::of(&Page::New(form.kind.to_owned())),
        title: form.title,
        about: form.about,
        parts,
        asks_token: console.create_needs_token(),
        mistakes,
        section,
        made,
    };
    Ok(page.render()?)
}

/// How often a part is drawn: as often as it was sent, once more when that was asked for, and once at least.
fn times(part: &'static Part, sent: &Sent) -> usize {
    if !part.repeats {
        return 1;
    }
    let drawn =
        |index: &usize| part.fields.iter().any(|field| sent.fields.contains_key(&part.field_name(*index, field)));
    let before = (1..=REPEATS_MAX).rev().find(drawn).unwrap_or(0);
    (before + usize::from(sent.more == part.name)).clamp(1, REPEATS_MAX)
}

fn control(entry: Entry) -> Control {
    match entry {
        Entry::Text | Entry::Words => Control::Line("text"),
        Entry::Number => Control::Line("numeric"),
        Entry::Choice(words) => Control::Choice(words),
        Entry::Switch => Control::Switch,
        Entry::Lines => Control::Area(10),
        Entry::Columns | Entry::Pairs => Control::Area(4),
        Entry::Code => Control::Code,
    }
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
        "function" => Page::Function(name),
        "query" => Page::Query(name),
        "event-hubs-namespace" => Page::Hubs(String::new()),
        "event-hub" => {
            let namespace = fields.get("namespace").cloned().unwrap_or_else(|| "default".to_owned());
            Page::Hub(namespace, name)
        }
        "blob-container" => Page::bucket(&name),
        "cosmos-database" => Page::Documents(String::new()),
        "event-grid-topic" => Page::Topic(name),
        "api-management" => Page::Service(name),
        "api" => Page::Services(String::new()),
        _ => Page::Overview,
    }
}

/// Takes a form's fields within bounds.
async fn read(mut body: Multipart) -> Result<Sent, ConsoleError> {
    let wrong =
        |error: MultipartError| ConsoleError::Invalid(format!("the form cannot be read: {}", error.body_text()));
    let mut sent = Sent::default();
    while let Some(field) = body.next_field().await.map_err(wrong)? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "code.file" {
            sent.package = field.bytes().await.map_err(wrong)?;
            continue;
        }
        let text = field.text().await.map_err(wrong)?;
        match name.as_str() {
            "token" => sent.token = text,
            "more" => sent.more = text,
            "as" => sent.only_section = text == "section",
            _ => {
                sent.fields.insert(name, text);
            }
        }
        if sent.fields.len() > FIELDS_MAX {
            return Err(ConsoleError::Invalid(format!("a form has at most {FIELDS_MAX} fields")));
        }
    }
    Ok(sent)
}
