//! Users: `PUT`, `PATCH`, `GET`, `DELETE`, their list, and the subscriptions of one. They own subscriptions; nobody logs in as one,
//! so passwords and identities are refused.

use http::{Method, StatusCode};
use millstream_catalog::ManagedUser;
use millstream_gateway::GatewayError;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::ApiManagement;
use super::error::ArmError;
use super::management::{Answer, Target, input, page, put, set, unsupported};
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
            let mut user = ManagedUser { name: name.to_owned(), ..ManagedUser::default() };
            change(input::<Input>(request)?.properties)?(&mut user);
            let made = front.managed.put_user(&target.service, user).await?;
            Ok((put(made), shown(target, &find(front, target, name)?)))
        }
        Method::PATCH => {
            let change = change(input::<Input>(request)?.properties)?;
            front.managed.change_user(&target.service, name, change).await?;
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

/// What a request's properties change of a user.
fn change(properties: Properties) -> Result<impl FnOnce(&mut ManagedUser), ArmError> {
    if let Some((name, _)) = properties.others.iter().find(|(_, value)| !value.is_null()) {
        return Err(ArmError::unsupported(&format!("The property {name} of a user")));
    }
    let blocked = match properties.state.as_deref() {
        None => None,
        Some("active") => Some(false),
        Some("blocked") => Some(true),
        Some(other) => return Err(ArmError::invalid(format!("state must be active or blocked, found {other}"))),
    };
    Ok(move |user: &mut ManagedUser| {
        set(&mut user.blocked, blocked);
        set(&mut user.email, properties.email);
        set(&mut user.first_name, properties.first_name);
        set(&mut user.last_name, properties.last_name);
        set(&mut user.note, properties.note);
    })
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
