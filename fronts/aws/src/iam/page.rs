//! Pages of listings: the marker is the name of the last item of the page before.

use millstream_http::xml::Element;

use crate::json_protocol::{Constraints, ServiceError};
use crate::query_protocol::QueryRequest;

/// Items of a page unless told otherwise, and at most.
const ITEMS: usize = 100;
const ITEMS_MAX: i64 = 1_000;

/// A page of a listing.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    marker: Option<String>,
}

impl<T> Page<T> {
    /// The page that a request asks for, of items in the order of their names.
    pub(super) fn of(
        request: &QueryRequest,
        mut items: Vec<T>,
        name: impl Fn(&T) -> &str,
    ) -> Result<Self, ServiceError> {
        let limit = request.parameters.parsed::<i64>("MaxItems")?;
        let mut constraints = Constraints::new();
        constraints.range("maxItems", limit, 1, ITEMS_MAX);
        constraints.finish().map_err(|error| super::error::validation(&error.message))?;
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(ITEMS);
        if let Some(after) = request.parameters.get("Marker") {
            items.retain(|item| name(item) > after);
        }
        let more = items.len() > limit;
        items.truncate(limit);
        let marker = items.last().filter(|_| more).map(|item| name(item).to_owned());
        Ok(Self { items, marker })
    }

    /// What says whether there are more.
    pub(super) fn end(&self, result: &mut Element) {
        result.text("IsTruncated", if self.marker.is_some() { "true" } else { "false" });
        result.optional("Marker", self.marker.as_deref());
    }
}
