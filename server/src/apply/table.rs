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
        indexes: indexes(spec, spec.provisioned),
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
    let missing = missing_indexes(&found, spec)?;
    let mut changed = change_table(engines, spec, &found).await?;
    if !missing.is_empty() {
        engines.tables.add_indexes(&spec.name, missing).await?;
        changed = true;
    }
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

/// The indexes of a table to be. Those that do not share its capacity have as much of their own.
fn indexes(spec: &TableSpec, provisioned: Option<(u64, u64)>) -> Vec<TableIndex> {
    let index = |(number, index): (u32, &IndexSpec)| TableIndex {
        name: index.name.clone(),
        number,
        hash_key: index.hash_key.clone(),
        sort_key: index.sort_key.clone(),
        projection: index.projection.clone(),
        local: index.local,
        provisioned: provisioned.filter(|_| !index.local),
        state: IndexState::Active,
    };
    (0..).zip(&spec.indexes).map(index).collect()
}

/// The indexes that a file says and a table that is there does not have yet. A file that says nothing of indexes leaves them
/// as they are; one that does says all of them.
fn missing_indexes(table: &TableDefinition, spec: &TableSpec) -> anyhow::Result<Vec<TableIndex>> {
    let is = |index: &TableIndex, said: &IndexSpec| {
        (&index.name, &index.hash_key, &index.sort_key, &index.projection, index.local)
            == (&said.name, &said.hash_key, &said.sort_key, &said.projection, said.local)
    };
    let as_said = |index: &TableIndex| spec.indexes.iter().any(|said| is(index, said));
    if !spec.indexes.is_empty() && !table.kept_indexes().all(as_said) {
        bail!("it has other indexes; change them by UpdateTable, or describe it as it is")
    }
    let mut missing = indexes(spec, spec.provisioned.or(table.provisioned));
    missing.retain(|index| table.kept_indexes().all(|known| known.name != index.name));
    if let Some(local) = missing.iter().find(|index| index.local) {
        bail!("it has no local index `{}`, and those are made with their table; take it out of the file", local.name)
    }
    Ok(missing)
}
