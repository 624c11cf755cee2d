//! HTTP APIs: routes, integrations, stages.
