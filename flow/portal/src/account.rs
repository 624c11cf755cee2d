//! Accounts: signing up, logging in and out, links that let somebody choose a password, and keeping somebody out.
//!
//! Nobody learns from an answer, nor from how long it takes, whether an address has an account.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use millstream_catalog::{PasswordHash, PortalAccountDefinition, PortalInvitation, PortalRole};
use millstream_types::{BoxFuture, Millis};

use crate::attempts::client;
use crate::error::PortalError;
use crate::field::{Limits, checked, email as checked_email};
use crate::password;
use crate::portal::{DEVELOPMENT_OWNER, Portal};
use crate::secret::{digest, new_id, new_secret, same};

/// Accounts of one portal.
const ACCOUNTS_MAX: usize = 200_000;

/// How long a link for a password lasts, milliseconds: a day.
const INVITATION_MS: Millis = 24 * 60 * 60 * 1_000;

/// Characters of a name.
const NAME_CHARS_MAX: usize = 100;

impl Portal {
    /// Makes an account, unless the address has one: the answer is the same. `from` is the address of who asks.
    ///
    /// # Errors
    /// [`PortalError::Field`], [`PortalError::Attempts`], [`PortalError::Busy`], [`PortalError::TooMany`].
    pub fn sign_up<'a>(
        &'a self,
        name: &'a str,
        email: &'a str,
        password: String,
        from: IpAddr,
    ) -> BoxFuture<'a, Result<(), PortalError>> {
        Box::pin(async move {
            let email = checked_email(email)?;
            let name = checked("name", name, Limits::line(1, NAME_CHARS_MAX))?;
            password::check(&password, &email)?;
            self.shared.sign_ups_from.take(&client(from), self.now())?;
            let hash = self.shared.passwords.hash(password).await?;
            let _turn = self.shared.edits.lock().await;
            let account = self.new_account(email, name, PortalRole::Visitor, Some(hash))?;
            match self.shared.catalog.portal_accounts.create(account).await.map_err(PortalError::from) {
                Ok(_) | Err(PortalError::Exists { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }

    /// Begins a session; gives its secret.
    ///
    /// # Errors
    /// [`PortalError::Credentials`], [`PortalError::Attempts`], [`PortalError::Blocked`] (only with the right password),
    /// [`PortalError::Busy`].
    pub fn log_in<'a>(
        &'a self,
        email: &'a str,
        password: String,
        from: IpAddr,
    ) -> BoxFuture<'a, Result<String, PortalError>> {
        Box::pin(async move {
            let now = self.now();
            self.shared.logins_from.take(&client(from), now)?;
            let email = checked_email(email).map_err(|_| PortalError::Credentials)?;
            if password.len() > password::PASSWORD_BYTES_MAX {
                return Err(PortalError::Credentials);
            }
            self.shared.failed_logins.take(&email, now)?;
            let development = self.shared.development && email == DEVELOPMENT_OWNER.0;
            let published = development && same(&password, DEVELOPMENT_OWNER.1);
            let hash = self.shared.catalog.portal_accounts.get(&email).and_then(|account| account.password.clone());
            if !self.shared.passwords.is(password, hash.clone()).await? && !published {
                return Err(PortalError::Credentials);
            }
            self.shared.failed_logins.forgive(&email);
            if published {
                self.ensure_development_owner().await?;
            }
            // A change of the password ends sessions in the same turn: none begins with the old one afterwards.
            let _turn = self.shared.edits.lock().await;
            let account = self.account(&email)?;
            if account.password != hash && !published {
                return Err(PortalError::Credentials);
            }
            if account.blocked {
                return Err(PortalError::Blocked);
            }
            Ok(self.shared.sessions.begin(&email, self.now()).await?)
        })
    }

    /// Whose session a secret is; `None` when it ended, never was, or the account is kept out.
    #[must_use]
    pub fn logged_in(&self, secret: &str) -> Option<Arc<PortalAccountDefinition>> {
        let email = self.shared.sessions.email(secret, self.now())?;
        let account = self.shared.catalog.portal_accounts.get(&email)?;
        // The published owner has no password: on a node that is no development node it is nobody.
        let known = account.password.is_some() || self.shared.development;
        (known && !account.blocked).then_some(account)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`PortalError::Storage`].
    pub fn log_out<'a>(&'a self, secret: &'a str) -> BoxFuture<'a, Result<(), PortalError>> {
        Box::pin(async move { Ok(self.shared.sessions.end(secret).await?) })
    }

    /// Ends all sessions of an account but that of the secret.
    ///
    /// # Errors
    /// [`PortalError::Storage`].
    pub fn log_out_elsewhere<'a>(&'a self, email: &'a str, secret: &'a str) -> BoxFuture<'a, Result<(), PortalError>> {
        Box::pin(async move { Ok(self.shared.sessions.end_all(email, Some(secret)).await?) })
    }

    /// Sessions of an account that last.
    #[must_use]
    pub fn sessions(&self, email: &str) -> usize {
        self.shared.sessions.count(email, self.now())
    }

    /// Makes an owner of an address, with an account or without, and a link's secret with which a password is chosen.
    ///
    /// # Errors
    /// [`PortalError::Field`], [`PortalError::Storage`].
    pub fn invite_owner<'a>(&'a self, email: &'a str) -> BoxFuture<'a, Result<String, PortalError>> {
        Box::pin(async move {
            let email = checked_email(email)?;
            let _turn = self.shared.edits.lock().await;
            let known = self.shared.catalog.portal_accounts.get(&email);
            let account = match known {
                Some(known) => PortalAccountDefinition { role: PortalRole::Owner, ..(*known).clone() },
                None => self.new_account(email.clone(), email, PortalRole::Owner, None)?,
            };
            self.put_invitation(account).await
        })
    }

    /// A link's secret with which an account's password is chosen: for who forgot it.
    ///
    /// # Errors
    /// [`PortalError::NotFound`], [`PortalError::Storage`].
    pub fn invite<'a>(&'a self, email: &'a str) -> BoxFuture<'a, Result<String, PortalError>> {
        Box::pin(async move {
            let _turn = self.shared.edits.lock().await;
            let account = (*self.account(email)?).clone();
            self.put_invitation(account).await
        })
    }

    async fn put_invitation(&self, mut account: PortalAccountDefinition) -> Result<String, PortalError> {
        let secret = new_secret();
        let until = self.now() + INVITATION_MS;
        account.invitation = Some(PortalInvitation { digest: digest("invitation", &secret), until });
        let email = account.email.clone();
        self.shared.catalog.portal_accounts.put(account).await?;
        // The address finds the account, the secret proves the link.
        Ok(format!("{}.{secret}", hex::encode(email)))
    }

    /// Chooses a password by a link, once, and begins a session; other sessions of the account end.
    ///
    /// # Errors
    /// [`PortalError::Invitation`], [`PortalError::Field`], [`PortalError::Blocked`], [`PortalError::Attempts`].
    pub fn accept_invitation<'a>(
        &'a self,
        link: &'a str,
        password: String,
        from: IpAddr,
    ) -> BoxFuture<'a, Result<String, PortalError>> {
        Box::pin(async move {
            self.shared.logins_from.take(&client(from), self.now())?;
            let email = self.invited(link).ok_or(PortalError::Invitation)?;
            password::check(&password, &email)?;
            let hash = self.shared.passwords.hash(password).await?;
            let _turn = self.shared.edits.lock().await;
            // Another request may have used the link while this one hashed.
            self.invited(link).ok_or(PortalError::Invitation)?;
            let account = (*self.account(&email)?).clone();
            let account = PortalAccountDefinition { password: Some(hash), invitation: None, ..account };
            self.shared.catalog.portal_accounts.put(account).await?;
            self.shared.failed_logins.forgive(&email);
            self.shared.sessions.end_all(&email, None).await?;
            if self.account(&email)?.blocked {
                return Err(PortalError::Blocked);
            }
            Ok(self.shared.sessions.begin(&email, self.now()).await?)
        })
    }

    /// Whose link it is, when it can still be used.
    #[must_use]
    pub fn invited(&self, link: &str) -> Option<String> {
        let (email, secret) = link.split_once('.').filter(|_| link.len() < 1_000)?;
        let email = String::from_utf8(hex::decode(email).ok()?).ok()?;
        let account = self.shared.catalog.portal_accounts.get(&email)?;
        let invitation = account.invitation.as_ref().filter(|invitation| self.now() < invitation.until)?;
        same(&invitation.digest, &digest("invitation", secret)).then_some(email)
    }

    /// Changes a password by the one before; other sessions of the account end.
    ///
    /// # Errors
    /// [`PortalError::CurrentPassword`], [`PortalError::Field`], [`PortalError::Attempts`].
    pub fn change_password<'a>(
        &'a self,
        email: &'a str,
        current: String,
        new: String,
        secret: &'a str,
    ) -> BoxFuture<'a, Result<(), PortalError>> {
        Box::pin(async move {
            password::check(&new, email)?;
            self.shared.failed_logins.take(email, self.now())?;
            let before = self.account(email)?.password.clone();
            if current.len() > password::PASSWORD_BYTES_MAX
                || !self.shared.passwords.is(current, before.clone()).await?
            {
                return Err(PortalError::CurrentPassword);
            }
            self.shared.failed_logins.forgive(email);
            let hash = self.shared.passwords.hash(new).await?;
            let _turn = self.shared.edits.lock().await;
            let account = (*self.account(email)?).clone();
            // Somebody else may have changed it while this request hashed.
            if account.password != before {
                return Err(PortalError::CurrentPassword);
            }
            let account = PortalAccountDefinition { password: Some(hash), invitation: None, ..account };
            self.shared.catalog.portal_accounts.put(account).await?;
            self.log_out_elsewhere(email, secret).await
        })
    }

    /// Gives an account another name.
    ///
    /// # Errors
    /// [`PortalError::Field`], [`PortalError::NotFound`].
    pub fn rename<'a>(&'a self, email: &'a str, name: &'a str) -> BoxFuture<'a, Result<(), PortalError>> {
        Box::pin(async move {
            let name = checked("name", name, Limits::line(1, NAME_CHARS_MAX))?;
            self.edit_account(email, |account| {
                account.name = name;
                Ok(())
            })
            .await
        })
    }

    /// The account of an address.
    ///
    /// # Errors
    /// [`PortalError::NotFound`].
    pub fn account(&self, email: &str) -> Result<Arc<PortalAccountDefinition>, PortalError> {
        let account = self.shared.catalog.portal_accounts.get(email);
        account.ok_or_else(|| PortalError::NotFound { kind: "account", name: email.to_owned() })
    }

    /// The account with an id.
    ///
    /// # Errors
    /// [`PortalError::NotFound`].
    pub fn account_by_id(&self, id: &str) -> Result<Arc<PortalAccountDefinition>, PortalError> {
        let account = self.accounts().into_iter().find(|account| account.id == id);
        account.ok_or_else(|| PortalError::NotFound { kind: "account", name: id.to_owned() })
    }

    /// All accounts in the order of their addresses.
    #[must_use]
    pub fn accounts(&self) -> Vec<Arc<PortalAccountDefinition>> {
        self.shared.catalog.portal_accounts.list()
    }

    /// Changes an account as it is at that moment.
    pub(crate) async fn edit_account(
        &self,
        email: &str,
        edit: impl FnOnce(&mut PortalAccountDefinition) -> Result<(), PortalError>,
    ) -> Result<(), PortalError> {
        let _turn = self.shared.edits.lock().await;
        let mut account = (*self.account(email)?).clone();
        edit(&mut account)?;
        self.shared.catalog.portal_accounts.put(account).await?;
        Ok(())
    }

    fn new_account(
        &self,
        email: String,
        name: String,
        role: PortalRole,
        password: Option<PasswordHash>,
    ) -> Result<PortalAccountDefinition, PortalError> {
        if self.shared.catalog.portal_accounts.list().len() >= ACCOUNTS_MAX {
            return Err(PortalError::TooMany { what: "accounts", max: ACCOUNTS_MAX });
        }
        Ok(PortalAccountDefinition {
            email,
            id: new_id(),
            name,
            role,
            password,
            invitation: None,
            blocked: false,
            created: self.now(),
            subscriptions: BTreeMap::new(),
        })
    }

    /// The published owner's account: without a password, so that it opens nothing on another node.
    async fn ensure_development_owner(&self) -> Result<(), PortalError> {
        let (email, _) = DEVELOPMENT_OWNER;
        let _turn = self.shared.edits.lock().await;
        if self.shared.catalog.portal_accounts.get(email).is_some_and(|known| known.role == PortalRole::Owner) {
            return Ok(());
        }
        let account = self.new_account(email.to_owned(), "Owner".to_owned(), PortalRole::Owner, None)?;
        self.shared.catalog.portal_accounts.put(account).await?;
        Ok(())
    }
}
