//! What can go wrong with groups.

use millstream_storage::StorageError;
use millstream_types::ErrorKind;

/// An error of the group engine.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GroupError {
    /// The group has no member of that id; who asks has to join again.
    #[error("the group has no such member; join again")]
    UnknownMember,
    /// A new member has to come back with the id that it is given here, so that one that gives up leaves nothing behind.
    #[error("join again as member `{member}`")]
    MemberIdRequired {
        /// The id.
        member: String,
    },
    /// The member speaks of another generation than the group's.
    #[error("the group is in another generation; join again")]
    Generation,
    /// The members have no protocol in common.
    #[error("expected a protocol that all members of the group know")]
    Protocol,
    /// No such session.
    #[error("expected a session timeout from {min_ms} to {max_ms} ms")]
    SessionTimeout {
        /// The shortest, milliseconds.
        min_ms: i32,
        /// The longest, milliseconds.
        max_ms: i32,
    },
    /// The members come together for another generation.
    #[error("the group is rebalancing; join again")]
    Rebalancing,
    /// Another member has taken the place of this one under its fixed name.
    #[error("another member has the same instance id")]
    Fenced,
    /// No group is called so.
    #[error("expected a group id of 1 to 255 bytes")]
    Name,
    /// No such group.
    #[error("there is no such group")]
    NotFound,
    /// A group with members cannot be removed.
    #[error("the group has members; end them first")]
    NotEmpty,
    /// The node has as many groups as it may.
    #[error("there may be at most {max} groups; delete some first")]
    TooManyGroups {
        /// The limit.
        max: usize,
    },
    /// The group has as many members as it may, or they say more of themselves than they may.
    #[error(
        "a group may have at most {max} members, each may say at most {bytes_max} bytes of itself, and all {all_bytes_max}"
    )]
    TooManyMembers {
        /// The limit.
        max: usize,
        /// The limit of one, bytes.
        bytes_max: usize,
        /// The limit of all together, bytes.
        all_bytes_max: usize,
    },
    /// The members of all groups say as much of themselves as they may.
    #[error("the members of all groups may say at most {bytes_max} bytes of themselves; end some first")]
    TooMuchSaid {
        /// The limit, bytes.
        bytes_max: usize,
    },
    /// The group is being removed, or cannot be just now because offsets of it are being kept.
    #[error("the group is being changed; try again")]
    Busy,
    /// Too much said of an offset.
    #[error("expected at most {max} bytes of metadata with an offset")]
    MetadataTooLarge {
        /// The limit, bytes.
        max: usize,
    },
    /// The storage engine refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl GroupError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownMember | Self::NotFound => ErrorKind::NotFound,
            Self::Protocol | Self::SessionTimeout { .. } | Self::Name => ErrorKind::Invalid,
            Self::MemberIdRequired { .. } | Self::Generation | Self::Rebalancing | Self::Fenced | Self::NotEmpty => {
                ErrorKind::Conflict
            }
            Self::TooManyGroups { .. } | Self::TooManyMembers { .. } | Self::TooMuchSaid { .. } => ErrorKind::Throttled,
            Self::Busy => ErrorKind::Unavailable,
            Self::MetadataTooLarge { .. } => ErrorKind::TooLarge,
            Self::Storage(error) => error.kind(),
        }
    }
}
