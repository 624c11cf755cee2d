"""Consumers of Kinesis streams that have records pushed to them, through boto3's `subscribe_to_shard`."""

import json
import threading
import time
import uuid

import boto3
import pytest
from botocore.exceptions import ClientError
from conftest import Node, until

SHARD = "shardId-000000000000"


@pytest.fixture
def stream(kinesis):
    name = f"pushed-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=name, ShardCount=1)
    yield name
    kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)


@pytest.fixture
def arn(kinesis, stream):
    return kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]


@pytest.fixture
def consumer(kinesis, arn):
    return kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="one")["Consumer"]["ConsumerARN"]


def error(call, **parameters):
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return raised.value.response["Error"]["Code"]


def subscribe(kinesis, consumer, kind="TRIM_HORIZON", shard=SHARD, **position):
    answer = kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId=shard, StartingPosition={"Type": kind, **position})
    return (event["SubscribeToShardEvent"] for event in answer["EventStream"])


def take(events, enough):
    """Records of events until there are enough, and the last event."""
    records = []
    for event in events:
        records += event["Records"]
        if len(records) >= enough:
            return [record["Data"] for record in records], event
    raise AssertionError(f"the subscription ended after {len(records)} records")


def test_consumers_are_registered_described_listed_and_removed(kinesis, arn):
    made = [kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=name)["Consumer"] for name in ("b", "a", "c")]
    assert made[0]["ConsumerARN"].startswith(f"{arn}/consumer/b:") and made[0]["ConsumerStatus"] == "ACTIVE"
    assert error(kinesis.register_stream_consumer, StreamARN=arn, ConsumerName="a") == "ResourceInUseException"
    by_arn = kinesis.describe_stream_consumer(ConsumerARN=made[1]["ConsumerARN"])["ConsumerDescription"]
    by_name = kinesis.describe_stream_consumer(StreamARN=arn, ConsumerName="a")["ConsumerDescription"]
    assert by_arn == by_name and by_arn["StreamARN"] == arn
    assert by_arn["ConsumerCreationTimestamp"] == made[1]["ConsumerCreationTimestamp"]
    first = kinesis.list_stream_consumers(StreamARN=arn, MaxResults=2)
    rest = kinesis.list_stream_consumers(StreamARN=arn, NextToken=first["NextToken"])
    assert [found["ConsumerName"] for found in first["Consumers"] + rest["Consumers"]] == ["a", "b", "c"]
    assert "NextToken" not in rest
    name = arn.split("/")[1]
    assert kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["ConsumerCount"] == 3
    kinesis.deregister_stream_consumer(ConsumerARN=made[1]["ConsumerARN"])
    kinesis.deregister_stream_consumer(StreamARN=arn, ConsumerName="b")
    assert error(kinesis.describe_stream_consumer, StreamARN=arn, ConsumerName="a") == "ResourceNotFoundException"
    assert error(kinesis.deregister_stream_consumer, ConsumerARN=made[0]["ConsumerARN"]) == "ResourceNotFoundException"
    assert error(kinesis.describe_stream_consumer, StreamARN=arn) == "InvalidArgumentException"
    for n in range(19):
        kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=f"more-{n}")
    assert error(kinesis.register_stream_consumer, StreamARN=arn, ConsumerName="many") == "LimitExceededException"


def test_a_consumer_may_be_named_twice_if_both_agree(kinesis, arn, consumer):
    both = kinesis.describe_stream_consumer(ConsumerARN=consumer, StreamARN=arn, ConsumerName="one")
    assert both["ConsumerDescription"]["ConsumerARN"] == consumer
    wrong = "InvalidArgumentException"
    assert error(kinesis.describe_stream_consumer, ConsumerARN=consumer, ConsumerName="two") == wrong
    assert error(kinesis.describe_stream_consumer, ConsumerARN=consumer, StreamARN=arn + "-other") == wrong
    assert error(kinesis.describe_stream_consumer, ConsumerName="one") == wrong


