//! Applications as they are made, and what must hold of one.

use std::sync::Arc;

use millstream_catalog::{EventOrder, QueryDefinition, QueryDialect, QueryInput, QueryResource, StartAt};
use millstream_query::{InputSchema, NewQuery, QueryError};
use serde::Deserialize;

use super::input::Input;
use super::logging::{self, LoggingOption};
use super::output::Output;
use super::reference::{self, Reference};
use super::tags::{self, Tag};
use super::{KinesisAnalytics, invalid, name_constraints, role};
use crate::json_protocol::ServiceError;

/// The longest query text: the service's own limit.
pub(super) const CODE_BYTES_MAX: usize = 102_400;

/// Streaming sources of an application: the service's limit.
const INPUTS_MAX: usize = 1;
/// Outputs of an application: the service's limit.
const OUTPUTS_MAX: usize = 3;
/// Reference data sources of an application: the service's limit.
const REFERENCES_MAX: usize = 1;

/// What an application is made from, in either API.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NewApplication {
    #[serde(rename = "ApplicationName")]
    pub(super) name: Option<String>,
    #[serde(rename = "ApplicationDescription")]
    pub(super) description: Option<String>,
    #[serde(rename = "ApplicationCode")]
    pub(super) code: Option<String>,
    pub(super) inputs: Option<Vec<Input>>,
    pub(super) outputs: Option<Vec<Output>>,
    /// The API of 2015 adds them later.
    #[serde(skip)]
    pub(super) references: Option<Vec<Reference>>,
    #[serde(rename = "CloudWatchLoggingOptions")]
    pub(super) logging_options: Option<Vec<LoggingOption>>,
    pub(super) tags: Option<Vec<Tag>>,
    /// The role for all that it touches; empty: each part names its own.
    #[serde(skip)]
    pub(super) role: String,
}

impl NewApplication {
    /// Makes it, once all of it was looked at.
    pub(super) async fn make(self, front: &KinesisAnalytics) -> Result<Arc<QueryDefinition>, ServiceError> {
        name_constraints(self.name.as_deref())
            .length("applicationCode", self.code.as_deref(), 0, CODE_BYTES_MAX)
            .length("applicationDescription", self.description.as_deref(), 0, 1_024)
            .finish()?;
        let role = self.role.as_str();
        let new = NewQuery {
            name: self.name.unwrap_or_default(),
            dialect: QueryDialect::Kinesis,
            sql: self.code.unwrap_or_default(),
            description: self.description.unwrap_or_default(),
            inputs: all(self.inputs, |input| input.definition(role))?,
            references: all(self.references, |reference| reference.definition(role))?,
            functions: Vec::new(),
            outputs: all(self.outputs, |output| output.definition(role))?,
            start_at: StartAt::Latest,
            event_order: EventOrder::default(),
            parallelism: 0,
            resource: Some(QueryResource {
                tags: tags::read(self.tags.unwrap_or_default())?,
                error_log: logging::one(self.logging_options, role)?,
                role: role.to_owned(),
                ..QueryResource::default()
            }),
        };
        check_numbers(&new)?;
        check_definition(front, &new)?;
        front.queries.create(new).await.map_err(|error| front.error(&error))
    }
}

/// Each of some parts as it is defined.
fn all<G, D>(given: Option<Vec<G>>, definition: impl Fn(G) -> Result<D, ServiceError>) -> Result<Vec<D>, ServiceError> {
    given.unwrap_or_default().into_iter().map(definition).collect()
}

/// The code first: outputs can only be looked for in code that has no mistakes.
pub(super) fn check_definition(front: &KinesisAnalytics, query: &NewQuery) -> Result<(), ServiceError> {
    role::check(front, query)?;
    reference::check(front, query)?;
    // An application may be made before its code.
    if query.sql.trim().is_empty() {
        return Ok(());
    }
    let inputs: Vec<QueryInput> = query.inputs.iter().flat_map(QueryInput::streams).collect();
    let schemas = InputSchema::declared(query.dialect, inputs.iter().map(QueryInput::declared), &query.references);
    let mistakes = millstream_query::check(query.dialect, &query.sql, &schemas);
    if !mistakes.is_empty() {
        return Err(front.error(&QueryError::Plan(mistakes)));
    }
    let known = millstream_query::output_names(query.dialect, &query.sql, &query.outputs);
    match query.outputs.iter().find(|output| !known.contains(&output.name)) {
        Some(other) => Err(invalid(format!(
            "the application code has no stream `{}`; its streams are `{}`",
            other.name,
            known.join("`, `")
        ))),
        None => Ok(()),
    }
}

/// How many inputs, outputs and tables there may be. Not asked of what there is already: a
/// pipeline file may give a query more.
pub(super) fn check_numbers(query: &NewQuery) -> Result<(), ServiceError> {
    if query.inputs.len() > INPUTS_MAX {
        return Err(invalid(format!(
            "An application can have at most {INPUTS_MAX} input, found {}",
            query.inputs.len()
        )));
    }
    if query.outputs.len() > OUTPUTS_MAX {
        let found = query.outputs.len();
        return Err(invalid(format!("An application can have at most {OUTPUTS_MAX} outputs, found {found}")));
    }
    if query.references.len() > REFERENCES_MAX {
        return Err(invalid("An application can have at most one reference data source"));
    }
    check_outputs(query)
}

/// Each output is for another stream.
pub(super) fn check_outputs(query: &NewQuery) -> Result<(), ServiceError> {
    let mut names: Vec<String> = query.outputs.iter().map(|output| output.name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(invalid(format!("the application has an output `{}` already", pair[0]))),
        None => Ok(()),
    }
}
