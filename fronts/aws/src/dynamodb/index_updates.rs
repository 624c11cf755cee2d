//! `GlobalSecondaryIndexUpdates` of `UpdateTable`: one index made or removed, or the capacity of some changed.

use std::sync::Arc;

use millstream_catalog::{TableDefinition, TableIndex};
use millstream_table::TableError;
use serde::Deserialize;
use serde_json::Value;

use super::create_table::{AttributeDefinition, ProvisionedThroughput, check_throughput};
use super::indexes::{self, NewIndex};
use super::{DynamoDb, error, validation};
use crate::json_protocol::{Constraints, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct IndexUpdate {
    create: Option<NewIndex>,
    delete: Option<Removed>,
    update: Option<Changed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Removed {
    index_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Changed {
    index_name: Option<String>,
    provisioned_throughput: Option<ProvisionedThroughput>,
    on_demand_throughput: Option<Value>,
    warm_throughput: Option<Value>,
}

/// What is to be done with indexes, checked.
pub(super) enum IndexChange {
    Make(TableIndex),
    Remove(String),
    /// By names, (reads, writes).
    Provision(Vec<(String, (u64, u64))>),
}

/// Reads the changes of a table's indexes; `None` without any. `on_demand`: nothing of the table is provisioned, or will be.
pub(super) fn read(
    updates: Vec<IndexUpdate>,
    definitions: &[AttributeDefinition],
    (table, on_demand): (&TableDefinition, bool),
) -> Result<Option<IndexChange>, ServiceError> {
    let count = updates.len();
    let mut provisioned = Vec::new();
    for update in updates {
        let one_index = match (update.create, update.delete, update.update) {
            (Some(new), None, None) => IndexChange::Make(indexes::read_added(&new, definitions, (table, on_demand))?),
            (None, Some(Removed { index_name }), None) => IndexChange::Remove(name("delete", index_name)?),
            (None, None, Some(changed)) => {
                provisioned.push(read_changed(changed, (table, on_demand))?);
                continue;
            }
            _ => {
                return Err(validation(
                    "One or more parameter values were invalid: a GlobalSecondaryIndexUpdate must have exactly one of \
                     Create, Update and Delete",
                ));
            }
        };
        if count > 1 {
            return Err(ServiceError::new(
                "LimitExceededException",
                "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table",
            ));
        }
        return Ok(Some(one_index));
    }
    Ok((!provisioned.is_empty()).then_some(IndexChange::Provision(provisioned)))
}

fn read_changed(
    changed: Changed,
    (table, on_demand): (&TableDefinition, bool),
) -> Result<(String, (u64, u64)), ServiceError> {
    if changed.on_demand_throughput.is_some() || changed.warm_throughput.is_some() {
        return Err(validation("OnDemandThroughput and WarmThroughput are not supported by this node"));
    }
    let mut constraints = Constraints::new();
    constraints.required(
        "globalSecondaryIndexUpdates.member.update.provisionedThroughput",
        changed.provisioned_throughput.as_ref(),
    );
    check_throughput(&mut constraints, changed.provisioned_throughput.as_ref());
    constraints.finish()?;
    if on_demand {
        return Err(validation(
            "One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified \
             when BillingMode is PAY_PER_REQUEST",
        ));
    }
    let units = changed.provisioned_throughput.map(|given| given.units()).unwrap_or_default();
    let name = name("update", changed.index_name)?;
    match table.kept_indexes().any(|index| index.name == name && !index.local) {
        true => Ok((name, units)),
        false => Err(no_such_index()),
    }
}

fn name(action: &str, name: Option<String>) -> Result<String, ServiceError> {
    let member = format!("globalSecondaryIndexUpdates.member.{action}.indexName");
    Constraints::new().required(&member, name.as_ref()).finish()?;
    Ok(name.unwrap_or_default())
}

fn no_such_index() -> ServiceError {
    ServiceError::new("ResourceNotFoundException", "Requested resource not found")
}

impl DynamoDb {
    /// Begins a change of a table's indexes.
    pub(super) async fn change_indexes(
        &self,
        table: &str,
        change: IndexChange,
    ) -> Result<Arc<TableDefinition>, ServiceError> {
        let changed = match change {
            IndexChange::Make(index) => self.tables.add_index(table, index).await,
            IndexChange::Remove(name) => self.tables.remove_index(table, &name).await,
            IndexChange::Provision(all) => {
                let mut changed = self.tables.table(table);
                for (name, units) in all {
                    changed = Ok(self.tables.set_index_provisioned(table, &name, units).await.map_err(of_index)?);
                }
                changed
            }
        };
        changed.map_err(of_index)
    }
}

fn of_index(failed: TableError) -> ServiceError {
    match failed {
        TableError::IndexNotFound { .. } => no_such_index(),
        other => error::of_named_table(other),
    }
}
