//! `/owner/settings`: how the portal presents itself.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::StatusCode;
use millstream_catalog::PortalDefinition;

use crate::Front;
use crate::error::{PageError, sentence, status};
use crate::fields::Fields;
use crate::frame::{Frame, show_with};
use crate::pages::Asked;
use crate::visitor::{Owner, Visitor};

#[derive(Template)]
#[template(path = "pages/owner/settings.html")]
struct SettingsPage {
    frame: Frame,
    form: PortalDefinition,
    mistake: Option<String>,
}

/// Shows the form.
pub async fn show_page(
    State(front): State<Front>,
    Query(asked): Query<Asked>,
    Owner(visitor): Owner,
) -> Result<Response, PageError> {
    let form = (*front.portal().definition()).clone();
    draw(&front, &visitor, form, (StatusCode::OK, None, asked.notice()))
}

/// Saves the form.
pub async fn save(State(front): State<Front>, Owner(visitor): Owner, fields: Fields) -> Result<Response, PageError> {
    let form = PortalDefinition {
        title: fields.text("title").to_owned(),
        introduction: fields.text("introduction").replace("\r\n", "\n"),
        currency: fields.text("currency").to_owned(),
    };
    match front.portal().present(form.clone()).await {
        Ok(()) => Ok(Redirect::to("/owner/settings?said=saved").into_response()),
        Err(error) => draw(&front, &visitor, form, (status(&error), Some(sentence(&error.to_string())), None)),
    }
}

fn draw(
    front: &Front,
    visitor: &Visitor,
    form: PortalDefinition,
    (status, mistake, notice): (StatusCode, Option<String>, Option<&'static str>),
) -> Result<Response, PageError> {
    let frame = Frame::of(front, visitor, "owner", "Settings").noting(notice);
    show_with(status, &SettingsPage { frame, form, mistake })
}