def test_policies_speak_of_a_consumer_however_it_is_named(kinesis, server, arn, consumer):
    """As applications of the Kinesis Client Library are allowed: they look for their consumer by its stream and name."""
    iam, user = server.client("iam"), f"reader-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=user)
    allowed = {"Effect": "Allow", "Action": "kinesis:DescribeStreamConsumer", "Resource": f"{arn}/consumer/one:*"}
    iam.put_user_policy(UserName=user, PolicyName="own",
                        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))
    key = iam.create_access_key(UserName=user)["AccessKey"]
    reader = boto3.client("kinesis", endpoint_url=server.endpoint, region_name="us-east-1",
                          aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    for named in ({"ConsumerARN": consumer}, {"StreamARN": arn, "ConsumerName": "one"}):
        assert reader.describe_stream_consumer(**named)["ConsumerDescription"]["ConsumerARN"] == consumer
    kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="two")
    assert error(reader.describe_stream_consumer, StreamARN=arn, ConsumerName="two") == "AccessDeniedException"
    assert error(reader.describe_stream_summary, StreamARN=arn) == "AccessDeniedException"
    kinesis.deregister_stream_consumer(ConsumerARN=consumer)
    assert error(reader.describe_stream_consumer, StreamARN=arn, ConsumerName="one") == "ResourceNotFoundException"


def test_a_stream_with_consumers_is_deleted_only_when_that_is_meant(kinesis, stream, consumer):
    assert error(kinesis.delete_stream, StreamName=stream) == "ResourceInUseException"


def test_records_are_pushed_as_they_come(kinesis, stream, consumer):
    kinesis.put_record(StreamName=stream, Data=b"before", PartitionKey="k\u00e4y")
    events = subscribe(kinesis, consumer)
    event = next(events)
    (record,) = event["Records"]
    assert (record["Data"], record["PartitionKey"]) == (b"before", "k\u00e4y")
    assert event["ContinuationSequenceNumber"] == record["SequenceNumber"] and event["MillisBehindLatest"] == 0
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(take(events, 3)[0]))
    reader.start()
    for n in range(3):
        kinesis.put_record(StreamName=stream, Data=str(n), PartitionKey="k")
    reader.join(timeout=30)
    assert seen == [b"0", b"1", b"2"]


def test_much_comes_in_several_events_in_its_order(kinesis, stream, consumer):
    for turn in range(3):
        records = [{"PartitionKey": "k", "Data": f"{turn}-{n}-".encode() + b"x" * 300_000} for n in range(6)]
        assert kinesis.put_records(StreamName=stream, Records=records)["FailedRecordCount"] == 0
    found, _ = take(subscribe(kinesis, consumer), 18)
    assert [data.split(b"-x")[0] for data in found] == [f"{turn}-{n}".encode() for turn in range(3) for n in range(6)]


def test_a_subscription_begins_where_it_is_told(kinesis, stream, consumer, arn):
    numbers = [kinesis.put_record(StreamName=stream, Data=str(n), PartitionKey="k")["SequenceNumber"] for n in range(3)]

    def found(name, **position):
        other = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=name)["Consumer"]["ConsumerARN"]
        return next(subscribe(kinesis, other, **position))

    at = found("at", kind="AT_SEQUENCE_NUMBER", SequenceNumber=numbers[1])
    assert [record["Data"] for record in at["Records"]] == [b"1", b"2"]
    after = found("after", kind="AFTER_SEQUENCE_NUMBER", SequenceNumber=numbers[1])
    assert [record["Data"] for record in after["Records"]] == [b"2"]
    time_ = found("time", kind="AT_TIMESTAMP", Timestamp=time.time() - 60)
    assert len(time_["Records"]) == 3
    # `LATEST` begins with what is put afterwards.
    other = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="latest")["Consumer"]["ConsumerARN"]
    events = subscribe(kinesis, other, kind="LATEST")
    kinesis.put_record(StreamName=stream, Data=b"3", PartitionKey="k")
    assert take(events, 1)[0] == [b"3"]


