//! Carrying out what a pipeline file says of tables.

use std::collections::BTreeMap;

use anyhow::bail;
use millstream_catalog::pipeline::{IndexSpec, TableSpec};
use millstream_catalog::{IndexState, TABLE_ITEM_BYTES_MAX, TableDefinition, TableIndex, TableOwner};
use millstream_table::{NewTable, TableError};

use super::carry_out::Outcome;
use crate::node::Engines;

pub(super) async fn table(engines: &Engines, spec: &TableSpec) -> anyhow::Result<Outcome> {
    let new = NewTable {
        name: spec.name.clone(),
        hash_key: spec.hash_key.clone(),
        sort_key: spec.sort_key.clone(),
        provisioned: spec.provisioned,
        changes: spec.changes,
        indexes: indexes(spec),
        tags: BTreeMap::new(),
        owner: TableOwner::User,
        item_bytes_max: TABLE_ITEM_BYTES_MAX,
    };
    let (found, outcome) = match engines.tables.create(new).await {
        Ok(made) => (made, Outcome::Created),
        Err(TableError::TableExists { .. }) => (engines.tables.table(&spec.name)?, Outcome::Unchanged),
        Err(error) => return Err(error.into()),
    };
    if found.hash_key != spec.hash_key || found.sort_key != spec.sort_key {
        bail!("it has other keys; delete it or describe it as it is")
    }
    if !spec.indexes.is_empty() && !has_indexes(&found, spec) {
        bail!("it has other indexes; change them by UpdateTable, or describe it as it is")
    }
    let changed = change_table(engines, spec, &found).await?;
    Ok(if changed && outcome == Outcome::Unchanged { Outcome::Updated } else { outcome })
}

/// Makes a table as the file says it. What the file says nothing of stays as it is.
async fn change_table(engines: &Engines, spec: &TableSpec, found: &TableDefinition) -> anyhow::Result<bool> {
    let (tables, mut changed) = (&engines.tables, false);
    if spec.provisioned.is_some() && spec.provisioned != found.provisioned {
        tables.set_provisioned(&spec.name, spec.provisioned).await?;
        changed = true;
    }
    if spec.changes.is_some() && spec.changes != found.change_view() {
        // Another view is another stream of changes.
        if found.change_view().is_some() {
            tables.set_changes(&spec.name, None).await?;
        }
        tables.set_changes(&spec.name, spec.changes).await?;
        changed = true;
    }
    if spec.expiry.is_some() && spec.expiry != found.expiry {
        tables.set_expiry(&spec.name, spec.expiry.clone()).await?;
        changed = true;
    }
    Ok(changed)
}

/// The indexes of a table that is made. Those that do not share its capacity have as much of their own.
fn indexes(spec: &TableSpec) -> Vec<TableIndex> {
    let index = |(number, index): (u32, &IndexSpec)| TableIndex {
        name: index.name.clone(),
        number,
        hash_key: index.hash_key.clone(),
        sort_key: index.sort_key.clone(),
        projection: index.projection.clone(),
        local: index.local,
        provisioned: spec.provisioned.filter(|_| !index.local),
        state: IndexState::Active,
    };
    (0..).zip(&spec.indexes).map(index).collect()
}

/// Whether a table has the indexes that a file says, in whatever order. Names are unique in both.
fn has_indexes(table: &TableDefinition, spec: &TableSpec) -> bool {
    let is = |index: &TableIndex, said: &IndexSpec| {
        (&index.name, &index.hash_key, &index.sort_key, &index.projection, index.local)
            == (&said.name, &said.hash_key, &said.sort_key, &said.projection, said.local)
    };
    table.kept_indexes().count() == spec.indexes.len()
        && table.kept_indexes().all(|index| spec.indexes.iter().any(|said| is(index, said)))
}
