//! Which version or alias a request is about.

use millstream_catalog::{FunctionDefinition, LATEST, version_number};

use super::create_function::invalid;
use super::function_name;
use crate::json_protocol::ServiceError;
use crate::rest_protocol::RestRequest;

/// A function's name, and the version or the alias that a request means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Qualified {
    pub(crate) name: String,
    /// `None`: the function itself.
    pub(crate) qualifier: Option<String>,
}

impl Qualified {
    /// From what a request gives as the function, and its qualifier, which may stand in either.
    pub(crate) fn of(request: &RestRequest, given: &str) -> Result<Self, ServiceError> {
        let reference = function_name(given);
        let (name, within) = FunctionDefinition::split_reference(&reference);
        let apart = request.parameters().get("Qualifier").cloned().filter(|qualifier| !qualifier.is_empty());
        if let (Some(within), Some(apart)) = (within, &apart)
            && within != apart
        {
            return Err(invalid(
                "The derived qualifier from the function name does not match the specified qualifier.".to_owned(),
            ));
        }
        let qualifier = apart.filter(|qualifier| qualifier != LATEST).or_else(|| within.map(str::to_owned));
        Ok(Self { name: name.to_owned(), qualifier })
    }

    /// What the function engine knows it by.
    pub(crate) fn reference(&self) -> String {
        match &self.qualifier {
            Some(qualifier) => format!("{}:{qualifier}", self.name),
            None => self.name.clone(),
        }
    }

    /// The number of the version, when it is one and no alias.
    pub(crate) fn number(&self) -> Option<u32> {
        version_number(self.qualifier.as_ref()?)
    }
}
