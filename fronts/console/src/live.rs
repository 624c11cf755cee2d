//! Live updates: one event stream for each open page, drawn once a second for all who look at the same page.
//!
//! A page's fragments are the partials of its first paint. Nothing is drawn for a page that nobody looks at.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::Stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::Console;
use crate::error::ConsoleError;
use crate::page::Page;

/// Pages that may be looked at live at a time; each costs a connection and at most one drawing a second.
pub const VIEWERS_MAX: usize = 64;
/// Between two drawings.
const EVERY: Duration = Duration::from_secs(1);

/// The parts of a page that change, by the name of the element that shows them.
#[derive(Debug, Default)]
pub struct Fragments(Vec<(&'static str, String)>);

impl Fragments {
    /// Adds a drawn partial.
    ///
    /// # Errors
    /// The template's.
    pub fn add(&mut self, id: &'static str, partial: &impl Template) -> Result<(), ConsoleError> {
        self.0.push((id, partial.render()?));
        Ok(())
    }

    /// The markup of a fragment, for the first paint; empty when the page has none of that name.
    pub fn html(&self, id: &str) -> &str {
        self.0.iter().find(|(own, _)| *own == id).map_or("", |(_, html)| html)
    }
}

type Room = watch::Sender<Arc<Fragments>>;

/// Who looks at what.
#[derive(Debug)]
pub struct Live {
    rooms: Mutex<HashMap<Page, Room>>,
    seats: Arc<Semaphore>,
}

impl Default for Live {
    fn default() -> Self {
        Self { rooms: Mutex::default(), seats: Arc::new(Semaphore::new(VIEWERS_MAX)) }
    }
}

impl Live {
    /// Takes a seat before a page; the first viewer's arrival starts its drawing.
    fn enter(&self, console: &Console, page: Page) -> watch::Receiver<Arc<Fragments>> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = rooms.get(&page) {
            return room.subscribe();
        }
        let (room, viewer) = watch::channel(Arc::default());
        rooms.insert(page.clone(), room.clone());
        tokio::spawn(draw(console.clone(), page, room));
        viewer
    }

    /// Closes a page's room if nobody is in it. Under the lock that [`Live::enter`] takes, so none enters meanwhile.
    fn close_if_empty(&self, page: &Page) -> bool {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = rooms.get(page).is_none_or(|room| room.receiver_count() == 0);
        if empty {
            rooms.remove(page);
        }
        empty
    }
}

/// Draws a page each second until nobody looks.
async fn draw(console: Console, page: Page, room: Room) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        if console.live().close_if_empty(&page) {
            return;
        }
        // A resource that was removed meanwhile: the page keeps what it shows, and a reload says that it is gone.
        if let Ok(fragments) = crate::pages::fragments(&console, &page).await {
            room.send_replace(Arc::new(fragments));
        }
    }
}

/// Which page is open.
#[derive(Debug, Deserialize)]
pub struct Watched {
    page: String,
}

/// `GET /events?page=ADDRESS`: an event a second with the fragments that changed, as a JSON object of markup by id.
///
/// # Errors
/// [`ConsoleError::NotFound`] for an address that is no page, [`ConsoleError::Busy`].
pub async fn events(
    State(console): State<Console>,
    Query(watched): Query<Watched>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ConsoleError> {
    let page = Page::parse(&watched.page).ok_or(ConsoleError::NotFound { kind: "page", name: watched.page })?;
    let busy = ConsoleError::Busy { what: "live pages", limit: VIEWERS_MAX };
    let seat = Arc::clone(&console.live().seats).try_acquire_owned().map_err(|_| busy)?;
    let viewer = Viewer { updates: console.live().enter(&console, page), shown: HashMap::new(), _seat: seat };
    let events = futures_util::stream::unfold(viewer, |mut viewer| async move {
        let event = viewer.next().await?;
        Some((Ok(event), viewer))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

struct Viewer {
    updates: watch::Receiver<Arc<Fragments>>,
    shown: HashMap<&'static str, String>,
    _seat: OwnedSemaphorePermit,
}

impl Viewer {
    /// Waits for the next drawing and tells what is new in it; `None` when the page is not drawn any more.
    async fn next(&mut self) -> Option<Event> {
        self.updates.changed().await.ok()?;
        let fragments = Arc::clone(&self.updates.borrow_and_update());
        let mut changed = serde_json::Map::new();
        for (id, html) in &fragments.0 {
            if self.shown.get(id) != Some(html) {
                changed.insert((*id).to_owned(), html.clone().into());
                self.shown.insert(id, html.clone());
            }
        }
        Some(Event::default().data(serde_json::Value::Object(changed).to_string()))
    }
}