def test_what_tells_of_no_records_can_be_gone_on_from(kinesis, stream, consumer, arn):
    """An event without records comes when there are none; behind its number nothing is left out."""
    empty = next(subscribe(kinesis, consumer))
    assert empty["Records"] == [] and empty["ContinuationSequenceNumber"]
    kinesis.put_record(StreamName=stream, Data=b"first", PartitionKey="k")
    other = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="other")["Consumer"]["ConsumerARN"]
    number = empty["ContinuationSequenceNumber"]
    assert take(subscribe(kinesis, other, "AFTER_SEQUENCE_NUMBER", SequenceNumber=number), 1)[0] == [b"first"]


def test_a_split_ends_the_subscription_and_names_the_children(kinesis, stream, consumer):
    kinesis.put_record(StreamName=stream, Data=b"x", PartitionKey="k")
    events = subscribe(kinesis, consumer)
    next(events)
    kinesis.split_shard(StreamName=stream, ShardToSplit=SHARD, NewStartingHashKey=str(2**127))
    last = list(events)[-1]
    assert [child["ShardId"][-1] for child in last["ChildShards"]] == ["1", "2"]
    assert last["ChildShards"][0]["ParentShards"] == [SHARD] and "ContinuationSequenceNumber" not in last
    kinesis.put_record(StreamName=stream, Data=b"y", PartitionKey="k", ExplicitHashKey="0")
    assert take(subscribe(kinesis, consumer, shard="shardId-000000000001"), 1)[0] == [b"y"]


def test_what_is_wrong_is_told(kinesis, stream, consumer, arn):
    events = subscribe(kinesis, consumer)
    position = {"Type": "TRIM_HORIZON"}
    again = error(kinesis.subscribe_to_shard, ConsumerARN=consumer, ShardId=SHARD, StartingPosition=position)
    assert again == "ResourceInUseException"
    missing = error(kinesis.subscribe_to_shard, ConsumerARN=consumer, ShardId="shardId-000000000007",
                    StartingPosition=position)
    assert missing == "ResourceNotFoundException"
    nobody = f"{arn}/consumer/nobody:1"
    assert error(kinesis.subscribe_to_shard, ConsumerARN=nobody, ShardId=SHARD, StartingPosition=position) == (
        "ResourceNotFoundException")
    assert error(kinesis.subscribe_to_shard, ConsumerARN=consumer, ShardId=SHARD,
                 StartingPosition={"Type": "AT_SEQUENCE_NUMBER"}) == "InvalidArgumentException"
    kinesis.deregister_stream_consumer(ConsumerARN=consumer)
    with pytest.raises(ClientError) as raised:
        list(events)
    assert raised.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_a_subscription_ends_with_its_time_and_is_begun_again_without_a_gap():
    """Five minutes as the service has it, here six seconds: the stream of events ends without an error, and the next one goes
    on behind the last event's number while records are put."""
    node = Node(settings="kinesis_subscription_seconds = 6\n")
    try:
        kinesis = node.start().client("kinesis")
        kinesis.create_stream(StreamName="s", ShardCount=1)
        arn = kinesis.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"]["StreamARN"]
        consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c")["Consumer"]["ConsumerARN"]
        stop, counts = threading.Event(), []

        def write():
            client, number = node.client("kinesis"), 0
            while not stop.is_set():
                client.put_record(StreamName="s", Data=str(number), PartitionKey="k")
                number += 1
            counts.append(number)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            first = list(subscribe(kinesis, consumer))
        finally:
            stop.set()
            writer.join(timeout=30)
        assert first and not any("ChildShards" in event for event in first)
        seen = [int(record["Data"]) for event in first for record in event["Records"]]
        assert seen == list(range(len(seen))) and seen

        def again():
            try:
                return subscribe(kinesis, consumer, "AFTER_SEQUENCE_NUMBER", SequenceNumber=first[-1]["ContinuationSequenceNumber"])
            except kinesis.exceptions.ResourceInUseException:
                return None

        last = kinesis.put_record(StreamName="s", Data=str(counts[0]), PartitionKey="k")["SequenceNumber"]
        for event in until(again):
            seen += [int(record["Data"]) for record in event["Records"]]
            if event["ContinuationSequenceNumber"] == last:
                break
        assert seen == list(range(counts[0] + 1))
    finally:
        node.remove()
