//! Calls on resources, as the cloud's resource manager takes them: namespaces, hubs, consumer groups, policies and keys.
//!
//! `/subscriptions/S/resourceGroups/G/providers/Microsoft.EventHub/namespaces/N/eventhubs/H/…`; subscription and group are
//! taken as they come.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use millstream_catalog::{
    AccessPolicyDefinition, AccessRights, ConsumerGroupDefinition, HubDefinition, NamespaceDefinition,
};
use millstream_namespace::{KeyName, NamespaceError, NewHub, Scope};
use millstream_types::ErrorKind;
use millstream_types::time::rfc3339;
use serde_json::{Value, json};

use super::EventHubs;
use crate::request::AzureRequest;
use crate::{resource_manager, services};

/// The provider in paths.
pub const PROVIDER: &str = "Microsoft.EventHub";

/// Partitions of a hub for which none were asked.
const PARTITIONS: u64 = 4;
/// Hours that a hub keeps records for which none were asked.
const RETENTION_HOURS: u64 = 24;

/// A refusal: status, code, words.
struct Refusal(StatusCode, &'static str, String);

impl From<NamespaceError> for Refusal {
    fn from(error: NamespaceError) -> Self {
        let (status, code) = match error.kind() {
            ErrorKind::NotFound => (StatusCode::NOT_FOUND, "ResourceNotFound"),
            ErrorKind::Exists | ErrorKind::Conflict => (StatusCode::CONFLICT, "Conflict"),
            ErrorKind::Invalid | ErrorKind::TooLarge => (StatusCode::BAD_REQUEST, "BadRequest"),
            ErrorKind::Throttled => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
            ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
        };
        Self(status, code, error.to_string())
    }
}

impl From<resource_manager::Refusal> for Refusal {
    fn from(refusal: resource_manager::Refusal) -> Self {
        Self(refusal.status, refusal.code, refusal.message)
    }
}

type Answer = Result<(StatusCode, Value), Refusal>;

/// The throughput units that a body asks for; `None`: it says nothing of them.
struct Units {
    units: Option<u32>,
    /// Up to how many there may come to be by themselves; 0: none.
    units_max: Option<u32>,
}

impl Units {
    fn read(body: &Value) -> Result<Self, Refusal> {
        let number = |value: &Value| match value {
            Value::Null => Ok(None),
            value => value.as_u64().and_then(|value| u32::try_from(value).ok()).map(Some).ok_or_else(|| {
                Refusal(StatusCode::BAD_REQUEST, "BadRequest", format!("expected a whole number, found {value}"))
            }),
        };
        let properties = &body["properties"];
        let units_max = match properties["isAutoInflateEnabled"].as_bool() {
            Some(false) => Some(0),
            Some(true) | None => number(&properties["maximumThroughputUnits"])?,
        };
        Ok(Self { units: number(&body["sku"]["capacity"])?, units_max })
    }
}

pub async fn answer(hubs: &EventHubs, request: &AzureRequest) -> Response<Bytes> {
    let (status, document) = match call(hubs, request).await {
        Ok(answer) => answer,
        Err(Refusal(status, code, message)) => (status, resource_manager::refusal_document(code, &message, &[])),
    };
    resource_manager::answer(status, &document)
}

/// Looks at a request's head; the error is the answer that it earns without its body.
pub fn admit(hubs: &EventHubs, head: &AzureRequest) -> Result<(), services::Refusal> {
    resource_manager::authorize(head, &hubs.management).map_err(|refusal| {
        let document = resource_manager::refusal_document(refusal.code, &refusal.message, &[]);
        Box::new(resource_manager::answer(refusal.status, &document))
    })
}

async fn call(hubs: &EventHubs, request: &AzureRequest) -> Answer {
    let segments: Vec<&str> = request.segments().collect();
    let provider = segments.iter().position(|segment| segment.eq_ignore_ascii_case(PROVIDER));
    let (before, path) = segments.split_at(provider.map_or(segments.len(), |at| at + 1));
    let call = Call { hubs, request, prefix: format!("/{}", before.join("/")) };
    // Types of resources are found in any case of letters, names are taken as they are.
    let types: Vec<String> = path.iter().step_by(2).map(|name| name.to_ascii_lowercase()).collect();
    let types: Vec<&str> = types.iter().map(String::as_str).collect();
    match (&types[..], path) {
        (["namespaces"], [_]) => call.namespaces(),
        (["namespaces"], [_, name]) => call.namespace(name).await,
        (["namespaces", "eventhubs"], [_, namespace, _]) => call.hubs_of(namespace),
        (["namespaces", "eventhubs"], [_, namespace, _, hub]) => call.hub(namespace, hub).await,
        (["namespaces", "eventhubs", "consumergroups"], [_, namespace, _, hub, _]) => call.groups(namespace, hub),
        (["namespaces", "eventhubs", "consumergroups"], [_, namespace, _, hub, _, group]) => {
            call.group(namespace, hub, group).await
        }
        (["namespaces", "authorizationrules", ..], [_, namespace, _, rest @ ..]) => {
            call.policy(Scope { namespace: (*namespace).to_owned(), hub: None }, rest).await
        }
        (["namespaces", "eventhubs", "authorizationrules", ..], [_, namespace, _, hub, _, rest @ ..]) => {
            call.policy(Scope { namespace: (*namespace).to_owned(), hub: Some((*hub).to_owned()) }, rest).await
        }
        _ => Err(call.unsupported()),
    }
}

/// A call on a resource.
struct Call<'c> {
    hubs: &'c EventHubs,
    request: &'c AzureRequest,
    /// The path up to the provider.
    prefix: String,
}

