//! Subscriptions: `PUT`, `GET`, `DELETE`, their list and their keys.

use http::{Method, StatusCode};
use millstream_catalog::{ManagedSubscriptionState, Subscription, SubscriptionScope};
use millstream_gateway::GatewayError;
use millstream_gateway::managed::definitions::{KeyName, NewSubscription};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiManagement;
use super::error::ArmError;
use super::management::{Answer, Target, input, page, put, unsupported};
use crate::request::AzureRequest;

#[derive(Deserialize)]
struct Input {
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    display_name: Option<String>,
    scope: Option<String>,
    state: Option<String>,
    primary_key: Option<String>,
    secondary_key: Option<String>,
    owner_id: Option<String>,
    allow_tracing: Option<bool>,
}

/// States as they are written.
const STATES: [(&str, ManagedSubscriptionState); 6] = [
    ("active", ManagedSubscriptionState::Active),
    ("suspended", ManagedSubscriptionState::Suspended),
    ("submitted", ManagedSubscriptionState::Submitted),
    ("rejected", ManagedSubscriptionState::Rejected),
    ("cancelled", ManagedSubscriptionState::Cancelled),
    ("expired", ManagedSubscriptionState::Expired),
];

pub(super) fn list(front: &ApiManagement, request: &AzureRequest, target: &Target) -> Answer {
    let service = front.managed.service(&target.service)?;
    page(request, service.subscriptions.values().map(|subscription| shown(target, subscription)).collect())
}

pub(super) async fn answer(front: &ApiManagement, request: &AzureRequest, target: &Target, name: &str) -> Answer {
    match request.method {
        Method::PUT => {
            let asked = asked(name, input::<Input>(request)?.properties)?;
            let (subscription, made) = front.managed.put_subscription(&target.service, asked).await?;
            Ok((put(made), shown(target, &subscription)))
        }
        Method::GET => Ok((StatusCode::OK, shown(target, &find(front, target, name)?))),
        Method::DELETE => {
            front.managed.delete_subscription(&target.service, name).await?;
            Ok((StatusCode::OK, Value::Null))
        }
        _ => Err(unsupported(request)),
    }
}

pub(super) fn secrets(front: &ApiManagement, target: &Target, name: &str) -> Answer {
    let found = find(front, target, name)?;
    Ok((StatusCode::OK, json!({ "primaryKey": found.primary_key, "secondaryKey": found.secondary_key })))
}

pub(super) async fn regenerate(front: &ApiManagement, target: &Target, name: &str, key: KeyName) -> Answer {
    front.managed.regenerate_key(&target.service, name, key).await?;
    Ok((StatusCode::NO_CONTENT, Value::Null))
}

fn asked(name: &str, properties: Properties) -> Result<NewSubscription, ArmError> {
    if properties.allow_tracing == Some(true) {
        return Err(ArmError::unsupported("A subscription with allowTracing"));
    }
    let scope = properties.scope.ok_or_else(|| ArmError::invalid("Property 'scope' is required."))?;
    let state = properties.state.as_deref().unwrap_or("active");
    let state = STATES.iter().find(|(name, _)| *name == state).map(|(_, state)| *state);
    Ok(NewSubscription {
        name: name.to_owned(),
        display_name: properties.display_name.unwrap_or_else(|| name.to_owned()),
        owner: properties.owner_id.as_deref().map(owner_of).transpose()?,
        scope: scope_of(&scope).ok_or_else(|| {
            ArmError::invalid(format!("scope must be /apis, /apis/NAME or /products/NAME, found {scope}"))
        })?,
        state: state.ok_or_else(|| {
            ArmError::invalid("state must be active, suspended, submitted, rejected, cancelled or expired")
        })?,
        primary_key: properties.primary_key,
        secondary_key: properties.secondary_key,
    })
}

/// A scope, alone or behind a service's id.
fn scope_of(text: &str) -> Option<SubscriptionScope> {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [.., "apis"] => Some(SubscriptionScope::AllApis),
        [.., "apis", api] => Some(SubscriptionScope::Api((*api).to_owned())),
        [.., "products", product] => Some(SubscriptionScope::Product((*product).to_owned())),
        _ => None,
    }
}

/// A user's name, behind `/users/` or behind a service's id too.
fn owner_of(text: &str) -> Result<String, ArmError> {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [.., "users", user] => Ok((*user).to_owned()),
        _ => Err(ArmError::invalid(format!("ownerId must be /users/NAME, found {text}"))),
    }
}

fn find(front: &ApiManagement, target: &Target, name: &str) -> Result<Subscription, ArmError> {
    let service = front.managed.service(&target.service)?;
    let unknown = || GatewayError::NotFound { kind: "subscription", name: name.to_owned() };
    Ok(service.subscriptions.get(name).cloned().ok_or_else(unknown)?)
}

/// Keys are shown by `listSecrets` only.
pub(super) fn shown(target: &Target, subscription: &Subscription) -> Value {
    let scope = match &subscription.scope {
        SubscriptionScope::AllApis => "apis".to_owned(),
        SubscriptionScope::Api(api) => format!("apis/{api}"),
        SubscriptionScope::Product(product) => format!("products/{product}"),
    };
    let state = STATES.iter().find(|(_, state)| *state == subscription.state).map(|(name, _)| *name);
    let mut properties = json!({
        "displayName": subscription.display_name,
        "scope": format!("{}/{scope}", target.root),
        "state": state,
        "createdDate": jiff::Timestamp::from_millisecond(subscription.created).ok().map(|at| at.to_string()),
    });
    if let Some(owner) = &subscription.owner {
        properties["ownerId"] = json!(format!("{}/users/{owner}", target.root));
    }
    target.resource(&format!("subscriptions/{}", subscription.name), "subscriptions", properties)
}
