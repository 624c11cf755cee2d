//! A member of a group.

use bytes::Bytes;
use millstream_types::Millis;
use tokio::sync::oneshot;

use crate::error::GroupError;
use crate::membership::{Assigned, Join, Joined};

/// A member: what it said of itself, and what it waits for.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) instance: Option<String>,
    pub(crate) client: String,
    pub(crate) host: String,
    pub(crate) session_ms: Millis,
    pub(crate) rebalance_ms: Millis,
    /// Protocols that it knows, the one it likes best first, and what it says to the leader under each.
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// What the leader gave it.
    pub(crate) assignment: Bytes,
    /// When it is gone unless it is heard of.
    pub(crate) expires: Millis,
    /// Whether it has asked for what the leader gave it in this generation.
    pub(crate) synced: bool,
    joining: Option<oneshot::Sender<Result<Joined, GroupError>>>,
    syncing: Option<oneshot::Sender<Result<Assigned, GroupError>>>,
}

/// A member as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDescription {
    /// Its id.
    pub id: String,
    /// Its fixed name, when it has one.
    pub instance: Option<String>,
    /// What its client calls itself.
    pub client: String,
    /// Where it connects from.
    pub host: String,
    /// What it said to the leader.
    pub metadata: Bytes,
    /// What the leader gave it.
    pub assignment: Bytes,
}

impl Member {
    pub(crate) fn new(join: &Join, now: Millis) -> Self {
        let mut member = Self {
            instance: join.instance.clone(),
            client: join.client.clone(),
            host: join.host.clone(),
            session_ms: 0,
            rebalance_ms: 0,
            protocols: Vec::new(),
            assignment: Bytes::new(),
            expires: now,
            synced: false,
            joining: None,
            syncing: None,
        };
        member.say(join, now);
        member
    }

    /// Takes what it says of itself now.
    pub(crate) fn say(&mut self, join: &Join, now: Millis) {
        self.session_ms = Millis::from(join.session_ms);
        self.rebalance_ms = Millis::from(join.rebalance_ms);
        self.protocols.clone_from(&join.protocols);
        self.heard(now);
    }

    pub(crate) fn heard(&mut self, now: Millis) {
        self.expires = now + self.session_ms;
    }

    /// Bytes of what it said and was given.
    pub(crate) fn bytes(&self) -> usize {
        let said: usize = self.protocols.iter().map(|(name, said)| name.len() + said.len()).sum();
        let instance = self.instance.as_ref().map_or(0, String::len);
        said + instance + self.client.len() + self.host.len() + self.assignment.len()
    }

    /// What it says under a protocol.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols.iter().find(|(name, _)| name == protocol).map(|(_, said)| said.clone()).unwrap_or_default()
    }

    pub(crate) fn knows(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// Whether it waits for others, so that it need not be heard of.
    pub(crate) fn waits(&self) -> bool {
        self.joining.is_some() || self.syncing.is_some()
    }

    pub(crate) fn is_joining(&self) -> bool {
        self.joining.is_some()
    }

    pub(crate) fn is_syncing(&self) -> bool {
        self.syncing.is_some()
    }

    /// A wait of before has been given up by its client, which connects anew.
    pub(crate) fn wait_for_generation(&mut self) -> oneshot::Receiver<Result<Joined, GroupError>> {
        let (answer, answered) = oneshot::channel();
        self.joining = Some(answer);
        answered
    }

    pub(crate) fn wait_for_assignment(&mut self) -> oneshot::Receiver<Result<Assigned, GroupError>> {
        let (answer, answered) = oneshot::channel();
        self.syncing = Some(answer);
        answered
    }

    pub(crate) fn answer_join(&mut self, joined: Result<Joined, GroupError>) {
        if let Some(joining) = self.joining.take() {
            // Who has hung up is found out by the silence that follows.
            let _ = joining.send(joined);
        }
    }

    pub(crate) fn answer_sync(&mut self, assigned: Result<Assigned, GroupError>) {
        if let Some(syncing) = self.syncing.take() {
            let _ = syncing.send(assigned);
        }
    }
}
