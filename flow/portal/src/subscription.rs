//! Subscriptions: who may use which plan, by which key, since when and for what price.
//!
//! A key is made before it is written down and taken away after: a crash in between leaves a key too many, never an active
//! subscription without one. [`Portal::settle`] finds those when the node starts.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::{
    PortalAccountDefinition, PortalOfferDefinition, PortalRole, PortalSubscription, PortalSubscriptionState as State,
    Price, UsagePlanDefinition,
};
use millstream_types::BoxFuture;

use crate::bill::{Month, date_of};
use crate::error::PortalError;
use crate::portal::Portal;
use crate::secret::new_id;

/// Subscriptions of one account that are asked for or active.
const OPEN_MAX: usize = 20;

/// Subscriptions of one account in all: those that ended stay for their bills.
const SUBSCRIPTIONS_MAX: usize = 200;

/// A plan as visitors may subscribe to it.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The plan.
    pub plan: Arc<UsagePlanDefinition>,
    /// On which conditions.
    pub offer: Arc<PortalOfferDefinition>,
}

impl Portal {
    /// The plans of the gateway with what the portal says of them; those that it never spoke of are not offered.
    #[must_use]
    pub fn plans(&self) -> Vec<Offer> {
        let plans = self.shared.plans.plans();
        plans.into_iter().map(|plan| Offer { offer: self.offer_of(&plan.id), plan }).collect()
    }

    /// The plans that visitors can subscribe to, the cheapest first.
    #[must_use]
    pub fn offers(&self) -> Vec<Offer> {
        let mut offers: Vec<Offer> = self.plans().into_iter().filter(|offer| offer.offer.offered).collect();
        offers.sort_by_key(|offer| (offer.offer.price.month, offer.offer.price.call, offer.plan.name.clone()));
        offers
    }

