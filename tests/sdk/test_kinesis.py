"""Kinesis Data Streams through boto3: every operation served, and the service's errors."""

import base64
import datetime
import hashlib
import time
import uuid

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def stream(kinesis):
    name = f"trades-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=name, ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName=name)
    yield name
    kinesis.delete_stream(StreamName=name)


def error(call, **parameters):
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    answer = raised.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


def read(kinesis, stream, shard, **start):
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, **start)["ShardIterator"]
    return kinesis.get_records(ShardIterator=iterator)


def test_streams_are_described_and_listed(kinesis, stream):
    summary = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
    assert (summary["StreamStatus"], summary["OpenShardCount"], summary["RetentionPeriodHours"]) == ("ACTIVE", 2, 24)
    assert summary["StreamARN"] == f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream}"
    assert stream in kinesis.list_streams(Limit=100)["StreamNames"]
    shards = kinesis.list_shards(StreamName=stream)["Shards"]
    assert [shard["ShardId"] for shard in shards] == ["shardId-000000000000", "shardId-000000000001"]
    assert shards[0]["HashKeyRange"]["StartingHashKey"] == "0"
    assert int(shards[1]["HashKeyRange"]["EndingHashKey"]) == 2**128 - 1
    first = kinesis.list_shards(StreamName=stream, MaxResults=1)
    rest = kinesis.list_shards(NextToken=first["NextToken"])
    assert [shard["ShardId"] for shard in rest["Shards"]] == ["shardId-000000000001"] and "NextToken" not in rest
    described = kinesis.describe_stream(StreamARN=summary["StreamARN"])["StreamDescription"]
    assert len(described["Shards"]) == 2 and not described["HasMoreShards"]


def test_a_record_is_read_as_it_was_put(kinesis, stream):
    put = kinesis.put_record(StreamName=stream, Data=b"\x00\xffbytes", PartitionKey="k\u00e4y")
    page = read(kinesis, stream, put["ShardId"], ShardIteratorType="TRIM_HORIZON")
    (record,) = page["Records"]
    assert (record["Data"], record["PartitionKey"]) == (b"\x00\xffbytes", "k\u00e4y")
    assert record["SequenceNumber"] == put["SequenceNumber"]
    arrived = record["ApproximateArrivalTimestamp"]
    assert abs((datetime.datetime.now(datetime.timezone.utc) - arrived).total_seconds()) < 60
    assert page["MillisBehindLatest"] == 0


def test_partition_keys_decide_shards_by_their_md5(kinesis, stream):
    records = [{"Data": str(n), "PartitionKey": f"key-{n}"} for n in range(100)]
    answer = kinesis.put_records(StreamName=stream, Records=records)
    assert answer["FailedRecordCount"] == 0
    for record, result in zip(records, answer["Records"]):
        digest = int(hashlib.md5(record["PartitionKey"].encode()).hexdigest(), 16)
        assert result["ShardId"] == f"shardId-{digest // 2**127:012}"
    forced = kinesis.put_record(StreamName=stream, Data=b"x", PartitionKey="any", ExplicitHashKey=str(2**128 - 1))
    assert forced["ShardId"] == "shardId-000000000001"


