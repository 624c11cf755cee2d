//! From the table engine's facts to the service's errors.

use millstream_storage::StorageError;
use millstream_table::{AttributeType, AttributeValue, ExpressionError, NumberError, TableError};
use serde_json::json;

use super::{validation, value};
use crate::json_protocol::ServiceError;

/// What the service says of a table that has no capacity left.
pub(super) const EXCEEDED: &str = "The level of configured provisioned throughput for the table was exceeded. Consider \
     increasing your provisioning level with the UpdateTable API.";

/// Any error but those of an operation's own words.
pub(super) fn of_table(error: TableError) -> ServiceError {
    match error {
        TableError::TableNotFound { .. } => {
            ServiceError::new("ResourceNotFoundException", "Requested resource not found")
        }
        TableError::TableExists { table } => {
            ServiceError::new("ResourceInUseException", format!("Table already exists: {table}"))
        }
        TableError::KeyMissing { attribute } => {
            validation(format!("One or more parameter values were invalid: Missing the key {attribute} in the item"))
        }
        TableError::KeyType { attribute, expected, found } => validation(format!(
            "One or more parameter values were invalid: Type mismatch for key {attribute} expected: {} actual: {}",
            expected.letters(),
            found.letters()
        )),
        TableError::KeyMismatch => validation("The provided key element does not match the schema"),
        TableError::KeyEmpty { attribute, kind } => validation(format!(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty \
             {} value. Key: {attribute}",
            if kind == AttributeType::Binary { "binary" } else { "string" }
        )),
        TableError::KeyTooLarge { hash: true, max, .. } => validation(format!(
            "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of{max} bytes"
        )),
        TableError::KeyTooLarge { hash: false, max, .. } => validation(format!(
            "One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of \
             {max} bytes"
        )),
        TableError::IndexNotFound { index } => {
            validation(format!("The table does not have the specified index: {index}"))
        }
        TableError::IndexFilling { index } => {
            validation(format!("Cannot read from backfilling global secondary index: {index}"))
        }
        TableError::IndexExists { .. } => validation("Attempting to create an index which already exists"),
        TableError::IndexChanging { table } => ServiceError::new(
            "ResourceInUseException",
            format!("Attempt to change a resource which is still in use: Table is being updated: {table}"),
        ),
        // Clients try again by themselves.
        TableError::IndexesChanged { .. } => ServiceError::internal("InternalServerError", error.to_string()),
        TableError::IndexKeyType { attribute, index, expected, found } => validation(format!(
            "One or more parameter values were invalid: Type mismatch for Index Key {attribute} Expected: {} Actual: {} \
             IndexName: {index}",
            expected.letters(),
            found.letters()
        )),
        TableError::IndexKeyEmpty { attribute, index, kind } => validation(format!(
            "One or more parameter values are not valid. A value specified for a secondary index key is not supported. The \
             AttributeValue for a key attribute cannot contain an empty {} value. IndexName: {index}, IndexKey: {attribute}",
            if kind == AttributeType::Binary { "binary" } else { "string" }
        )),
        TableError::ItemTooLarge { .. } => validation("Item size has exceeded the maximum allowed size"),
        TableError::TooDeep { .. } => validation("Nesting Levels have exceeded supported limits"),
        TableError::ConditionFailed { .. } => {
            ServiceError::new("ConditionalCheckFailedException", "The conditional request failed")
        }
        TableError::Expression(error) => of_expression("KeyConditionExpression", error),
        TableError::UpdatesKey { attribute } => validation(format!(
            "One or more parameter values were invalid: Cannot update attribute {attribute}. This attribute is part of the key"
        )),
        TableError::OperandMissing => {
            validation("The provided expression refers to an attribute that does not exist in the item")
        }
        TableError::OperandType => validation("An operand in the update expression has an incorrect data type"),
        TableError::UpdatePath => {
            validation("The document path provided in the update expression is invalid for update")
        }
        TableError::Number(error) => of_number(&error),
        TableError::DuplicateKeys => validation("Provided list of item keys contains duplicates"),
        TableError::BatchSize { .. } => validation("Too many items requested for the batch call"),
        TableError::Throttled { .. } => ServiceError::new("ProvisionedThroughputExceededException", EXCEEDED),
        // Whoever makes a transaction answers with the reasons, see `transact_write_items.rs`.
        TableError::Cancelled { .. } => ServiceError::new("TransactionCanceledException", error.to_string()),
        TableError::SameItemTwice => validation("Transaction request cannot include multiple operations on one item"),
        TableError::TransactionTooLarge { max, .. } => {
            validation(format!("The items of a transaction have more than {max} bytes"))
        }
        TableError::TokenReused { .. } => ServiceError::new(
            "IdempotentParameterMismatchException",
            "The request uses the same client token as a previous, but non-identical request.",
        ),
        TableError::ChangesEnabled { table } => {
            validation(format!("Table already has an enabled stream: TableName: {table}"))
        }
        TableError::ChangesDisabled { table } => {
            validation(format!("Table does not have an enabled stream: TableName: {table}"))
        }
        TableError::TooManyTags { max, .. } => validation(format!(
            "One or more parameter values were invalid: Too many tags: a table can have {max} of them"
        )),
        TableError::Segment { segment, total } => validation(format!(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: {segment} is not \
             less than TotalSegments: {total}"
        )),
        TableError::StartKey => {
            validation("The provided starting key is outside query boundaries based on provided conditions")
        }
        TableError::Storage(error) => of_storage(&error),
        TableError::UnreadableItem | TableError::UnreadableChange | TableError::Catalog(_) | TableError::Stream(_) => {
            ServiceError::internal("InternalServerError", error.to_string())
        }
    }
}

