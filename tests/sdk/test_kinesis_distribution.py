"""Kinesis streams whose records go to shards in turn (`AUTO`), and requests that are only checked, through boto3."""

import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import Node

ON_DEMAND = {"StreamMode": "ON_DEMAND"}


@pytest.fixture
def stream(kinesis):
    name = f"even-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=name, StreamModeDetails=ON_DEMAND, RecordDistributionStrategy="AUTO")
    yield name
    kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)


def error(call, **parameters):
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return raised.value.response["Error"]["Code"]


def described(kinesis, stream):
    return kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]


def records(kinesis, stream, shard):
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    return kinesis.get_records(ShardIterator=iterator["ShardIterator"])["Records"]


def shards_of(put):
    return [record["ShardId"] for record in put["Records"]]


def test_shards_take_records_in_turn_whatever_their_keys(kinesis, stream):
    assert described(kinesis, stream)["RecordDistributionStrategy"] == "AUTO"
    same = {"Data": b"x", "PartitionKey": "k", "ExplicitHashKey": "0"}
    put = kinesis.put_records(StreamName=stream, Records=[same] * 40)
    counts = [shards_of(put).count(shard) for shard in sorted(set(shards_of(put)))]
    assert counts == [10] * 4
    singly = {kinesis.put_record(StreamName=stream, **same)["ShardId"] for _ in range(100)}
    assert len(singly) == 4
    first = records(kinesis, stream, put["Records"][0]["ShardId"])[0]
    assert first["PartitionKey"] == "k", "a key that was given is kept"


def test_a_key_may_be_left_out_and_is_left_out_of_the_record(kinesis, stream):
    put = kinesis.put_record(StreamName=stream, Data=b"1")
    (record,) = records(kinesis, stream, put["ShardId"])
    assert record["Data"] == b"1" and "PartitionKey" not in record
    mixed = [{"Data": b"2"}, {"Data": b"3", "PartitionKey": "k"}]
    assert kinesis.put_records(StreamName=stream, Records=mixed)["FailedRecordCount"] == 0
    before = put["SequenceNumber"]
    assert error(kinesis.put_record, StreamName=stream, Data=b"4", SequenceNumberForOrdering=before) == (
        "InvalidArgumentException")
    assert error(kinesis.put_record, StreamName=stream, Data=b"5", PartitionKey="k" * 257) == "ValidationException"


def test_the_strategy_changes_for_what_comes(kinesis, stream):
    arn = described(kinesis, stream)["StreamARN"]
    update = kinesis.update_stream_record_distribution_strategy
    update(StreamARN=arn, RecordDistributionStrategy="USER_PARTITION_KEY")
    assert described(kinesis, stream)["RecordDistributionStrategy"] == "USER_PARTITION_KEY"
    same = {"Data": b"x", "PartitionKey": "k"}
    assert len(set(shards_of(kinesis.put_records(StreamName=stream, Records=[same] * 40)))) == 1
    assert error(kinesis.put_record, StreamName=stream, Data=b"x") == "ValidationException"
    assert error(kinesis.put_records, StreamName=stream, Records=[same, {"Data": b"x"}]) == "ValidationException"
    assert error(update, StreamARN=arn, RecordDistributionStrategy="RANDOM") == "ValidationException"
    assert error(update, StreamARN=arn + "-none", RecordDistributionStrategy="AUTO") == "ResourceNotFoundException"
    update(StreamARN=arn, RecordDistributionStrategy="AUTO")
    assert len(set(shards_of(kinesis.put_records(StreamName=stream, Records=[same] * 40)))) == 4


def test_only_streams_on_demand_have_a_strategy(kinesis, stream):
    provisioned = stream + "-provisioned"
    refused = {"StreamName": provisioned, "ShardCount": 2, "RecordDistributionStrategy": "AUTO"}
    assert error(kinesis.create_stream, **refused) == "InvalidArgumentException"
    kinesis.create_stream(StreamName=provisioned, ShardCount=2, RecordDistributionStrategy="USER_PARTITION_KEY")
    summary = described(kinesis, provisioned)
    assert "RecordDistributionStrategy" not in summary
    assert error(kinesis.update_stream_record_distribution_strategy, StreamARN=summary["StreamARN"],
                 RecordDistributionStrategy="AUTO") == "InvalidArgumentException"
    kinesis.delete_stream(StreamName=provisioned)
    # What is provisioned again goes by its keys again.
    arn = described(kinesis, stream)["StreamARN"]
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "PROVISIONED"})
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails=ON_DEMAND)
    assert described(kinesis, stream)["RecordDistributionStrategy"] == "USER_PARTITION_KEY"


def test_the_strategy_is_there_after_a_restart():
    node = Node()
    try:
        kinesis = node.start().client("kinesis")
        kinesis.create_stream(StreamName="s", StreamModeDetails=ON_DEMAND, RecordDistributionStrategy="AUTO")
        assert node.stop() == 0
        kinesis = node.start().client("kinesis")
        assert described(kinesis, "s")["RecordDistributionStrategy"] == "AUTO"
        assert len({kinesis.put_record(StreamName="s", Data=b"x")["ShardId"] for _ in range(100)}) == 4
    finally:
        node.remove()


def test_what_is_only_to_be_checked_is_not_done(kinesis, stream):
    shard, succeeds = "shardId-000000000000", "DryRunOperationException"
    arn = described(kinesis, stream)["StreamARN"]
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c")["Consumer"]["ConsumerARN"]
    start = {"StreamName": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = kinesis.get_shard_iterator(**start)["ShardIterator"]
    subscription = {"ConsumerARN": consumer, "ShardId": shard, "StartingPosition": {"Type": "LATEST"}}
    calls = [(kinesis.put_record, {"StreamName": stream, "Data": b"x", "PartitionKey": "k"}),
             (kinesis.put_records, {"StreamName": stream, "Records": [{"Data": b"x", "PartitionKey": "k"}]}),
             (kinesis.get_shard_iterator, start), (kinesis.get_records, {"ShardIterator": iterator}),
             (kinesis.subscribe_to_shard, subscription)]
    for call, given in calls:
        assert error(call, DryRun=True, **given) == succeeds
    listed = [shard["ShardId"] for shard in kinesis.list_shards(StreamName=stream)["Shards"]]
    assert [records(kinesis, stream, shard) for shard in listed] == [[]] * 4
    kinesis.subscribe_to_shard(**subscription)["EventStream"].close()
    # What would fail fails as it would.
    assert error(kinesis.put_record, StreamName="none", Data=b"x", PartitionKey="k", DryRun=True) == (
        "ResourceNotFoundException")
    assert error(kinesis.get_records, ShardIterator="AAAA", DryRun=True) == "InvalidArgumentException"
    large = b"x" * ((1 << 20) + 1)
    assert error(kinesis.put_record, StreamName=stream, Data=large, DryRun=True) == "ValidationException"
