//! `/invitation`: choosing a password by a link.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::StatusCode;
use millstream_portal::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, PortalError};

use super::Asked;
use crate::Front;
use crate::error::{PageError, sentence, status};
use crate::fields::Fields;
use crate::frame::{Frame, show_with};
use crate::visitor::{Visitor, set_cookie};

#[derive(Template)]
#[template(path = "pages/invitation.html")]
struct InvitationPage {
    frame: Frame,
    email: String,
    link: String,
    mistake: Option<String>,
    chars_min: usize,
    chars_max: usize,
}

/// Shows the form.
pub async fn show_page(
    State(front): State<Front>,
    Query(asked): Query<Asked>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    draw(&front, &visitor, asked.link, (StatusCode::OK, None))
}

/// Chooses the password and begins a session.
pub async fn accept(State(front): State<Front>, visitor: Visitor, mut fields: Fields) -> Result<Response, PageError> {
    let (password, link) = (fields.take("password"), fields.take("link"));
    match front.portal().accept_invitation(&link, password, visitor.from).await {
        Ok(secret) => {
            let mut response = Redirect::to("/account").into_response();
            set_cookie(&mut response, &secret, visitor.secure);
            Ok(response)
        }
        Err(error) => draw(&front, &visitor, link, (status(&error), Some(sentence(&error.to_string())))),
    }
}

fn draw(
    front: &Front,
    visitor: &Visitor,
    link: String,
    (status, mistake): (StatusCode, Option<String>),
) -> Result<Response, PageError> {
    let email = front.portal().invited(&link).ok_or(PortalError::Invitation)?;
    let page = InvitationPage {
        frame: Frame::of(front, visitor, "", "Choose a password"),
        email,
        link,
        mistake,
        chars_min: PASSWORD_CHARS_MIN,
        chars_max: PASSWORD_BYTES_MAX,
    };
    show_with(status, &page)
}
