//! Groups of consumers: its members agree on who reads which shard, and what each has read is kept.
//!
//! Who reads what is the members' own business: one of them, the leader, decides it; this engine brings them together
//! in generations and sees who is gone. Knows no protocol's wire format and reads no record.
//! Read next: [`engine`] (the operations), `group` (the rules: pure), `offsets` (how far a group has read: durable).

pub mod engine;
mod error;
mod group;
mod member;
mod membership;
mod offsets;

pub use engine::{Description, GROUPS_MAX, Groups, Listed, NewId};
pub use error::GroupError;
pub use group::{MEMBERS_MAX, Phase};
pub use member::MemberDescription;
pub use membership::{Assigned, Join, Joined, JoinedMember, Seat};
pub use offsets::{Committed, GroupId, METADATA_BYTES_MAX};
