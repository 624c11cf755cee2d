//! The way of a request through a managed API: API, operation, key, policies, backend, policies, answer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use millstream_catalog::{
    ManagedApi, ManagedOperation, ManagedServiceDefinition, ManagedSubscriptionState, ManagedUser, Subscription,
    SubscriptionScope,
};
use millstream_types::{BoxFuture, Millis};

use super::Managed;
use super::counting::Later;
use super::policies::{Applied, Compiled};
use crate::backend::BackendError;
use crate::policy::exchange::{Exchange, Flow, query_pairs};
use crate::policy::{Policy, Section};
use crate::route;

/// The largest request, bytes.
pub const BODY_BYTES_MAX: usize = 10 << 20;

/// The longest text of a header or a query that a trace shows, characters.
const TRACE_CHARS_MAX: usize = 500;

/// A request for an API of a service.
#[derive(Debug, Clone)]
pub struct ManagedRequest {
    /// The id that the answer carries.
    pub id: String,
    /// The service; `None`: whichever has an API at this path.
    pub service: Option<String>,
    /// The method.
    pub method: Method,
    /// The path as it was sent, with its leading slash.
    pub path: String,
    /// What follows the question mark, as it was sent; empty without.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Who calls.
    pub peer: IpAddr,
}

/// Why a request got no answer of its backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No API or operation is there.
    #[error("there is no API or operation for this method and path")]
    NotFound,
    /// A key is needed.
    #[error("a subscription key is needed")]
    KeyMissing,
    /// The key opens nothing here.
    #[error("the subscription key opens nothing here")]
    KeyInvalid,
    /// A policy refused it.
    #[error("{1}")]
    Refused(StatusCode, String),
    /// Too many calls; seconds to wait.
    #[error("too many calls; wait {0} s")]
    RateLimited(u64),
    /// The quota of calls is used up; seconds to wait, `None`: for good.
    #[error("the quota of calls is used up")]
    CallsUsedUp(Option<u64>),
    /// The quota of bytes is used up; seconds to wait, `None`: for good.
    #[error("the quota of bandwidth is used up")]
    BandwidthUsedUp(Option<u64>),
    /// The backend was not reached; the text says why.
    #[error("{0}")]
    Backend(String),
    /// The backend took too long.
    #[error("the backend took too long")]
    BackendTimedOut,
    /// The node could not do it; the text says why.
    #[error("{0}")]
    Internal(String),
}

impl Failure {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::KeyMissing | Self::KeyInvalid => StatusCode::UNAUTHORIZED,
            Self::Refused(status, _) => *status,
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::CallsUsedUp(_) | Self::BandwidthUsedUp(_) => StatusCode::FORBIDDEN,
            Self::Backend(_) | Self::BackendTimedOut | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Seconds after which it may go better.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::RateLimited(seconds) => Some(*seconds),
            Self::CallsUsedUp(seconds) | Self::BandwidthUsedUp(seconds) => *seconds,
            _ => None,
        }
    }
}

/// How a request was answered.
#[derive(Debug)]
pub struct Answered {
    /// The answer; with a failure its body is the front's to write.
    pub response: Response<Bytes>,
    /// What went wrong; `None` also when a policy answered in its place.
    pub failure: Option<Failure>,
    /// What was done on the way.
    pub trace: Vec<TraceStep>,
}

/// A step on a request's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceStep {
    /// `inbound`, `backend`, `outbound`, `on-error`, or `gateway` for what no policy says.
    pub section: &'static str,
    /// Which document says it: `global`, `api orders`, ….
    pub scope: String,
    /// The policy's element, or what the gateway did: `operation`, `subscription`.
    pub step: &'static str,
    /// What was done.
    pub message: String,
    /// Milliseconds since the request came.
    pub elapsed_ms: Millis,
}

