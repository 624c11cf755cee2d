//! A request and its answer while policies change them. Pure: counting and calling are done by whoever runs the policies.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use millstream_catalog::ManagedUser;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::condition::Condition;
use super::expression::Expression;
use super::term::Value;
use super::{Change, Cors, Exists, Policy, Section};

/// What stands for itself in a part of an address.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A request on its way to a backend and back.
#[derive(Debug)]
pub struct Exchange {
    /// The method towards the backend.
    pub method: Method,
    /// The backend's address; `None` while nothing has named one.
    pub backend: Option<String>,
    /// The path towards the backend, with its leading slash.
    pub path: String,
    /// Names and values of the query, unescaped, in their order.
    pub query: Vec<(String, String)>,
    /// The headers towards the backend.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// What the parameters of the operation's template stand for.
    pub parameters: BTreeMap<String, String>,
    /// The answer, once there is one.
    pub response: Response<Bytes>,
    /// Headers that the answer gets whatever happens.
    pub response_headers: HeaderMap,
    /// The subscription's name; empty without one.
    pub subscription: String,
    /// The subscription's key as the caller brought it; empty without one.
    pub key: String,
    /// Whose the subscription is; `None`: nobody's.
    pub user: Option<ManagedUser>,
    /// What policies have set.
    pub variables: BTreeMap<String, Value>,
    /// Who calls.
    pub address: String,
    /// The request's id.
    pub request_id: String,
}

/// What follows a policy.
#[derive(Debug)]
pub enum Flow {
    /// The next policy; the text says what was done.
    Next(String),
    /// The answer is given.
    Answered(String),
    /// The request is refused with a status and a message.
    Refused(StatusCode, String),
}

impl Exchange {
    /// Does what a policy says. Policies that count or call (`rate-limit`, `quota`, `forward-request`) change nothing here.
    pub fn apply(&mut self, policy: &Policy, section: Section) -> Flow {
        match policy {
            Policy::CheckHeader { name, status, message, ignore_case, values } => {
                self.check_header(name, (*status, message), *ignore_case, values)
            }
            Policy::RewriteUri { template, copy_unmatched } => {
                self.rewrite(&self.value(template), *copy_unmatched);
                Flow::Next(format!("the path is {}", self.path))
            }
            Policy::SetBackend(base_url) => {
                let base_url = self.value(base_url);
                let said = Flow::Next(format!("the backend is {base_url}"));
                self.backend = Some(base_url);
                said
            }
            Policy::SetHeader(change) => {
                let values = self.values(change);
                let of_answer = matches!(section, Section::Outbound | Section::OnError);
                let headers = if of_answer { self.response.headers_mut() } else { &mut self.headers };
                set_header(headers, change, values);
                Flow::Next(format!("{} {}", change.name, done(change.exists)))
            }
            Policy::SetQuery(change) => {
                let values = self.values(change);
                self.set_query(change, values);
                Flow::Next(format!("{} {}", change.name, done(change.exists)))
            }
            Policy::SetMethod(method) => {
                self.method = method.clone();
                Flow::Next(format!("the method is {method}"))
            }
            Policy::ReturnResponse { status, headers, body } => {
                let body = body.as_ref().map(|body| Bytes::from(self.value(body))).unwrap_or_default();
                let mut response = Response::new(body);
                *response.status_mut() = *status;
                for change in headers {
                    set_header(response.headers_mut(), change, self.values(change));
                }
                self.response = response;
                Flow::Answered(format!("answered {status}"))
            }
            Policy::MockResponse { status, content_type } => {
                self.response = Response::new(Bytes::new());
                *self.response.status_mut() = *status;
                if let Ok(content_type) = HeaderValue::try_from(content_type) {
                    self.response.headers_mut().insert(header::CONTENT_TYPE, content_type);
                }
                Flow::Answered(format!("mocked {status}"))
            }
            Policy::Cors(cors) => self.cors(cors),
            Policy::Choose { when, otherwise } => self.choose(when, otherwise, section),
            Policy::SetVariable { name, value } => {
                let value = value.value(self);
                let said = Flow::Next(format!("{name} is {value}"));
                self.variables.insert(name.clone(), value);
                said
            }
            Policy::Base | Policy::RateLimit(_) | Policy::Quota(_) | Policy::ForwardRequest { .. } => {
                Flow::Next(String::new())
            }
        }
    }

    /// The value of an expression for this request.
    #[must_use]
    pub fn value(&self, expression: &Expression) -> String {
        expression.text(self)
    }

