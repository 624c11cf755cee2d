//! What surrounds every page, and the two pages that are nothing else.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;

use crate::Front;
use crate::assets::{LINKS, Links};
use crate::error::PageError;
use crate::visitor::Visitor;

/// What surrounds a page.
pub struct Frame {
    /// The page's name.
    pub title: String,
    /// The portal's title.
    pub portal: String,
    /// Style and icon.
    pub links: &'static Links,
    /// The marked entry of the navigation.
    pub section: &'static str,
    /// The name of who is logged in.
    pub account: Option<String>,
    /// Whether it is an owner.
    pub owner: bool,
    /// What forms bring back.
    pub token: String,
    /// What was just done.
    pub notice: Option<&'static str>,
}

impl Frame {
    /// For a page of a section.
    pub fn of(front: &Front, visitor: &Visitor, section: &'static str, title: &str) -> Self {
        Self {
            title: title.to_owned(),
            portal: front.portal().definition().title.clone(),
            links: &LINKS,
            section,
            account: visitor.account.as_ref().map(|account| account.name.clone()),
            owner: visitor.is_owner(),
            token: visitor.token.clone(),
            notice: None,
        }
    }

    /// For a page that knows nobody.
    pub fn plain(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            portal: "Developer portal".to_owned(),
            links: &LINKS,
            section: "",
            account: None,
            owner: false,
            token: String::new(),
            notice: None,
        }
    }

    /// With what was just done.
    pub fn noting(self, notice: Option<&'static str>) -> Self {
        Self { notice, ..self }
    }
}

/// A page that says what went wrong.
#[derive(Template)]
#[template(path = "pages/failed.html")]
pub struct FailedPage {
    /// What surrounds it.
    pub frame: Frame,
    /// What went wrong.
    pub message: String,
}

/// A page that shows a link, once.
#[derive(Template)]
#[template(path = "pages/link.html")]
pub struct LinkPage {
    /// What surrounds it.
    pub frame: Frame,
    /// Whose link.
    pub email: String,
    /// The link.
    pub link: String,
}

/// A page as an answer.
pub fn show(page: &impl Template) -> Result<Response, PageError> {
    Ok(Html(page.render()?).into_response())
}

/// A page as an answer that says that something did not work.
pub fn show_with(status: StatusCode, page: &impl Template) -> Result<Response, PageError> {
    Ok((status, Html(page.render()?)).into_response())
}

/// What was done, by the word that an address carries: only these sentences can be shown.
pub fn notice(word: &str) -> Option<&'static str> {
    Some(match word {
        "signed-up" => {
            "You can log in now. If the address had an account before, that one and its password are unchanged."
        }
        "logged-out" => "You are logged out.",
        "subscribed" => "You are subscribed. Your key is below.",
        "requested" => "The owner was asked to agree. You will find the key here as soon as they did.",
        "rotated" => "There is a new key. The old one works until you revoke it.",
        "revoked" => "The old key is revoked.",
        "ended" => "The subscription has ended and its key opens nothing any more.",
        "renamed" => "Your name is changed.",
        "password" => "Your password is changed. All other sessions have ended.",
        "logged-out-elsewhere" => "All other sessions have ended.",
        "agreed" => "Agreed: the subscription is active.",
        "refused" => "Refused.",
        "saved" => "Saved.",
        "published" => "Visitors see the API now.",
        "hidden" => "Visitors do not see the API any more.",
        "removed" => "The API is taken out of the portal.",
        "blocked" => "The account is blocked: its sessions have ended and its keys open nothing.",
        "unblocked" => "The account may come in again.",
        _ => return None,
    })
}
