//! `/documents`: containers of documents.

use askama::Template;
use millstream_catalog::DocumentContainerDefinition;

use super::{Frame, ListPage};
use crate::Console;
use crate::error::ConsoleError;
use crate::format;
use crate::live::Fragments;
use crate::page::Page;
use crate::partials::{Cell, Grid, page_of};

pub(super) fn page(frame: Frame, live: Fragments) -> Result<String, ConsoleError> {
    Ok(ListPage { frame, live, more: "Databases without containers" }.render()?)
}

pub(super) fn fragments(console: &Console, after: &str) -> Result<Fragments, ConsoleError> {
    let all = console.catalog().document_containers.list();
    let taken: Vec<String> = all.iter().map(|container| container.database().to_owned()).collect();
    let (containers, next) = page_of(all, after, |container| &container.path);
    let empty = "No containers. Define one in a pipeline file, or create one with any Cosmos DB client.";
    let mut grid = Grid::new(&["name", "database", "partition key", "made (UTC)"], empty);
    grid.next = next.map(|path| Page::Documents(path).href());
    grid.rows = containers.iter().map(|container| row(container)).collect();
    let mut fragments = Fragments::default();
    fragments.add("list", &grid)?;
    let databases = console.documents().databases();
    let bare = databases.iter().filter(|database| !taken.contains(&database.name));
    let mut more = Grid::new(&["name", "made (UTC)"], "");
    more.rows = bare.map(|found| vec![found.name.as_str().into(), format::date_time(found.created).into()]).collect();
    if after.is_empty() && !more.rows.is_empty() {
        fragments.add("more", &more)?;
    }
    Ok(fragments)
}

fn row(container: &DocumentContainerDefinition) -> Vec<Cell> {
    vec![
        Cell::link(container.name(), &Page::container(&container.path)),
        container.database().into(),
        container.partition_key_paths.join(", ").into(),
        format::date_time(container.created).into(),
    ]
}
