//! The circumstances of a call, as conditions and variables of policies name them.
//! Source: the IAM user guide, "AWS global condition context keys".

use std::net::SocketAddr;

use http::request::Parts;
use millstream_access::Caller;
use millstream_access::policy::Context;
use millstream_http::serve;

use super::{Authorizer, Service};

impl Authorizer {
    /// The circumstances of a caller's call; `head` is the request, `None` for what the node does on a function's behalf.
    pub(crate) fn circumstances(&self, caller: &Caller, head: Option<&Parts>) -> Context {
        let now = self.clock.now();
        let mut context = Context::default()
            .with("aws:PrincipalArn", self.principal_arn(caller))
            .with("aws:PrincipalAccount", &*self.place.account)
            .with("aws:PrincipalType", kind(caller))
            .with("aws:userid", self.id(caller))
            .with("aws:RequestedRegion", &*self.place.region)
            .with("aws:SecureTransport", is_secure(head).to_string())
            .with("aws:CurrentTime", moment(now))
            .with("aws:EpochTime", (now / 1_000).to_string());
        match caller {
            Caller::User { name } => context.add("aws:username", name.as_str()),
            Caller::Role(taken) => context.add("aws:TokenIssueTime", moment(taken.since)),
            Caller::Root | Caller::Function { .. } => {}
        }
        for (key, value) in self.access.caller_tags(caller) {
            context.add(&format!("aws:PrincipalTag/{key}"), value);
        }
        let Some(head) = head else { return context };
        if let Some(peer) = head.extensions.get::<SocketAddr>() {
            context.add("aws:SourceIp", peer.ip().to_canonical().to_string());
        }
        if let Some(agent) = head.headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok()) {
            context.add("aws:UserAgent", agent);
        }
        context
    }

    /// The circumstances of what a service does on behalf of a resource of its own: what the guides have policies ask, against
    /// services being used for somebody else.
    pub(super) fn circumstances_of(&self, service: Service, holder: &str) -> Context {
        let now = self.clock.now();
        Context::default()
            .with("aws:SourceAccount", &*self.place.account)
            .with("aws:SourceOwner", &*self.place.account)
            .with("aws:SourceArn", service.holder_arn(&self.place, holder))
            .with("aws:PrincipalIsAWSService", "true")
            .with("aws:PrincipalServiceName", service.principal())
            .with("aws:RequestedRegion", &*self.place.region)
            // Services call each other within the node: nobody is between.
            .with("aws:SecureTransport", "true")
            .with("aws:CurrentTime", moment(now))
            .with("aws:EpochTime", (now / 1_000).to_string())
    }
}

/// Whether a call came under TLS.
fn is_secure(head: Option<&Parts>) -> bool {
    head.is_some_and(|head| serve::scheme(&head.extensions) == "https")
}

fn kind(caller: &Caller) -> &'static str {
    match caller {
        Caller::Root => "Account",
        Caller::User { .. } => "User",
        Caller::Role(_) | Caller::Function { .. } => "AssumedRole",
    }
}

fn moment(millis: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
