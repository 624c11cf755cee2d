//! Making one resource from its section of a pipeline file, as forms and `millstream create` ask for it.
//!
//! The section is carried out as a file is, with two differences: it may refer to what the node has, and it replaces nothing
//! that is there under its name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millstream_catalog::pipeline::{Known, Located, Mistake, Pipeline, Survey};
use millstream_console::{Create, CreateRefusal, JobAsk, NewCode, NewSection};
use millstream_types::port::BoxFuture;

use super::carry_out::{Applied, carry_out};
use super::{Request, check, hub, job, mapping, package};
use crate::node::Engines;

/// What mistakes call a section that stands in no file.
pub(super) const SECTION: &str = "section";

/// Makes and changes what the console's forms describe.
pub struct Creator(pub Arc<Engines>);

impl Create for Creator {
    fn needs_token(&self) -> bool {
        self.0.management.token().is_some()
    }

    fn create(&self, new: NewSection) -> BoxFuture<'_, Result<Vec<String>, CreateRefusal>> {
        Box::pin(async move {
            if !self.0.management.admits(new.token.trim()) {
                return Err(CreateRefusal::Forbidden);
            }
            let request = request(new).map_err(|error| CreateRefusal::Failed(error.to_string()))?;
            match create(&self.0, &request).await {
                Ok(applied) => Ok(applied.iter().map(ToString::to_string).collect()),
                Err(refusal) => Err(refusal),
            }
        })
    }

    fn job(&self, token: String, name: String, ask: JobAsk) -> BoxFuture<'_, Result<String, CreateRefusal>> {
        Box::pin(async move {
            if !self.0.management.admits(token.trim()) {
                return Err(CreateRefusal::Forbidden);
            }
            job::carry_out(&self.0, &name, ask).await
        })
    }
}

/// A section with its code, in the form in which files come.
fn request(new: NewSection) -> std::io::Result<Request> {
    let mut packages = BTreeMap::new();
    if let Some(code) = new.code
        && let Some(pipeline) = Survey::of(SECTION, &new.text, &Known::default()).pipeline
        && let Some(function) = pipeline.functions.first()
    {
        let spec = &function.value;
        let zip = match code {
            NewCode::Zip(zip) => zip,
            NewCode::Source(text) => package::of_source(&spec.runtime.value, &spec.handler, &text)?,
        };
        packages.insert(spec.code.value.display().to_string(), STANDARD.encode(zip));
    }
    Ok(Request {
        file: SECTION.to_owned(),
        text: new.text,
        sql_files: BTreeMap::new(),
        packages,
        documents: BTreeMap::new(),
    })
}

/// Makes what a section describes.
///
/// # Errors
/// The section's mistakes, a name that is taken, or an engine's refusal.
pub async fn create(engines: &Engines, request: &Request) -> Result<Vec<Applied>, CreateRefusal> {
    let known = Known::of(&engines.catalog);
    let mut pipeline = Pipeline::parse_onto(&request.file, &request.text, &known).map_err(CreateRefusal::Mistakes)?;
    let mut mistakes = check::queries(&request.file, Path::new(""), &pipeline, &request.sql_files);
    mistakes.extend(hub::mistakes(&request.file, &pipeline));
    mistakes.extend(taken(engines, &request.file, &pipeline));
    if !mistakes.is_empty() {
        return Err(CreateRefusal::Mistakes(mistakes));
    }
    for service in &mut pipeline.managed_services {
        // A section adds to a service and says nothing of what all its APIs share.
        if let (None, Ok(found)) = (&service.value.policy, engines.managed.service(&service.value.name)) {
            service.value.policy.clone_from(&found.policy);
        }
    }
    carry_out(engines, request, &pipeline).await.map_err(|error| CreateRefusal::Failed(format!("{error:#}")))
}