/// As [`of_table`], for operations on a table itself, which name it.
pub(super) fn of_named_table(error: TableError) -> ServiceError {
    match error {
        TableError::TableNotFound { table } => ServiceError::new(
            "ResourceNotFoundException",
            format!("Requested resource not found: Table: {table} not found"),
        ),
        other => of_table(other),
    }
}

/// As [`of_table`], for conditional writes: `show_item` answers a failed condition with the item that broke it.
pub(super) fn of_write(error: TableError, show_item: bool) -> ServiceError {
    match error {
        TableError::ConditionFailed { item: Some(item) } if show_item => {
            let mut answer = of_table(TableError::ConditionFailed { item: None });
            answer.extra.push(("Item", json!(value::encode_item(&item))));
            answer
        }
        other => of_table(other),
    }
}

fn of_storage(error: &StorageError) -> ServiceError {
    match error {
        StorageError::Overloaded { .. } => {
            ServiceError::new("ProvisionedThroughputExceededException", error.to_string())
        }
        StorageError::TransactionTooLarge { .. } => validation(error.to_string()),
        _ => ServiceError::internal("InternalServerError", error.to_string()),
    }
}

pub(super) fn of_number(error: &NumberError) -> ServiceError {
    validation(match error {
        NumberError::Malformed { text } if text.is_empty() => {
            "The parameter cannot be converted to a numeric value".to_owned()
        }
        NumberError::Malformed { text } => format!("The parameter cannot be converted to a numeric value: {text}"),
        NumberError::TooPrecise => "Attempting to store more than 38 significant digits in a Number".to_owned(),
        NumberError::TooLarge => {
            "Number overflow. Attempting to store a number with magnitude larger than supported range".to_owned()
        }
        NumberError::TooSmall => {
            "Number underflow. Attempting to store a number with magnitude smaller than supported range".to_owned()
        }
    })
}

