//! What is served: each API with its versions, and which of them have the flexible encoding. What is not in this list is not
//! served, and clients are told so by the list itself.
//!
//! Source: the message definitions of Apache Kafka (`validVersions`, `flexibleVersions`).

/// An API of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    Produce,
    Fetch,
    ListOffsets,
    Metadata,
    OffsetCommit,
    OffsetFetch,
    FindCoordinator,
    JoinGroup,
    Heartbeat,
    LeaveGroup,
    SyncGroup,
    DescribeGroups,
    ListGroups,
    SaslHandshake,
    /// ApiVersions.
    Versions,
    CreateTopics,
    DeleteTopics,
    DeleteRecords,
    InitProducerId,
    DescribeConfigs,
    SaslAuthenticate,
    CreatePartitions,
    DeleteGroups,
    IncrementalAlterConfigs,
    DescribeCluster,
}

/// A version that no API has: the API has no flexible one among those served.
const NEVER: i16 = i16::MAX;

/// An API as it is served.
#[derive(Debug, Clone, Copy)]
pub struct Served {
    /// Which.
    pub api: Api,
    /// Its number on the wire.
    pub key: i16,
    /// The first and the last version.
    pub versions: (i16, i16),
    /// The first version of the flexible encoding.
    flexible_from: i16,
}

/// All that is served.
pub const SERVED: [Served; 25] = [
    served(Api::Produce, 0, (3, 9), 9),
    served(Api::Fetch, 1, (4, 17), 12),
    served(Api::ListOffsets, 2, (1, 6), 6),
    served(Api::Metadata, 3, (0, 12), 9),
    served(Api::OffsetCommit, 8, (2, 8), 8),
    served(Api::OffsetFetch, 9, (1, 8), 6),
    served(Api::FindCoordinator, 10, (0, 4), 3),
    served(Api::JoinGroup, 11, (0, 9), 6),
    served(Api::Heartbeat, 12, (0, 4), 4),
    served(Api::LeaveGroup, 13, (0, 5), 4),
    served(Api::SyncGroup, 14, (0, 5), 4),
    served(Api::DescribeGroups, 15, (0, 5), 5),
    served(Api::ListGroups, 16, (0, 4), 3),
    served(Api::SaslHandshake, 17, (1, 1), NEVER),
    served(Api::Versions, 18, (0, 4), 3),
    served(Api::CreateTopics, 19, (2, 7), 5),
    served(Api::DeleteTopics, 20, (1, 6), 4),
    served(Api::DeleteRecords, 21, (0, 2), 2),
    served(Api::InitProducerId, 22, (0, 4), 2),
    served(Api::DescribeConfigs, 32, (1, 4), 4),
    served(Api::SaslAuthenticate, 36, (0, 2), 2),
    served(Api::CreatePartitions, 37, (0, 3), 2),
    served(Api::DeleteGroups, 42, (0, 2), 2),
    served(Api::IncrementalAlterConfigs, 44, (0, 1), 1),
    served(Api::DescribeCluster, 60, (0, 1), 0),
];

const fn served(api: Api, key: i16, versions: (i16, i16), flexible_from: i16) -> Served {
    Served { api, key, versions, flexible_from }
}

impl Served {
    /// The API of a number.
    pub fn of_key(key: i16) -> Option<&'static Self> {
        SERVED.iter().find(|served| served.key == key)
    }

    /// Whether a version is served.
    pub fn has(&self, version: i16) -> bool {
        (self.versions.0..=self.versions.1).contains(&version)
    }

    /// Whether a version has the flexible encoding.
    pub fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible_from
    }

    /// Whether tagged fields follow an answer's correlation id. Never in front of versions: a client that asks for them
    /// does not know yet what the answer will be like.
    pub fn has_flexible_header(&self, version: i16) -> bool {
        self.is_flexible(version) && self.api != Api::Versions
    }
}
