//! Policies of resources: a queue's, a topic's, a function's, a stream's. They let callers in beside their own policies, and services that
//! come as themselves.
//!
//! Sources: "Identity-based policies and resource-based policies" (IAM), "Giving Amazon SNS permission to send to a queue"
//! (SNS), "Granting function access to AWS services" (Lambda).

use std::sync::Arc;

use millstream_access::DefinitionCache;
use millstream_access::policy::{AccessRequest, Context, Identity, MalformedPolicy, Policy, Use, Verdict, evaluate};
use millstream_catalog::{Catalog, FunctionDefinition, StreamConsumer};

use super::service_role::Service;
use super::{Authorizer, Need};
use crate::lambda::permission;
use crate::place::resource;
use crate::sns;

/// Policies of resources by their ARNs, read; the error is of a text that an earlier version took without reading it.
pub(super) type ResourcePolicies = DefinitionCache<Result<Arc<Policy>, MalformedPolicy>>;

/// Nothing is read yet.
pub(super) fn resource_policies(catalog: &Catalog) -> ResourcePolicies {
    let Catalog { queues, topics, streams, functions, .. } = catalog;
    DefinitionCache::new(vec![queues.watch(), topics.watch(), streams.watch(), functions.watch()])
}

impl Authorizer {
    /// The policy of what an ARN names; `None` where there is none.
    ///
    /// # Errors
    /// [`MalformedPolicy`] for a text that an earlier version took without reading it.
    pub(super) fn resource_policy(&self, arn: &str) -> Result<Option<Arc<Policy>>, MalformedPolicy> {
        let read = || Some(Policy::parse(&self.resource_policy_text(arn)?, Use::Resource).map(Arc::new));
        self.resource_policies.get(arn, read).transpose()
    }

    fn resource_policy_text(&self, arn: &str) -> Option<String> {
        if let Some(queue) = resource(arn, "sqs", "") {
            return self.catalog.queues.get(queue)?.policy.clone();
        }
        if let Some(topic) = resource(arn, "sns", "") {
            let topic = self.catalog.topics.get(topic)?;
            return Some(sns::policy_of(&self.place, &topic));
        }
        if let Some(stream) = resource(arn, "kinesis", "stream/") {
            return self.stream_policy_text(stream);
        }
        let (function, qualifier) = FunctionDefinition::split_reference(resource(arn, "lambda", "function:")?);
        let function = self.catalog.functions.get(function)?;
        // Permissions that an earlier version took unread permit nothing.
        permission::policy_text(&self.place, &function, qualifier, permission::is_readable)
    }

    /// The policy of a stream, or of a consumer of one: `STREAM/consumer/NAME:SECOND`.
    fn stream_policy_text(&self, named: &str) -> Option<String> {
        let Some((stream, consumer)) = named.split_once("/consumer/") else {
            return self.catalog.streams.get(named)?.settings.policy.clone();
        };
        // The very ARN: with any other second callers could have as much kept as they make up.
        let (name, created) = consumer.rsplit_once(':')?;
        let is = |known: &&StreamConsumer| known.name == name && (known.created / 1_000).to_string() == created;
        let stream = self.catalog.streams.get(stream)?;
        stream.consumers.iter().find(is)?.policy.clone()
    }

    /// Whether the policies of what a service touches let it in as itself, on behalf of a resource of its own.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub(crate) fn service_may(&self, service: Service, holder: &str, needs: &[Need]) -> Result<(), String> {
        let context = self.circumstances_of(service, holder);
        needs.iter().try_for_each(|need| self.service_may_one(service, need, &context))
    }

    fn service_may_one(&self, service: Service, need: &Need, context: &Context) -> Result<(), String> {
        let Need { action, resource, .. } = need;
        let identities = [Identity::new("Service", service.principal())];
        let request = AccessRequest { action, resource, identities: &identities, context };
        let why = match self.resource_policy(resource) {
            Ok(policy) => match evaluate(policy.as_deref(), &request) {
                Verdict::Allowed => return Ok(()),
                Verdict::Denied => "with an explicit deny in a resource-based policy".to_owned(),
                Verdict::NotAllowed => format!("because no resource-based policy allows the {action} action"),
            },
            Err(error) => format!("because the policy of the resource cannot be read: {error}"),
        };
        Err(format!("{} is not authorized to perform: {action} on resource: {resource} {why}", service.principal()))
    }
}
