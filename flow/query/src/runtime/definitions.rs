//! Queries themselves: made, changed, started, stopped, removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::{
    DesiredState, EventOrder, QueryDefinition, QueryDialect, QueryFunction, QueryInput, QueryOutput, QueryResource,
    ReferenceInput, StartAt, StreamOwner,
};
use millstream_storage::{Transaction, to_the_end};
use millstream_types::BoxFuture;

use super::check::{
    check_containers, check_draft, check_inputs, check_outputs, check_processors, check_references, check_scripts,
    check_sql,
};
use super::engine::Queries;
use super::error::QueryError;

/// Labels that one query may have: the services' quota.
pub const TAGS_MAX: usize = 50;

/// What a query is made from.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct NewQuery {
    pub name: String,
    pub dialect: QueryDialect,
    pub sql: String,
    pub description: String,
    pub inputs: Vec<QueryInput>,
    pub references: Vec<ReferenceInput>,
    pub functions: Vec<QueryFunction>,
    pub outputs: Vec<QueryOutput>,
    pub start_at: StartAt,
    pub event_order: EventOrder,
    pub parallelism: u32,
    pub resource: Option<QueryResource>,
}

impl From<&QueryDefinition> for NewQuery {
    /// What a query is made from now, to be changed.
    fn from(query: &QueryDefinition) -> Self {
        Self {
            name: query.name.clone(),
            dialect: query.dialect,
            sql: query.sql.clone(),
            description: query.description.clone(),
            inputs: query.inputs.clone(),
            references: query.references.clone(),
            functions: query.functions.clone(),
            outputs: query.outputs.clone(),
            start_at: query.start_at,
            event_order: query.event_order,
            parallelism: query.parallelism,
            resource: query.resource.clone(),
        }
    }
}

