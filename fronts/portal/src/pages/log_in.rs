//! `/login` and `/logout`.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::StatusCode;
use millstream_portal::DEVELOPMENT_OWNER;
use millstream_portal::secret::new_secret;

use super::Asked;
use crate::Front;
use crate::address::next;
use crate::error::{PageError, sentence, status};
use crate::fields::Fields;
use crate::frame::{Frame, show_with};
use crate::visitor::{Visitor, set_cookie};

#[derive(Template)]
#[template(path = "pages/log_in.html")]
struct LogInPage {
    frame: Frame,
    email: String,
    next: String,
    mistake: Option<String>,
    /// The published owner of a development node, and the password.
    development: Option<(&'static str, &'static str)>,
}

/// Shows the form.
pub async fn show_page(
    State(front): State<Front>,
    Query(asked): Query<Asked>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    if visitor.account.is_some() {
        return Ok(Redirect::to(next(&asked.next)).into_response());
    }
    draw(&front, &visitor, ("", &asked.next), (StatusCode::OK, None, asked.notice()))
}

/// Begins a session under a secret that nobody had before.
pub async fn log_in(State(front): State<Front>, visitor: Visitor, mut fields: Fields) -> Result<Response, PageError> {
    let password = fields.take("password");
    let (email, wanted) = (fields.text("email"), fields.text("next"));
    match front.portal().log_in(email, password, visitor.from).await {
        Ok(secret) => {
            let mut response = Redirect::to(next(wanted)).into_response();
            set_cookie(&mut response, &secret, visitor.secure);
            Ok(response)
        }
        Err(error) => {
            draw(&front, &visitor, (email, wanted), (status(&error), Some(sentence(&error.to_string())), None))
        }
    }
}

/// Ends the session; the browser gets a secret that is none.
pub async fn log_out(State(front): State<Front>, visitor: Visitor, _fields: Fields) -> Result<Response, PageError> {
    front.portal().log_out(&visitor.secret).await?;
    let mut response = Redirect::to("/?said=logged-out").into_response();
    set_cookie(&mut response, &new_secret(), visitor.secure);
    Ok(response)
}

fn draw(
    front: &Front,
    visitor: &Visitor,
    (email, wanted): (&str, &str),
    (status, mistake, notice): (StatusCode, Option<String>, Option<&'static str>),
) -> Result<Response, PageError> {
    let page = LogInPage {
        frame: Frame::of(front, visitor, "", "Log in").noting(notice),
        email: email.to_owned(),
        next: next(wanted).to_owned(),
        mistake,
        development: front.development().then_some(DEVELOPMENT_OWNER),
    };
    show_with(status, &page)
}
