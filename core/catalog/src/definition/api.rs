//! HTTP APIs: resources with methods, their integrations, deployments and stages.

use std::collections::BTreeMap;

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use super::usage_plan::Throttle;
use crate::collection::Definition;

/// An API as its maker edits it, with its deployments. What is edited is not live before it is deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiDefinition {
    /// Unique: ten letters and digits, part of its address.
    pub id: String,
    /// For people; need not be unique.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// When it was made.
    pub created: Millis,
    /// Resources by id.
    pub resources: BTreeMap<String, Resource>,
    /// Snapshots that were deployed, by id.
    #[serde(default)]
    pub deployments: BTreeMap<String, Deployment>,
    /// Stages by name.
    #[serde(default)]
    pub stages: BTreeMap<String, Stage>,
    /// Request validators by id.
    #[serde(default)]
    pub validators: BTreeMap<String, RequestValidator>,
}

/// What is checked of a request before anything is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestValidator {
    /// Unique in its API.
    pub id: String,
    /// For people.
    pub name: String,
    /// Whether required parameters must be there.
    pub parameters: bool,
}

/// A path of an API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Unique in its API.
    pub id: String,
    /// `None` for the root.
    pub parent: Option<String>,
    /// The last part: `orders`, `{id}`, `{proxy+}`; empty for the root.
    pub path_part: String,
    /// The whole path: `/orders/{id}`.
    pub path: String,
    /// Methods by name: `POST`, `ANY`.
    #[serde(default)]
    pub methods: BTreeMap<String, Method>,
}

/// A method of a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Method {
    /// `NONE`, `AWS_IAM`, …
    pub authorization: String,
    /// Whether a caller needs an API key.
    #[serde(default)]
    pub api_key_required: bool,
    /// Required (`true`) and optional parameters: `method.request.header.x`.
    #[serde(default)]
    pub request_parameters: BTreeMap<String, bool>,
    /// The request validator that checks its requests; without one required parameters are not asked for.
    #[serde(default)]
    pub validator: Option<String>,
    /// What it calls.
    #[serde(default)]
    pub integration: Option<Integration>,
    /// Declared answers by status.
    #[serde(default)]
    pub responses: BTreeMap<String, MethodResponse>,
}

/// A declared answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodResponse {
    /// Headers: `method.response.header.x`.
    #[serde(default)]
    pub parameters: BTreeMap<String, bool>,
    /// Media type to model.
    #[serde(default)]
    pub models: BTreeMap<String, String>,
}

/// What a method calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integration {
    /// `AWS_PROXY` (the whole request), `AWS` (the mapped body), `MOCK`, …
    pub kind: String,
    /// The function that it invokes; `None` for `MOCK`.
    #[serde(default)]
    pub function: Option<String>,
    /// The address as the maker wrote it.
    #[serde(default)]
    pub uri: String,
    /// The role with which its function is run; empty: the function itself must let the API in.
    #[serde(default)]
    pub role: String,
    /// The method towards the integration.
    #[serde(default)]
    pub http_method: String,
    /// What the integration's parameters are made of: `integration.request.header.x` to `method.request.path.y`.
    #[serde(default)]
    pub request_parameters: BTreeMap<String, String>,
    /// Mapping templates by media type.
    #[serde(default)]
    pub request_templates: BTreeMap<String, String>,
    /// `WHEN_NO_MATCH`, `WHEN_NO_TEMPLATES`, `NEVER`.
    #[serde(default)]
    pub passthrough: String,
    /// Milliseconds; 29,000 unless set.
    #[serde(default)]
    pub timeout_ms: Option<u32>,
    /// Answers by status.
    #[serde(default)]
    pub responses: BTreeMap<String, IntegrationResponse>,
}

/// How a function's answer becomes an HTTP answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrationResponse {
    /// A regular expression over the function's error message; empty: the default answer.
    #[serde(default)]
    pub selection_pattern: String,
    /// Header mappings.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// Templates by media type.
    #[serde(default)]
    pub templates: BTreeMap<String, String>,
}

/// A snapshot of an API's resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Unique in its API.
    pub id: String,
    /// When.
    pub created: Millis,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// What was deployed.
    pub resources: BTreeMap<String, Resource>,
    /// The request validators of that time.
    #[serde(default)]
    pub validators: BTreeMap<String, RequestValidator>,
}

/// A deployment under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Unique in its API; part of its address.
    pub name: String,
    /// The deployment that it serves.
    pub deployment: String,
    /// When it was made.
    pub created: Millis,
    /// When it was last changed; zero for stages that older versions made.
    #[serde(default)]
    pub updated: Millis,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Variables.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// How fast all callers together may call methods, by resource path and method: `/orders/GET`, or `*/*` for those
    /// that are not named.
    #[serde(default)]
    pub throttles: BTreeMap<String, Throttle>,
}

impl Definition for ApiDefinition {
    const KIND: &'static str = "api";

    fn key(&self) -> &str {
        &self.id
    }
}
