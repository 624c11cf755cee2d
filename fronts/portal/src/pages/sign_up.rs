//! `/signup`: making an account.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use http::StatusCode;
use millstream_portal::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN};

use crate::Front;
use crate::error::{PageError, sentence, status};
use crate::fields::Fields;
use crate::frame::{Frame, show_with};
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "pages/sign_up.html")]
struct SignUpPage {
    frame: Frame,
    name: String,
    email: String,
    mistake: Option<String>,
    chars_min: usize,
    chars_max: usize,
}

/// Shows the form.
pub async fn show_page(State(front): State<Front>, visitor: Visitor) -> Result<Response, PageError> {
    if visitor.account.is_some() {
        return Ok(Redirect::to("/account").into_response());
    }
    draw(&front, &visitor, ("", ""), (StatusCode::OK, None))
}

/// Makes the account. The answer is the same when there was one.
pub async fn sign_up(State(front): State<Front>, visitor: Visitor, mut fields: Fields) -> Result<Response, PageError> {
    let password = fields.take("password");
    let (name, email) = (fields.text("name"), fields.text("email"));
    match front.portal().sign_up(name, email, password, visitor.from).await {
        Ok(()) => Ok(Redirect::to("/login?said=signed-up").into_response()),
        Err(error) => draw(&front, &visitor, (name, email), (status(&error), Some(sentence(&error.to_string())))),
    }
}

fn draw(
    front: &Front,
    visitor: &Visitor,
    (name, email): (&str, &str),
    (status, mistake): (StatusCode, Option<String>),
) -> Result<Response, PageError> {
    let page = SignUpPage {
        frame: Frame::of(front, visitor, "", "Sign up"),
        name: name.to_owned(),
        email: email.to_owned(),
        mistake,
        chars_min: PASSWORD_CHARS_MIN,
        chars_max: PASSWORD_BYTES_MAX,
    };
    show_with(status, &page)
}