impl Call<'_> {
    fn unsupported(&self) -> Refusal {
        let text = format!("{} {} is not supported", self.request.method, self.request.path);
        Refusal(StatusCode::BAD_REQUEST, "UnsupportedOperation", text)
    }

    /// The body; an empty object without one.
    fn body(&self) -> Result<Value, Refusal> {
        let body = if self.request.body.is_empty() { b"{}" as &[u8] } else { &self.request.body };
        serde_json::from_slice(body).map_err(|error| {
            Refusal(StatusCode::BAD_REQUEST, "InvalidRequestContent", format!("expected a JSON object: {error}"))
        })
    }

    /// The body's member `properties`; null without a body.
    fn properties(&self) -> Result<Value, Refusal> {
        Ok(self.body()?.get("properties").cloned().unwrap_or(Value::Null))
    }

    fn resource(&self, path: &str, kind: &str, properties: Value) -> Value {
        let name = path.rsplit('/').next().unwrap_or_default();
        json!({
            "id": format!("{}/{path}", self.prefix),
            "name": name,
            "type": format!("{PROVIDER}/{kind}"),
            "location": "local",
            "properties": properties,
        })
    }

    fn namespaces(&self) -> Answer {
        if self.request.method != Method::GET {
            return Err(self.unsupported());
        }
        let all = self.hubs.namespaces.namespaces();
        let all: Vec<Value> = all.iter().map(|namespace| self.namespace_json(namespace)).collect();
        Ok((StatusCode::OK, json!({ "value": all })))
    }

    async fn namespace(&self, name: &str) -> Answer {
        let namespaces = &self.hubs.namespaces;
        match self.request.method {
            Method::GET => {}
            Method::PUT | Method::PATCH => {
                let units = Units::read(&self.body()?)?;
                let made = self.request.method == Method::PUT
                    && match namespaces.create_namespace(name).await {
                        Ok(_) => true,
                        Err(NamespaceError::Exists { .. }) => false,
                        Err(error) => return Err(error.into()),
                    };
                let namespace = self.set_throughput(name, &units).await?;
                let status = if made { StatusCode::CREATED } else { StatusCode::OK };
                return Ok((status, self.namespace_json(&namespace)));
            }
            Method::DELETE => {
                namespaces.delete_namespace(name).await?;
                return Ok((StatusCode::OK, Value::Null));
            }
            _ => return Err(self.unsupported()),
        }
        Ok((StatusCode::OK, self.namespace_json(&*namespaces.namespace(name)?)))
    }

    /// Sets a namespace's throughput units; what is not told stays.
    async fn set_throughput(&self, name: &str, wanted: &Units) -> Result<Arc<NamespaceDefinition>, Refusal> {
        let namespaces = &self.hubs.namespaces;
        let known = namespaces.namespace(name)?;
        let units = wanted.units.unwrap_or(known.throughput_units);
        let units_max = wanted.units_max.unwrap_or(known.throughput_units_max);
        if (units, units_max) == (known.throughput_units, known.throughput_units_max) {
            return Ok(known);
        }
        Ok(namespaces.set_throughput(name, units, units_max).await?)
    }

    fn namespace_json(&self, namespace: &NamespaceDefinition) -> Value {
        let name = &namespace.name;
        let properties = json!({
            "provisioningState": "Succeeded",
            "status": "Active",
            "createdAt": rfc3339(namespace.created),
            "serviceBusEndpoint": format!("sb://{name}.localhost:{}/", self.hubs.endpoint.port),
            "isAutoInflateEnabled": namespace.throughput_units_max > 0,
            "maximumThroughputUnits": namespace.throughput_units_max,
        });
        let mut resource = self.resource(&format!("namespaces/{name}"), "Namespaces", properties);
        if namespace.throughput_units > 0 {
            resource["sku"] = json!({ "name": "Standard", "tier": "Standard", "capacity": namespace.throughput_units });
        }
        resource
    }

    fn hubs_of(&self, namespace: &str) -> Answer {
        if self.request.method != Method::GET {
            return Err(self.unsupported());
        }
        let all = self.hubs.namespaces.hubs(namespace)?;
        let all = all.iter().map(|hub| self.hub_json(hub)).collect::<Result<Vec<Value>, _>>()?;
        Ok((StatusCode::OK, json!({ "value": all })))
    }

    async fn hub(&self, namespace: &str, hub: &str) -> Answer {
        let namespaces = &self.hubs.namespaces;
        let hub = match self.request.method {
            Method::GET => namespaces.hub(namespace, hub)?,
            Method::PUT => {
                let known = namespaces.hub(namespace, hub).ok();
                namespaces.put_hub(namespace, new_hub(hub, known, self.hubs, &self.properties()?)?).await?.0
            }
            Method::DELETE => {
                namespaces.delete_hub(namespace, hub).await?;
                return Ok((StatusCode::OK, Value::Null));
            }
            _ => return Err(self.unsupported()),
        };
        Ok((StatusCode::OK, self.hub_json(&hub)?))
    }

    fn hub_json(&self, hub: &HubDefinition) -> Result<Value, Refusal> {
        let stream = self.hubs.namespaces.stream(hub)?;
        let ids: Vec<String> = stream.shards.iter().map(|shard| shard.index.to_string()).collect();
        let properties = json!({
            "partitionCount": stream.shards.len(),
            "partitionIds": ids,
            "messageRetentionInDays": stream.retention_hours.div_ceil(24),
            "retentionDescription": { "cleanupPolicy": "Delete", "retentionTimeInHours": stream.retention_hours },
            "status": "Active",
            "createdAt": rfc3339(hub.created),
            "updatedAt": rfc3339(hub.created),
        });
        Ok(self.resource(
            &format!("namespaces/{}/eventhubs/{}", hub.namespace, hub.name),
            "Namespaces/EventHubs",
            properties,
        ))
    }

    fn groups(&self, namespace: &str, hub: &str) -> Answer {
        if self.request.method != Method::GET {
            return Err(self.unsupported());
        }
        let hub = self.hubs.namespaces.hub(namespace, hub)?;
        let all: Vec<Value> = hub.consumer_groups.iter().map(|group| self.group_json(&hub, group)).collect();
        Ok((StatusCode::OK, json!({ "value": all })))
    }

    async fn group(&self, namespace: &str, hub: &str, group: &str) -> Answer {
        let namespaces = &self.hubs.namespaces;
        let hub = match self.request.method {
            Method::GET => namespaces.hub(namespace, hub)?,
            Method::PUT => {
                let properties = self.properties()?;
                let metadata = properties.get("userMetadata").and_then(Value::as_str).unwrap_or_default();
                namespaces.put_group(namespace, hub, group, metadata).await?
            }
            Method::DELETE => {
                namespaces.delete_group(namespace, hub, group).await?;
                return Ok((StatusCode::OK, Value::Null));
            }
            _ => return Err(self.unsupported()),
        };
        let found = hub.consumer_groups.iter().find(|found| found.name.eq_ignore_ascii_case(group));
        match found {
            Some(found) => Ok((StatusCode::OK, self.group_json(&hub, found))),
            None => Err(NamespaceError::NotFound { kind: "consumer group", name: group.to_owned() }.into()),
        }
    }

    fn group_json(&self, hub: &HubDefinition, group: &ConsumerGroupDefinition) -> Value {
        let path = format!("namespaces/{}/eventhubs/{}/consumergroups/{}", hub.namespace, hub.name, group.name);
        let properties = json!({ "createdAt": rfc3339(group.created), "userMetadata": group.metadata });
        self.resource(&path, "Namespaces/EventHubs/ConsumerGroups", properties)
    }

    /// What follows `authorizationRules`: nothing, a policy, or a policy and what to do with its keys.
    async fn policy(&self, scope: Scope, path: &[&str]) -> Answer {
        let namespaces = &self.hubs.namespaces;
        let method = &self.request.method;
        match path {
            [] if method == Method::GET => {
                let all = namespaces.policies(&scope)?;
                let all: Vec<Value> = all.iter().map(|policy| self.policy_json(&scope, policy)).collect();
                Ok((StatusCode::OK, json!({ "value": all })))
            }
            [name] if method == Method::PUT => {
                let rights = rights(&self.properties()?)?;
                let policy = namespaces.put_policy(&scope, name, rights).await?;
                Ok((StatusCode::OK, self.policy_json(&scope, &policy)))
            }
            [name] if method == Method::GET => {
                Ok((StatusCode::OK, self.policy_json(&scope, &self.find(&scope, name)?)))
            }
            [name] if method == Method::DELETE => {
                namespaces.delete_policy(&scope, name).await?;
                Ok((StatusCode::OK, Value::Null))
            }
            [name, action] if method == Method::POST && action.eq_ignore_ascii_case("listKeys") => {
                Ok((StatusCode::OK, self.keys_json(&scope, &self.find(&scope, name)?)))
            }
            [name, action] if method == Method::POST && action.eq_ignore_ascii_case("regenerateKeys") => {
                let policy = namespaces.regenerate(&scope, name, self.key_type()?).await?;
                Ok((StatusCode::OK, self.keys_json(&scope, &policy)))
            }
            _ => Err(self.unsupported()),
        }
    }

    fn key_type(&self) -> Result<KeyName, Refusal> {
        let body: Value = serde_json::from_slice(&self.request.body).unwrap_or_default();
        match body.get("keyType").and_then(Value::as_str) {
            Some("PrimaryKey") => Ok(KeyName::Primary),
            Some("SecondaryKey") => Ok(KeyName::Secondary),
            _ => {
                let text = "expected `keyType` to be `PrimaryKey` or `SecondaryKey`".to_owned();
                Err(Refusal(StatusCode::BAD_REQUEST, "BadRequest", text))
            }
        }
    }

    fn find(&self, scope: &Scope, name: &str) -> Result<AccessPolicyDefinition, Refusal> {
        let found = self.hubs.namespaces.policies(scope)?.into_iter().find(|policy| policy.name == name);
        found.ok_or_else(|| NamespaceError::NotFound { kind: "policy", name: name.to_owned() }.into())
    }

    fn policy_json(&self, scope: &Scope, policy: &AccessPolicyDefinition) -> Value {
        let hub = scope.hub.as_ref().map(|hub| format!("/eventhubs/{hub}")).unwrap_or_default();
        let path = format!("namespaces/{}{hub}/authorizationRules/{}", scope.namespace, policy.name);
        let AccessRights { send, listen, manage } = policy.rights;
        let named = [(listen, "Listen"), (manage, "Manage"), (send, "Send")];
        let rights: Vec<&str> = named.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect();
        self.resource(&path, "Namespaces/AuthorizationRules", json!({ "rights": rights }))
    }

    fn keys_json(&self, scope: &Scope, policy: &AccessPolicyDefinition) -> Value {
        let string =
            |key: &str| self.hubs.endpoint.connection_string(&scope.namespace, scope.hub.as_deref(), &policy.name, key);
        json!({
            "keyName": policy.name,
            "primaryKey": policy.primary_key,
            "secondaryKey": policy.secondary_key,
            "primaryConnectionString": string(&policy.primary_key),
            "secondaryConnectionString": string(&policy.secondary_key),
        })
    }
}

