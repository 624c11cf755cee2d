//! The protocol's error codes, and engines' errors as the protocol tells them.
//!
//! Source: the protocol guide, "Error Codes".

use millstream_group::GroupError;
use millstream_namespace::NamespaceError;
use millstream_stream::{AppendError, StreamError};
use millstream_types::ErrorKind;

/// An error code of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum ErrorCode {
    UnknownServerError = -1,
    None = 0,
    OffsetOutOfRange = 1,
    CorruptMessage = 2,
    UnknownTopicOrPartition = 3,
    LeaderNotAvailable = 5,
    RequestTimedOut = 7,
    MessageTooLarge = 10,
    OffsetMetadataTooLarge = 12,
    CoordinatorNotAvailable = 15,
    InvalidTopic = 17,
    InvalidRequiredAcks = 21,
    IllegalGeneration = 22,
    InconsistentGroupProtocol = 23,
    InvalidGroupId = 24,
    UnknownMemberId = 25,
    InvalidSessionTimeout = 26,
    RebalanceInProgress = 27,
    TopicAuthorizationFailed = 29,
    GroupAuthorizationFailed = 30,
    UnsupportedSaslMechanism = 33,
    UnsupportedVersion = 35,
    TopicAlreadyExists = 36,
    InvalidPartitions = 37,
    InvalidReplicationFactor = 38,
    InvalidReplicaAssignment = 39,
    InvalidConfig = 40,
    InvalidRequest = 42,
    UnsupportedForMessageFormat = 43,
    PolicyViolation = 44,
    OutOfOrderSequence = 45,
    DuplicateSequence = 46,
    InvalidProducerEpoch = 47,
    TransactionalIdAuthorizationFailed = 53,
    StorageError = 56,
    SaslAuthenticationFailed = 58,
    NonEmptyGroup = 68,
    GroupIdNotFound = 69,
    FetchSessionIdNotFound = 70,
    InvalidFetchSessionEpoch = 71,
    FencedLeaderEpoch = 74,
    UnknownLeaderEpoch = 75,
    UnsupportedCompression = 76,
    MemberIdRequired = 79,
    GroupMaxSizeReached = 81,
    FencedInstanceId = 82,
    InvalidRecord = 87,
    ThrottlingQuotaExceeded = 89,
    UnknownTopicId = 100,
    FetchSessionTopicIdError = 106,
}

impl ErrorCode {
    /// As it stands on the wire.
    pub fn wire(self) -> i16 {
        self as i16
    }
}

impl From<&StreamError> for ErrorCode {
    fn from(error: &StreamError) -> Self {
        match error {
            StreamError::StreamExists { .. } => Self::TopicAlreadyExists,
            StreamError::ShardCount { .. } | StreamError::ShardsInAll { .. } => Self::InvalidPartitions,
            other => of_kind(other.kind()),
        }
    }
}

impl From<&AppendError> for ErrorCode {
    fn from(error: &AppendError) -> Self {
        match error {
            AppendError::OutOfSequence { .. } | AppendError::UnknownProducer => Self::OutOfOrderSequence,
            AppendError::Repeated { .. } => Self::DuplicateSequence,
            AppendError::Fenced { .. } => Self::InvalidProducerEpoch,
            AppendError::ShardClosed => Self::PolicyViolation,
            AppendError::Storage(error) => match error.kind() {
                ErrorKind::TooLarge => Self::MessageTooLarge,
                ErrorKind::Throttled => Self::RequestTimedOut,
                // What is full or stopping may be mended: clients try again.
                _ => Self::StorageError,
            },
        }
    }
}

impl From<&NamespaceError> for ErrorCode {
    fn from(error: &NamespaceError) -> Self {
        match error {
            NamespaceError::PartitionCount { .. } | NamespaceError::PartitionsFixed { .. } => Self::InvalidPartitions,
            NamespaceError::Name { .. } => Self::InvalidTopic,
            NamespaceError::Exists { .. } => Self::TopicAlreadyExists,
            NamespaceError::Stream(error) => Self::from(error),
            other => of_kind(other.kind()),
        }
    }
}

impl From<&GroupError> for ErrorCode {
    fn from(error: &GroupError) -> Self {
        match error {
            GroupError::UnknownMember => Self::UnknownMemberId,
            GroupError::MemberIdRequired { .. } => Self::MemberIdRequired,
            GroupError::Generation => Self::IllegalGeneration,
            GroupError::Protocol => Self::InconsistentGroupProtocol,
            GroupError::SessionTimeout { .. } => Self::InvalidSessionTimeout,
            GroupError::Rebalancing => Self::RebalanceInProgress,
            GroupError::Fenced => Self::FencedInstanceId,
            GroupError::Name => Self::InvalidGroupId,
            GroupError::NotFound => Self::GroupIdNotFound,
            GroupError::NotEmpty => Self::NonEmptyGroup,
            GroupError::TooManyGroups { .. } | GroupError::TooManyMembers { .. } | GroupError::TooMuchSaid { .. } => {
                Self::GroupMaxSizeReached
            }
            GroupError::MetadataTooLarge { .. } => Self::OffsetMetadataTooLarge,
            GroupError::Busy | GroupError::Storage(_) => Self::CoordinatorNotAvailable,
        }
    }
}

fn of_kind(kind: ErrorKind) -> ErrorCode {
    match kind {
        ErrorKind::NotFound => ErrorCode::UnknownTopicOrPartition,
        ErrorKind::Exists => ErrorCode::TopicAlreadyExists,
        ErrorKind::Invalid | ErrorKind::Conflict => ErrorCode::InvalidRequest,
        ErrorKind::TooLarge => ErrorCode::MessageTooLarge,
        ErrorKind::Throttled => ErrorCode::ThrottlingQuotaExceeded,
        ErrorKind::Unavailable => ErrorCode::StorageError,
        ErrorKind::Unauthenticated | ErrorKind::Forbidden => ErrorCode::TopicAuthorizationFailed,
        ErrorKind::Internal => ErrorCode::UnknownServerError,
    }
}
