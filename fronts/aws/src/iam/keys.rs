//! Operations on access keys.

use super::page::Page;
use super::shown::show_key;
use super::{Answer, Iam, error, required, user_name};
use crate::query_protocol::{QueryRequest, members};

/// The only answer that shows a key's secret.
pub(super) async fn create(iam: &Iam, request: &QueryRequest) -> Answer {
    let user = user_name(request)?;
    let key = iam.authorizer.access.create_key(&user, iam.clock.now()).await?;
    iam.answer(request, |result| {
        result.child("AccessKey", |element| {
            show_key(element, &user, &key);
            element.text("SecretAccessKey", &key.secret);
        });
    })
}

pub(super) fn list(iam: &Iam, request: &QueryRequest) -> Answer {
    let user = user_name(request)?;
    let page = Page::of(request, iam.authorizer.access.keys_of(&user)?, |key| &key.id)?;
    iam.answer(request, |result| {
        members(result, "AccessKeyMetadata", &page.items, |element, key| show_key(element, &user, key));
        page.end(result);
    })
}

pub(super) async fn update(iam: &Iam, request: &QueryRequest) -> Answer {
    let active = match required(request, "Status")? {
        "Active" => true,
        "Inactive" => false,
        other => return Err(error::validation(&format!("Expected Active or Inactive as Status, found {other}"))),
    };
    let (user, id) = (user_name(request)?, required(request, "AccessKeyId")?);
    iam.authorizer.access.set_key_active(&user, id, active).await?;
    iam.done(request)
}

pub(super) async fn delete(iam: &Iam, request: &QueryRequest) -> Answer {
    let (user, id) = (user_name(request)?, required(request, "AccessKeyId")?);
    iam.authorizer.access.delete_key(&user, id).await?;
    iam.done(request)
}
