//! Users of a service: whose subscriptions are. Whoever is blocked calls nothing with them.

use millstream_catalog::{ManagedServiceDefinition, ManagedUser};
use millstream_types::BoxFuture;

use super::Managed;
use super::definitions::{check_name, invalid, room, unknown};
use crate::error::GatewayError;

/// Users of a service: each is written with all others when one changes.
const USERS_MAX: usize = 5_000;

/// Characters of a user's address and names: the service's own bounds.
const EMAIL_CHARS_MAX: usize = 254;
const NAME_CHARS_MAX: usize = 100;

impl Managed {
    /// Makes a user or changes it; says whether it was made. When it was made stays.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`] without the service; [`GatewayError::Invalid`]; [`GatewayError::Exists`] when another one has
    /// the address.
    pub fn put_user<'a>(
        &'a self,
        service: &'a str,
        mut user: ManagedUser,
    ) -> BoxFuture<'a, Result<bool, GatewayError>> {
        Box::pin(async move {
            user.created = self.clock.now();
            self.edit(service, |definition| {
                if let Some(known) = definition.users.get(&user.name) {
                    user.created = known.created;
                }
                put(definition, user)
            })
            .await
        })
    }

    /// Changes a user that is there.
    ///
    /// # Errors
    /// As of [`Managed::put_user`], and [`GatewayError::NotFound`] without the user.
    pub async fn change_user(
        &self,
        service: &str,
        name: &str,
        change: impl FnOnce(&mut ManagedUser),
    ) -> Result<(), GatewayError> {
        self.edit(service, |definition| {
            let mut user = definition.users.get(name).cloned().ok_or_else(|| unknown("user", name))?;
            change(&mut user);
            put(definition, user).map(drop)
        })
        .await
    }

    /// Removes a user, with the user's subscriptions or only when there are none.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`]; [`GatewayError::Invalid`] while the user has subscriptions.
    pub fn delete_user<'a>(
        &'a self,
        service: &'a str,
        name: &'a str,
        with_subscriptions: bool,
    ) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            let gone = self.edit(service, |definition| {
                definition.users.remove(name).ok_or_else(|| unknown("user", name))?;
                let gone = without_owner(definition, name);
                if !gone.is_empty() && !with_subscriptions {
                    return Err(invalid(format!(
                        "user `{name}` has subscriptions; delete them with the user, or before"
                    )));
                }
                Ok(gone)
            });
            self.forget(gone.await?).await
        })
    }
}

/// Says whether it was not there before.
fn put(definition: &mut ManagedServiceDefinition, user: ManagedUser) -> Result<bool, GatewayError> {
    check_name("user", &user.name)?;
    check_user(&user)?;
    let same = |other: &ManagedUser| other.name != user.name && other.email.eq_ignore_ascii_case(&user.email);
    if definition.users.values().any(same) {
        return Err(GatewayError::Exists { kind: "user with this address", name: user.email });
    }
    if !definition.users.contains_key(&user.name) {
        room("users in a service", definition.users.len(), USERS_MAX)?;
    }
    Ok(definition.users.insert(user.name.clone(), user).is_none())
}

/// Removes the subscriptions of a user; gives their ids.
fn without_owner(definition: &mut ManagedServiceDefinition, user: &str) -> Vec<String> {
    let gone = definition.subscriptions.extract_if(.., |_, subscription| subscription.owner.as_deref() == Some(user));
    gone.map(|(_, subscription)| subscription.id).collect()
}

fn check_user(user: &ManagedUser) -> Result<(), GatewayError> {
    let at = user.email.split_once('@').filter(|(name, host)| !name.is_empty() && !host.is_empty());
    if at.is_none() || user.email.chars().count() > EMAIL_CHARS_MAX || user.email.contains(char::is_whitespace) {
        let found = &user.email;
        return Err(invalid(format!("expected an address of at most {EMAIL_CHARS_MAX} characters, found `{found}`")));
    }
    for (what, name) in [("first", &user.first_name), ("last", &user.last_name)] {
        if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX {
            return Err(invalid(format!("the {what} name must be 1 to {NAME_CHARS_MAX} characters")));
        }
    }
    Ok(())
}
