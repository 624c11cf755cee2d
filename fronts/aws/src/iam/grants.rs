//! Policies of roles and users: their own, and those that they have attached.

use millstream_access::Holder;
use millstream_catalog::PolicyReference;

use super::page::Page;
use super::policies::reference;
use super::shown::document;
use super::{Answer, Iam, error, holder, required};
use crate::json_protocol::ServiceError;
use crate::query_protocol::{QueryRequest, members};

pub(super) async fn put(iam: &Iam, request: &QueryRequest) -> Answer {
    let (name, document) = (required(request, "PolicyName")?, required(request, "PolicyDocument")?);
    iam.authorizer.access.put_inline(&holder(request)?, name, document.to_owned()).await?;
    iam.done(request)
}

pub(super) fn get(iam: &Iam, request: &QueryRequest) -> Answer {
    let (holder, name) = (holder(request)?, required(request, "PolicyName")?);
    let text = iam.authorizer.access.inline(&holder, name)?;
    iam.answer(request, |result| {
        match &holder {
            Holder::Role(role) => result.text("RoleName", role),
            Holder::User(user) => result.text("UserName", user),
        }
        result.text("PolicyName", name);
        result.text("PolicyDocument", &document(&text));
    })
}

pub(super) fn list(iam: &Iam, request: &QueryRequest) -> Answer {
    let names = iam.authorizer.access.grants(&holder(request)?)?.inline.into_keys().collect();
    let page = Page::of(request, names, String::as_str)?;
    iam.answer(request, |result| {
        result.child("PolicyNames", |list| page.items.iter().for_each(|name| list.text("member", name)));
        page.end(result);
    })
}

pub(super) async fn delete(iam: &Iam, request: &QueryRequest) -> Answer {
    iam.authorizer.access.delete_inline(&holder(request)?, required(request, "PolicyName")?).await?;
    iam.done(request)
}

pub(super) async fn attach(iam: &Iam, request: &QueryRequest) -> Answer {
    let holder = holder(request)?;
    iam.authorizer.access.attach(&holder, policy(iam, request)?).await?;
    iam.done(request)
}

pub(super) async fn detach(iam: &Iam, request: &QueryRequest) -> Answer {
    let (holder, arn) = (holder(request)?, required(request, "PolicyArn")?);
    if !iam.authorizer.access.grants(&holder)?.attached.contains(&policy(iam, request)?) {
        return Err(ServiceError { status: 404, ..error::no_policy(arn) });
    }
    iam.authorizer.access.detach(&holder, &policy(iam, request)?).await?;
    iam.done(request)
}

pub(super) fn attached(iam: &Iam, request: &QueryRequest) -> Answer {
    let mut attached: Vec<PolicyReference> =
        iam.authorizer.access.grants(&holder(request)?)?.attached.into_iter().collect();
    attached.sort_by(|one, other| one.name().cmp(other.name()));
    let page = Page::of(request, attached, PolicyReference::name)?;
    iam.answer(request, |result| {
        members(result, "AttachedPolicies", &page.items, |element, reference| {
            element.text("PolicyName", reference.name());
            element.text("PolicyArn", &iam.authorizer.reference_arn(reference));
        });
        page.end(result);
    })
}

fn policy(iam: &Iam, request: &QueryRequest) -> Result<PolicyReference, ServiceError> {
    reference(iam, required(request, "PolicyArn")?)
}