def test_all_five_kinds_of_iterators(kinesis, stream):
    keys = {"StreamName": stream, "PartitionKey": "one"}
    first = kinesis.put_record(Data=b"1", **keys)
    second = kinesis.put_record(Data=b"2", **keys)
    time.sleep(0.02)
    at = datetime.datetime.now(datetime.timezone.utc)
    time.sleep(0.02)
    kinesis.put_record(Data=b"3", **keys)
    shard = first["ShardId"]

    def data(**start):
        return [record["Data"] for record in read(kinesis, stream, shard, **start)["Records"]]

    assert data(ShardIteratorType="TRIM_HORIZON") == [b"1", b"2", b"3"]
    assert data(ShardIteratorType="LATEST") == []
    number = second["SequenceNumber"]
    assert data(ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=number) == [b"2", b"3"]
    assert data(ShardIteratorType="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=number) == [b"3"]
    assert data(ShardIteratorType="AT_TIMESTAMP", Timestamp=at) == [b"3"]


def test_pages_go_on_where_the_last_one_ended(kinesis, stream):
    put = kinesis.put_records(StreamName=stream, Records=[{"Data": str(n), "PartitionKey": "same"} for n in range(250)])
    shard = put["Records"][0]["ShardId"]
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    iterator, seen = iterator["ShardIterator"], []
    while len(seen) < 250:
        page = kinesis.get_records(ShardIterator=iterator, Limit=100)
        assert 0 < len(page["Records"]) <= 100
        seen += [int(record["Data"]) for record in page["Records"]]
        iterator = page["NextShardIterator"]
    assert seen == list(range(250))
    numbers = [record["SequenceNumber"] for record in put["Records"]]
    assert numbers == sorted(numbers, key=int) and len(set(numbers)) == 250


def test_large_records_and_pages(kinesis, stream):
    large = b"x" * ((1 << 20) - 4)
    for _ in range(12):
        kinesis.put_record(StreamName=stream, Data=large, PartitionKey="same")
    shard = kinesis.put_record(StreamName=stream, Data=b"end", PartitionKey="same")["ShardId"]
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    seen = 0
    while seen < 13:
        page = kinesis.get_records(ShardIterator=iterator)
        assert 0 < sum(len(record["Data"]) for record in page["Records"]) <= 10 << 20
        seen += len(page["Records"])
        iterator = page["NextShardIterator"]


def test_retention_is_changed(kinesis, stream):
    kinesis.increase_stream_retention_period(StreamName=stream, RetentionPeriodHours=48)
    summary = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
    assert summary["RetentionPeriodHours"] == 48
    for call, hours, expected in (
            (kinesis.increase_stream_retention_period, 24, f"Requested retention period (24 hours) for stream {stream} can "
             "not be shorter than existing retention period (48 hours). Use DecreaseRetentionPeriod API."),
            (kinesis.decrease_stream_retention_period, 72, f"Requested retention period (72 hours) for stream {stream} can "
             "not be longer than existing retention period (48 hours). Use IncreaseRetentionPeriod API."),
            (kinesis.decrease_stream_retention_period, 23, "Minimum allowed retention period is 24 hours. Requested "
             "retention period (23 hours) is too short."),
            (kinesis.increase_stream_retention_period, 8761, "Maximum allowed retention period is 8760 hours. Requested "
             "retention period (8761 hours) is too long.")):
        code, message, _ = error(call, StreamName=stream, RetentionPeriodHours=hours)
        assert (code, message) == ("InvalidArgumentException", expected)
    kinesis.decrease_stream_retention_period(StreamName=stream, RetentionPeriodHours=24)
    summary = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
    assert summary["RetentionPeriodHours"] == 24


def test_errors_are_the_services_own(kinesis, stream):
    assert error(kinesis.create_stream, StreamName=stream, ShardCount=1) == (
        "ResourceInUseException", f"Stream {stream} under account 000000000000 already exists.", 400)
    assert error(kinesis.put_record, StreamName="none", Data=b"x", PartitionKey="k") == (
        "ResourceNotFoundException", "Stream none under account 000000000000 not found.", 400)
    code, message, _ = error(kinesis.create_stream, StreamName="bad name!", ShardCount=1)
    assert code == "ValidationException"
    assert message == ("1 validation error detected: Value 'bad name!' at 'streamName' failed to satisfy constraint: "
                       "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
    code, message, _ = error(kinesis.put_record, StreamName=stream, Data=b"x" * ((1 << 20) + 1), PartitionKey="k")
    assert code == "ValidationException" and "Member must have length less than or equal to 1048576" in message
    many = [{"Data": b"x", "PartitionKey": "k"}] * 501
    code, message, _ = error(kinesis.put_records, StreamName=stream, Records=many)
    assert code == "ValidationException" and "Member must have length less than or equal to 500" in message
    shard = "shardId-000000000009"
    code, message, _ = error(kinesis.get_shard_iterator, StreamName=stream, ShardId=shard, ShardIteratorType="LATEST")
    assert code == "ResourceNotFoundException" and shard in message
    assert error(kinesis.get_records, ShardIterator="AAAA")[0] == "InvalidArgumentException"
    code, message, _ = error(kinesis.get_shard_iterator, StreamName=stream, ShardId="shardId-000000000000",
                             ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber="123")
    assert code == "InvalidArgumentException" and "StartingSequenceNumber 123" in message
    code, message, _ = error(kinesis.list_queues)
    assert code == "InvalidArgumentException" and "ListQueues" in message


def test_a_deleted_stream_is_gone_and_its_name_free(kinesis):
    kinesis.create_stream(StreamName="short-lived", ShardCount=1)
    put = kinesis.put_record(StreamName="short-lived", Data=b"old", PartitionKey="k")
    iterator = kinesis.get_shard_iterator(StreamName="short-lived", ShardId=put["ShardId"], ShardIteratorType="TRIM_HORIZON")
    kinesis.delete_stream(StreamName="short-lived")
    assert error(kinesis.get_records, ShardIterator=iterator["ShardIterator"])[0] == "ResourceNotFoundException"
    kinesis.create_stream(StreamName="short-lived", ShardCount=1)
    assert read(kinesis, "short-lived", put["ShardId"], ShardIteratorType="TRIM_HORIZON")["Records"] == []
    kinesis.delete_stream(StreamName="short-lived")


def test_modes_and_limits(kinesis):
    name = f"demand-{uuid.uuid4().hex[:8]}"
    before = kinesis.describe_limits()
    kinesis.create_stream(StreamName=name, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    summary = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    assert (summary["StreamModeDetails"], summary["OpenShardCount"]) == ({"StreamMode": "ON_DEMAND"}, 4)
    described = kinesis.describe_stream(StreamName=name)["StreamDescription"]
    assert described["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"} and len(described["Shards"]) == 4
    (listed,) = [found for found in kinesis.list_streams(Limit=1000)["StreamSummaries"] if found["StreamName"] == name]
    assert listed["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    after = kinesis.describe_limits()
    assert after["OpenShardCount"] == before["OpenShardCount"] + 4 and after["OpenShardCount"] <= after["ShardLimit"]
    assert after["OnDemandStreamCount"] == before["OnDemandStreamCount"] + 1
    kinesis.delete_stream(StreamName=name)
    both = error(kinesis.create_stream, StreamName=name, ShardCount=2, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert both[0] == "InvalidArgumentException"
    assert error(kinesis.create_stream, StreamName=name)[0] == "ValidationException"
    assert error(kinesis.create_stream, StreamName=name, ShardCount=501)[0] == "LimitExceededException"


def test_tags(kinesis):
    name = f"tagged-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=name, ShardCount=1, Tags={"team": "trades", "stage": "test"})
    kinesis.add_tags_to_stream(StreamName=name, Tags={"stage": "live", "price class": "a/b+c=d@e:f.g_h-i"})
    tags = kinesis.list_tags_for_stream(StreamName=name)
    assert tags["Tags"] == [{"Key": "price class", "Value": "a/b+c=d@e:f.g_h-i"}, {"Key": "stage", "Value": "live"},
                            {"Key": "team", "Value": "trades"}] and not tags["HasMoreTags"]
    page = kinesis.list_tags_for_stream(StreamName=name, ExclusiveStartTagKey="price class", Limit=1)
    assert page == {**page, "Tags": [{"Key": "stage", "Value": "live"}], "HasMoreTags": True}
    kinesis.remove_tags_from_stream(StreamName=name, TagKeys=["stage", "none"])
    arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}"
    assert [tag["Key"] for tag in kinesis.list_tags_for_resource(ResourceARN=arn)["Tags"]] == ["price class", "team"]
    code, message, _ = error(kinesis.add_tags_to_stream, StreamName=name, Tags={f"k{n}": "v" for n in range(49)})
    assert code == "InvalidArgumentException" and "cannot have more than 50 tags" in message
    code, message, _ = error(kinesis.add_tags_to_stream, StreamName=name, Tags={"a;b": "v"})
    assert code == "InvalidArgumentException" and "invalid characters" in message
    code, message, _ = error(kinesis.add_tags_to_stream, StreamName=name, Tags={"k" * 129: "v"})
    assert code == "ValidationException" and "Map keys must satisfy constraint" in message
    assert error(kinesis.list_tags_for_stream, StreamName="none")[0] == "ResourceNotFoundException"
    kinesis.delete_stream(StreamName=name)


def test_shards_are_listed_in_pages_and_bad_places_refused(kinesis, stream):
    arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream}"
    first = kinesis.describe_stream(StreamName=stream, Limit=1)["StreamDescription"]
    assert len(first["Shards"]) == 1 and first["HasMoreShards"]
    last = first["Shards"][0]["ShardId"]
    rest = kinesis.describe_stream(StreamName=stream, ExclusiveStartShardId=last)["StreamDescription"]
    assert [shard["ShardId"] for shard in rest["Shards"]] == ["shardId-000000000001"] and not rest["HasMoreShards"]
    rest = kinesis.list_shards(StreamARN=arn, ExclusiveStartShardId=last)
    assert [shard["ShardId"] for shard in rest["Shards"]] == ["shardId-000000000001"]
    missing = ("ResourceNotFoundException", f"Could not find shard shardId-x in stream {stream} under account 000000000000.", 400)
    assert error(kinesis.list_shards, StreamName=stream, ExclusiveStartShardId="shardId-x") == missing
    assert error(kinesis.describe_stream, StreamName=stream, ExclusiveStartShardId="shardId-x") == missing
    assert error(kinesis.get_shard_iterator, StreamName=stream, ShardId="shardId-x", ShardIteratorType="LATEST") == missing
    code, message, _ = error(kinesis.list_shards, StreamName=stream, ExclusiveStartShardId="a b")
    assert code == "ValidationException" and "exclusiveStartShardId" in message
    token = kinesis.list_shards(StreamName=stream, MaxResults=1)["NextToken"]
    for call, expected in (
            ({"NextToken": "AAAA"}, "NextToken is invalid."),
            ({"NextToken": token[:-4] + "AAAA"}, "NextToken is invalid."),
            ({"NextToken": token, "StreamName": stream}, "NextToken and StreamName cannot be provided together."),
            ({"NextToken": token, "ExclusiveStartShardId": last}, "NextToken and ExclusiveStartShardId cannot be provided together."),
            ({}, "Either NextToken or StreamName should be provided."),
            ({"StreamName": stream, "ShardFilter": {"Type": "AT_TIMESTAMP"}}, "Timestamp must be given with the filter AT_TIMESTAMP.")):
        assert error(kinesis.list_shards, **call)[:2] == ("InvalidArgumentException", expected)


def test_iterators_cannot_be_made_up_or_point_into_the_future(kinesis, stream):
    put = kinesis.put_record(StreamName=stream, Data=b"x", PartitionKey="k")
    shard = put["ShardId"]
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    content = bytearray(base64.b64decode(iterator))
    content[-1] ^= 1
    forged = base64.b64encode(bytes(content)).decode()
    assert error(kinesis.get_records, ShardIterator=forged)[:2] == ("InvalidArgumentException", "Invalid ShardIterator.")
    token = kinesis.list_shards(StreamName=stream, MaxResults=1)["NextToken"]
    assert error(kinesis.get_records, ShardIterator=token)[0] == "InvalidArgumentException"
    future = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    code, message, _ = error(kinesis.get_shard_iterator, StreamName=stream, ShardId=shard, ShardIteratorType="AT_TIMESTAMP",
                             Timestamp=future)
    assert code == "InvalidArgumentException" and "cannot be greater than the currentTimestampInMillis" in message
    other = {"shardId-000000000000": "shardId-000000000001", "shardId-000000000001": "shardId-000000000000"}[shard]
    code, message, _ = error(kinesis.get_shard_iterator, StreamName=stream, ShardId=other,
                             ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=put["SequenceNumber"])
    assert code == "InvalidArgumentException" and message == (
        f"Invalid StartingSequenceNumber. It encodes {shard}, while it was used in a call to a shard with {other}")


def test_names_and_arns_mean_the_same_stream_of_this_node(kinesis, stream):
    arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream}"
    put = {"Data": b"x", "PartitionKey": "k"}
    kinesis.put_record(StreamName=stream, StreamARN=arn, **put)
    for call, more in ((kinesis.put_record, put), (kinesis.put_records, {"Records": [put]}), (kinesis.describe_stream, {})):
        code, message, _ = error(call, StreamName=stream, StreamARN=arn + "2", **more)
        assert code == "InvalidArgumentException" and message == (
            f"StreamName {stream} and StreamARN of {stream}2 name different streams.")
        for other in (arn.replace("us-east-1", "eu-west-1"), arn.replace("000000000000", "123456789012")):
            code, message, _ = error(call, StreamARN=other, **more)
            assert code == "ResourceNotFoundException" and other in message
    iterator = kinesis.get_shard_iterator(StreamARN=arn, ShardId="shardId-000000000000", ShardIteratorType="LATEST")["ShardIterator"]
    assert error(kinesis.get_records, ShardIterator=iterator, StreamARN=arn + "2")[0] == "InvalidArgumentException"


def test_the_number_before_must_be_of_the_stream(kinesis, stream):
    put = {"StreamName": stream, "Data": b"x", "PartitionKey": "k"}
    first = kinesis.put_record(**put)["SequenceNumber"]
    second = kinesis.put_record(SequenceNumberForOrdering=first, **put)["SequenceNumber"]
    assert int(second) > int(first)
    assert error(kinesis.put_record, SequenceNumberForOrdering="zzz", **put)[0] == "ValidationException"
    for other in ("123", second[:-1] + str(int(second[-1]) + 1)):
        code, message, _ = error(kinesis.put_record, SequenceNumberForOrdering=other, **put)
        assert code == "InvalidArgumentException" and message.startswith(f"ExclusiveMinimumSequenceNumber {other}")


def test_listings_tell_streams_and_tokens_apart(kinesis, stream):
    created = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamCreationTimestamp"]
    assert len(kinesis.list_shards(StreamName=stream, StreamCreationTimestamp=created)["Shards"]) == 2
    earlier = created - datetime.timedelta(minutes=1)
    assert error(kinesis.list_shards, StreamName=stream, StreamCreationTimestamp=earlier)[0] == "ResourceNotFoundException"
    kinesis.create_stream(StreamName=stream + "-b", ShardCount=1)
    first = kinesis.list_streams(Limit=1)
    names = first["StreamNames"]
    while first["HasMoreStreams"]:
        first = kinesis.list_streams(Limit=1, NextToken=first["NextToken"])
        names += first["StreamNames"]
    assert {stream, stream + "-b"} <= set(names) and names == sorted(set(names))
    kinesis.delete_stream(StreamName=stream + "-b")
    assert error(kinesis.list_streams, NextToken="garbage")[:2] == ("InvalidArgumentException", "NextToken is invalid.")


def test_a_records_size_is_bounded(kinesis, stream):
    code, message, _ = error(kinesis.create_stream, StreamName="large", ShardCount=1, MaxRecordSizeInKiB=20_480)
    assert code == "ValidationException" and "maxRecordSizeInKiB" in message
    summary = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
    assert summary["MaxRecordSizeInKiB"] == 1024
