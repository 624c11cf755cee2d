//! HTTP APIs: resources and methods as their makers edit them, deployments under stages, and the way of a request.
//!
//! What is edited is not live before it is deployed: requests are routed over a stage's deployment. How a request is shaped
//! for a function is a front's business.
//! Read next: [`engine`] (the operations), [`route`] (which method answers a request).

pub mod engine;
mod error;
pub mod route;

pub use engine::{Gateway, Route};
pub use error::GatewayError;
pub use route::Matched;