/// An error of the expression in `parameter`.
pub(super) fn of_expression(parameter: &str, error: ExpressionError) -> ServiceError {
    let whole = match &error {
        ExpressionError::KeyAttributeMissing { attribute } => {
            format!("Query condition missed key schema element: {attribute}")
        }
        ExpressionError::KeyConditionRepeated => {
            "KeyConditionExpressions must only contain one condition per key".to_owned()
        }
        ExpressionError::KeyConditionOperator { operator } => {
            format!("Invalid operator used in KeyConditionExpression: {operator}")
        }
        ExpressionError::KeyConditionUnsupported => "Query key condition not supported".to_owned(),
        ExpressionError::KeyConditionType => {
            "One or more parameter values were invalid: Condition parameter type does not match schema type".to_owned()
        }
        ExpressionError::UnusedNames { names } => {
            format!("Value provided in ExpressionAttributeNames unused in expressions: keys: {{{}}}", names.join(", "))
        }
        ExpressionError::UnusedValues { names } => {
            format!("Value provided in ExpressionAttributeValues unused in expressions: keys: {{{}}}", names.join(", "))
        }
        ExpressionError::FilterOnKey { attribute } => {
            let filter = if parameter == "QueryFilter" { parameter } else { "Filter Expression" };
            format!("{filter} can only contain non-primary key attributes: Primary key attribute: {attribute}")
        }
        _ => format!("Invalid {parameter}: {}", of_text(parameter, &error)),
    };
    validation(whole)
}

/// What is wrong inside of an expression's text.
fn of_text(parameter: &str, error: &ExpressionError) -> String {
    match error {
        ExpressionError::Empty => "The expression can not be empty;".to_owned(),
        ExpressionError::TooLong { bytes, .. } => {
            format!("Expression size has exceeded the maximum allowed size; expression size: {bytes}")
        }
        ExpressionError::Syntax { token, near } => format!("Syntax error; token: \"{token}\", near: \"{near}\""),
        ExpressionError::Reserved { word } => {
            format!("Attribute name is a reserved keyword; reserved keyword: {word}")
        }
        ExpressionError::UndefinedName { name } => {
            format!("An expression attribute name used in the document path is not defined; attribute name: {name}")
        }
        ExpressionError::UndefinedValue { name } => {
            format!("An expression attribute value used in expression is not defined; attribute value: {name}")
        }
        ExpressionError::UnknownFunction { function } => format!("Invalid function name; function: {function}"),
        ExpressionError::MisplacedFunction { function } => format!(
            "The function is not allowed in {} expression; function: {function}",
            if parameter == "UpdateExpression" { "an update" } else { "a condition" }
        ),
        ExpressionError::OperandCount { function, found } => format!(
            "Incorrect number of operands for operator or function; operator or function: {function}, number of operands: \
             {found}"
        ),
        ExpressionError::OperandType { operator, found } => format!(
            "Incorrect operand type for operator or function; operator or function: {operator}, operand type: {}",
            found.letters()
        ),
        ExpressionError::PathExpected { function } => {
            format!("Operator or function requires a document path; operator or function: {function}")
        }
        ExpressionError::UnknownType { found } => {
            format!("Invalid attribute type name found; type: {found}, valid types: {{B,NULL,SS,BOOL,L,BS,N,NS,S,M}}")
        }
        ExpressionError::BetweenBounds { lower, upper } => format!(
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: \
             {}, upper bound operand: {}",
            shown(lower),
            shown(upper)
        ),
        ExpressionError::RepeatedSection { section } => {
            format!("The \"{section}\" section can only be used once in an update expression;")
        }
        ExpressionError::OverlappingPaths { first, second } => format!(
            "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [{}], path \
             two: [{}]",
            first.join(", "),
            second.join(", ")
        ),
        ExpressionError::ConflictingPaths { first, second } => format!(
            "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [{}], path \
             two: [{}]",
            first.join(", "),
            second.join(", ")
        ),
        ExpressionError::TooDeep { .. }
        | ExpressionError::KeyAttributeMissing { .. }
        | ExpressionError::KeyConditionRepeated
        | ExpressionError::KeyConditionOperator { .. }
        | ExpressionError::KeyConditionUnsupported
        | ExpressionError::KeyConditionType
        | ExpressionError::UnusedNames { .. }
        | ExpressionError::UnusedValues { .. }
        | ExpressionError::FilterOnKey { .. } => error.to_string(),
    }
}

fn shown(value: &AttributeValue) -> String {
    format!("AttributeValue: {{{}:{value}}}", value.kind().letters())
}
