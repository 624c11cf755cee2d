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
use millstream_console::{Create, CreateRefusal, NewCode, NewSection};
use millstream_types::port::BoxFuture;

use super::carry_out::{Applied, carry_out};
use super::{Request, check, hub, package};
use crate::node::Engines;

/// What mistakes call a section that stands in no file.
const SECTION: &str = "section";

/// Makes what the console's forms describe.
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

/// Names that something else has already. Hubs, databases and topics are not among them: a section adds what they lack.
fn taken(engines: &Engines, file: &str, pipeline: &Pipeline) -> Vec<Mistake> {
    let catalog = &engines.catalog;
    let mut mistakes = Vec::new();
    let mut check = |there: bool, kind: &str, name: &str, line: usize| {
        if there {
            let message = format!("there is a {kind} `{name}` already");
            mistakes.push(Mistake { file: file.to_owned(), line, message, hint: "choose another name".to_owned() });
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
    for Located { value, line } in &pipeline.apis {
        check(engines.gateway.list().iter().any(|api| api.name == value.name), "API", &value.name, *line);
    }
    for Located { value, line } in &pipeline.managed_services {
        let Ok(service) = engines.managed.service(&value.name) else { continue };
        for api in &value.apis {
            check(service.apis.contains_key(&api.name), "managed API", &api.name, *line);
        }
        for (product, _) in &value.products {
            check(service.products.contains_key(&product.name), "product", &product.name, *line);
        }
    }
    mistakes
}
