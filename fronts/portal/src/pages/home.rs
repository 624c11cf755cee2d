//! `GET /`: what is here.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;

use super::Asked;
use crate::Front;
use crate::error::PageError;
use crate::format::{count, paragraphs, price_lines};
use crate::frame::{Frame, show};
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "pages/home.html")]
struct HomePage {
    frame: Frame,
    introduction: Vec<String>,
    apis: Vec<ApiCard>,
    plans: Vec<PlanCard>,
}

/// An API in a list.
struct ApiCard {
    name: String,
    title: String,
    version: String,
    summary: String,
    operations: String,
}

/// A plan in a few words.
struct PlanCard {
    id: String,
    name: String,
    price: Vec<String>,
}

/// Shows what is published and offered.
pub async fn show_page(
    State(front): State<Front>,
    Query(asked): Query<Asked>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let definition = front.portal().definition();
    let mut apis = Vec::new();
    for api in front.portal().apis().iter().filter(|api| api.published) {
        let document = front.portal().document(api)?;
        let operations = document.operations.len();
        apis.push(ApiCard {
            name: api.name.clone(),
            title: document.title.clone(),
            version: document.version.clone(),
            summary: paragraphs(&document.description).into_iter().next().unwrap_or_default(),
            operations: format!(
                "{} {}",
                count(operations as u64),
                if operations == 1 { "operation" } else { "operations" }
            ),
        });
    }
    let plans = front.portal().offers().into_iter().map(|offer| PlanCard {
        id: offer.plan.id.clone(),
        name: offer.plan.name.clone(),
        price: price_lines(&offer.offer.price, &definition.currency),
    });
    let frame = Frame::of(&front, &visitor, "apis", &definition.title).noting(asked.notice());
    show(&HomePage { frame, introduction: paragraphs(&definition.introduction), apis, plans: plans.collect() })
}