/// A request while its policies run.
pub(super) struct Running<'r> {
    pub(super) engine: &'r Managed,
    request: &'r ManagedRequest,
    pub(super) api: &'r ManagedApi,
    pub(super) operation: &'r ManagedOperation,
    pub(super) compiled: Arc<Compiled>,
    pub(super) exchange: Exchange,
    /// The subscription's id; empty without one.
    pub(super) counted: String,
    /// Counters of bandwidth that the bytes of this call are added to.
    pub(super) bandwidth: Vec<String>,
    /// What is counted when the answer is there.
    pub(super) later: Vec<Later>,
    traced: bool,
    trace: Vec<TraceStep>,
    begun: Millis,
}

/// What a key opens.
struct Opened {
    subscription: String,
    key: String,
    counted: String,
    product: Option<String>,
    user: Option<ManagedUser>,
}

/// Whether the way goes on.
enum Way {
    On,
    Answered,
}

impl Managed {
    /// Answers a request; `traced`: with every step.
    pub fn call<'a>(&'a self, request: &'a ManagedRequest, traced: bool) -> BoxFuture<'a, Answered> {
        Box::pin(async move {
            let begun = self.clock.now();
            let mut answered = self.called(request, traced, begun).await;
            if let Some(seconds) = answered.failure.as_ref().and_then(Failure::retry_after) {
                answered.response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            answered
        })
    }

    async fn called(&self, request: &ManagedRequest, traced: bool, begun: Millis) -> Answered {
        // A backend may follow them to what no operation here is for.
        if route::has_dot_segments(&request.path) {
            return failed(Failure::NotFound);
        }
        let Some((service, api)) = self.find_api(request) else { return failed(Failure::NotFound) };
        let (Some(api), compiled) = (service.apis.get(&api), self.compiled(&service)) else {
            return failed(Failure::NotFound);
        };
        let path = format!("/{}", request.path.trim_start_matches('/')[api.path.len()..].trim_start_matches('/'));
        let Some((operation, parameters)) = find_operation(api, request, &path) else {
            return failed(Failure::NotFound);
        };
        let exchange = Exchange {
            method: request.method.clone(),
            backend: api.backend.clone(),
            path,
            query: query_pairs(&request.query),
            headers: request.headers.clone(),
            body: request.body.clone(),
            parameters,
            response: Response::new(Bytes::new()),
            response_headers: HeaderMap::new(),
            subscription: String::new(),
            key: String::new(),
            user: None,
            variables: BTreeMap::new(),
            address: request.peer.to_string(),
            request_id: request.id.clone(),
        };
        let running = Running {
            engine: self,
            request,
            api,
            operation,
            compiled,
            exchange,
            counted: String::new(),
            bandwidth: Vec::new(),
            later: Vec::new(),
            traced,
            trace: Vec::new(),
            begun,
        };
        let answered = running.run().await;
        self.count(&format!("{}/{}", service.name, api.name), &answered, begun);
        answered
    }

    /// The service and API whose path a request's begins with; the longest path answers.
    fn find_api(&self, request: &ManagedRequest) -> Option<(Arc<ManagedServiceDefinition>, String)> {
        let services = match &request.service {
            Some(name) => self.service(name).into_iter().collect(),
            None => self.services(),
        };
        let path = request.path.trim_start_matches('/');
        let begins = |api: &&ManagedApi| {
            let rest = path.strip_prefix(api.path.as_str());
            rest.is_some_and(|rest| api.path.is_empty() || rest.is_empty() || rest.starts_with('/'))
        };
        let longest = |service: &Arc<ManagedServiceDefinition>| {
            let api = service.apis.values().filter(begins).max_by_key(|api| api.path.len())?;
            Some((api.path.len(), Arc::clone(service), api.name.clone()))
        };
        // Of equally long paths the one of the first service answers.
        let found = services.iter().filter_map(longest).reduce(|best, next| if next.0 > best.0 { next } else { best });
        found.map(|(_, service, api)| (service, api))
    }

    fn count(&self, subject: &str, answered: &Answered, begun: Millis) {
        let milliseconds = u64::try_from(self.clock.now() - begun).unwrap_or(0);
        self.traffic.answered(&format!("managed-api/{subject}"), answered.response.status().as_u16(), milliseconds);
    }
}

/// The operation for a request; a preflight is asked of the operation that its page wants to call.
fn find_operation<'a>(
    api: &'a ManagedApi,
    request: &ManagedRequest,
    path: &str,
) -> Option<(&'a ManagedOperation, BTreeMap<String, String>)> {
    let of = |method: &str| {
        let operations = api.operations.values().filter(|operation| operation.method == method);
        let patterns: Vec<(String, &ManagedOperation)> =
            operations.map(|operation| (operation.template.replace("/*", "/{*+}"), operation)).collect();
        // `*` stands for nothing too, which a greedy parameter does not.
        let bare: Vec<(String, &ManagedOperation)> = patterns
            .iter()
            .filter_map(|(pattern, operation)| Some((pattern.strip_suffix("/{*+}")?.to_owned(), *operation)))
            .collect();
        let all = patterns.iter().chain(&bare).map(|(pattern, operation)| (pattern.as_str(), *operation));
        route::most_exact(all, path)
    };
    of(request.method.as_str()).or_else(|| {
        let wanted = request.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?.to_str().ok()?;
        if request.method == Method::OPTIONS { of(wanted) } else { None }
    })
}

