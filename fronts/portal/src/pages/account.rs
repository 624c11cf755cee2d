//! `/account`: one's subscriptions, name, password and sessions.

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
use crate::overview::{SubscriptionRow, subscription_rows};
use crate::visitor::Member;

#[derive(Template)]
#[template(path = "pages/account.html")]
struct AccountPage {
    frame: Frame,
    name: String,
    email: String,
    subscriptions: Vec<SubscriptionRow>,
    sessions: usize,
    has_password: bool,
    mistake: Option<String>,
    chars_min: usize,
    chars_max: usize,
}

/// Shows the account.
pub async fn show_page(
    State(front): State<Front>,
    Query(asked): Query<Asked>,
    member: Member,
) -> Result<Response, PageError> {
    draw(&front, &member, (StatusCode::OK, None, asked.notice())).await
}

/// `POST /account/name`
pub async fn rename(State(front): State<Front>, member: Member, fields: Fields) -> Result<Response, PageError> {
    let renamed = front.portal().rename(&member.account.email, fields.text("name")).await;
    after(&front, &member, renamed, "renamed").await
}

/// `POST /account/password`
pub async fn change_password(
    State(front): State<Front>,
    member: Member,
    mut fields: Fields,
) -> Result<Response, PageError> {
    let (current, new) = (fields.take("current"), fields.take("password"));
    let changed = front.portal().change_password(&member.account.email, current, new, &member.visitor.secret).await;
    after(&front, &member, changed, "password").await
}

/// `POST /account/sessions`: ends all others.
pub async fn log_out_elsewhere(
    State(front): State<Front>,
    member: Member,
    _fields: Fields,
) -> Result<Response, PageError> {
    let ended = front.portal().log_out_elsewhere(&member.account.email, &member.visitor.secret).await;
    after(&front, &member, ended, "logged-out-elsewhere").await
}

async fn after(
    front: &Front,
    member: &Member,
    done: Result<(), PortalError>,
    said: &str,
) -> Result<Response, PageError> {
    match done {
        Ok(()) => Ok(Redirect::to(&format!("/account?said={said}")).into_response()),
        Err(error) => draw(front, member, (status(&error), Some(sentence(&error.to_string())), None)).await,
    }
}

async fn draw(
    front: &Front,
    member: &Member,
    (status, mistake, notice): (StatusCode, Option<String>, Option<&'static str>),
) -> Result<Response, PageError> {
    let account = &member.account;
    let page = AccountPage {
        frame: Frame::of(front, &member.visitor, "account", "Your account").noting(notice),
        name: account.name.clone(),
        email: account.email.clone(),
        subscriptions: subscription_rows(front, account).await?,
        sessions: front.portal().sessions(&account.email),
        has_password: account.password.is_some(),
        mistake,
        chars_min: PASSWORD_CHARS_MIN,
        chars_max: PASSWORD_BYTES_MAX,
    };
    show_with(status, &page)
}
