//! Named values and backends: what policies name. None changes so that a document could not be read any more.

use millstream_catalog::{ManagedBackend, ManagedServiceDefinition, NamedValue};
use millstream_types::BoxFuture;

use super::Managed;
use super::definitions::{check_name, invalid, room, unknown};
use super::policies::written;
use crate::error::GatewayError;
use crate::policy::named::is_name;
use crate::policy::{PolicyDocument, check_backend};

/// Named values of a service: each is written with all others when one changes.
const NAMED_VALUES_MAX: usize = 1_000;

/// Backends of a service.
const BACKENDS_MAX: usize = 200;

/// Characters of a value and of the name that policies use: the service's own bounds.
const VALUE_CHARS_MAX: usize = 4_096;
const DISPLAY_NAME_CHARS_MAX: usize = 256;

impl Managed {
    /// Makes a named value or changes it; says whether it was made.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`] without the service; [`GatewayError::Invalid`]; [`GatewayError::Exists`] when another one is
    /// named so; [`GatewayError::Policy`] when a document would not be understood any more.
    pub fn put_named_value<'a>(
        &'a self,
        service: &'a str,
        value: NamedValue,
    ) -> BoxFuture<'a, Result<bool, GatewayError>> {
        Box::pin(async move { self.edit(service, |definition| put_value(definition, value)).await })
    }

    /// Changes a named value that is there.
    ///
    /// # Errors
    /// As of [`Managed::put_named_value`], and [`GatewayError::NotFound`] without the value.
    pub async fn change_named_value(
        &self,
        service: &str,
        name: &str,
        change: impl FnOnce(&mut NamedValue),
    ) -> Result<(), GatewayError> {
        self.edit(service, |definition| {
            let value = definition.named_values.get(name).cloned();
            let mut value = value.ok_or_else(|| unknown("named value", name))?;
            change(&mut value);
            put_value(definition, value).map(drop)
        })
        .await
    }

    /// Removes a named value.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`]; [`GatewayError::Policy`] when a document names it.
    pub fn delete_named_value<'a>(
        &'a self,
        service: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            self.edit(service, |definition| {
                definition.named_values.remove(name).ok_or_else(|| unknown("named value", name))?;
                documents_are_read(definition)
            })
            .await
        })
    }

    /// Makes a backend or changes it; says whether it was made.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`] without the service; [`GatewayError::Invalid`].
    pub fn put_backend<'a>(
        &'a self,
        service: &'a str,
        backend: ManagedBackend,
    ) -> BoxFuture<'a, Result<bool, GatewayError>> {
        Box::pin(async move { self.edit(service, |definition| put_backend(definition, backend)).await })
    }

    /// Changes a backend that is there.
    ///
    /// # Errors
    /// As of [`Managed::put_backend`], and [`GatewayError::NotFound`] without the backend.
    pub async fn change_backend(
        &self,
        service: &str,
        name: &str,
        change: impl FnOnce(&mut ManagedBackend),
    ) -> Result<(), GatewayError> {
        self.edit(service, |definition| {
            let mut backend = definition.backends.get(name).cloned().ok_or_else(|| unknown("backend", name))?;
            change(&mut backend);
            put_backend(definition, backend).map(drop)
        })
        .await
    }

    /// Removes a backend.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`]; [`GatewayError::Policy`] when a document names it.
    pub fn delete_backend<'a>(&'a self, service: &'a str, name: &'a str) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            self.edit(service, |definition| {
                definition.backends.remove(name).ok_or_else(|| unknown("backend", name))?;
                documents_are_read(definition)
            })
            .await
        })
    }
}

/// Says whether it was not there before.
fn put_value(definition: &mut ManagedServiceDefinition, value: NamedValue) -> Result<bool, GatewayError> {
    check_name("named value", &value.name)?;
    if !is_name(&value.display_name) || value.display_name.len() > DISPLAY_NAME_CHARS_MAX {
        let found = &value.display_name;
        let expected = format!("the display name must be 1 to {DISPLAY_NAME_CHARS_MAX} of a-zA-Z0-9-_.");
        return Err(invalid(format!("{expected}, found `{found}`")));
    }
    if value.value.trim().is_empty() || value.value.chars().count() > VALUE_CHARS_MAX {
        return Err(invalid(format!("the value must be 1 to {VALUE_CHARS_MAX} characters, not all of them blanks")));
    }
    let same = |other: &NamedValue| other.name != value.name && other.display_name == value.display_name;
    if definition.named_values.values().any(same) {
        return Err(GatewayError::Exists { kind: "named value with this display name", name: value.display_name });
    }
    if !definition.named_values.contains_key(&value.name) {
        room("named values in a service", definition.named_values.len(), NAMED_VALUES_MAX)?;
    }
    let made = definition.named_values.insert(value.name.clone(), value).is_none();
    documents_are_read(definition)?;
    Ok(made)
}

/// Says whether it was not there before.
fn put_backend(definition: &mut ManagedServiceDefinition, backend: ManagedBackend) -> Result<bool, GatewayError> {
    check_name("backend", &backend.name)?;
    check_backend(&backend.url).map_err(invalid)?;
    if !definition.backends.contains_key(&backend.name) {
        room("backends in a service", definition.backends.len(), BACKENDS_MAX)?;
    }
    Ok(definition.backends.insert(backend.name.clone(), backend).is_none())
}

/// Refuses a change with which a document would not be understood any more.
fn documents_are_read(definition: &ManagedServiceDefinition) -> Result<(), GatewayError> {
    for (_, text) in written(definition) {
        PolicyDocument::parse(text, definition)?;
    }
    Ok(())
}
