//! Names of variables that the engine gives a process itself: no function may set them.
//! Source: the Lambda developer guide, "Defined runtime environment variables".

use std::collections::BTreeMap;

use crate::error::FunctionError;

/// What the engine sets, and what the service keeps for itself besides.
const RESERVED: [&str; 18] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
];

/// Refuses variables that a function may not set.
///
/// # Errors
/// [`FunctionError::ReservedVariables`] with their names.
pub fn check_variables(variables: &BTreeMap<String, String>) -> Result<(), FunctionError> {
    let names: Vec<String> = variables.keys().filter(|name| RESERVED.contains(&name.as_str())).cloned().collect();
    if names.is_empty() { Ok(()) } else { Err(FunctionError::ReservedVariables { names: names.join(", ") }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_own_names_are_refused() {
        let check = |names: &[&str]| {
            let variables = names.iter().map(|name| ((*name).to_owned(), String::new())).collect();
            check_variables(&variables).map_err(|error| error.to_string())
        };
        assert!(check(&["TABLE", "AWS_ENDPOINT_URL", "PYTHONPATH"]).is_ok());
        let refused = check(&["AWS_REGION", "TABLE", "_HANDLER"]).unwrap_err();
        assert!(refused.contains("AWS_REGION, _HANDLER"), "{refused}");
    }
}
