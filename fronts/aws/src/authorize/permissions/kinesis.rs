//! Kinesis Data Streams: streams, which iterators and tokens of listings name too, and their consumers.

use super::{ANY, Member, UNKNOWN};
use crate::kinesis::Kinesis;
use crate::place::Place;

pub(super) fn resource(place: &Place, operation: &str, member: Member<'_>, kinesis: &Kinesis) -> String {
    let carried = |name: &str| kinesis.stream_of(&member(name)?);
    // Of operations that look at one member only, no other counts.
    let by_arn = |name: &str| member(name).map_or_else(|| UNKNOWN.to_owned(), |arn| place.own_arn(&arn));
    // The order in which the service looks for its stream.
    let stream = match operation {
        "ListStreams" | "DescribeLimits" | "DescribeAccountSettings" | "UpdateAccountSettings" => {
            return ANY.to_owned();
        }
        "PutResourcePolicy"
        | "GetResourcePolicy"
        | "DeleteResourcePolicy"
        | "TagResource"
        | "UntagResource"
        | "ListTagsForResource" => return by_arn("ResourceARN"),
        "RegisterStreamConsumer"
        | "ListStreamConsumers"
        | "UpdateStreamMode"
        | "UpdateMaxRecordSize"
        | "UpdateStreamRecordDistributionStrategy" => {
            return by_arn("StreamARN");
        }
        "SubscribeToShard" => return by_arn("ConsumerARN"),
        // A consumer's own ARN, also where it is named by its stream and name.
        "DescribeStreamConsumer" | "DeregisterStreamConsumer" => {
            return match (member("ConsumerARN"), member("StreamARN"), member("ConsumerName")) {
                (None, Some(stream), Some(name)) => kinesis.consumer_arn(&place.own_arn(&stream), &name),
                _ => by_arn("ConsumerARN"),
            };
        }
        "GetRecords" => carried("ShardIterator"),
        "ListShards" => member("StreamName").or_else(|| carried("NextToken")),
        _ => member("StreamName"),
    };
    let named = |name: String| place.arn("kinesis", &format!("stream/{name}"));
    let arn = || member("StreamARN").map(|arn| place.own_arn(&arn));
    stream.map(named).or_else(arn).unwrap_or_else(|| UNKNOWN.to_owned())
}