impl Running<'_> {
    async fn run(mut self) -> Answered {
        let (api, operation) = (self.api, self.operation);
        self.note("gateway", "", "operation", || {
            format!("{} of {}: {} {}", operation.name, api.name, operation.method, operation.template)
        });
        let preflight = self.request.method == Method::OPTIONS && operation.method != "OPTIONS";
        let opened = if preflight { Ok(None) } else { self.open(api) };
        let (opened, refused) = match opened {
            Ok(opened) => (opened, None),
            Err(failure) => (None, Some(failure)),
        };
        let product = opened.as_ref().and_then(|opened| opened.product.clone());
        if let Some(opened) = opened {
            self.note("gateway", "", "subscription", || format!("{} opens the API", opened.subscription));
            (self.exchange.subscription, self.counted) = (opened.subscription, opened.counted);
            (self.exchange.key, self.exchange.user) = (opened.key, opened.user);
        }
        let section = |section| self.compiled.section(section, api, operation, product.as_deref());
        let (inbound, backend) = (section(Section::Inbound), section(Section::Backend));
        let (outbound, on_error) = (section(Section::Outbound), section(Section::OnError));
        let mut failure = match refused {
            Some(failure) => Some(failure),
            None => self.way(&[&inbound, &backend, &outbound], preflight).await.err(),
        };
        if let Some(failed) = &failure {
            self.note("gateway", "", "failure", || failed.to_string());
            self.exchange.response = Response::new(Bytes::new());
            *self.exchange.response.status_mut() = failed.status();
            if matches!(self.section(&on_error).await, Ok(Way::Answered)) {
                failure = None;
            }
        }
        self.answered(failure).await
    }

    /// The sections of a request that nothing refuses.
    async fn way(&mut self, sections: &[&[Applied]; 3], preflight: bool) -> Result<(), Failure> {
        let [inbound, backend, outbound] = sections;
        if matches!(self.section(inbound).await?, Way::Answered) {
            return Ok(());
        }
        if preflight {
            // Nothing answered the preflight: there is no such operation.
            return Err(Failure::NotFound);
        }
        if matches!(self.section(backend).await?, Way::Answered) {
            return Ok(());
        }
        self.section(outbound).await.map(drop)
    }

    async fn section(&mut self, applied: &[Applied]) -> Result<Way, Failure> {
        for applied in applied {
            let (policy, section) = (applied.policy(), applied.section);
            let flow = match policy {
                Policy::RateLimit(limit) => self.limit(applied, limit)?,
                Policy::Quota(quota) => self.quota(applied, quota).await?,
                Policy::ForwardRequest { timeout_s } => self.forward(*timeout_s).await?,
                other => self.exchange.apply(other, section),
            };
            let (message, way) = match flow {
                Flow::Next(message) => (message, Ok(Way::On)),
                Flow::Answered(message) => (message, Ok(Way::Answered)),
                Flow::Refused(status, message) => (message.clone(), Err(Failure::Refused(status, message))),
            };
            self.note(section.name(), &applied.scope.name(), policy.name(), || message);
            if matches!(way?, Way::Answered) {
                return Ok(Way::Answered);
            }
        }
        Ok(Way::On)
    }

    /// What the request's key opens.
    fn open(&self, api: &ManagedApi) -> Result<Option<Opened>, Failure> {
        let service = &self.compiled.service;
        let header = self.request.headers.get(&api.key_header).and_then(|key| key.to_str().ok()).map(str::to_owned);
        let in_query =
            || self.exchange.query.iter().find(|(name, _)| *name == api.key_query).map(|(_, key)| key.clone());
        let open_product = service
            .products
            .values()
            .find(|product| !product.subscription_required && product.apis.contains(&api.name));
        let anonymous = open_product.map(|product| Opened {
            subscription: String::new(),
            key: String::new(),
            counted: String::new(),
            product: Some(product.name.clone()),
            user: None,
        });
        let Some(key) = header.or_else(in_query).filter(|key| !key.is_empty()) else {
            return match anonymous {
                Some(anonymous) => Ok(Some(anonymous)),
                None if api.subscription_required => Err(Failure::KeyMissing),
                None => Ok(None),
            };
        };
        let owner = |found: &Subscription| found.owner.as_ref().and_then(|name| service.users.get(name));
        let found = self.compiled.keys.get(&key).and_then(|name| service.subscriptions.get(name));
        let opens = found.filter(|found| {
            found.state == ManagedSubscriptionState::Active
                && !owner(found).is_some_and(|user| user.blocked)
                && match &found.scope {
                    SubscriptionScope::AllApis => true,
                    SubscriptionScope::Api(name) => *name == api.name,
                    SubscriptionScope::Product(name) => {
                        service.products.get(name).is_some_and(|product| product.apis.contains(&api.name))
                    }
                }
        });
        match opens {
            Some(found) => {
                let product = match &found.scope {
                    SubscriptionScope::Product(name) => Some(name.clone()),
                    SubscriptionScope::AllApis | SubscriptionScope::Api(_) => None,
                };
                let user = owner(found).cloned();
                let (subscription, counted) = (found.name.clone(), found.id.clone());
                Ok(Some(Opened { subscription, key, counted, product, user }))
            }
            None if api.subscription_required => Err(Failure::KeyInvalid),
            None => Ok(anonymous),
        }
    }

    async fn forward(&mut self, timeout_s: u32) -> Result<Flow, Failure> {
        let exchange = &self.exchange;
        let uri = exchange.uri().map_err(Failure::Internal)?;
        let told = format!("{} {uri}", exchange.method);
        let mut request = Request::new(exchange.body.clone());
        *request.method_mut() = exchange.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = exchange.headers.clone();
        let sent = self.engine.backends.send(request, Duration::from_secs(timeout_s.into())).await;
        self.exchange.response = sent.map_err(|error| match error {
            BackendError::TimedOut(_) => Failure::BackendTimedOut,
            other => Failure::Backend(other.to_string()),
        })?;
        Ok(Flow::Next(format!("{told} answered {}", self.exchange.response.status().as_u16())))
    }

    fn note(&mut self, section: &'static str, scope: &str, step: &'static str, message: impl FnOnce() -> String) {
        if self.traced {
            let elapsed_ms = self.engine.clock.now() - self.begun;
            let message = message().chars().take(TRACE_CHARS_MAX).collect();
            self.trace.push(TraceStep { section, scope: scope.to_owned(), step, message, elapsed_ms });
        }
    }

    async fn answered(mut self, failure: Option<Failure>) -> Answered {
        let bytes = (self.request.body.len() + self.exchange.response.body().len()) as u64;
        self.count_later(bytes).await;
        let mut response = self.exchange.response;
        response.headers_mut().extend(std::mem::take(&mut self.exchange.response_headers));
        Answered { response, failure, trace: self.trace }
    }
}

fn failed(failure: Failure) -> Answered {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = failure.status();
    Answered { response, failure: Some(failure), trace: Vec::new() }
}