/// A hub as a body describes it; what it does not say is as it was.
fn new_hub(
    name: &str,
    known: Option<Arc<HubDefinition>>,
    hubs: &EventHubs,
    properties: &Value,
) -> Result<NewHub, Refusal> {
    let stream = known.and_then(|known| hubs.namespaces.stream(&known).ok());
    let known = stream.map(|stream| (stream.shards.len() as u64, u64::from(stream.retention_hours)));
    let (partitions, hours) = known.unwrap_or((PARTITIONS, RETENTION_HOURS));
    let number = |value: Option<&Value>| match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or_else(|| {
            Refusal(StatusCode::BAD_REQUEST, "BadRequest", format!("expected a whole number, found {value}"))
        }),
    };
    let described = properties.get("retentionDescription").and_then(|text| text.get("retentionTimeInHours"));
    let days = number(properties.get("messageRetentionInDays"))?.map(|days| days.saturating_mul(24));
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(NewHub {
        name: name.to_owned(),
        partitions: small(number(properties.get("partitionCount"))?.unwrap_or(partitions)),
        retention_hours: small(number(described)?.or(days).unwrap_or(hours).clamp(1, HOURS_MAX)),
        retention_bytes: None,
    })
}

/// Hours that a hub may keep records: 90 days, the most that any tier of the service allows.
const HOURS_MAX: u64 = 90 * 24;

fn rights(properties: &Value) -> Result<AccessRights, Refusal> {
    let mut rights = AccessRights::default();
    for right in properties.get("rights").and_then(Value::as_array).into_iter().flatten() {
        match right.as_str() {
            Some("Send") => rights.send = true,
            Some("Listen") => rights.listen = true,
            Some("Manage") => rights.manage = true,
            _ => {
                let text = format!("expected the rights `Send`, `Listen` and `Manage`, found {right}");
                return Err(Refusal(StatusCode::BAD_REQUEST, "BadRequest", text));
            }
        }
    }
    Ok(rights)
}
