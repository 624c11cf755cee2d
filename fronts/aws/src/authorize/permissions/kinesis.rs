//! Kinesis Data Streams: streams, which iterators and tokens of listings name too.

use super::{ANY, Member};
use crate::kinesis::Kinesis;
use crate::place::Place;

pub(super) fn resource(place: &Place, operation: &str, member: Member<'_>, kinesis: &Kinesis) -> String {
    let stream = |name: String| place.arn("kinesis", &format!("stream/{name}"));
    let carried = || {
        let text = if operation == "GetRecords" { member("ShardIterator") } else { member("NextToken") };
        kinesis.stream_of(&text?)
    };
    if operation == "ListStreams" {
        return ANY.to_owned();
    }
    // The order in which the service looks for its stream.
    let named = if operation == "GetRecords" { None } else { member("StreamName") };
    let arn = || ["StreamARN", "ResourceARN", "ConsumerARN"].into_iter().find_map(member);
    named.or_else(carried).map(stream).or_else(arn).unwrap_or_else(|| ANY.to_owned())
}
