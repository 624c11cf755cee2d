//! `rate-limit`, `quota` and their kinds by key, read.
//! Source: the policy reference, "Limit call rate by subscription", "… by key", "Set usage quota by subscription", "… by key".

use http::HeaderName;
use millstream_types::Millis;
use millstream_types::time::from_rfc3339;

use super::{
    Parsed, attribute, expression, header_name, leaf, no_attributes_but, no_text, number, optional_number, required,
};
use crate::policy::condition::Condition;
use crate::policy::expression::Expression;
use crate::policy::limit::{Allowed, Counted, Part, Quota, Rate, RateLimit, Told};
use crate::policy::xml::Element;

/// The longest period of a rate limit, seconds: the service's own bound.
const RATE_PERIOD_S_MAX: u32 = 300;

/// The shortest period of a quota by key, seconds: the service's own bound.
const KEYED_QUOTA_PERIOD_S_MIN: u64 = 300;

/// Limits of APIs and operations within one: each is a counter of every caller.
const PARTS_MAX: usize = 100;

const TOLD: [&str; 5] = [
    "retry-after-header-name",
    "retry-after-variable-name",
    "remaining-calls-header-name",
    "remaining-calls-variable-name",
    "total-calls-header-name",
];

pub(super) fn rate_limit(element: &Element) -> Parsed<RateLimit> {
    let known = [&["calls", "renewal-period"], &TOLD[..]].concat();
    no_attributes_but(element, &known)?;
    Ok(RateLimit {
        rate: rate(element)?,
        counted: Counted::default(),
        told: told(element)?,
        parts: parts(element, &["calls", "renewal-period"], rate)?,
    })
}

pub(super) fn rate_limit_by_key(element: &Element) -> Parsed<RateLimit> {
    let own = ["calls", "renewal-period", "counter-key", "increment-condition", "increment-count"];
    leaf(element, &[&own, &TOLD[..]].concat())?;
    Ok(RateLimit { rate: rate(element)?, counted: counted(element)?, told: told(element)?, parts: Vec::new() })
}

pub(super) fn quota(element: &Element) -> Parsed<Quota> {
    let known = ["calls", "bandwidth", "renewal-period"];
    no_attributes_but(element, &known)?;
    Ok(Quota {
        allowed: allowed(element)?,
        first_period: None,
        counted: Counted::default(),
        parts: parts(element, &known, allowed)?,
    })
}

pub(super) fn quota_by_key(element: &Element) -> Parsed<Quota> {
    leaf(
        element,
        &[
            "calls",
            "bandwidth",
            "renewal-period",
            "counter-key",
            "increment-condition",
            "increment-count",
            "first-period-start",
        ],
    )?;
    let allowed = allowed(element)?;
    if allowed.renewal_s != 0 && allowed.renewal_s < KEYED_QUOTA_PERIOD_S_MIN {
        let found = allowed.renewal_s;
        let message = format!("renewal-period must be 0 or {KEYED_QUOTA_PERIOD_S_MIN} seconds or more, found {found}");
        return Err(element.wrong(message));
    }
    Ok(Quota { allowed, first_period: first_period(element)?, counted: counted(element)?, parts: Vec::new() })
}

fn rate(element: &Element) -> Parsed<Rate> {
    let (calls, renewal_s) = (number(element, "calls")?, number(element, "renewal-period")?);
    if calls == 0 || renewal_s == 0 || renewal_s > RATE_PERIOD_S_MAX {
        let message = format!("calls must be 1 or more and renewal-period 1 to {RATE_PERIOD_S_MAX} seconds");
        return Err(element.wrong(message));
    }
    Ok(Rate { calls, renewal_s })
}

fn allowed(element: &Element) -> Parsed<Allowed> {
    let (calls, bandwidth_kb) = (optional_number(element, "calls")?, optional_number(element, "bandwidth")?);
    if calls.is_none() && bandwidth_kb.is_none() {
        return Err(element.wrong("Either 'calls' or 'bandwidth' or both must be specified"));
    }
    let renewal_s: u32 = number(element, "renewal-period")?;
    Ok(Allowed { calls, bandwidth_kb, renewal_s: renewal_s.into() })
}

fn counted(element: &Element) -> Parsed<Counted> {
    let when = attribute(element, "increment-condition").map(Condition::parse).transpose();
    let by = attribute(element, "increment-count").map(Expression::parse).transpose();
    let by = by.map_err(|message| element.wrong(message))?;
    if let Some(Expression::Literal(text)) = &by
        && text.trim().parse::<u32>().is_err()
    {
        return Err(element.wrong(format!("the attribute 'increment-count' must be a whole number, found `{text}`")));
    }
    Ok(Counted {
        key: Some(expression(element, "counter-key")?),
        when: when.map_err(|message| element.wrong(message))?,
        by,
    })
}

fn told(element: &Element) -> Parsed<Told> {
    let header = |name: &str| -> Parsed<Option<HeaderName>> {
        attribute(element, name).map(|header| header_name(element, header)).transpose()
    };
    let variable = |name: &str| attribute(element, name).map(str::to_owned);
    Ok(Told {
        retry_variable: variable("retry-after-variable-name"),
        retry_header: header("retry-after-header-name")?,
        remaining_variable: variable("remaining-calls-variable-name"),
        remaining_header: header("remaining-calls-header-name")?,
        total_header: header("total-calls-header-name")?,
    })
}

fn first_period(element: &Element) -> Parsed<Option<Millis>> {
    let time = |text: &str| {
        let wrong = || element.wrong(format!("first-period-start must be like 2026-01-01T00:00:00Z, found `{text}`"));
        from_rfc3339(text).ok_or_else(wrong)
    };
    attribute(element, "first-period-start").map(time).transpose()
}

/// `<api name="…" calls="…"><operation name="…" calls="…" /></api>`
fn parts<L>(element: &Element, limit: &[&str], read: impl Fn(&Element) -> Parsed<L>) -> Parsed<Vec<Part<L>>> {
    no_text(element)?;
    let known = [&["name", "id"], limit].concat();
    let mut parts = Vec::new();
    for api in &element.children {
        named(api, "api", &known)?;
        let name = of(api)?;
        for operation in &api.children {
            named(operation, "operation", &known)?;
            leaf(operation, &known)?;
            parts.push(Part { api: name.clone(), operation: Some(of(operation)?), limit: read(operation)? });
        }
        parts.push(Part { api: name, operation: None, limit: read(api)? });
    }
    if parts.len() > PARTS_MAX {
        return Err(element.wrong(format!("expected at most {PARTS_MAX} limits of APIs and operations")));
    }
    Ok(parts)
}

fn named(element: &Element, name: &str, known: &[&str]) -> Parsed<()> {
    if element.name != name {
        return Err(element.wrong(format!("expected '{name}'")));
    }
    no_text(element)?;
    no_attributes_but(element, known)
}

/// What an `api` or `operation` is about: the id goes before the name.
fn of(element: &Element) -> Parsed<String> {
    match attribute(element, "id") {
        Some(id) => Ok(id.to_owned()),
        None => required(element, "name").map(str::to_owned),
    }
}