impl Queries {
    /// Defines a query; it does not run yet. Until it is started its text may be empty and, in the dialect of Stream
    /// Analytics, read inputs that are not there yet.
    ///
    /// # Errors
    /// [`QueryError::Plan`] with all mistakes that can be found without records; [`QueryError::Output`];
    /// [`QueryError::Input`]; [`QueryError::Exists`].
    pub fn create(&self, new: NewQuery) -> BoxFuture<'_, Result<Arc<QueryDefinition>, QueryError>> {
        Box::pin(async move {
            check_scripts(&new.functions).await?;
            check_draft(&new)?;
            check_outputs(&new.outputs)?;
            check_processors(&new.inputs)?;
            check_references(&new.references)?;
            let now = self.shared.clock.now();
            let definition = QueryDefinition {
                name: new.name,
                dialect: new.dialect,
                sql: new.sql,
                description: new.description,
                inputs: new.inputs,
                references: new.references,
                functions: new.functions,
                outputs: new.outputs,
                desired: DesiredState::Stopped,
                start_at: new.start_at,
                event_order: new.event_order,
                parallelism: new.parallelism,
                resource: new.resource,
                started: None,
                created: now,
                modified: now,
                version: 1,
            };
            let _turn = self.shared.turns.of(&definition.name).await;
            Ok(self.shared.catalog.queries.create(definition).await?)
        })
    }

    /// Looks whether a function could be one of a query's.
    ///
    /// # Errors
    /// [`QueryError::Function`].
    pub fn check_function<'a>(&'a self, function: &'a QueryFunction) -> BoxFuture<'a, Result<(), QueryError>> {
        Box::pin(check_scripts(std::slice::from_ref(function)))
    }

    /// Changes a query that is still as the caller has `seen` it. When it runs it is stopped and started again, and goes on
    /// where it was: windows that were open are computed whole by the new plan, from the records.
    /// The text of one that does not run may miss what [`Queries::create`] lets it miss.
    ///
    /// # Errors
    /// [`QueryError::NotFound`], [`QueryError::Changed`], [`QueryError::Plan`], [`QueryError::Output`], [`QueryError::Input`].
    pub fn update<'a>(
        &'a self,
        seen: &'a QueryDefinition,
        new: NewQuery,
    ) -> BoxFuture<'a, Result<Arc<QueryDefinition>, QueryError>> {
        Box::pin(async move {
            check_scripts(&new.functions).await?;
            let turn = self.shared.turns.of(&seen.name).await;
            let mut definition = (*self.get(&seen.name)?).clone();
            if definition != *seen {
                return Err(QueryError::Changed { name: definition.name });
            }
            match definition.desired {
                DesiredState::Stopped => check_draft(&new)?,
                DesiredState::Running => {
                    check_sql(new.dialect, &new.sql, (&new.inputs, &new.references), &new.functions)?;
                    check_containers(&self.shared.catalog, &new.outputs)?;
                }
            }
            check_outputs(&new.outputs)?;
            check_processors(&new.inputs)?;
            check_references(&new.references)?;
            definition.dialect = new.dialect;
            definition.sql = new.sql;
            definition.description = new.description;
            definition.inputs = new.inputs;
            definition.references = new.references;
            definition.functions = new.functions;
            definition.outputs = new.outputs;
            definition.start_at = new.start_at;
            definition.event_order = new.event_order;
            definition.parallelism = new.parallelism;
            definition.resource = new.resource;
            definition.modified = self.shared.clock.now();
            definition.version += 1;
            let engine = self.clone();
            to_the_end(async move {
                let _turn = turn;
                let definition = engine.shared.catalog.queries.put(definition).await?;
                if definition.desired == DesiredState::Running {
                    engine.halt(&definition.name).await;
                    engine.run(Arc::clone(&definition)).await?;
                }
                Ok(definition)
            })
            .await
        })
    }

    /// Changes a query's labels; it runs on and its version stays.
    ///
    /// # Errors
    /// [`QueryError::NotFound`], [`QueryError::TooManyTags`].
    pub async fn change_tags(
        &self,
        name: &str,
        change: impl FnOnce(&mut BTreeMap<String, String>),
    ) -> Result<(), QueryError> {
        let turn = self.shared.turns.of(name).await;
        let mut definition = (*self.get(name)?).clone();
        let tags = &mut definition.resource.get_or_insert_default().tags;
        change(tags);
        if tags.len() > TAGS_MAX {
            return Err(QueryError::TooManyTags { found: tags.len() });
        }
        let engine = self.clone();
        to_the_end(async move {
            let _turn = turn;
            engine.shared.catalog.queries.put(definition).await?;
            Ok(())
        })
        .await
    }

    /// Lets a query run from `start_at`: its positions and state are dropped then, rows that wait for their delivery stay.
    /// With `None` or [`StartAt::LastStopped`] it goes on where it stopped.
    ///
    /// # Errors
    /// [`QueryError::NotFound`], [`QueryError::State`] when it runs already, [`QueryError::Plan`] for a text that cannot
    /// run, an empty one for instance, [`QueryError::InputGone`].
    pub fn start_query<'a>(
        &'a self,
        name: &'a str,
        start_at: Option<StartAt>,
    ) -> BoxFuture<'a, Result<(), QueryError>> {
        Box::pin(async move {
            let turn = self.shared.turns.of(name).await;
            let mut definition = (*self.get(name)?).clone();
            if definition.desired == DesiredState::Running {
                return Err(QueryError::State { name: name.to_owned(), state: "running" });
            }
            definition.desired = DesiredState::Running;
            let QueryDefinition { dialect, sql, inputs, references, functions, .. } = &definition;
            check_sql(*dialect, sql, (inputs, references), functions)?;
            check_inputs(&self.shared.streams, &definition.inputs)?;
            check_containers(&self.shared.catalog, &definition.outputs)?;
            definition.start_at = start_at.unwrap_or(definition.start_at);
            definition.started = Some(self.shared.clock.now());
            let anew = start_at.is_some_and(|start| start != StartAt::LastStopped);
            let engine = self.clone();
            to_the_end(async move {
                let _turn = turn;
                if anew {
                    // Before it is to run: a crash in between leaves a stopped query that is started again from `start_at`.
                    engine.shared.checkpoints.forget_positions(&definition.name).await?;
                }
                let definition = engine.shared.catalog.queries.put(definition).await?;
                engine.run(definition).await
            })
            .await
        })
    }

    /// Stops a query; its checkpoint stays.
    ///
    /// # Errors
    /// [`QueryError::NotFound`], [`QueryError::State`] when it does not run.
    pub fn stop_query<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), QueryError>> {
        Box::pin(async move {
            let turn = self.shared.turns.of(name).await;
            let mut definition = (*self.get(name)?).clone();
            if definition.desired == DesiredState::Stopped {
                return Err(QueryError::State { name: name.to_owned(), state: "stopped" });
            }
            definition.desired = DesiredState::Stopped;
            let engine = self.clone();
            to_the_end(async move {
                let _turn = turn;
                let definition = engine.shared.catalog.queries.put(definition).await?;
                engine.halt(&definition.name).await;
                Ok(())
            })
            .await
        })
    }

    /// Removes a query with its checkpoint and its own streams.
    ///
    /// # Errors
    /// [`QueryError::NotFound`].
    pub fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), QueryError>> {
        Box::pin(async move {
            let turn = self.shared.turns.of(name).await;
            let definition = self.get(name)?;
            let engine = self.clone();
            to_the_end(async move {
                let _turn = turn;
                engine.halt(&definition.name).await;
                let mut transaction = Transaction::new();
                engine.shared.checkpoints.remove(&definition.name, &mut transaction).await?;
                engine.shared.catalog.queries.delete(&definition.name, transaction).await?;
                engine.shared.checkpoints.pieces.remove_from(&definition.name, 0).await?;
                engine.shared.checkpoints.outbox.parts.remove_from(&definition.name, 0).await?;
                engine.remove_streams(|query| query == definition.name).await
            })
            .await
        })
    }

    /// Removes the own streams, the state and the results of queries that are no more: a deletion that a crash cut off is ended by the next
    /// start, so that a new query of the name does not find the old one's rows.
    pub(super) async fn remove_orphans(&self) -> Result<(), QueryError> {
        self.remove_streams(|query| self.get(query).is_err()).await?;
        let checkpoints = &self.shared.checkpoints;
        for values in [&checkpoints.pieces, &checkpoints.outbox.parts] {
            for query in values.queries().await?.iter().filter(|query| self.get(query).is_err()) {
                values.remove_from(query, 0).await?;
            }
        }
        Ok(())
    }

    async fn remove_streams(&self, of: impl Fn(&str) -> bool) -> Result<(), QueryError> {
        for stream in self.shared.streams.list().iter().filter(|stream| stream.owner == StreamOwner::Query) {
            if stream.name.split('/').nth(1).is_some_and(&of) {
                self.shared.streams.delete(&stream.name).await?;
            }
        }
        Ok(())
    }
}
