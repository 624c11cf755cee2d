//! The operations, a file each: the request's fields, the call, the answer's fields, in the versions that are served.
//!
//! `begin` of an operation decodes at once, so that a request that is none ends its connection, and gives what is to be
//! done when the answer's turn comes.

pub mod api_versions;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod metadata;
mod of_topic;
mod offset_commit;
mod offset_fetch;
mod produce;
mod sasl_authenticate;
mod sasl_handshake;
mod settings;
mod sync_group;
#[cfg(test)]
pub mod tests;

use crate::api::Api;
use crate::connection::{Answer, Answered, Refused, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::wire::Writer;

/// The only broker there is.
const NODE: i32 = 1;
/// The only epoch of its leadership.
const LEADER_EPOCH: i32 = 0;
/// Of who knows of no epoch.
const NO_EPOCH: i32 = -1;
/// What the cluster is called.
const CLUSTER: &str = "millstream";
/// Bytes of what one answer tells of groups: who asks for more is told to ask for fewer at once.
const GROUPS_BYTES_MAX: usize = 32 << 20;
/// "Not asked for", where an answer could say what the client is allowed to do.
const NO_OPERATIONS: i32 = i32::MIN;

/// Takes a request.
pub async fn begin(kafka: &Kafka, session: &mut Session, request: Request) -> Result<Answer, Refused> {
    match request.api {
        Api::Versions => return Ok(ready(api_versions::answer(request)?)),
        Api::SaslHandshake => return Ok(ready(sasl_handshake::answer(request)?)),
        Api::SaslAuthenticate => return Ok(ready(sasl_authenticate::answer(kafka, session, request)?)),
        _ => session.prove_again(kafka),
    }
    if !session.is_known() {
        return Err(Refused::Unauthenticated);
    }
    let (kafka, session) = (kafka.clone(), session.clone());
    Ok(match request.api {
        Api::Produce => produce::begin(kafka, session, request).await?,
        Api::Fetch => fetch::begin(kafka, session, request)?,
        Api::ListOffsets => list_offsets::begin(kafka, session, request)?,
        Api::Metadata => metadata::begin(kafka, session, request)?,
        Api::OffsetCommit => offset_commit::begin(kafka, session, request)?,
        Api::OffsetFetch => offset_fetch::begin(kafka, session, request)?,
        Api::FindCoordinator => find_coordinator::begin(kafka, session, request)?,
        Api::JoinGroup => join_group::begin(kafka, session, request)?,
        Api::Heartbeat => heartbeat::begin(kafka, session, request)?,
        Api::LeaveGroup => leave_group::begin(kafka, session, request)?,
        Api::SyncGroup => sync_group::begin(kafka, session, request)?,
        Api::DescribeGroups => describe_groups::begin(kafka, session, request)?,
        Api::ListGroups => list_groups::begin(kafka, session, request)?,
        Api::CreateTopics => create_topics::begin(kafka, session, request)?,
        Api::DeleteTopics => delete_topics::begin(kafka, session, request)?,
        Api::DeleteRecords => delete_records::begin(kafka, session, request)?,
        Api::InitProducerId => init_producer_id::begin(kafka, request)?,
        Api::DescribeConfigs => describe_configs::begin(kafka, session, request)?,
        Api::IncrementalAlterConfigs => incremental_alter_configs::begin(kafka, session, request)?,
        Api::CreatePartitions => create_partitions::begin(kafka, session, request)?,
        Api::DeleteGroups => delete_groups::begin(kafka, session, request)?,
        Api::DescribeCluster => describe_cluster::begin(session, request)?,
        Api::Versions | Api::SaslHandshake | Api::SaslAuthenticate => return Err(Refused::Unauthenticated),
    })
}

/// Looks whether a client means the leader that there is.
///
/// # Errors
/// [`ErrorCode::UnknownLeaderEpoch`] for one to come, [`ErrorCode::FencedLeaderEpoch`] for one that is over.
fn check_leader_epoch(known: i32) -> Result<(), ErrorCode> {
    match known {
        NO_EPOCH | LEADER_EPOCH => Ok(()),
        LEADER_EPOCH.. => Err(ErrorCode::UnknownLeaderEpoch),
        _ => Err(ErrorCode::FencedLeaderEpoch),
    }
}

/// An answer that is there.
fn ready(writer: Writer) -> Answer {
    let answered = Answered::new(writer, None);
    Box::pin(async move { Some(answered) })
}

/// An answer that may be large, written when its turn comes: see [`Request::held`].
fn held(answer: impl Future<Output = Answered> + Send + 'static) -> Answer {
    Box::pin(async move { Some(answer.await) })
}

/// An answer that is written when its turn comes, and that is no more than some times its request.
fn later(answer: impl Future<Output = Writer> + Send + 'static) -> Answer {
    Box::pin(async move { Some(Answered::new(answer.await, None)) })
}
