//! `/buckets`: buckets of objects.

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

pub(super) async fn fragments(console: &Console, after: &str) -> Result<Fragments, ConsoleError> {
    let (buckets, next) = page_of(console.objects().buckets().await?, after, |bucket| &bucket.name);
    let empty = "No buckets. Deliveries make them, and so does any client of Blob storage.";
    let mut grid = Grid::new(&["name", "made (UTC)"], empty);
    grid.next = next.map(|name| Page::Buckets(name).href());
    for bucket in buckets {
        let name = Cell::link(&bucket.name, &Page::bucket(&bucket.name));
        grid.rows.push(vec![name, format::date_time(bucket.created).into()]);
    }
    let mut fragments = Fragments::default();
    fragments.add("list", &grid)?;
    Ok(fragments)
}
