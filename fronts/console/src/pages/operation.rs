//! `/apis/{service}/{api}/{operation}`: an operation's policies, and a form that calls it; [`super::call`] does so.

use askama::Template;
use serde::Deserialize;

use super::Frame;
use crate::Console;
use crate::console::not_found;
use crate::error::ConsoleError;
use crate::page::Page;
use crate::partials::{Grid, LIST_MAX};

#[derive(Template)]
#[template(path = "pages/operation.html")]
struct OperationPage<'a> {
    frame: Frame,
    api: &'a str,
    api_href: String,
    api_path: &'a str,
    method: &'a str,
    template: &'a str,
    policy: Option<&'a str>,
    href: String,
    form: CallForm,
    subscriptions: Vec<&'a String>,
    answer: Option<Answer>,
    mistake: Option<String>,
}

/// What the form holds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CallForm {
    /// Behind the API's own path.
    pub path: String,
    /// Without its question mark.
    pub query: String,
    /// `Name: value`, one a line.
    pub headers: String,
    /// The body.
    pub body: String,
    /// The subscription whose key is sent; empty: none.
    pub subscription: String,
}

/// What a call was answered with.
pub(super) struct Answer {
    pub(super) status: String,
    pub(super) failure: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) size: String,
    pub(super) body: String,
    pub(super) trace: Grid,
}

pub(super) fn page(console: &Console, names: [&str; 3], frame: Frame) -> Result<String, ConsoleError> {
    draw(console, names, frame, None, Ok(None))
}

/// The page with a form as it was sent and what came of it, or what is wrong with it.
pub(super) fn draw(
    console: &Console,
    [service, api, name]: [&str; 3],
    frame: Frame,
    form: Option<CallForm>,
    called: Result<Option<Answer>, String>,
) -> Result<String, ConsoleError> {
    let definition = console.service(service)?;
    let found = definition.apis.get(api).ok_or_else(|| not_found("API", api))?;
    let operation = found.operations.get(name).ok_or_else(|| not_found("operation", name))?;
    let (answer, mistake) = match called {
        Ok(answer) => (answer, None),
        Err(mistake) => (None, Some(mistake)),
    };
    let page = OperationPage {
        frame,
        api,
        api_href: Page::ManagedApi(service.to_owned(), api.to_owned()).href(),
        api_path: &found.path,
        method: &operation.method,
        template: &operation.template,
        policy: operation.policy.as_deref(),
        href: Page::Operation(service.to_owned(), api.to_owned(), name.to_owned()).href(),
        form: form.unwrap_or_else(|| CallForm { path: operation.template.clone(), ..CallForm::default() }),
        subscriptions: definition.subscriptions.keys().take(LIST_MAX).collect(),
        answer,
        mistake,
    };
    Ok(page.render()?)
}
