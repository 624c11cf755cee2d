//! `/apis`: services of managed APIs.

use askama::Template;

use super::{Frame, ListPage};
use crate::Console;
use crate::error::ConsoleError;
use crate::format;
use crate::live::Fragments;
use crate::page::Page;
use crate::partials::{Cell, Grid, page_of};

pub(super) fn page(frame: Frame, live: Fragments) -> Result<String, ConsoleError> {
    Ok(ListPage { frame, live, more: "" }.render()?)
}

pub(super) fn fragments(console: &Console, after: &str) -> Result<Fragments, ConsoleError> {
    let (services, next) = page_of(console.managed().services(), after, |service| &service.name);
    let empty = "No services. Define one in a pipeline file, or create one with any API Management client.";
    let mut grid = Grid::new(&["name", "#APIs", "#products", "#subscriptions", "made (UTC)"], empty);
    grid.next = next.map(|name| Page::Services(name).href());
    for service in services {
        grid.rows.push(vec![
            Cell::link(&service.name, &Page::Service(service.name.clone())),
            service.apis.len().to_string().into(),
            service.products.len().to_string().into(),
            service.subscriptions.len().to_string().into(),
            format::date_time(service.created).into(),
        ]);
    }
    let mut fragments = Fragments::default();
    fragments.add("list", &grid)?;
    Ok(fragments)
}
