//! What a pipeline file says of the developer portal: how it presents itself, the APIs that it publishes, and the plans that
//! it offers for a price.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::resolve::Resolver;
use super::source::Located;
use crate::definition::{Money, PortalDefinition, Price};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PortalTable {
    title: String,
    #[serde(default)]
    introduction: String,
    #[serde(default = "euro")]
    currency: String,
    /// Whether the owner has to agree to subscriptions, where a plan does not say it.
    #[serde(default)]
    approval: bool,
    #[serde(default)]
    apis: BTreeMap<String, Spanned<PublishedTable>>,
    #[serde(default)]
    plans: BTreeMap<String, Spanned<OfferTable>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishedTable {
    /// The API of the file; the one of the same name unless it is said.
    api: Option<Spanned<String>>,
    /// The file with its OpenAPI document; without it the deployed API tells what it can.
    openapi: Option<Spanned<String>>,
    #[serde(default = "yes")]
    published: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfferTable {
    approval: Option<bool>,
    #[serde(default = "yes")]
    offered: bool,
    /// Amounts are texts, because they are decimal.
    price_a_month: Option<Spanned<String>>,
    price_a_call: Option<Spanned<String>>,
    #[serde(default)]
    included_calls: u64,
}

/// The portal to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalSpec {
    /// How it presents itself.
    pub definition: PortalDefinition,
    /// What it publishes.
    pub apis: Vec<Located<PortalApiSpec>>,
    /// What it offers.
    pub offers: Vec<Located<PortalOfferSpec>>,
}

/// An API to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalApiSpec {
    /// Its name in the portal.
    pub name: String,
    /// The API's name.
    pub api: String,
    /// The file with its OpenAPI document, relative to the pipeline file.
    pub openapi: Option<Located<PathBuf>>,
    /// Whether visitors see it.
    pub published: bool,
}

/// A plan to be offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalOfferSpec {
    /// The plan's name.
    pub plan: String,
    /// Whether visitors can subscribe.
    pub offered: bool,
    /// Whether the owner has to agree.
    pub approval: bool,
    /// What it costs.
    pub price: Price,
}

impl Resolver<'_> {
    pub(super) fn portal(&mut self, table: PortalTable) -> PortalSpec {
        let approval = table.approval;
        PortalSpec {
            definition: PortalDefinition {
                title: table.title,
                introduction: table.introduction,
                currency: table.currency,
            },
            apis: table.apis.into_iter().map(|entry| self.published(entry)).collect(),
            offers: table.plans.into_iter().map(|entry| self.offer(entry, approval)).collect(),
        }
    }

    fn published(&mut self, (name, table): (String, Spanned<PublishedTable>)) -> Located<PortalApiSpec> {
        let line = self.line(&table);
        let table = table.into_inner();
        let apis = self.apis.clone();
        match &table.api {
            Some(api) => self.refers("api", &apis, api),
            None if !apis.contains(&name) => {
                let hint = "name it: api = \"NAME\"";
                let place = self.place();
                self.wrong(line, format!("there is no api `{name}` {place}"), hint);
            }
            None => {}
        }
        let value = PortalApiSpec {
            api: table.api.map_or_else(|| name.clone(), Spanned::into_inner),
            openapi: table.openapi.map(|file| Located { line: self.line(&file), value: file.into_inner().into() }),
            published: table.published,
            name,
        };
        Located { value, line }
    }

    fn offer(&mut self, (plan, table): (String, Spanned<OfferTable>), approval: bool) -> Located<PortalOfferSpec> {
        let line = self.line(&table);
        let table = table.into_inner();
        if !self.plans.contains(&plan) {
            let place = self.place();
            self.wrong(line, format!("there is no plan `{plan}` {place}"), format!("define it: [plans.{plan}]"));
        }
        let price = Price {
            month: self.amount(table.price_a_month),
            included_calls: table.included_calls,
            call: self.amount(table.price_a_call),
        };
        let approval = table.approval.unwrap_or(approval);
        Located { value: PortalOfferSpec { plan, offered: table.offered, approval, price }, line }
    }

    fn amount(&mut self, text: Option<Spanned<String>>) -> Money {
        let Some(text) = text else { return Money::default() };
        Money::parse(text.get_ref()).unwrap_or_else(|| {
            let line = self.line(&text);
            let found = text.get_ref();
            let message = format!("expected an amount with at most six decimals, found `{found}`");
            self.wrong(line, message, "write it as \"29.90\"");
            Money::default()
        })
    }
}

fn euro() -> String {
    "EUR".to_owned()
}

fn yes() -> bool {
    true
}
