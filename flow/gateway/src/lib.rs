//! HTTP APIs: resources and methods as their makers edit them, deployments under stages, and the way of a request.
//!
//! What is edited is not live before it is deployed: requests are routed over a stage's deployment. How errors read, and the
//! shape in which a function gets a whole request, are a front's business.
//! Read next: [`engine`] (the operations), [`route`] (which method answers a request), [`calls`] (its way), `mapping` and
//! [`template`] (what integrations get and give); [`plan`] (keys and usage plans) with [`metering`] (what was used);
//! [`managed`] (APIs behind products, subscriptions and policies) with [`policy`] (what policies say); `limit` (what both
//! kinds of APIs count with).

pub mod apply;
pub mod backend;
pub mod calls;
pub mod engine;
mod error;
mod json_path;
mod limit;
pub mod managed;
mod mapping;
pub mod metering;
pub mod plan;
pub mod policy;
pub mod request;
pub mod route;
pub mod stages;
pub mod template;
mod traffic;

pub use apply::Route;
pub use backend::{BackendOptions, Backends};
pub use calls::{Called, Calls, Story, WholeRequest};
pub use engine::Gateway;
pub use error::{GatewayError, Refusal};
pub use managed::{Managed, ManagedRequest};
pub use metering::{AccessLine, Sold, UsageHour, UsageTotals};
pub use plan::{ApiKeyChange, Caller, Metered, NewApiKey, PlanOptions, Plans, QuotaState};
pub use request::ApiRequest;
pub use route::Matched;
pub use stages::{Served, StageChange, functions_without_role};
