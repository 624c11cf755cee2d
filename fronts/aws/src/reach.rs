//! Lets topics and APIs reach queues and functions: statements of these resources' policies, as the cloud's consoles add them
//! when they wire one to another. Who only calls the API writes them himself.

use millstream_catalog::{EventEndpoint, FunctionDefinition, InvokePermission};
use millstream_function::{FunctionError, Functions};
use millstream_queue::{QueueError, Queues};
use millstream_types::RoleUse;

use crate::authorize::{Authorizer, Service};
use crate::place::Place;
use crate::policy_statements::{NotAdded, add_topic};
use crate::sqs::permissions;

/// Adds what is missing to policies. Cheap to clone.
#[derive(Clone)]
pub struct Reach {
    authorizer: Authorizer,
    queues: Queues,
    functions: Functions,
}

/// Why a policy stays as it is.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ReachError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Function(#[from] FunctionError),
}

impl Reach {
    /// Over the engines whose resources have policies.
    #[must_use]
    pub fn new(authorizer: Authorizer, queues: Queues, functions: Functions) -> Self {
        Self { authorizer, queues, functions }
    }

    /// Lets a topic reach a subscription's endpoint; gives whether a policy was changed. What is not there has none.
    ///
    /// # Errors
    /// [`ReachError`].
    pub async fn let_topic(&self, topic: &str, endpoint: &EventEndpoint) -> Result<bool, ReachError> {
        match endpoint {
            EventEndpoint::Queue { name } => self.let_topic_send(topic, name).await,
            EventEndpoint::Function { name } => {
                self.let_invoke(Service::Sns, topic, name, format!("sns-{topic}")).await
            }
            EventEndpoint::Webhook { .. } | EventEndpoint::Stream { .. } => Ok(false),
        }
    }

    /// Lets all methods of an API run a function; gives whether its policy was changed.
    ///
    /// # Errors
    /// [`ReachError`].
    pub async fn let_api(&self, api: &str, function: &str) -> Result<bool, ReachError> {
        self.let_invoke(Service::ApiGateway, &format!("{api}/*"), function, format!("apigateway-{api}")).await
    }

    /// Lets a topic send to a queue.
    async fn let_topic_send(&self, topic: &str, queue: &str) -> Result<bool, ReachError> {
        if self.queues.get(queue).is_err() || self.authorizer.lets_in(Service::Sns, topic, RoleUse::SendMessage(queue))
        {
            return Ok(false);
        }
        let (arn, topic_arn) = (self.place().arn("sqs", queue), self.place().arn("sns", topic));
        let mut added = false;
        let changed = self.queues.change(queue, |queue| {
            let mut policy = permissions::policy(queue, &arn);
            // A statement of that name is its owner's, who may have meant to deny.
            added = match add_topic(&mut policy, &format!("sns-{topic}"), &arn, &topic_arn) {
                Ok(()) => true,
                Err(NotAdded::Exists | NotAdded::NoStatements) => false,
            };
            if added {
                queue.policy = Some(policy.to_string());
            }
            Ok::<_, QueueError>(())
        });
        changed.await?;
        Ok(added)
    }

    /// Lets a service run what a reference names, on behalf of a resource of its own.
    async fn let_invoke(
        &self,
        service: Service,
        holder: &str,
        reference: &str,
        id: String,
    ) -> Result<bool, ReachError> {
        let lets_in = self.authorizer.lets_in(service, holder, RoleUse::Invoke(reference));
        if lets_in || self.functions.find(reference).is_err() {
            return Ok(false);
        }
        let (function, qualifier) = FunctionDefinition::split_reference(reference);
        let permission = InvokePermission {
            id,
            qualifier: qualifier.map(str::to_owned),
            action: "lambda:InvokeFunction".to_owned(),
            principal: service.principal().to_owned(),
            source: Some(service.holder_arn(self.place(), holder)),
            source_account: None,
        };
        match self.functions.add_permission(function, permission, None).await {
            Ok(()) => Ok(true),
            Err(FunctionError::PermissionExists { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn place(&self) -> &Place {
        &self.authorizer.place
    }
}
