//! The portal: what it presents, and what all of its parts share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use millstream_catalog::{Catalog, PortalDefinition};
use millstream_gateway::{Gateway, Plans};
use millstream_storage::Storage;
use millstream_types::{BoxFuture, Clock, Millis};

use crate::attempts::Attempts;
use crate::error::PortalError;
use crate::field::{Limits, checked};
use crate::openapi::Document;
use crate::password::Passwords;
use crate::session::Sessions;

/// The published owner of development nodes, and the password.
pub const DEVELOPMENT_OWNER: (&str, &str) = ("owner@example.com", "millstream-owner");

const MINUTE_MS: Millis = 60 * 1_000;

/// Log-ins that fail: of one account, and from one address.
const FAILED_LOGINS: (usize, Millis) = (10, 15 * MINUTE_MS);
const LOGINS_FROM_ADDRESS: (usize, Millis) = (100, 15 * MINUTE_MS);

/// Accounts that one address makes.
const SIGN_UPS_FROM_ADDRESS: (usize, Millis) = (20, 60 * MINUTE_MS);

/// The portal engine. Cheap to clone.
#[derive(Clone)]
pub struct Portal {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) catalog: Catalog,
    pub(crate) gateway: Gateway,
    pub(crate) plans: Plans,
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether the published owner may log in.
    pub(crate) development: bool,
    pub(crate) sessions: Sessions,
    pub(crate) passwords: Passwords,
    pub(crate) failed_logins: Attempts,
    pub(crate) logins_from: Attempts,
    pub(crate) sign_ups_from: Attempts,
    /// Documents as they were read, with the time of the definition that they are from.
    pub(crate) documents: Mutex<HashMap<String, (Millis, Arc<Document>)>>,
    /// A change reads a definition, changes it and writes it: one at a time, or one would undo the other.
    pub(crate) edits: tokio::sync::Mutex<()>,
}

impl Portal {
    /// Opens the portal. `development` lets the published owner in. Touches the disk: not for an async worker.
    ///
    /// # Errors
    /// [`PortalError::Storage`].
    pub fn open(
        storage: Storage,
        catalog: Catalog,
        gateway: Gateway,
        plans: Plans,
        clock: Arc<dyn Clock>,
        development: bool,
    ) -> Result<Self, PortalError> {
        let attempts = |(limit, window)| Attempts::new(limit, window);
        let shared = Shared {
            catalog,
            gateway,
            plans,
            clock,
            development,
            sessions: Sessions::open(storage)?,
            passwords: Passwords::new(),
            failed_logins: attempts(FAILED_LOGINS),
            logins_from: attempts(LOGINS_FROM_ADDRESS),
            sign_ups_from: attempts(SIGN_UPS_FROM_ADDRESS),
            documents: Mutex::default(),
            edits: tokio::sync::Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// How the portal presents itself.
    #[must_use]
    pub fn definition(&self) -> Arc<PortalDefinition> {
        let usual = || PortalDefinition {
            title: "Developer portal".to_owned(),
            introduction: String::new(),
            currency: "EUR".to_owned(),
        };
        self.shared.catalog.portals.get("portal").unwrap_or_else(|| Arc::new(usual()))
    }

    /// Lets the portal present itself otherwise.
    ///
    /// # Errors
    /// [`PortalError::Field`], [`PortalError::Storage`].
    pub fn present(&self, definition: PortalDefinition) -> BoxFuture<'_, Result<(), PortalError>> {
        Box::pin(async move {
            let title = checked("title", &definition.title, Limits::line(1, 80))?;
            let introduction = checked("introduction", &definition.introduction, Limits::text(2_000))?;
            let currency = definition.currency.trim().to_uppercase();
            if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
                let expected = "three letters, like EUR".to_owned();
                return Err(PortalError::Field { field: "currency", expected });
            }
            self.shared.catalog.portals.put(PortalDefinition { title, introduction, currency }).await?;
            Ok(())
        })
    }

    pub(crate) fn now(&self) -> Millis {
        self.shared.clock.now()
    }
}
