//! Tags of roles, users and policies.

use std::collections::BTreeMap;

use millstream_access::Entity;

use super::policies::reference;
use super::shown::show_tags;
use super::{Answer, Iam, required};
use crate::json_protocol::ServiceError;
use crate::query_protocol::QueryRequest;

/// The tags of a request that makes something or adds some.
pub(super) fn given(request: &QueryRequest) -> BTreeMap<String, String> {
    let tags = request.parameters.structures("Tags").into_iter();
    tags.filter_map(|mut tag| Some((tag.take("Key")?, tag.take("Value").unwrap_or_default()))).collect()
}

pub(super) async fn add(iam: &Iam, request: &QueryRequest) -> Answer {
    iam.authorizer.access.tag(&entity(iam, request)?, given(request), &[]).await?;
    iam.done(request)
}

pub(super) async fn remove(iam: &Iam, request: &QueryRequest) -> Answer {
    let keys = request.parameters.texts("TagKeys");
    iam.authorizer.access.tag(&entity(iam, request)?, BTreeMap::new(), &keys).await?;
    iam.done(request)
}

pub(super) fn list(iam: &Iam, request: &QueryRequest) -> Answer {
    let tags = iam.authorizer.access.tags(&entity(iam, request)?)?;
    iam.answer(request, |result| {
        show_tags(result, &tags);
        result.text("IsTruncated", "false");
    })
}

fn entity(iam: &Iam, request: &QueryRequest) -> Result<Entity, ServiceError> {
    if request.action.contains("Role") {
        return Ok(Entity::Role(required(request, "RoleName")?.to_owned()));
    }
    if request.action.contains("User") {
        return Ok(Entity::User(required(request, "UserName")?.to_owned()));
    }
    Ok(Entity::Policy(reference(iam, required(request, "PolicyArn")?)?.name().to_owned()))
}