/// Names that something else has already. Hubs, databases, topics and the portal are not among them: a section adds what they
/// lack.
fn taken(engines: &Engines, file: &str, pipeline: &Pipeline) -> Vec<Mistake> {
    let mut taken = taken_of_pipeline(engines, pipeline);
    taken.extend(taken_of_sale(engines, pipeline));
    let mistake = |(kind, name, line): (&str, String, usize)| Mistake {
        file: file.to_owned(),
        line,
        message: format!("there is a {kind} `{name}` already"),
        hint: "choose another name".to_owned(),
    };
    taken.into_iter().map(mistake).collect()
}

/// Kinds, names and lines of what has a name already.
type Taken = Vec<(&'static str, String, usize)>;

fn taken_of_pipeline(engines: &Engines, pipeline: &Pipeline) -> Taken {
    let catalog = &engines.catalog;
    let mut taken = Taken::new();
    let mut check = |there: bool, kind, name: &str, line| {
        if there {
            taken.push((kind, name.to_owned(), line));
        }
    };
    for Located { value, line } in &pipeline.streams {
        check(catalog.streams.get(&value.name).is_some(), "stream", &value.name, *line);
    }
    for Located { value, line } in &pipeline.delivery_streams {
        check(catalog.delivery_streams.get(&value.name).is_some(), "delivery stream", &value.name, *line);
    }
    for Located { value, line } in &pipeline.tables {
        check(catalog.tables.get(&value.name).is_some(), "table", &value.name, *line);
    }
    for Located { value, line } in &pipeline.functions {
        check(catalog.functions.get(&value.name).is_some(), "function", &value.name, *line);
    }
    for Located { value, line } in &pipeline.queries {
        check(catalog.queries.get(&value.name).is_some(), "query", &value.name, *line);
    }
    for Located { value, line } in &pipeline.queues {
        check(catalog.queues.get(&value.name).is_some(), "queue", &value.name, *line);
    }
    for Located { value, line } in &pipeline.roles {
        check(catalog.roles.get(&value.name).is_some(), "role", &value.name, *line);
    }
    for Located { value, line } in &pipeline.users {
        check(catalog.users.get(&value.name).is_some(), "user", &value.name, *line);
    }
    for Located { value, line } in &pipeline.mappings {
        check(mapping::is_there(engines, value), "mapping", &mapping::name(value), *line);
    }
    for Located { value, line } in &pipeline.apis {
        check(engines.gateway.list().iter().any(|api| api.name == value.name), "API", &value.name, *line);
    }
    taken
}

/// The same of what APIs are managed and sold with.
fn taken_of_sale(engines: &Engines, pipeline: &Pipeline) -> Taken {
    let mut taken = Taken::new();
    let mut check = |there: bool, kind, name: &str, line| {
        if there {
            taken.push((kind, name.to_owned(), line));
        }
    };
    for Located { value, line } in &pipeline.plans {
        check(engines.plans.plans().iter().any(|plan| plan.name == value.name), "usage plan", &value.name, *line);
    }
    for Located { value, line } in &pipeline.api_keys {
        check(engines.plans.keys().iter().any(|key| key.name == value.name), "API key", &value.name, *line);
    }
    for Located { value, line } in &pipeline.products {
        check(engines.catalog.marketplace_products.get(&value.code).is_some(), "product", &value.code, *line);
    }
    for Located { value, line } in &pipeline.managed_services {
        let Ok(service) = engines.managed.service(&value.name) else { continue };
        for Located { value, line } in &value.named_values {
            check(service.named_values.contains_key(&value.name), "named value", &value.name, *line);
        }
        for Located { value, line } in &value.backends {
            check(service.backends.contains_key(&value.name), "backend", &value.name, *line);
        }
        for api in &value.apis {
            check(service.apis.contains_key(&api.name), "managed API", &api.name, *line);
        }
        for (product, _) in &value.products {
            check(service.products.contains_key(&product.name), "product", &product.name, *line);
        }
    }
    taken
}
