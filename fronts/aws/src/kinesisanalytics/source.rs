//! What inputs and outputs name: a resource by its ARN, and a role. Where a request names no role, the application's own counts,
//! which only the API of 2018 knows.

use millstream_catalog::InputProcessor;
use millstream_query::NewQuery;
use serde::Deserialize;

use super::invalid;
use crate::json_protocol::ServiceError;
use crate::lambda::function_name;
use crate::place::resource;

/// A resource and the role for it.
#[derive(Debug, Deserialize)]
pub(super) struct Source {
    #[serde(rename = "ResourceARN")]
    pub(super) resource_arn: Option<String>,
    #[serde(rename = "RoleARN")]
    pub(super) role_arn: Option<String>,
}

/// Changes of a resource and its role: what is not given stays.
#[derive(Debug, Deserialize)]
pub(super) struct SourceUpdate {
    #[serde(rename = "ResourceARNUpdate")]
    resource_arn: Option<String>,
    #[serde(rename = "RoleARNUpdate")]
    role_arn: Option<String>,
}

/// The function that an input's records go through.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ProcessingConfiguration {
    input_lambda_processor: Option<Source>,
}

/// Changes of that function.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ProcessingUpdate {
    input_lambda_processor_update: Option<SourceUpdate>,
}

/// The role that an application has for all that it touches; empty: none.
pub(super) fn role_of(query: &NewQuery) -> String {
    query.resource.as_ref().map(|resource| resource.role.clone()).unwrap_or_default()
}

impl Source {
    /// The stream of an ARN of a stream.
    pub(super) fn stream(&self) -> Result<String, ServiceError> {
        named(self.resource_arn.as_deref(), "kinesis", "stream/")
    }

    /// The stream that a delivery stream owns.
    pub(super) fn delivery(&self) -> Result<String, ServiceError> {
        Ok(format!("delivery/{}", named(self.resource_arn.as_deref(), "firehose", "deliverystream/")?))
    }

    /// A function's name, with the version or the alias that the ARN names.
    pub(super) fn function(&self) -> Result<String, ServiceError> {
        let arn = self.resource_arn.as_deref().unwrap_or_default();
        match resource(arn, "lambda", "function:") {
            Some(_) => Ok(function_name(arn)),
            None => Err(invalid(format!("{arn} is not the ARN of a function"))),
        }
    }

    /// The role, or the application's where none is named.
    pub(super) fn role(self, of_application: &str) -> String {
        self.role_arn.unwrap_or_else(|| of_application.to_owned())
    }
}

impl SourceUpdate {
    /// Changes what is named, and the role. `name` reads the ARN; `same` says whether what there is now is of that kind:
    /// otherwise the ARN has to be given.
    pub(super) fn apply<T>(
        self,
        now: &mut T,
        role: &mut String,
        same: fn(&T) -> bool,
        name: impl FnOnce(&Source) -> Result<T, ServiceError>,
    ) -> Result<(), ServiceError> {
        if self.resource_arn.is_none() && !same(now) {
            return Err(invalid("ResourceARNUpdate must be given where the resource was of another kind"));
        }
        let source = Source { resource_arn: self.resource_arn, role_arn: self.role_arn };
        if source.resource_arn.is_some() {
            *now = name(&source)?;
        }
        *role = source.role(role);
        Ok(())
    }
}

impl ProcessingConfiguration {
    pub(super) fn definition(self, role: &str) -> Result<InputProcessor, ServiceError> {
        let source = self.input_lambda_processor.ok_or_else(|| invalid("InputLambdaProcessor must be given"))?;
        Ok(InputProcessor { function: source.function()?, role: source.role(role) })
    }
}

impl ProcessingUpdate {
    pub(super) fn apply(self, now: &mut Option<InputProcessor>) -> Result<(), ServiceError> {
        let missing = || {
            invalid(
                "the input has no InputProcessingConfiguration; AddApplicationInputProcessingConfiguration gives it one",
            )
        };
        let InputProcessor { function, role } = now.as_mut().ok_or_else(missing)?;
        match self.input_lambda_processor_update {
            Some(update) => update.apply(function, role, |_| true, Source::function),
            None => Err(invalid("InputLambdaProcessorUpdate must be given")),
        }
    }
}

fn named(arn: Option<&str>, service: &str, kind: &str) -> Result<String, ServiceError> {
    let arn = arn.unwrap_or_default();
    let name = resource(arn, service, kind).map(str::to_owned);
    name.ok_or_else(|| invalid(format!("{arn} is not the ARN of a {service} {kind}…")))
}
