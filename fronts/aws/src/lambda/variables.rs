//! A function's variables: which names they may have and how large they may be. Source: the Lambda developer guide, "Working
//! with Lambda environment variables".

use std::collections::BTreeMap;

use millstream_function::{FunctionError, check_variables};
use serde_json::json;

use super::create_function::invalid;
use crate::json_protocol::{Constraints, ServiceError};

/// All names and values together, as JSON, bytes.
const BYTES_MAX: usize = 4 << 10;

const REFUSED: &str =
    "Lambda was unable to configure your environment variables because the environment variables you have provided";

pub(super) fn check(variables: Option<&BTreeMap<String, String>>) -> Result<(), ServiceError> {
    let Some(variables) = variables else { return Ok(()) };
    if let Err(FunctionError::ReservedVariables { names }) = check_variables(variables) {
        return Err(invalid(format!(
            "{REFUSED} contains reserved keys that are currently not supported for modification. Reserved keys used in this \
             request: {names}"
        )));
    }
    if let Some(name) = variables.keys().find(|name| !is_name(name)) {
        let constraint = "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: \
                          [a-zA-Z]([a-zA-Z0-9_])+]";
        Constraints::new().broken("environment.variables", Some(name), constraint).finish()?;
    }
    let measured = json!(variables).to_string();
    if measured.len() > BYTES_MAX {
        return Err(invalid(format!("{REFUSED} exceeded the 4KB limit. String measured: {measured}")));
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|char| char.is_ascii_alphabetic())
        && name.len() > 1
        && chars.all(|char| char.is_ascii_alphanumeric() || char == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sizes_are_the_services() {
        let check_one = |name: &str, value: &str| {
            let variables = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            check(Some(&variables)).map_err(|error| error.message)
        };
        assert!(check(None).is_ok() && check_one("TABLE_1", "trades").is_ok());
        assert!(check_one("AWS_ENDPOINT_URL", "x").is_ok());
        for (name, value, expected) in [
            ("AWS_REGION", "x", "reserved keys"),
            ("_HANDLER", "x", "reserved keys"),
            ("1 a", "b", "regular expression"),
            ("a", "b", "regular expression"),
            ("LARGE", &"x".repeat(BYTES_MAX), "4KB limit"),
        ] {
            let message = check_one(name, value).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
