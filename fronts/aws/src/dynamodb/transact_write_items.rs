//! `TransactWriteItems`

use std::collections::BTreeMap;

use millstream_table::expression::Condition;
use millstream_table::{Deletion, Item, Put, TRANSACT_MAX, TableError, Token, TransactWrite, Update};
use serde::Deserialize;
use serde_json::{Value, json};

use super::capacity::Transacted;
use super::expressions::Expressions;
use super::value::{self, WireItem};
use super::{DynamoDb, capacity, error, input, table_name, validation};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    transact_items: Option<Vec<TransactItem>>,
    client_request_token: Option<String>,
    return_consumed_capacity: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TransactItem {
    put: Option<Operation>,
    update: Option<Operation>,
    delete: Option<Operation>,
    condition_check: Option<Operation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Operation {
    table_name: Option<String>,
    item: Option<WireItem>,
    key: Option<WireItem>,
    update_expression: Option<String>,
    condition_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<WireItem>,
    return_values_on_condition_check_failure: Option<String>,
}

/// An operation, read.
struct Wanted {
    table: String,
    write: TransactWrite,
    show_item_on_failure: bool,
}

pub(super) async fn call(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request)?;
    let mut constraints = Constraints::new();
    constraints
        .required("transactItems", input.transact_items.as_ref())
        .length("clientRequestToken", input.client_request_token.as_deref(), 1, 36)
        .one_of("returnConsumedCapacity", input.return_consumed_capacity.as_deref(), &capacity::WANTED);
    check_count(&mut constraints, input.transact_items.as_ref().map(Vec::len));
    constraints.finish()?;
    let token = input.client_request_token.map(|text| Token { text, fingerprint: fingerprint(request) });
    let wanted = input.transact_items.unwrap_or_default().into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let shown: Vec<bool> = wanted.iter().map(|one| one.show_item_on_failure).collect();
    let touched: Vec<(String, Item)> =
        wanted.iter().filter_map(|one| Some((one.table.clone(), subject(one)?))).collect();
    let writes = wanted.into_iter().map(|one| (one.table, one.write)).collect();
    let written = dynamodb.tables.transact_write(writes, token).await.map_err(|failed| match failed {
        TableError::Cancelled { reasons } => cancelled(reasons, &shown),
        other => error::of_table(other),
    })?;
    for (table, item) in &touched {
        if let Ok(table) = dynamodb.tables.table(table) {
            dynamodb.written(&table, [item], request);
        }
    }
    let mut answer = json!({});
    let wanted = input.return_consumed_capacity.as_deref();
    capacity::tell_all(&mut answer, wanted, &written.units, Some(Transacted::Write));
    Ok(answer)
}

/// A transaction has 1 to 100 parts.
pub(super) fn check_count(constraints: &mut Constraints, found: Option<usize>) {
    let shown = format!("[{} parts]", found.unwrap_or_default());
    match found {
        Some(0) => {
            constraints.broken("transactItems", Some("[]"), "Member must have length greater than or equal to 1");
        }
        Some(found) if found > TRANSACT_MAX => {
            constraints.broken("transactItems", Some(&shown), "Member must have length less than or equal to 100");
        }
        _ => {}
    }
}

fn read(item: TransactItem) -> Result<Wanted, ServiceError> {
    match (item.put, item.update, item.delete, item.condition_check) {
        (Some(put), None, None, None) => read_operation(put, "put", |operation, condition| {
            let item = operation.subject("Item", operation.item.as_ref())?;
            Ok(TransactWrite::Put(Put { item, condition, return_old: false }))
        }),
        (None, Some(update), None, None) => read_update(update),
        (None, None, Some(delete), None) => read_operation(delete, "delete", |operation, condition| {
            let key = operation.subject("Key", operation.key.as_ref())?;
            Ok(TransactWrite::Delete(Deletion { key, condition, return_old: false }))
        }),
        (None, None, None, Some(check)) => read_operation(check, "conditionCheck", |operation, condition| {
            let key = operation.subject("Key", operation.key.as_ref())?;
            let missing = || validation("The ConditionExpression of a ConditionCheck is required");
            Ok(TransactWrite::Check { key, condition: condition.ok_or_else(missing)? })
        }),
        _ => Err(validation("TransactItems can only contain one of Check, Put, Update or Delete")),
    }
}

