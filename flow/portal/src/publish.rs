//! Published APIs: which deployed API is shown under which name, with which document, and to whom.

use std::sync::{Arc, PoisonError};

use millstream_catalog::{ApiDefinition, PortalApiDefinition};
use millstream_storage::{StorageError, Transaction};
use millstream_types::BoxFuture;

use crate::error::PortalError;
use crate::field::slug;
use crate::openapi::{self, DOCUMENT_BYTES_MAX, Document};
use crate::portal::Portal;

/// APIs of one portal.
const APIS_MAX: usize = 200;

/// An API to be shown.
#[derive(Debug, Clone)]
pub struct NewPortalApi {
    /// Its name in the portal: part of its address.
    pub name: String,
    /// The deployed API's id.
    pub api: String,
    /// Its stage.
    pub stage: String,
    /// An OpenAPI 3 document, JSON or YAML; `None`: what the deployed API tells of itself.
    pub document: Option<String>,
    /// Whether visitors see it.
    pub published: bool,
}

/// What became of an API that was to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It was not there.
    Created,
    /// It was another.
    Updated,
    /// It was so already.
    Unchanged,
}

impl Portal {
    /// Shows an API, new or not, as described.
    ///
    /// # Errors
    /// [`PortalError::Field`], [`PortalError::NotFound`] for the API or its stage, [`PortalError::Document`],
    /// [`PortalError::DocumentTooLarge`], [`PortalError::TooMany`].
    pub fn put_api(&self, new: NewPortalApi) -> BoxFuture<'_, Result<Put, PortalError>> {
        Box::pin(async move {
            let name = slug("name", &new.name)?;
            let deployed = self.shared.gateway.get(&new.api)?;
            if !deployed.stages.contains_key(&new.stage) {
                return Err(no_stage(&new.stage));
            }
            let (text, stage) = (new.document, new.stage.clone());
            let checked = tokio::task::spawn_blocking(move || checked(text.as_deref(), &deployed, &stage)).await;
            let (document, read) = checked.map_err(|_| PortalError::Storage(StorageError::Closed))??;
            let _turn = self.shared.edits.lock().await;
            let known = self.shared.catalog.portal_apis.get(&name);
            if known.is_none() && self.shared.catalog.portal_apis.list().len() >= APIS_MAX {
                return Err(PortalError::TooMany { what: "APIs in the portal", max: APIS_MAX });
            }
            let now = self.now();
            let definition = PortalApiDefinition {
                name,
                api: new.api,
                stage: new.stage,
                document,
                published: new.published,
                created: known.as_ref().map_or(now, |known| known.created),
                updated: known.as_ref().map_or(now, |known| known.updated),
            };
            if known.as_deref() == Some(&definition) {
                return Ok(Put::Unchanged);
            }
            let updated = known.as_ref().map_or(now, |known| now.max(known.updated + 1));
            let name = definition.name.clone();
            self.shared.catalog.portal_apis.put(PortalApiDefinition { updated, ..definition }).await?;
            let mut documents = self.shared.documents.lock().unwrap_or_else(PoisonError::into_inner);
            documents.insert(name, (updated, Arc::new(read)));
            Ok(if known.is_some() { Put::Updated } else { Put::Created })
        })
    }

    /// Shows an API to visitors, or hides it.
    ///
    /// # Errors
    /// [`PortalError::NotFound`].
    pub fn publish<'a>(&'a self, name: &'a str, published: bool) -> BoxFuture<'a, Result<(), PortalError>> {
        Box::pin(async move {
            let _turn = self.shared.edits.lock().await;
            let known = (*self.api(name)?).clone();
            self.shared.catalog.portal_apis.put(PortalApiDefinition { published, ..known }).await?;
            Ok(())
        })
    }

    /// Takes an API out of the portal; the deployed API stays.
    ///
    /// # Errors
    /// [`PortalError::NotFound`].
    pub fn remove_api<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), PortalError>> {
        Box::pin(async move {
            let _turn = self.shared.edits.lock().await;
            self.shared.catalog.portal_apis.delete(name, Transaction::new()).await?;
            self.shared.documents.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
            Ok(())
        })
    }

    /// All APIs, those that visitors do not see too.
    #[must_use]
    pub fn apis(&self) -> Vec<Arc<PortalApiDefinition>> {
        self.shared.catalog.portal_apis.list()
    }

    /// An API, published or not.
    ///
    /// # Errors
    /// [`PortalError::NotFound`].
    pub fn api(&self, name: &str) -> Result<Arc<PortalApiDefinition>, PortalError> {
        let found = self.shared.catalog.portal_apis.get(name);
        found.ok_or_else(|| PortalError::NotFound { kind: "API", name: name.to_owned() })
    }

    /// The document of an API, as it was read.
    ///
    /// # Errors
    /// [`PortalError::Document`] when a later version wrote it.
    pub fn document(&self, api: &PortalApiDefinition) -> Result<Arc<Document>, PortalError> {
        let documents = || self.shared.documents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((updated, read)) = documents().get(&api.name)
            && *updated == api.updated
        {
            return Ok(Arc::clone(read));
        }
        let read = Arc::new(openapi::read(&openapi::parse(&api.document)?)?);
        documents().insert(api.name.clone(), (api.updated, Arc::clone(&read)));
        Ok(read)
    }
}

/// The document of an API as it is kept, and as it is read. Takes a while for a long one: not for an async worker.
fn checked(text: Option<&str>, deployed: &ApiDefinition, stage: &str) -> Result<(String, Document), PortalError> {
    let value = match text.filter(|text| !text.trim().is_empty()) {
        Some(text) => openapi::parse(text)?,
        None => openapi::of_api::describe(deployed, stage).ok_or_else(|| no_stage(stage))?,
    };
    let (read, document) = (openapi::read(&value)?, value.to_string());
    // Aliases stand for more than their text; what is kept must be read again.
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(PortalError::DocumentTooLarge { bytes: document.len(), max: DOCUMENT_BYTES_MAX });
    }
    Ok((document, read))
}

fn no_stage(stage: &str) -> PortalError {
    PortalError::NotFound { kind: "stage", name: stage.to_owned() }
}
