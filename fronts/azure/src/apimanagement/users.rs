//! Users: `PUT`, `PATCH`, `GET`, `DELETE`, their list, and the subscriptions of one. They own subscriptions; nobody logs in as one,
//! so passwords and identities are refused.

use http::{Method, StatusCode};
use millstream_catalog::ManagedUser;
use millstream_gateway::GatewayError;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::ApiManagement;
use super::error::ArmError;
use super::management::{Answer, Target, input, page, put, unsupported};
use super::subscriptions;
use crate::request::AzureRequest;

#[derive(Deserialize)]
struct Input {
    #[serde(default)]
    properties: Properties,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    note: Option<String>,
    state: Option<String>,
    /// What else the service takes.
    #[serde(flatten)]
    others: Map<String, Value>,
}

pub(super) fn list(front: &ApiManagement, request: &AzureRequest, target: &Target) -> Answer {
    let service = front.managed.service(&target.service)?;
    page(request, service.users.values().map(|user| shown(target, user)).collect())
}

pub(super) async fn answer(front: &ApiManagement, request: &AzureRequest, target: &Target, name: &str) -> Answer {
    match request.method {
        Method::PUT => {
            let user = ManagedUser { name: name.to_owned(), ..ManagedUser::default() };
            let user = changed(user, input::<Input>(request)?.properties)?;
            let made = front.managed.put_user(&target.service, user).await?;
            Ok((put(made), shown(target, &find(front, target, name)?)))
        }
        Method::PATCH => {
            let user = changed(find(front, target, name)?, input::<Input>(request)?.properties)?;
            front.managed.put_user(&target.service, user).await?;
            Ok((StatusCode::OK, shown(target, &find(front, target, name)?)))
        }
        Method::GET => Ok((StatusCode::OK, shown(target, &find(front, target, name)?))),
        Method::DELETE => {
            let wanted = |pair: &str| pair.eq_ignore_ascii_case("deleteSubscriptions=true");
            let with_subscriptions = request.query.split('&').any(wanted);
            front.managed.delete_user(&target.service, name, with_subscriptions).await?;
            Ok((StatusCode::OK, Value::Null))
        }
        _ => Err(unsupported(request)),
    }
}

/// The subscriptions of a user.
pub(super) fn subscriptions(front: &ApiManagement, request: &AzureRequest, target: &Target, name: &str) -> Answer {
    find(front, target, name)?;
    let service = front.managed.service(&target.service)?;
    let own = service.subscriptions.values().filter(|subscription| subscription.owner.as_deref() == Some(name));
    page(request, own.map(|subscription| subscriptions::shown(target, subscription)).collect())
}

fn changed(mut user: ManagedUser, properties: Properties) -> Result<ManagedUser, ArmError> {
    if let Some((name, _)) = properties.others.iter().find(|(_, value)| !value.is_null()) {
        return Err(ArmError::unsupported(&format!("The property {name} of a user")));
    }
    user.blocked = match properties.state.as_deref() {
        None => user.blocked,
        Some("active") => false,
        Some("blocked") => true,
        Some(other) => return Err(ArmError::invalid(format!("state must be active or blocked, found {other}"))),
    };
    user.email = properties.email.unwrap_or(user.email);
    user.first_name = properties.first_name.unwrap_or(user.first_name);
    user.last_name = properties.last_name.unwrap_or(user.last_name);
    user.note = properties.note.unwrap_or(user.note);
    Ok(user)
}

fn find(front: &ApiManagement, target: &Target, name: &str) -> Result<ManagedUser, ArmError> {
    let service = front.managed.service(&target.service)?;
    let unknown = || GatewayError::NotFound { kind: "user", name: name.to_owned() };
    Ok(service.users.get(name).cloned().ok_or_else(unknown)?)
}

fn shown(target: &Target, user: &ManagedUser) -> Value {
    let properties = json!({
        "email": user.email,
        "firstName": user.first_name,
        "lastName": user.last_name,
        "note": user.note,
        "state": if user.blocked { "blocked" } else { "active" },
        "registrationDate": jiff::Timestamp::from_millisecond(user.created).ok().map(|at| at.to_string()),
        "identities": [],
        "groups": [],
    });
    target.resource(&format!("users/{}", user.name), "users", properties)
}
