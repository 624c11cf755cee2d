//! What members say when they join, and what they learn.

use bytes::Bytes;

/// Who wants to be a member.
#[derive(Debug, Clone)]
pub struct Join {
    /// The id that it got before; empty for none.
    pub member: String,
    /// A fixed name under which it comes back.
    pub instance: Option<String>,
    /// What its client calls itself.
    pub client: String,
    /// Where it connects from.
    pub host: String,
    /// How long it may be silent, milliseconds.
    pub session_ms: i32,
    /// How long others may wait for it when they come together, milliseconds.
    pub rebalance_ms: i32,
    /// What kind of group it is.
    pub protocol_type: String,
    /// Protocols that it knows, the one it likes best first, and what it says to the leader under each: kept as long as
    /// the member is, so bytes of their own and no slices of a request.
    pub protocols: Vec<(String, Bytes)>,
    /// Whether it knows that it may have to come back with an id.
    pub takes_id_first: bool,
    /// Whether it knows that it may lead a generation whose members have all been given something already.
    pub takes_lead_of_given: bool,
}

impl Join {
    /// Bytes of what it says of itself.
    pub(crate) fn bytes(&self) -> usize {
        let said: usize = self.protocols.iter().map(|(name, said)| name.len() + said.len()).sum();
        let instance = self.instance.as_ref().map_or(0, String::len);
        said + instance + self.client.len() + self.host.len() + self.protocol_type.len()
    }
}

/// A member's place in a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// The member's id; empty for who is no member.
    pub member: String,
    /// Its fixed name, when it has one.
    pub instance: Option<String>,
    /// The generation; negative for who is no member.
    pub generation: i32,
}

/// What a member learns when all have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The generation.
    pub generation: i32,
    /// What kind of group it is.
    pub protocol_type: String,
    /// The protocol that all know.
    pub protocol: String,
    /// Who decides.
    pub leader: String,
    /// The member's own id.
    pub member: String,
    /// Everybody, for the leader; nobody for others.
    pub members: Vec<JoinedMember>,
    /// Whether they have been given something already, so that nothing is asked of who decides.
    pub is_given: bool,
}

/// A member as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub id: String,
    /// Its fixed name, when it has one.
    pub instance: Option<String>,
    /// What it says under the protocol.
    pub metadata: Bytes,
}

/// What the leader gave a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// What kind of group it is.
    pub protocol_type: String,
    /// The protocol that all know.
    pub protocol: String,
    /// The leader's words.
    pub assignment: Bytes,
}