fn read_operation(
    mut operation: Operation,
    member: &str,
    make: impl FnOnce(&Operation, Option<Condition>) -> Result<TransactWrite, ServiceError>,
) -> Result<Wanted, ServiceError> {
    let table = operation.table(member)?;
    let mut expressions = operation.expressions()?;
    let condition = expressions.condition("ConditionExpression", operation.condition_expression.as_deref())?;
    expressions.finish()?;
    let write = make(&operation, condition)?;
    Ok(Wanted { table, write, show_item_on_failure: operation.shows_item() })
}

fn read_update(mut operation: Operation) -> Result<Wanted, ServiceError> {
    let table = operation.table("update")?;
    let mut expressions = operation.expressions()?;
    let update = expressions.update(operation.update_expression.as_deref())?;
    let condition = expressions.condition("ConditionExpression", operation.condition_expression.as_deref())?;
    expressions.finish()?;
    if update.is_none() {
        return Err(validation("The UpdateExpression of an Update is required"));
    }
    let key = operation.subject("Key", operation.key.as_ref())?;
    let write = TransactWrite::Update(Update { key, update, condition });
    Ok(Wanted { table, write, show_item_on_failure: operation.shows_item() })
}

impl Operation {
    fn table(&self, member: &str) -> Result<String, ServiceError> {
        let mut constraints = Constraints::new();
        let table = table_name(&mut constraints, self.table_name.as_deref()).to_owned();
        constraints.one_of(
            &format!("transactItems.{member}.returnValuesOnConditionCheckFailure"),
            self.return_values_on_condition_check_failure.as_deref(),
            &["ALL_OLD", "NONE"],
        );
        constraints.finish()?;
        Ok(table)
    }

    fn expressions(&mut self) -> Result<Expressions, ServiceError> {
        Expressions::new(self.expression_attribute_names.take(), self.expression_attribute_values.take())
    }

    fn subject(&self, member: &str, wire: Option<&WireItem>) -> Result<Item, ServiceError> {
        let wire = wire.ok_or_else(|| validation(format!("The {member} of a part of the transaction is required")))?;
        value::decode_item(wire.clone())
    }

    fn shows_item(&self) -> bool {
        self.return_values_on_condition_check_failure.as_deref() == Some("ALL_OLD")
    }
}

/// The item or key that a part writes; none for a check.
fn subject(wanted: &Wanted) -> Option<Item> {
    match &wanted.write {
        TransactWrite::Put(put) => Some(put.item.clone()),
        TransactWrite::Update(Update { key, .. }) | TransactWrite::Delete(Deletion { key, .. }) => Some(key.clone()),
        TransactWrite::Check { .. } => None,
    }
}

/// Tells one request from another, whatever the order of its members.
fn fingerprint(request: &JsonRequest) -> u64 {
    let mut members: Value = request.input().unwrap_or_default();
    members.sort_all_objects();
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, members.to_string().as_bytes())
}

/// The error with its reasons: one for each part, in their order. `shown`: which of them answer with the item.
pub(super) fn cancelled(reasons: Vec<Option<TableError>>, shown: &[bool]) -> ServiceError {
    let code = |reason: &Option<TableError>| match reason {
        None => "None",
        Some(TableError::ConditionFailed { .. }) => "ConditionalCheckFailed",
        Some(TableError::Throttled { .. }) => "ProvisionedThroughputExceeded",
        Some(_) => "ValidationError",
    };
    let codes: Vec<&str> = reasons.iter().map(code).collect();
    let message =
        format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{}]", codes.join(", "));
    let mut listed = Vec::with_capacity(reasons.len());
    for (at, (reason, code)) in reasons.iter().zip(&codes).enumerate() {
        let mut one = json!({ "Code": code });
        if let Some(reason) = reason {
            one["Message"] = json!(error::of_table(reason.clone()).message);
        }
        if let Some(TableError::ConditionFailed { item: Some(item) }) = reason
            && shown.get(at) == Some(&true)
        {
            one["Item"] = json!(value::encode_item(item));
        }
        listed.push(one);
    }
    let mut error = ServiceError::new("TransactionCanceledException", message);
    error.extra.push(("CancellationReasons", json!(listed)));
    error
}
