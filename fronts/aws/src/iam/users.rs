//! Operations on users.

use millstream_access::{Caller, NewUser};

use super::page::Page;
use super::shown::date;
use super::{Answer, Iam, refuse, required, tags, user_name};
use crate::query_protocol::{QueryRequest, members};

pub(super) async fn create(iam: &Iam, request: &QueryRequest) -> Answer {
    refuse(request, &["PermissionsBoundary"])?;
    let new = NewUser {
        name: required(request, "UserName")?.to_owned(),
        path: request.parameters.get("Path").unwrap_or_default().to_owned(),
        tags: tags::given(request),
    };
    let user = iam.authorizer.access.create_user(new, iam.clock.now()).await?;
    iam.answer(request, |result| result.child("User", |element| iam.show_user(element, &user)))
}

/// Without a name it is about the caller, who may be the root.
pub(super) fn get(iam: &Iam, request: &QueryRequest) -> Answer {
    if request.parameters.get("UserName").is_none() && request.caller == Caller::Root {
        return iam.answer(request, |result| {
            result.child("User", |element| {
                element.text("Path", "/");
                element.text("UserId", &iam.authorizer.id(&request.caller));
                element.text("Arn", &iam.authorizer.arn(&request.caller));
                element.text("CreateDate", &date(0));
            });
        });
    }
    let user = iam.authorizer.access.user(&user_name(request)?)?;
    iam.answer(request, |result| result.child("User", |element| iam.show_user(element, &user)))
}

pub(super) fn list(iam: &Iam, request: &QueryRequest) -> Answer {
    let prefix = request.parameters.get("PathPrefix").unwrap_or("/");
    let mut users = iam.authorizer.access.users();
    users.retain(|user| user.path.starts_with(prefix));
    let page = Page::of(request, users, |user| &user.name)?;
    iam.answer(request, |result| {
        members(result, "Users", &page.items, |element, user| iam.show_user(element, user));
        page.end(result);
    })
}

pub(super) async fn delete(iam: &Iam, request: &QueryRequest) -> Answer {
    iam.authorizer.access.delete_user(required(request, "UserName")?).await?;
    iam.done(request)
}

/// There are no groups; tools ask before they delete a user.
pub(super) fn groups(iam: &Iam, request: &QueryRequest) -> Answer {
    iam.authorizer.access.user(required(request, "UserName")?)?;
    iam.answer(request, |result| {
        members::<()>(result, "Groups", &[], |_, ()| {});
        result.text("IsTruncated", "false");
    })
}
