//! `/buckets/{name}?prefix=…`: the objects of a bucket, folder by folder.

use askama::Template;
use millstream_object::{Listed, Select};

use super::Frame;
use crate::Console;
use crate::error::ConsoleError;
use crate::format;
use crate::page::Page;
use crate::partials::{Cell, Grid};

/// Names on a page.
const NAMES_MAX: usize = 100;
/// What parts keys into folders.
const DELIMITER: char = '/';

#[derive(Template)]
#[template(path = "pages/bucket.html")]
struct BucketPage<'a> {
    frame: Frame,
    name: &'a str,
    href: String,
    /// The folders above, outermost first: word and address.
    folders: Vec<(&'a str, String)>,
    objects: Grid,
}

pub(super) async fn page(
    console: &Console,
    name: &str,
    prefix: &str,
    after: &str,
    frame: Frame,
) -> Result<String, ConsoleError> {
    let page = BucketPage {
        frame,
        name,
        href: Page::bucket(name).href(),
        folders: folders(name, prefix),
        objects: objects(console, name, prefix, after).await?,
    };
    Ok(page.render()?)
}

/// The folders that a prefix names, each with the address of its own page.
fn folders<'a>(bucket: &str, prefix: &'a str) -> Vec<(&'a str, String)> {
    let folder = |(end, _): (usize, &str)| {
        let above = &prefix[..=end];
        let word = prefix[..end].rsplit(DELIMITER).next().unwrap_or_default();
        (word, at(bucket, above, "").href())
    };
    prefix.match_indices(DELIMITER).map(folder).collect()
}

fn at(bucket: &str, prefix: &str, after: &str) -> Page {
    Page::Bucket { name: bucket.to_owned(), prefix: prefix.to_owned(), after: after.to_owned() }
}

async fn objects(console: &Console, bucket: &str, prefix: &str, after: &str) -> Result<Grid, ConsoleError> {
    let select = Select {
        prefix: prefix.to_owned(),
        delimiter: Some(DELIMITER.to_string()),
        after: after.to_owned(),
        limit: NAMES_MAX,
        ..Select::default()
    };
    let listing = console.objects().list(bucket, select).await?;
    let mut grid = Grid::new(&["name", "#size", "changed (UTC)", "type"], "No objects here.");
    grid.next = listing.next.map(|after| at(bucket, prefix, &after).href());
    let short = |name: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
    for found in listing.found {
        grid.rows.push(match found {
            Listed::Prefix(folder) => {
                let name = Cell::link(&short(&folder), &at(bucket, &folder, ""));
                vec![name, "".into(), "".into(), "folder".into()]
            }
            Listed::Object(object) => vec![
                Cell::link(&short(&object.key), &Page::Object(bucket.to_owned(), object.key.clone())),
                format::size(object.length).into(),
                format::date_time(object.modified).into(),
                object.properties.content_type.unwrap_or_default().into(),
            ],
        });
    }
    Ok(grid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_folder_above_has_its_own_address() {
        let expected = [("raw", "/buckets/b?prefix=raw%2F"), ("2026", "/buckets/b?prefix=raw%2F2026%2F")];
        assert_eq!(folders("b", "raw/2026/x"), expected.map(|(word, href)| (word, href.to_owned())));
        assert_eq!(folders("b", ""), []);
    }
}
