//! Inputs, functions, outputs and the transformation as resources below a job: the same operations on each.

use http::StatusCode;
use millstream_catalog::QueryDefinition;
use millstream_query::NewQuery;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::condition::{check, fingerprint};
use super::error::JobError;
use super::input::Input;
use super::wire::{merge, read, refuse_others};
use super::{Answer, Call, StreamAnalytics, function, input, job, output, reference, transformation};

/// Inputs of a job, functions, and outputs: each output has a task of its own.
const CHILDREN_MAX: usize = 60;

/// What a resource below a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Input,
    Function,
    Output,
    Transformation,
}

/// A resource below a job as requests give it, alone or within their job's.
#[derive(Deserialize)]
pub(super) struct Body {
    /// Needed within a job only: alone it is in the path.
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) properties: Value,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Body {
    pub(super) fn read(place: &str, document: Value) -> Result<Self, JobError> {
        let body: Self = read(place, document)?;
        refuse_others(place, &body.others, &["id", "type"])?;
        Ok(body)
    }
}

impl Kind {
    /// The kind by its name in paths, in small letters.
    pub(super) fn of(name: &str) -> Option<Self> {
        [Self::Input, Self::Function, Self::Output, Self::Transformation].into_iter().find(|kind| kind.plural() == name)
    }

    /// Its name in paths.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Input => "inputs",
            Self::Function => "functions",
            Self::Output => "outputs",
            Self::Transformation => "transformations",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Function => "function",
            Self::Output => "output",
            Self::Transformation => "transformation",
        }
    }

    /// The names of a job's resources of this kind.
    pub(super) fn names(self, query: &QueryDefinition) -> Vec<String> {
        match self {
            Self::Input => {
                let references = query.references.iter().map(|input| &input.name);
                query.inputs.iter().map(|input| &input.name).chain(references).cloned().collect()
            }
            Self::Function => query.functions.iter().map(|function| function.name.clone()).collect(),
            Self::Output => query.outputs.iter().map(|output| output.name.clone()).collect(),
            Self::Transformation => transformation::name(query).into_iter().collect(),
        }
    }

    /// The properties of one; `None` when the job has none of that name. Names are found in any case of letters, as the
    /// query's text finds them.
    fn properties(self, front: &StreamAnalytics, query: &QueryDefinition, name: &str) -> Option<Value> {
        let namespaces = &front.namespaces;
        match self {
            Self::Input => {
                let found = query.inputs.iter().find(|input| input.name.eq_ignore_ascii_case(name));
                let table = query.references.iter().find(|input| input.name.eq_ignore_ascii_case(name));
                found.map(|found| input::document(namespaces, found)).or_else(|| table.map(reference::document))
            }
            Self::Function => {
                let found = query.functions.iter().find(|function| function.name.eq_ignore_ascii_case(name))?;
                Some(function::document(found))
            }
            Self::Output => {
                let found = query.outputs.iter().find(|output| output.name.eq_ignore_ascii_case(name))?;
                Some(output::document(namespaces, found))
            }
            Self::Transformation => {
                let known = transformation::name(query)?;
                known.eq_ignore_ascii_case(name).then(|| transformation::document(query))
            }
        }
    }

    /// Adds one to a job, or replaces the one of that name.
    pub(super) fn set(
        self,
        front: &StreamAnalytics,
        job: &mut NewQuery,
        name: &str,
        properties: Value,
    ) -> Result<(), JobError> {
        job::check_name(self.word(), name)?;
        match self {
            Self::Input => {
                let same = |known: &str| known.eq_ignore_ascii_case(name);
                match input::definition(&front.namespaces, name, properties)? {
                    Input::Stream(mut new) => {
                        job.references.retain(|known| !same(&known.name));
                        match job.inputs.iter_mut().find(|known| same(&known.name)) {
                            Some(known) => {
                                // The service has no columns to declare: those of a pipeline file stay.
                                new.columns = std::mem::take(&mut known.columns);
                                *known = new;
                            }
                            None => push(&mut job.inputs, new, self)?,
                        }
                    }
                    Input::Reference(mut new) => {
                        job.inputs.retain(|known| !same(&known.name));
                        match job.references.iter_mut().find(|known| same(&known.name)) {
                            Some(known) => {
                                new.columns = std::mem::take(&mut known.columns);
                                *known = new;
                            }
                            None => push(&mut job.references, new, self)?,
                        }
                    }
                }
            }
            Self::Function => {
                let new = function::definition(name, properties)?;
                match job.functions.iter_mut().find(|known| known.name.eq_ignore_ascii_case(name)) {
                    Some(known) => *known = new,
                    None => push(&mut job.functions, new, self)?,
                }
            }
            Self::Output => {
                let new = output::definition(&front.namespaces, name, properties)?;
                match job.outputs.iter_mut().find(|known| known.name.eq_ignore_ascii_case(name)) {
                    Some(known) => *known = new,
                    None => push(&mut job.outputs, new, self)?,
                }
            }
            Self::Transformation => transformation::set(job, name, properties)?,
        }
        Ok(())
    }

    fn remove(self, job: &mut NewQuery, name: &str) {
        match self {
            Self::Input => {
                job.inputs.retain(|input| !input.name.eq_ignore_ascii_case(name));
                job.references.retain(|input| !input.name.eq_ignore_ascii_case(name));
            }
            Self::Function => job.functions.retain(|function| !function.name.eq_ignore_ascii_case(name)),
            Self::Output => job.outputs.retain(|output| !output.name.eq_ignore_ascii_case(name)),
            Self::Transformation => transformation::remove(job),
        }
    }

    /// All of a job's resources of this kind as documents.
    pub(super) fn documents(self, call: &Call, query: &QueryDefinition) -> Vec<Value> {
        let names = self.names(query).into_iter();
        names.filter_map(|name| self.document(call, query, &name).map(|(document, _)| document)).collect()
    }

    /// One as the resource manager writes it, and its tag.
    fn document(self, call: &Call, query: &QueryDefinition, name: &str) -> Option<(Value, String)> {
        let mut properties = self.properties(call.front, query, name)?;
        let etag = fingerprint(&properties);
        properties["etag"] = json!(etag);
        let address = format!("{}/{}/{name}", call.address(query), self.plural());
        Some((Call::resource(&address, &format!("streamingjobs/{}", self.plural()), properties), etag))
    }
}

