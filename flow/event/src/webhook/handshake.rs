//! Consent: before anything is delivered, a webhook has to show that it wants it.
//!
//! Sources: "Webhook event delivery" (an event that has to be answered with its code, or a visit to an address within ten
//! minutes) and the CloudEvents webhook specification 1.0 (`OPTIONS`, where a header is the consent and a status is not).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use millstream_catalog::EventSchema;
use millstream_types::Millis;
use serde_json::{Value, json};

use super::{Answer, WebhookClient, WebhookError, WebhookWords};
use crate::schema::event_grid;

/// How long a webhook may take to say something, all attempts together.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Attempts, and the wait between them.
const ATTEMPTS: u32 = 2;
const WAIT: Duration = Duration::from_secs(5);

const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const REQUEST_CALLBACK: HeaderName = HeaderName::from_static("webhook-request-callback");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");

/// What a webhook said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Consent {
    /// It wants the events.
    Given,
    /// It is there but did not say; somebody may still visit the address that it was told.
    Open,
    /// It refused or is not there.
    Refused(String),
}

/// One question to one webhook.
pub(crate) struct Handshake<'h> {
    pub(crate) client: &'h WebhookClient,
    pub(crate) words: &'h WebhookWords,
    pub(crate) schema: EventSchema,
    pub(crate) url: &'h str,
    /// The topic, as its events name it.
    pub(crate) topic: &'h str,
    pub(crate) subscription: &'h str,
    /// What has to be said again.
    pub(crate) code: &'h str,
    /// What may be visited instead.
    pub(crate) validation_url: &'h str,
    pub(crate) now: Millis,
}

impl Handshake<'_> {
    /// Asks, again when there is no answer.
    pub(crate) async fn ask(&self) -> Consent {
        let asked = tokio::time::timeout(TIMEOUT, async {
            let mut attempt = 1;
            loop {
                match self.ask_once().await {
                    Ok(answer) => return self.judge(&answer),
                    Err(error @ (WebhookError::Address | WebhookError::Private | WebhookError::NoCertificates)) => {
                        return Consent::Refused(error.to_string());
                    }
                    Err(error) if attempt == ATTEMPTS => return Consent::Refused(error.to_string()),
                    Err(_) => {
                        attempt += 1;
                        tokio::time::sleep(WAIT).await;
                    }
                }
            }
        });
        asked.await.unwrap_or_else(|_| Consent::Refused(format!("no answer within {} s", TIMEOUT.as_secs())))
    }

    async fn ask_once(&self) -> Result<Answer, WebhookError> {
        let mut headers = HeaderMap::new();
        match self.schema {
            // Messages have a handshake of their own.
            EventSchema::EventGrid | EventSchema::Message => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
                headers.insert(self.words.kind.clone(), HeaderValue::from_static(self.words.validation));
                insert(&mut headers, &self.words.subscription, self.subscription);
                self.client.send(Method::POST, self.url, headers, self.validation_event()).await
            }
            EventSchema::CloudEvents => {
                headers.insert(REQUEST_ORIGIN, HeaderValue::from_static(self.words.origin));
                insert(&mut headers, &REQUEST_CALLBACK, self.validation_url);
                self.client.send(Method::OPTIONS, self.url, headers, Bytes::new()).await
            }
        }
    }

    fn validation_event(&self) -> Bytes {
        let id = uuid::Uuid::new_v4().to_string();
        let time = millstream_types::time::rfc3339(self.now);
        let data = json!({ "validationCode": self.code, "validationUrl": self.validation_url });
        let kind = self.words.validation_event_type;
        Bytes::from(json!([event_grid::service_event(&id, self.topic, kind, &time, data)]).to_string())
    }

    fn judge(&self, answer: &Answer) -> Consent {
        let ok = answer.status == StatusCode::OK;
        match self.schema {
            EventSchema::EventGrid | EventSchema::Message => {
                let said: Option<Value> = serde_json::from_slice(&answer.body).ok();
                let code = said.as_ref().and_then(|said| said.get("validationResponse")).and_then(Value::as_str);
                match (ok, code) {
                    (true, Some(code)) if code == self.code => Consent::Given,
                    (true, _) => Consent::Open,
                    (false, _) => Consent::Refused(format!("expected status 200, found {}", answer.status.as_u16())),
                }
            }
            EventSchema::CloudEvents => {
                let allowed = answer.headers.get(ALLOWED_ORIGIN).and_then(|value| value.to_str().ok()).map(str::trim);
                match allowed {
                    Some(origin) if origin == "*" || origin.eq_ignore_ascii_case(self.words.origin) => Consent::Given,
                    Some(origin) => Consent::Refused(format!("it allows the origin `{origin}` only")),
                    None if answer.status.is_success() => Consent::Open,
                    None => Consent::Refused(format!(
                        "expected the header `{ALLOWED_ORIGIN}`, found status {}",
                        answer.status.as_u16()
                    )),
                }
            }
        }
    }
}

/// Sets a header unless the value cannot be one.
pub(super) fn insert(headers: &mut HeaderMap, name: &HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name.clone(), value);
    }
}
