//! `/apis/{service}/{api}`: the operations and policies of a managed API.

use askama::Template;
use millstream_catalog::ManagedApi;

use super::Frame;
use crate::Console;
use crate::console::not_found;
use crate::error::ConsoleError;
use crate::live::Fragments;
use crate::measure::Measures;
use crate::page::Page;
use crate::partials::{Cell, Figure, Figures, Grid};

#[derive(Template)]
#[template(path = "pages/managed_api.html")]
struct ManagedApiPage<'a> {
    frame: Frame,
    live: Fragments,
    service: &'a str,
    service_href: String,
    name: &'a str,
    path: &'a str,
    backend: &'a str,
    key: String,
    operations: Grid,
    policy: Option<&'a str>,
}

pub(super) fn page(
    console: &Console,
    service: &str,
    name: &str,
    frame: Frame,
    live: Fragments,
) -> Result<String, ConsoleError> {
    let definition = console.service(service)?;
    let api = definition.apis.get(name).ok_or_else(|| not_found("API", name))?;
    let page = ManagedApiPage {
        frame,
        live,
        service,
        service_href: Page::Service(service.to_owned()).href(),
        name,
        path: &api.path,
        backend: api.backend.as_deref().unwrap_or("its policies say it"),
        key: match api.subscription_required {
            true => format!("in the header {} or the parameter {}", api.key_header, api.key_query),
            false => "not needed".to_owned(),
        },
        operations: operations(service, api),
        policy: api.policy.as_deref(),
    };
    Ok(page.render()?)
}

fn operations(service: &str, api: &ManagedApi) -> Grid {
    let mut grid = Grid::new(&["name", "method", "path", "policies"], "No operations.");
    for operation in api.operations.values() {
        let page = Page::Operation(service.to_owned(), api.name.clone(), operation.name.clone());
        grid.rows.push(vec![
            Cell::link(&operation.name, &page),
            operation.method.as_str().into(),
            operation.template.as_str().into(),
            if operation.policy.is_some() { "its own" } else { "" }.into(),
        ]);
    }
    grid
}

pub(super) fn fragments(console: &Console, service: &str, name: &str) -> Result<Fragments, ConsoleError> {
    let measures = Measures::of(&console.insight().metrics, format!("managed-api/{service}/{name}"));
    let mut fragments = Fragments::default();
    let figures = vec![
        Figure::rate("requests", measures.rate("requests")),
        Figure::trouble("refused", measures.recent("errors_4xx"), "in 10 min"),
        Figure::trouble("failed", measures.recent("errors_5xx"), "in 10 min"),
    ];
    fragments.add("figures", &Figures { figures })?;
    Ok(fragments)
}