fn push<T>(children: &mut Vec<T>, new: T, kind: Kind) -> Result<(), JobError> {
    if children.len() >= CHILDREN_MAX {
        return Err(JobError::invalid(format!("expected at most {CHILDREN_MAX} {} in a job", kind.plural())));
    }
    children.push(new);
    Ok(())
}

pub(super) fn list(call: &Call, kind: Kind, job: &str) -> Result<Answer, JobError> {
    let query = call.front.job(job)?;
    let document = json!({ "value": kind.documents(call, &query) });
    Ok(Answer { status: StatusCode::OK, document, etag: String::new() })
}

pub(super) fn get(call: &Call, kind: Kind, job: &str, name: &str) -> Result<Answer, JobError> {
    let query = call.front.job(job)?;
    shown(call, kind, &query, name, StatusCode::OK)
}

pub(super) async fn put(call: &Call<'_>, kind: Kind, job: &str, name: &str) -> Result<Answer, JobError> {
    let _turn = call.front.turn.lock().await;
    let query = call.front.job(job)?;
    let known = kind.document(call, &query, name);
    check(call, known.as_ref().map(|(_, etag)| etag.as_str()))?;
    let body = Body::read("the body", call.body()?)?;
    let status = if known.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    change(call, kind, &query, name, body.properties, status).await
}

pub(super) async fn patch(call: &Call<'_>, kind: Kind, job: &str, name: &str) -> Result<Answer, JobError> {
    let _turn = call.front.turn.lock().await;
    let query = call.front.job(job)?;
    let Some(mut properties) = kind.properties(call.front, &query, name) else {
        return Err(JobError::not_found(kind.word(), name));
    };
    check(call, Some(&fingerprint(&properties)))?;
    let change_of = call.body()?.get_mut("properties").map(Value::take).unwrap_or_default();
    if !change_of.is_null() {
        merge(&mut properties, change_of);
    }
    change(call, kind, &query, name, properties, StatusCode::OK).await
}

pub(super) async fn delete(call: &Call<'_>, kind: Kind, job: &str, name: &str) -> Result<Answer, JobError> {
    let _turn = call.front.turn.lock().await;
    let query = call.front.job(job)?;
    let Some(properties) = kind.properties(call.front, &query, name) else {
        return Ok(Answer::empty(StatusCode::NO_CONTENT));
    };
    check(call, Some(&fingerprint(&properties)))?;
    job::check_stopped(&query)?;
    let mut changed = NewQuery::from(&*query);
    kind.remove(&mut changed, name);
    call.front.queries.update(&query, changed).await?;
    Ok(Answer::empty(StatusCode::OK))
}

/// Sets one and shows it.
async fn change(
    call: &Call<'_>,
    kind: Kind,
    query: &QueryDefinition,
    name: &str,
    properties: Value,
    status: StatusCode,
) -> Result<Answer, JobError> {
    job::check_stopped(query)?;
    let mut changed = NewQuery::from(query);
    kind.set(call.front, &mut changed, name, properties)?;
    let query = call.front.queries.update(query, changed).await?;
    shown(call, kind, &query, name, status)
}

fn shown(call: &Call, kind: Kind, query: &QueryDefinition, name: &str, status: StatusCode) -> Result<Answer, JobError> {
    let found = kind.document(call, query, name).ok_or_else(|| JobError::not_found(kind.word(), name))?;
    Ok(Answer { status, document: found.0, etag: found.1 })
}
