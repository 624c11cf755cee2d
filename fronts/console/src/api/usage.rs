//! `GET /api/usage?format=csv|cloudevents&plan=&from=&to=&open=`: what keys of usage plans used, by key, dimension and hour.
//!
//! An hour that is over does not change: what was exported of it is exported again the same, under the same id.
//! Source for events: CloudEvents 1.0, the JSON format, an event a line.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use millstream_catalog::{ApiKeyDefinition, UsagePlanDefinition};
use millstream_gateway::{GatewayError, UsageHour};
use millstream_types::{Millis, time::rfc3339};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use crate::Console;
use crate::error::ConsoleError;

const HOUR: Millis = 3_600_000;
const DAY: Millis = 24 * HOUR;

/// Days that are told of unless the asker says from when.
const DAYS: Millis = 31;

/// Keys that are asked for at a time.
const KEYS: usize = 100;

/// The type of the events.
const EVENT_TYPE: &str = "io.millstream.usage";

/// The titles of the table.
const TITLES: [&str; 11] = [
    "hour",
    "plan",
    "plan_name",
    "product_code",
    "key",
    "key_name",
    "customer",
    "api",
    "stage",
    "dimension",
    "quantity",
];

/// Which usage, and how it is written.
#[derive(Debug, Deserialize)]
pub struct Options {
    #[serde(default)]
    format: Format,
    plan: Option<String>,
    from: Option<String>,
    to: Option<String>,
    /// With the hour that is not over yet.
    #[serde(default)]
    open: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Csv,
    CloudEvents,
}

/// Writes it, a plan and key after the other.
///
/// # Errors
/// [`ConsoleError::Invalid`] for what is no day; [`ConsoleError::Engine`], [`ConsoleError::Busy`].
pub async fn export(State(console): State<Console>, Query(options): Query<Options>) -> Result<Response, ConsoleError> {
    let place = console.follower()?;
    let now = console.clock().now();
    let day = |text: &Option<String>| text.as_deref().map(midnight).transpose();
    let from = day(&options.from)?.unwrap_or(now - DAYS * DAY);
    let over = if options.open { now + HOUR } else { now };
    let to = day(&options.to)?.map_or(over, |day| (day + DAY).min(over)).div_euclid(HOUR) * HOUR;
    console.plans().settle().await?;
    let plans = match options.plan {
        Some(plan) => vec![plan],
        None => console.plans().metered_plans().await?,
    };
    let (plans, format) = (plans.into(), options.format);
    let titles = if format == Format::Csv { line(&TITLES) } else { String::new() };
    let walk =
        Walk { console, format, from, to, plans, keys: VecDeque::new(), after: String::new(), titles, _place: place };
    let kind = match format {
        Format::Csv => "text/csv; charset=utf-8",
        Format::CloudEvents => "application/x-ndjson",
    };
    let chunks = futures_util::stream::try_unfold(walk, |mut walk| async move {
        let chunk = walk.next().await?;
        Ok::<_, GatewayError>(chunk.map(|chunk| (chunk, walk)))
    });
    Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(chunks)).into_response())
}

/// The way over plans and keys.
struct Walk {
    console: Console,
    format: Format,
    from: Millis,
    to: Millis,
    plans: VecDeque<String>,
    keys: VecDeque<String>,
    /// The last key of the plan in front that was asked for.
    after: String,
    /// What is to be written first.
    titles: String,
    _place: OwnedSemaphorePermit,
}

impl Walk {
    /// What one key used; `None`: that was all.
    async fn next(&mut self) -> Result<Option<Bytes>, GatewayError> {
        if !self.titles.is_empty() {
            return Ok(Some(Bytes::from(std::mem::take(&mut self.titles))));
        }
        let plans = self.console.plans().clone();
        while let Some(plan) = self.plans.front().cloned() {
            if self.keys.is_empty() {
                self.keys = plans.metered_keys(&plan, &self.after, KEYS).await?.into();
            }
            let Some(key) = self.keys.pop_front() else {
                self.plans.pop_front();
                self.after.clear();
                continue;
            };
            let hours = plans.usage(&plan, &key, self.from, self.to).await?;
            let (known_plan, known_key) = (plans.plan(&plan).ok(), plans.key(&key).ok());
            self.after = key;
            let mut text = String::new();
            for hour in &hours {
                self.write(&mut text, hour, known_plan.as_ref(), known_key.as_ref());
            }
            if !text.is_empty() {
                return Ok(Some(Bytes::from(text)));
            }
        }
        Ok(None)
    }

    fn write(
        &self,
        text: &mut String,
        hour: &UsageHour,
        plan: Option<&Arc<UsagePlanDefinition>>,
        key: Option<&Arc<ApiKeyDefinition>>,
    ) {
        let begin = rfc3339(hour.hour);
        let plan_name = plan.map_or("", |plan| &plan.name);
        // Who it was sold to when it was counted; of what was not sold, whose the key is now.
        let product = match &hour.sold {
            Some(sold) => sold.product.as_str(),
            None => plan.and_then(|plan| plan.product_code.as_deref()).unwrap_or_default(),
        };
        let key_name = key.map_or("", |key| &key.name);
        let customer = match &hour.sold {
            Some(sold) => sold.customer.as_str(),
            None => key.map_or("", |key| &key.customer),
        };
        for (dimension, quantity) in [("requests", hour.used.requests), ("bytes", hour.used.bytes)] {
            let fields: [&str; 11] = [
                &begin,
                &hour.plan,
                plan_name,
                product,
                &hour.key,
                key_name,
                customer,
                &hour.api,
                &hour.stage,
                dimension,
                &quantity.to_string(),
            ];
            text.push_str(&match self.format {
                Format::Csv => line(&fields),
                Format::CloudEvents => format!("{}\n", event(&fields, hour, quantity)),
            });
        }
    }
}

fn event(fields: &[&str; 11], hour: &UsageHour, quantity: u64) -> Value {
    let [begin, plan, _, _, key, _, _, api, stage, dimension, _] = fields;
    let mut data: serde_json::Map<String, Value> =
        TITLES.iter().zip(fields).map(|(title, field)| ((*title).to_owned(), json!(field))).collect();
    data.insert("quantity".to_owned(), json!(quantity));
    let sold = hour.sold.as_ref().map_or_else(String::new, |sold| format!("/{}/{}", sold.product, sold.customer));
    json!({
        "specversion": "1.0",
        "id": format!("{plan}/{key}/{api}/{stage}/{dimension}/{begin}{sold}"),
        "source": format!("/usage-plans/{plan}"),
        "type": EVENT_TYPE,
        "subject": key,
        "time": rfc3339(hour.hour + HOUR),
        "datacontenttype": "application/json",
        "data": data,
    })
}

/// Fields as a line of CSV.
fn line(fields: &[&str]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to memory does not fail.
    let _ = writer.write_record(fields);
    writer.into_inner().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn midnight(day: &str) -> Result<Millis, ConsoleError> {
    let wrong = || ConsoleError::Invalid(format!("expected a day as YYYY-MM-DD, found {day}"));
    let date: Date = day.parse().map_err(|_| wrong())?;
    Ok(date.to_zoned(TimeZone::UTC).map_err(|_| wrong())?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_what_stands_in_fields() {
        assert_eq!(line(&["a", "b,c", "\"d\"\n"]), "a,\"b,c\",\"\"\"d\"\"\n\"\n");
        assert_eq!(midnight("1970-01-02").unwrap(), DAY);
        assert!(midnight("yesterday").is_err());
    }
}
