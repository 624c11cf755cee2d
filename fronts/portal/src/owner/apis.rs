//! `/owner/apis`: what is published, and publishing from a deployed API with its own document or one that is pasted.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::StatusCode;
use millstream_catalog::PortalApiDefinition;
use millstream_portal::NewPortalApi;
use millstream_portal::openapi::DOCUMENT_BYTES_MAX;

use crate::Front;
use crate::error::{PageError, sentence, status};
use crate::fields::Fields;
use crate::format::date_time;
use crate::frame::{Frame, show, show_with};
use crate::pages::Asked;
use crate::visitor::{Owner, Visitor};

/// The longest form with a document: each of its bytes as `%XX`.
pub const DOCUMENT_FORM_BYTES_MAX: usize = 3 * DOCUMENT_BYTES_MAX + (64 << 10);

#[derive(Template)]
#[template(path = "pages/owner/apis.html")]
struct ApisPage {
    frame: Frame,
    apis: Vec<ApiRow>,
    form: ApiForm,
    mistake: Option<String>,
}

struct ApiRow {
    name: String,
    title: String,
    place: String,
    published: bool,
    updated: String,
}

#[derive(Template)]
#[template(path = "pages/owner/api.html")]
struct ApiPage {
    frame: Frame,
    name: String,
    published: bool,
    form: ApiForm,
    mistake: Option<String>,
}

/// What the form holds.
#[derive(Default)]
struct ApiForm {
    name: String,
    document: String,
    /// Deployed stages: `ID/STAGE`, a text, whether it is chosen.
    stages: Vec<(String, String, bool)>,
}

/// Shows all APIs and a form for another.
pub async fn show_page(
    State(front): State<Front>,
    Query(asked): Query<Asked>,
    Owner(visitor): Owner,
) -> Result<Response, PageError> {
    let form = ApiForm { stages: stages(&front, ""), ..ApiForm::default() };
    draw(&front, &visitor, form, (StatusCode::OK, None, asked.notice()))
}

/// `POST /owner/apis`: publishes one.
pub async fn publish(State(front): State<Front>, Owner(visitor): Owner, fields: Fields) -> Result<Response, PageError> {
    if front.portal().api(fields.text("name").trim()).is_ok() {
        let mistake = "There is an API of this name already; open it to change it.".to_owned();
        return draw(&front, &visitor, form(&front, &fields), (StatusCode::CONFLICT, Some(mistake), None));
    }
    match put(&front, fields.text("name"), &fields, true).await {
        Ok(()) => Ok(Redirect::to("/owner/apis?said=published").into_response()),
        Err(PageError::Portal(error)) => {
            let told = (status(&error), Some(sentence(&error.to_string())), None);
            draw(&front, &visitor, form(&front, &fields), told)
        }
        Err(other) => Err(other),
    }
}

/// `GET /owner/apis/{name}`: shows one, to be changed.
pub async fn show_one(
    State(front): State<Front>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
    Owner(visitor): Owner,
) -> Result<Response, PageError> {
    let api = front.portal().api(&name)?;
    show(&ApiPage {
        frame: Frame::of(&front, &visitor, "owner", &format!("API {name}")).noting(asked.notice()),
        name,
        published: api.published,
        form: form_of(&front, &api),
        mistake: None,
    })
}

/// `POST /owner/apis/{name}`: changes, shows, hides or removes it.
pub async fn change(
    State(front): State<Front>,
    Path(name): Path<String>,
    Owner(visitor): Owner,
    fields: Fields,
) -> Result<Response, PageError> {
    let api = front.portal().api(&name)?;
    let said = match fields.text("do") {
        "publish" | "hide" => {
            let published = fields.text("do") == "publish";
            front.portal().publish(&name, published).await?;
            if published { "published" } else { "hidden" }
        }
        "remove" => {
            front.portal().remove_api(&name).await?;
            return Ok(Redirect::to("/owner/apis?said=removed").into_response());
        }
        "save" => match put(&front, &name, &fields, api.published).await {
            Ok(()) => "saved",
            Err(PageError::Portal(error)) => {
                let page = ApiPage {
                    frame: Frame::of(&front, &visitor, "owner", &format!("API {name}")),
                    published: api.published,
                    form: form(&front, &fields),
                    mistake: Some(sentence(&error.to_string())),
                    name,
                };
                return show_with(status(&error), &page);
            }
            Err(other) => return Err(other),
        },
        _ => return Err(PageError::Form),
    };
    Ok(Redirect::to(&format!("/owner/apis/{name}?said={said}")).into_response())
}

async fn put(front: &Front, name: &str, fields: &Fields, published: bool) -> Result<(), PageError> {
    let (api, stage) = fields.text("stage").split_once('/').ok_or(PageError::Form)?;
    let document = Some(fields.text("document").to_owned());
    let (name, api, stage) = (name.to_owned(), api.to_owned(), stage.to_owned());
    front.portal().put_api(NewPortalApi { name, api, stage, document, published }).await?;
    Ok(())
}

fn form(front: &Front, fields: &Fields) -> ApiForm {
    ApiForm {
        name: fields.text("name").to_owned(),
        document: fields.text("document").to_owned(),
        stages: stages(front, fields.text("stage")),
    }
}

fn form_of(front: &Front, api: &PortalApiDefinition) -> ApiForm {
    let document = serde_json::from_str::<serde_json::Value>(&api.document).ok();
    let document = document.and_then(|document| serde_json::to_string_pretty(&document).ok());
    ApiForm {
        name: api.name.clone(),
        document: document.unwrap_or_else(|| api.document.clone()),
        stages: stages(front, &format!("{}/{}", api.api, api.stage)),
    }
}

/// The deployed stages that can be published.
fn stages(front: &Front, chosen: &str) -> Vec<(String, String, bool)> {
    let all = front.portal().deployed_stages();
    let choice = |(id, name, stage): (String, String, String)| {
        let value = format!("{id}/{stage}");
        let chosen = value == chosen;
        (value, format!("{name} ({id}), stage {stage}"), chosen)
    };
    all.into_iter().map(choice).collect()
}

fn draw(
    front: &Front,
    visitor: &Visitor,
    form: ApiForm,
    (status, mistake, notice): (StatusCode, Option<String>, Option<&'static str>),
) -> Result<Response, PageError> {
    let row = |api: &PortalApiDefinition| ApiRow {
        name: api.name.clone(),
        title: front.portal().document(api).map(|document| document.title.clone()).unwrap_or_default(),
        place: format!("{} / {}", api.api, api.stage),
        published: api.published,
        updated: date_time(api.updated),
    };
    let apis = front.portal().apis().iter().map(|api| row(api)).collect();
    let frame = Frame::of(front, visitor, "owner", "Published APIs").noting(notice);
    show_with(status, &ApisPage { frame, apis, form, mistake })
}
