//! Items that go by themselves: those whose time, in the attribute that their table names, is over.
//!
//! The server sweeps once a minute. An item is looked at again, under its lock, before it goes: it may have got another time.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::TableDefinition;
use millstream_types::BoxFuture;

use super::Tables;
use super::page::Scan;
use super::stripes::Needed;
use super::writing::Writing;
use crate::change::ChangeCause;
use crate::error::TableError;
use crate::item::{AttributeValue, Item};
use crate::key;

/// Items that go in one transaction.
const EXPIRED_MAX: usize = 256;
/// Times longer over than this mean something else than seconds since 1970: five years, as the service family has it.
const OVER_SECONDS_MAX: i64 = 5 * 365 * 24 * 3_600;

impl Tables {
    /// Removes items whose time is over; gives how many they were. Nobody pays for it.
    ///
    /// # Errors
    /// [`TableError::Storage`], [`TableError::UnreadableItem`].
    pub fn remove_expired(&self) -> BoxFuture<'_, Result<usize, TableError>> {
        Box::pin(async move {
            let (mut removed, mut failed) = (0, None);
            for table in self.list() {
                let Some(attribute) = table.expiry.clone() else { continue };
                // A table that is being deleted, or that has an item which cannot be read, holds up no other.
                let clock = Arc::clone(&self.clock);
                let over = move |item: &Item| is_over(item, &attribute, clock.now() / 1_000);
                match self.remove_of(&table, over).await {
                    Ok(of_table) => removed += of_table,
                    Err(error) => failed = Some(error),
                }
            }
            failed.map_or(Ok(removed), Err)
        })
    }

    /// Removes a table's items that `over` holds for, each looked at again under its lock; gives how many they were. Nobody
    /// pays for it.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], [`TableError::Storage`], [`TableError::UnreadableItem`].
    pub async fn remove_where(
        &self,
        table: &str,
        over: impl Fn(&Item) -> bool + Clone + Send + 'static,
    ) -> Result<usize, TableError> {
        self.remove_of(&self.table(table)?, over).await
    }

    async fn remove_of(
        &self,
        table: &Arc<TableDefinition>,
        over: impl Fn(&Item) -> bool + Clone + Send + 'static,
    ) -> Result<usize, TableError> {
        let (mut removed, mut start) = (0, None);
        loop {
            let page = self.scan_freely(table, Scan { start, ..Scan::default() }).await?;
            let gone = page.items.iter().filter(|item| over(item));
            let keys = gone.map(|item| key::encode_of_item(table, item)).collect::<Result<Vec<_>, _>>()?;
            for keys in keys.chunks(EXPIRED_MAX) {
                removed += self.remove_if(table, keys.to_vec(), over.clone()).await?;
            }
            start = page.last_key;
            if start.is_none() {
                return Ok(removed);
            }
        }
    }

    async fn remove_if(
        &self,
        table: &TableDefinition,
        keys: Vec<Bytes>,
        over: impl Fn(&Item) -> bool + Send + 'static,
    ) -> Result<usize, TableError> {
        let table = table.clone();
        let (ticket, count) = self
            .off_worker(move |engine| {
                let _turn = engine.stripes.lock(&Needed::of(&keys));
                let (mut writing, mut count) = (Writing::new(engine), 0);
                for key in keys {
                    let old = engine.submitted(&table, &key)?;
                    if old.as_ref().is_some_and(&over) {
                        writing.item(&table, key, (old.as_ref(), None), ChangeCause::Expiry)?;
                        count += 1;
                    }
                }
                Ok::<_, TableError>((engine.submit(writing.finish()?)?, count))
            })
            .await?;
        ticket.durable().await?;
        Ok(count)
    }
}

/// Whether an item's time is over at `now`, in seconds since 1970. Anything but a number is no time.
fn is_over(item: &Item, attribute: &str, now: i64) -> bool {
    let Some(AttributeValue::Number(time)) = item.get(attribute) else { return false };
    // A fraction of a second decides nothing here.
    let Ok(time) = time.to_string().parse::<f64>() else { return false };
    let over = now as f64 - time;
    over > 0.0 && over < OVER_SECONDS_MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_that_are_over_are() {
        let now = 1_700_000_000;
        for (time, over) in [
            ("1699999999", true),
            ("1700000000", false),
            ("1700000001", false),
            ("1699999999.5", true),
            ("1700000000000", false),
            ("1", false),
        ] {
            let item = Item::from([("until".into(), AttributeValue::Number(time.parse().unwrap()))]);
            assert_eq!(is_over(&item, "until", now), over, "{time}");
            assert!(!is_over(&item, "other", now));
        }
        let text = Item::from([("until".into(), AttributeValue::String("1699999999".into()))]);
        assert!(!is_over(&text, "until", now));
    }
}
