//! `GET /apis/{name}/{operation}`: an operation, with a form to try it. What the form does is in [`super::try_call`].

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use millstream_catalog::{PortalApiDefinition, PortalSubscriptionState};
use millstream_portal::openapi::{Answer, Document, Field, Operation};

use super::api::{OperationRow, rows, visible};
use crate::Front;
use crate::address::segment;
use crate::error::PageError;
use crate::format::paragraphs;
use crate::frame::{Frame, show_with};
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "pages/operation.html")]
struct OperationPage {
    frame: Frame,
    api: String,
    api_title: String,
    href: String,
    others: Vec<OperationRow>,
    operation: Operation,
    description: Vec<String>,
    body_fields: Vec<FieldRow>,
    answers: Vec<(Answer, Vec<FieldRow>)>,
    subscriptions: Vec<Choice>,
    form: TryForm,
    tried: Tried,
}

/// A field of a schema as a row.
struct FieldRow {
    field: Field,
    /// The class that moves it to the right, by its depth.
    class: String,
}

/// A subscription whose key can be sent.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Its id.
    pub id: String,
    /// Its plan's name.
    pub name: String,
    /// Whether it is chosen.
    pub chosen: bool,
}

/// What the form holds: a value for each parameter, in their order.
#[derive(Debug, Clone, Default)]
pub struct TryForm {
    /// The parameters' values.
    pub values: Vec<String>,
    /// The body.
    pub body: String,
    /// The subscription.
    pub subscription: String,
}

/// What became of a call.
#[derive(Debug, Default)]
pub enum Tried {
    /// None was made.
    #[default]
    Not,
    /// It could not be made; a sentence.
    Mistake(String),
    /// It was answered.
    Answered(Shown),
}

/// An answer and the call that it answers.
#[derive(Debug)]
pub struct Shown {
    /// The call for a terminal.
    pub curl: String,
    /// `200 OK`.
    pub status: String,
    /// Whether the status is below 400.
    pub good: bool,
    /// Milliseconds.
    pub took_ms: i64,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

/// What a page of an operation is about.
pub struct Subject {
    /// The API.
    pub api: Arc<PortalApiDefinition>,
    /// Its document.
    pub document: Arc<Document>,
    /// The operation.
    pub operation: Operation,
}

/// Shows an operation.
pub async fn show_page(
    State(front): State<Front>,
    Path((name, operation)): Path<(String, String)>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let subject = subject(&front, &visitor, &name, &operation)?;
    let form = TryForm {
        values: subject.operation.parameters.iter().map(|parameter| parameter.example.clone()).collect(),
        body: subject.operation.body.as_ref().map(|body| body.example.clone()).unwrap_or_default(),
        subscription: choices(&visitor, &front, &subject.api, "")
            .first()
            .map(|first| first.id.clone())
            .unwrap_or_default(),
    };
    draw(&front, &visitor, subject, form, Tried::Not)
}

/// The operation at an address.
pub fn subject(front: &Front, visitor: &Visitor, name: &str, operation: &str) -> Result<Subject, PageError> {
    let api = visible(front, visitor, name)?;
    let document = front.portal().document(&api)?;
    let found = document.operations.iter().find(|found| found.id == operation).cloned();
    let operation = found.ok_or_else(|| PageError::not_found("operation", operation))?;
    Ok(Subject { api, document, operation })
}

/// The page of an operation, with what was tried.
pub fn draw(
    front: &Front,
    visitor: &Visitor,
    subject: Subject,
    form: TryForm,
    tried: Tried,
) -> Result<Response, PageError> {
    let Subject { api, document, operation } = subject;
    let title = if operation.summary.is_empty() { &operation.id } else { &operation.summary };
    let status = if matches!(tried, Tried::Mistake(_)) { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let page = OperationPage {
        frame: Frame::of(front, visitor, "apis", title),
        href: format!("/apis/{}/{}", segment(&api.name), segment(&operation.id)),
        api_title: document.title.clone(),
        others: rows(&api.name, &document),
        description: paragraphs(&operation.description),
        body_fields: operation.body.as_ref().map(|body| field_rows(&body.fields)).unwrap_or_default(),
        answers: operation.answers.iter().map(|answer| (answer.clone(), field_rows(&answer.fields))).collect(),
        subscriptions: choices(visitor, front, &api, &form.subscription),
        api: api.name.clone(),
        operation,
        form,
        tried,
    };
    show_with(status, &page)
}

fn field_rows(fields: &[Field]) -> Vec<FieldRow> {
    let row = |field: &Field| FieldRow { field: field.clone(), class: format!("depth-{}", field.depth) };
    fields.iter().map(row).collect()
}

/// The visitor's active subscriptions that open an API.
pub fn choices(visitor: &Visitor, front: &Front, api: &PortalApiDefinition, chosen: &str) -> Vec<Choice> {
    let Some(account) = &visitor.account else { return Vec::new() };
    let active = account.subscriptions.values().filter(|known| known.state == PortalSubscriptionState::Active);
    let opens = active
        .filter(|known| front.portal().plan(&known.plan).is_ok_and(|plan| plan.stage(&api.api, &api.stage).is_some()));
    opens
        .map(|known| Choice { id: known.id.clone(), name: known.plan_name.clone(), chosen: known.id == chosen })
        .collect()
}
