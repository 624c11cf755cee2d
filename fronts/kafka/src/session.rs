//! Who a connection belongs to, and what it may do with which topic.

use millstream_access::Caller;
use millstream_group::GroupId;
use millstream_namespace::{Claims, DEFAULT_NAMESPACE, Right, Token};

use crate::service::Kafka;

/// What stands for all topics where a policy names them.
const EVERY_TOPIC: &str = "*";

/// A connection's client.
#[derive(Debug, Clone)]
pub struct Session {
    /// Whose topics it sees.
    pub namespace: String,
    /// What it has proved.
    identity: Identity,
    /// Where it connects from.
    pub host: String,
    /// The address that it reached, which it is told to come back to.
    pub own: (String, u16),
}

#[derive(Debug, Clone)]
enum Identity {
    /// Nothing yet.
    Nobody,
    /// Nothing, and that is enough on this node.
    Anybody,
    /// A policy's key, by a token that it would sign.
    Policy(Claims, Token),
    /// An access key, by its id.
    Key(Caller, String),
}

impl Session {
    /// A client that has just connected.
    pub fn new(kafka: &Kafka, host: String, own: (String, u16)) -> Self {
        let identity = if kafka.options.open { Identity::Anybody } else { Identity::Nobody };
        Self { namespace: DEFAULT_NAMESPACE.to_owned(), identity, host, own }
    }

    /// Whether it may ask for anything but who it may be.
    pub fn is_known(&self) -> bool {
        !matches!(self.identity, Identity::Nobody)
    }

    /// The client has proved to have a policy's key.
    pub fn prove_policy(&mut self, namespace: String, claims: Claims, token: Token) {
        self.namespace = namespace;
        self.identity = Identity::Policy(claims, token);
    }

    /// The client has proved to have an access key.
    pub fn prove_key(&mut self, caller: Caller, id: String) {
        self.namespace = DEFAULT_NAMESPACE.to_owned();
        self.identity = Identity::Key(caller, id);
    }

    /// Looks whether what was proved still holds: a key that was taken away opens nothing any more.
    pub fn prove_again(&mut self, kafka: &Kafka) {
        let holds = match &mut self.identity {
            Identity::Nobody | Identity::Anybody => true,
            Identity::Policy(claims, token) => match kafka.namespaces.verify(&self.namespace, token) {
                Ok(now) => {
                    *claims = now;
                    true
                }
                Err(_) => false,
            },
            Identity::Key(caller, id) => {
                kafka.access.grant(id, None, kafka.clock.now()).is_ok_and(|grant| grant.caller == *caller)
            }
        };
        if !holds {
            self.identity = Identity::Nobody;
        }
    }

    /// Whether it may do something with a topic.
    pub fn allows(&self, kafka: &Kafka, right: Right, topic: &str) -> bool {
        match &self.identity {
            Identity::Nobody => false,
            Identity::Anybody => true,
            Identity::Policy(claims, _) => claims.allow(right, &[topic], kafka.clock.now()),
            Identity::Key(caller, _) => kafka.access.may_everything(caller) || (kafka.permits)(caller, right, topic),
        }
    }

    /// Whether it may remove groups, which know no topic.
    pub fn may_manage_groups(&self, kafka: &Kafka) -> bool {
        match &self.identity {
            Identity::Policy(claims, _) => claims.allow(Right::Manage, &[], kafka.clock.now()),
            _ => self.allows(kafka, Right::Manage, EVERY_TOPIC),
        }
    }

    /// Whether it may be a member of groups: what it reads is checked topic by topic.
    pub fn may_read_something(&self, kafka: &Kafka) -> bool {
        match &self.identity {
            Identity::Policy(claims, _) => {
                let path: Vec<&str> = claims.path.iter().map(String::as_str).collect();
                claims.allow(Right::Listen, &path, kafka.clock.now())
            }
            _ => self.is_known(),
        }
    }

    /// A group of the namespace.
    pub fn group(&self, name: &str) -> GroupId {
        GroupId { space: self.namespace.clone(), name: name.to_owned() }
    }
}