    /// Offers a plan on new conditions; subscriptions that there are keep theirs. Says whether they changed.
    ///
    /// # Errors
    /// [`PortalError::NotFound`].
    pub fn offer(&self, offer: PortalOfferDefinition) -> BoxFuture<'_, Result<bool, PortalError>> {
        Box::pin(async move {
            self.plan(&offer.plan)?;
            if self.shared.catalog.portal_offers.get(&offer.plan).as_deref() == Some(&offer) {
                return Ok(false);
            }
            self.shared.catalog.portal_offers.put(offer).await?;
            Ok(true)
        })
    }

    /// Subscribes to a plan: at once, or when the owner agrees. Gives the subscription's id.
    ///
    /// # Errors
    /// [`PortalError::NotFound`] when the plan is not offered, [`PortalError::State`] when there is a subscription to it,
    /// [`PortalError::TooEarly`] when one ended in this period, [`PortalError::TooMany`].
    pub fn subscribe<'a>(&'a self, email: &'a str, plan: &'a str) -> BoxFuture<'a, Result<String, PortalError>> {
        Box::pin(async move {
            let _turn = self.shared.edits.lock().await;
            let mut account = (*self.account(email)?).clone();
            let offer = self.offers().into_iter().find(|offer| offer.plan.id == plan);
            let offer = offer.ok_or_else(|| PortalError::NotFound { kind: "plan", name: plan.to_owned() })?;
            let open = || account.subscriptions.values().filter(|known| is_open(known));
            if open().any(|known| known.plan == plan) {
                return Err(PortalError::State { reason: "you have a subscription to this plan already" });
            }
            if open().count() >= OPEN_MAX {
                return Err(PortalError::TooMany { what: "subscriptions at a time", max: OPEN_MAX });
            }
            self.refuse_again(&account, &offer).await?;
            forget_rejected(&mut account.subscriptions)?;
            let mut subscription = PortalSubscription {
                id: new_id(),
                plan: offer.plan.id.clone(),
                plan_name: offer.plan.name.clone(),
                state: State::Requested,
                price: offer.offer.price.clone(),
                requested: self.now(),
                began: None,
                ended: None,
                key: None,
            };
            if !offer.offer.approval {
                self.begin(&account, &mut subscription).await?;
            }
            let id = subscription.id.clone();
            account.subscriptions.insert(id.clone(), subscription);
            self.shared.catalog.portal_accounts.put(account).await?;
            Ok(id)
        })
    }

    /// The owner's answer to who asked for a subscription.
    ///
    /// # Errors
    /// [`PortalError::NotFound`], [`PortalError::State`] when it was answered before.
    pub fn decide<'a>(&'a self, email: &'a str, id: &'a str, agreed: bool) -> BoxFuture<'a, Result<(), PortalError>> {
        Box::pin(async move {
            let _turn = self.shared.edits.lock().await;
            let mut account = (*self.account(email)?).clone();
            let mut subscription = find(&account, id)?.clone();
            if subscription.state != State::Requested {
                return Err(PortalError::State { reason: "the subscription was answered before" });
            }
            if agreed {
                self.plan(&subscription.plan)?;
                self.begin(&account, &mut subscription).await?;
            } else {
                (subscription.state, subscription.ended) = (State::Rejected, Some(self.now()));
            }
            account.subscriptions.insert(id.to_owned(), subscription);
            self.shared.catalog.portal_accounts.put(account).await?;
            Ok(())
        })
    }

    /// Ends a subscription, or takes back that it was asked for. Its key opens nothing any more.
    ///
    /// # Errors
    /// [`PortalError::NotFound`], [`PortalError::State`] when it ended before.
    pub fn end<'a>(&'a self, email: &'a str, id: &'a str) -> BoxFuture<'a, Result<(), PortalError>> {
        Box::pin(async move {
            let _turn = self.shared.edits.lock().await;
            let mut account = (*self.account(email)?).clone();
            let mut subscription = find(&account, id)?.clone();
            if !is_open(&subscription) {
                return Err(PortalError::State { reason: "the subscription ended before" });
            }
            let key = subscription.key.clone();
            (subscription.state, subscription.ended) = (State::Ended, Some(self.now()));
            account.subscriptions.insert(id.to_owned(), subscription);
            self.shared.catalog.portal_accounts.put(account).await?;
            if let Some(key) = key {
                self.close_key(&key).await?;
            }
            Ok(())
        })
    }

    /// Gives an active subscription a new key value. The one before opens the same until it is revoked.
    ///
    /// # Errors
    /// [`PortalError::NotFound`], [`PortalError::State`] when there are two values already.
    pub fn rotate<'a>(&'a self, email: &'a str, id: &'a str) -> BoxFuture<'a, Result<(), PortalError>> {
        Box::pin(async move {
            let _turn = self.shared.edits.lock().await;
            let key = self.active_key(email, id)?;
            if self.key(&key)?.former.is_some() {
                return Err(PortalError::State { reason: "revoke the old key first: there are two at most" });
            }
            self.rotate_key(&key).await
        })
    }

    /// Revokes the key value before the one that counts.
    ///
    /// # Errors
    /// [`PortalError::NotFound`], [`PortalError::State`] when there is only one.
    pub fn revoke_former<'a>(&'a self, email: &'a str, id: &'a str) -> BoxFuture<'a, Result<(), PortalError>> {
        Box::pin(async move {
            let _turn = self.shared.edits.lock().await;
            let key = self.active_key(email, id)?;
            if self.key(&key)?.former.is_none() {
                return Err(PortalError::State { reason: "there is no old key: make a new one first" });
            }
            self.revoke_key(&key).await
        })
    }

    /// Keeps an account out with all its keys, or lets it in again.
    ///
    /// # Errors
    /// [`PortalError::NotFound`], [`PortalError::State`] for the last owner.
    pub fn block<'a>(&'a self, email: &'a str, blocked: bool) -> BoxFuture<'a, Result<(), PortalError>> {
        Box::pin(async move {
            let _turn = self.shared.edits.lock().await;
            let account = (*self.account(email)?).clone();
            let owns = |known: &PortalAccountDefinition| known.role == PortalRole::Owner && !known.blocked;
            if blocked && owns(&account) && self.accounts().iter().filter(|known| owns(known)).count() == 1 {
                return Err(PortalError::State { reason: "this is the only owner: make another one first" });
            }
            let keys: Vec<String> = account
                .subscriptions
                .values()
                .filter(|known| known.state == State::Active)
                .filter_map(|known| known.key.clone())
                .collect();
            self.shared.catalog.portal_accounts.put(PortalAccountDefinition { blocked, ..account }).await?;
            for key in keys {
                self.enable_key(&key, !blocked).await?;
            }
            if blocked {
                self.shared.sessions.end_all(email, None).await?;
            }
            Ok(())
        })
    }

    /// What a subscription of an account is.
    ///
    /// # Errors
    /// [`PortalError::NotFound`].
    pub fn subscription(&self, email: &str, id: &str) -> Result<PortalSubscription, PortalError> {
        Ok(find(&*self.account(email)?, id)?.clone())
    }

    /// Refuses who ended a subscription to the plan in a period of which they would get the free or allowed calls twice.
    async fn refuse_again(&self, account: &PortalAccountDefinition, offer: &Offer) -> Result<(), PortalError> {
        let used = account.subscriptions.values().filter(|known| known.plan == offer.plan.id && known.began.is_some());
        let Some((ended, key)) = used.filter_map(|known| Some((known.ended?, known.key.as_ref()?))).max() else {
            return Ok(());
        };
        let this_month = Month::of(self.now());
        let month =
            (offer.offer.price.included_calls > 0 && Month::of(ended) == this_month).then(|| this_month.next().first());
        let quota = self.shared.plans.quota(&offer.plan.id, key).await?;
        let period = quota.filter(|quota| ended >= quota.begin).map(|quota| date_of(quota.end));
        match month.max(period) {
            Some(from) => Err(PortalError::TooEarly { from: from.to_string() }),
            None => Ok(()),
        }
    }

    async fn begin(
        &self,
        account: &PortalAccountDefinition,
        subscription: &mut PortalSubscription,
    ) -> Result<(), PortalError> {
        subscription.key = Some(self.open_key(account, subscription).await?);
        (subscription.state, subscription.began) = (State::Active, Some(self.now()));
        Ok(())
    }

    pub(crate) fn active_key(&self, email: &str, id: &str) -> Result<String, PortalError> {
        let subscription = self.subscription(email, id)?;
        let key = subscription.key.filter(|_| subscription.state == State::Active);
        key.ok_or(PortalError::State { reason: "the subscription is not active" })
    }

    fn offer_of(&self, plan: &str) -> Arc<PortalOfferDefinition> {
        self.shared.catalog.portal_offers.get(plan).unwrap_or_else(|| {
            let (plan, price) = (plan.to_owned(), Price::default());
            Arc::new(PortalOfferDefinition { plan, offered: false, approval: false, price })
        })
    }
}

/// Whether a subscription is asked for or active.
fn is_open(subscription: &PortalSubscription) -> bool {
    matches!(subscription.state, State::Requested | State::Active)
}

fn find<'a>(account: &'a PortalAccountDefinition, id: &str) -> Result<&'a PortalSubscription, PortalError> {
    let found = account.subscriptions.get(id);
    found.ok_or_else(|| PortalError::NotFound { kind: "subscription", name: id.to_owned() })
}

/// Makes room for a subscription: those that never cost anything go first.
fn forget_rejected(subscriptions: &mut BTreeMap<String, PortalSubscription>) -> Result<(), PortalError> {
    while subscriptions.len() >= SUBSCRIPTIONS_MAX {
        let unused = subscriptions.values().filter(|known| !is_open(known) && known.began.is_none());
        let Some(oldest) = unused.min_by_key(|known| known.requested).map(|known| known.id.clone()) else {
            return Err(PortalError::TooMany { what: "subscriptions of an account", max: SUBSCRIPTIONS_MAX });
        };
        subscriptions.remove(&oldest);
    }
    Ok(())
}
