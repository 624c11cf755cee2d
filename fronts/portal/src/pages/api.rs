//! `GET /apis/{name}`: an API with its operations.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::header;
use millstream_catalog::PortalApiDefinition;
use millstream_portal::openapi::{Document, Operation};

use crate::Front;
use crate::address::segment;
use crate::error::PageError;
use crate::format::paragraphs;
use crate::frame::{Frame, show};
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "pages/api.html")]
struct ApiPage {
    frame: Frame,
    name: String,
    version: String,
    description: Vec<String>,
    address: String,
    plans: Vec<(String, String)>,
    operations: Vec<OperationRow>,
}

/// An operation in a list.
pub struct OperationRow {
    /// Its address.
    pub href: String,
    /// The HTTP method.
    pub method: String,
    /// The path.
    pub path: String,
    /// In a few words.
    pub summary: String,
    /// Whether it should not be used any more.
    pub deprecated: bool,
}

/// Shows an API.
pub async fn show_page(
    State(front): State<Front>,
    Path(name): Path<String>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let api = visible(&front, &visitor, &name)?;
    let document = front.portal().document(&api)?;
    show(&ApiPage {
        frame: Frame::of(&front, &visitor, "apis", &document.title),
        version: document.version.clone(),
        description: paragraphs(&document.description),
        address: front.api_address(&api.api, &api.stage),
        plans: opened_by(&front, &api),
        operations: rows(&name, &document),
        name,
    })
}

/// `GET /apis/{name}/openapi.json`: the document itself, for tools.
pub async fn document(
    State(front): State<Front>,
    Path(name): Path<String>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let api = visible(&front, &visitor, &name)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], api.document.clone()).into_response())
}

/// An API that the visitor may see: published, or their own.
pub fn visible(front: &Front, visitor: &Visitor, name: &str) -> Result<std::sync::Arc<PortalApiDefinition>, PageError> {
    let found = front.portal().api(name).ok().filter(|api| api.published || visitor.is_owner());
    found.ok_or_else(|| PageError::not_found("API", name))
}

/// The operations of an API, for lists.
pub fn rows(name: &str, document: &Document) -> Vec<OperationRow> {
    let row = |operation: &Operation| OperationRow {
        href: format!("/apis/{}/{}", segment(name), segment(&operation.id)),
        method: operation.method.clone(),
        path: operation.path.clone(),
        summary: operation.summary.clone(),
        deprecated: operation.deprecated,
    };
    document.operations.iter().map(row).collect()
}

/// Id and name of the offered plans that open an API.
fn opened_by(front: &Front, api: &PortalApiDefinition) -> Vec<(String, String)> {
    let offers = front.portal().offers().into_iter();
    let opens = offers.filter(|offer| offer.plan.stage(&api.api, &api.stage).is_some());
    opens.map(|offer| (offer.plan.id.clone(), offer.plan.name.clone())).collect()
}