    /// The address that the backend is called at.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn uri(&self) -> Result<http::Uri, String> {
        let backend =
            self.backend.as_deref().ok_or("the API has no backend: set its address or set-backend-service")?;
        let pair = |(name, value): &(String, String)| {
            format!("{}={}", utf8_percent_encode(name, PART), utf8_percent_encode(value, PART))
        };
        let query: Vec<String> = self.query.iter().map(pair).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        // A backend that is called at its own address gets no slash that it does not have.
        let path = if self.path == "/" && !backend.ends_with('/') && backend.matches('/').count() > 2 {
            ""
        } else {
            &self.path
        };
        let address = format!("{}{path}{mark}{}", backend.trim_end_matches('/'), query.join("&"));
        address.parse().map_err(|error| format!("`{address}` is no address: {error}"))
    }

    fn values(&self, change: &Change) -> Vec<String> {
        change.values.iter().map(|value| self.value(value)).collect()
    }

    fn choose(&mut self, when: &[(Condition, Vec<Policy>)], otherwise: &[Policy], section: Section) -> Flow {
        let chosen = when.iter().position(|(condition, _)| condition.holds(self));
        let policies = chosen.map_or(otherwise, |at| &when[at].1);
        let which = chosen.map_or("otherwise".to_owned(), |at| format!("condition {}", at + 1));
        let mut said = Vec::new();
        for policy in policies {
            match self.apply(policy, section) {
                Flow::Next(message) => said.push(format!("{}: {message}", policy.name())),
                ended => return ended,
            }
        }
        Flow::Next(format!("{which}; {}", said.join("; ")))
    }

    fn check_header(
        &self,
        name: &HeaderName,
        (status, message): (StatusCode, &Expression),
        ignore_case: bool,
        values: &[Expression],
    ) -> Flow {
        let Some(found) = self.headers.get(name).map(|found| String::from_utf8_lossy(found.as_bytes())) else {
            return Flow::Refused(status, self.value(message));
        };
        let fits = |value: &Expression| {
            let value = self.value(value);
            if ignore_case { value.eq_ignore_ascii_case(&found) } else { value == found }
        };
        if values.is_empty() || values.iter().any(fits) {
            return Flow::Next(format!("{name} is there"));
        }
        Flow::Refused(status, self.value(message))
    }

    fn rewrite(&mut self, template: &str, copy_unmatched: bool) {
        let (path, query) = template.split_once('?').unwrap_or((template, ""));
        let filled = |text: &str| {
            self.parameters.iter().fold(text.to_owned(), |text, (name, value)| {
                let escaped = utf8_percent_encode(value, PART).to_string();
                text.replace(&format!("{{{name}}}"), &escaped)
            })
        };
        let (path, rewritten) = (filled(path), query_pairs(&filled(query)));
        let kept = std::mem::take(&mut self.query).into_iter();
        let named = |name: &String| rewritten.iter().any(|(known, _)| known == name);
        let kept: Vec<_> = kept.filter(|(name, _)| copy_unmatched && !named(name)).collect();
        self.path = path;
        self.query = rewritten.into_iter().chain(kept).collect();
    }

    fn set_query(&mut self, change: &Change, values: Vec<String>) {
        let there = self.query.iter().any(|(name, _)| *name == change.name);
        match change.exists {
            Exists::Skip if there => return,
            Exists::Override | Exists::Delete => self.query.retain(|(name, _)| *name != change.name),
            Exists::Skip | Exists::Append => {}
        }
        if change.exists != Exists::Delete {
            self.query.extend(values.into_iter().map(|value| (change.name.clone(), value)));
        }
    }

    fn cors(&mut self, cors: &Cors) -> Flow {
        let text = |name: HeaderName| self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let Some(origin) = text(header::ORIGIN) else { return Flow::Next("the request has no origin".to_owned()) };
        let wanted = text(header::ACCESS_CONTROL_REQUEST_METHOD).filter(|_| self.method == Method::OPTIONS);
        let any =
            |list: &[String], item: &str| list.iter().any(|known| known == "*" || known.eq_ignore_ascii_case(item));
        let method = wanted.as_deref().unwrap_or(self.method.as_str());
        let plain = cors.methods.is_empty() && matches!(method, "GET" | "POST");
        let matched = any(&cors.origins, &origin) && (plain || any(&cors.methods, method));
        if !matched {
            let ends = wanted.is_some() || matches!(self.method, Method::GET | Method::HEAD);
            if cors.terminate_unmatched && ends {
                self.response = Response::new(Bytes::new());
                return Flow::Answered(format!("the origin {origin} may not call"));
            }
            return Flow::Next(format!("the origin {origin} may not read the answer"));
        }
        let mut put = |name: HeaderName, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                self.response_headers.insert(name, value);
            }
        };
        put(header::ACCESS_CONTROL_ALLOW_ORIGIN, if any(&cors.origins, "") { "*".to_owned() } else { origin.clone() });
        if cors.credentials {
            put(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true".to_owned());
        }
        if wanted.is_none() {
            if !cors.expose.is_empty() {
                put(header::ACCESS_CONTROL_EXPOSE_HEADERS, cors.expose.join(","));
            }
            return Flow::Next(format!("the origin {origin} may call"));
        }
        put(header::ACCESS_CONTROL_ALLOW_METHODS, method.to_owned());
        if !cors.headers.is_empty() {
            let asked = self.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).and_then(|value| value.to_str().ok());
            let all = cors.headers.iter().any(|header| header == "*");
            put(
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                if all { asked.unwrap_or("*").to_owned() } else { cors.headers.join(",") },
            );
        }
        if let Some(seconds) = cors.max_age_s {
            put(header::ACCESS_CONTROL_MAX_AGE, seconds.to_string());
        }
        self.response = Response::new(Bytes::new());
        Flow::Answered(format!("the origin {origin} may call with {method}"))
    }
}

fn set_header(headers: &mut HeaderMap, change: &Change, values: Vec<String>) {
    let Ok(name) = HeaderName::try_from(&change.name) else { return };
    match change.exists {
        Exists::Skip if headers.contains_key(&name) => return,
        Exists::Override | Exists::Delete => {
            headers.remove(&name);
        }
        Exists::Skip | Exists::Append => {}
    }
    if change.exists != Exists::Delete {
        for value in values.into_iter().filter_map(|value| HeaderValue::try_from(value).ok()) {
            headers.append(name.clone(), value);
        }
    }
}

fn done(exists: Exists) -> &'static str {
    match exists {
        Exists::Override => "is set",
        Exists::Skip => "is set unless it is there",
        Exists::Append => "gets further values",
        Exists::Delete => "is removed",
    }
}

/// The names and values of a query, unescaped, in their order.
#[must_use]
pub fn query_pairs(query: &str) -> Vec<(String, String)> {
    let unescape = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (unescape(name), unescape(value)))
        .collect()
}
