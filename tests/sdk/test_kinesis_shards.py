"""Shards of Kinesis streams that are split, merged and counted anew, through boto3; and who reads them meanwhile."""

import datetime
import json
import threading
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import package, until

ROLE = "arn:aws:iam::000000000000:role/any"
ALL_KEYS = 2**128


@pytest.fixture
def stream(kinesis):
    name = f"shards-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=name, ShardCount=2)
    yield name
    kinesis.delete_stream(StreamName=name)


def error(call, **parameters):
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    answer = raised.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"]


def shard(number):
    return f"shardId-{number:012}"


def numbers(shards):
    return [int(found["ShardId"][-12:]) for found in shards]


def range_of(found):
    return int(found["HashKeyRange"]["StartingHashKey"]), int(found["HashKeyRange"]["EndingHashKey"])


def open_shards(kinesis, stream):
    found = kinesis.list_shards(StreamName=stream, ShardFilter={"Type": "AT_LATEST"})["Shards"]
    return sorted(found, key=range_of)


def split(kinesis, stream, number, at=None):
    (found,) = [found for found in kinesis.list_shards(StreamName=stream)["Shards"] if found["ShardId"] == shard(number)]
    low, high = range_of(found)
    kinesis.split_shard(StreamName=stream, ShardToSplit=shard(number), NewStartingHashKey=str(at or (low + high) // 2 + 1))


def read_tree(kinesis, stream):
    """All records as a consumer reads them: a shard to its end, then its children when all their parents are done."""
    ready, done, found = [s["ShardId"] for s in kinesis.list_shards(StreamName=stream)["Shards"]
                          if "ParentShardId" not in s], set(), []
    while ready:
        current = ready.pop(0)
        iterator = kinesis.get_shard_iterator(
            StreamName=stream, ShardId=current, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while iterator:
            page = kinesis.get_records(ShardIterator=iterator)
            found += [(current, record) for record in page["Records"]]
            iterator = page.get("NextShardIterator")
            if not page["Records"] and page["MillisBehindLatest"] == 0 and iterator:
                break
            for child in page.get("ChildShards", []):
                done.add(current)
                if child["ShardId"] not in ready and set(child["ParentShards"]) <= done:
                    ready.append(child["ShardId"])
    return found


def test_a_shard_is_split_and_its_children_are_merged(kinesis, stream):
    old = kinesis.put_record(StreamName=stream, Data=b"old", PartitionKey="k", ExplicitHashKey="0")
    split(kinesis, stream, 0)
    parent, other, low, high = kinesis.list_shards(StreamName=stream)["Shards"]
    assert numbers([low, high]) == [2, 3] and low["ParentShardId"] == high["ParentShardId"] == shard(0)
    assert range_of(low)[1] + 1 == range_of(high)[0] and (range_of(low)[0], range_of(high)[1]) == range_of(parent)
    assert int(parent["SequenceNumberRange"]["EndingSequenceNumber"]) > int(old["SequenceNumber"])
    assert "EndingSequenceNumber" not in other["SequenceNumberRange"]
    new = kinesis.put_record(StreamName=stream, Data=b"new", PartitionKey="k", ExplicitHashKey="0")
    assert new["ShardId"] == shard(2) and int(new["SequenceNumber"]) > int(old["SequenceNumber"])
    summary = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 3
    kinesis.merge_shards(StreamName=stream, ShardToMerge=shard(3), AdjacentShardToMerge=shard(2))
    merged = kinesis.describe_stream(StreamName=stream)["StreamDescription"]["Shards"][-1]
    assert (merged["ParentShardId"], merged["AdjacentParentShardId"]) == (shard(3), shard(2))
    assert range_of(merged) == range_of(parent)
    last = kinesis.put_record(StreamName=stream, Data=b"last", PartitionKey="k", ExplicitHashKey="0")
    assert last["ShardId"] == shard(4)
    texts = [record["Data"] for at, record in read_tree(kinesis, stream) if at != shard(1)]
    assert texts == [b"old", b"new", b"last"]


def test_the_end_of_a_closed_shard_names_its_children(kinesis, stream):
    put = kinesis.put_record(StreamName=stream, Data=b"x", PartitionKey="k", ExplicitHashKey="0")
    at_end = kinesis.get_shard_iterator(
        StreamName=stream, ShardId=shard(0), ShardIteratorType="AFTER_SEQUENCE_NUMBER",
        StartingSequenceNumber=put["SequenceNumber"])["ShardIterator"]
    assert "NextShardIterator" in kinesis.get_records(ShardIterator=at_end)
    split(kinesis, stream, 0)
    page = kinesis.get_records(ShardIterator=at_end)
    assert "NextShardIterator" not in page and page["Records"] == []
    assert [(c["ShardId"], c["ParentShards"]) for c in page["ChildShards"]] == [
        (shard(2), [shard(0)]), (shard(3), [shard(0)])]
    assert range_of(page["ChildShards"][0])[0] == 0
    latest = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard(0), ShardIteratorType="LATEST")
    assert len(kinesis.get_records(ShardIterator=latest["ShardIterator"])["ChildShards"]) == 2


def test_what_cannot_be_split_or_merged_is_refused(kinesis, stream):
    account = "under account 000000000000"
    middle = ALL_KEYS // 2
    for start in (0, 1, middle - 1, middle + 5):
        code, message = error(kinesis.split_shard, StreamName=stream, ShardToSplit=shard(0), NewStartingHashKey=str(start))
        assert code == "InvalidArgumentException" and f"is not both greater than one plus" in message
    assert error(kinesis.split_shard, StreamName=stream, ShardToSplit=shard(0), NewStartingHashKey="012")[0] == (
        "ValidationException")
    code, message = error(kinesis.split_shard, StreamName=stream, ShardToSplit=shard(9), NewStartingHashKey="12")
    assert code == "ResourceNotFoundException"
    assert error(kinesis.split_shard, StreamName="none", ShardToSplit=shard(9), NewStartingHashKey="12")[0] == (
        "ResourceNotFoundException")
    split(kinesis, stream, 0)
    code, message = error(kinesis.split_shard, StreamName=stream, ShardToSplit=shard(0), NewStartingHashKey="99")
    assert (code, message) == ("InvalidArgumentException", f"Shard {shard(0)} in stream {stream} {account} has already been "
                               "merged or split, and thus is not eligible for merging or splitting.")
    code, message = error(kinesis.merge_shards, StreamName=stream, ShardToMerge=shard(2), AdjacentShardToMerge=shard(1))
    assert (code, message) == ("InvalidArgumentException", f"Shards {shard(2)} and {shard(1)} in stream {stream} {account} "
                               "are not an adjacent pair of shards eligible for merging")


@pytest.mark.parametrize("before, after", [(2, 4), (4, 5), (4, 2), (5, 3), (3, 3)])
def test_the_number_of_shards_is_set(kinesis, before, after):
    stream = f"counted-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=stream, ShardCount=before)
    answer = kinesis.update_shard_count(StreamName=stream, TargetShardCount=after, ScalingType="UNIFORM_SCALING")
    assert (answer["StreamName"], answer["CurrentShardCount"], answer["TargetShardCount"]) == (stream, before, after)
    ranges = [range_of(found) for found in open_shards(kinesis, stream)]
    assert len(ranges) == after and (ranges[0][0], ranges[-1][1]) == (0, ALL_KEYS - 1)
    assert all(one[1] + 1 == other[0] for one, other in zip(ranges, ranges[1:]))
    widths = [high - low for low, high in ranges]
    assert max(widths) - min(widths) <= after
    kinesis.delete_stream(StreamName=stream)


def test_the_number_of_shards_has_limits(kinesis, stream):
    def count(target):
        return {"StreamName": stream, "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"}

    code, message = error(kinesis.update_shard_count, **count(5))
    assert code == "InvalidArgumentException" and "double" in message
    kinesis.update_shard_count(**count(4))
    code, message = error(kinesis.update_shard_count, **count(1))
    assert code == "InvalidArgumentException" and "half" in message
    for target in [3, 4] * 4 + [3]:
        kinesis.update_shard_count(**count(target))
    assert error(kinesis.update_shard_count, **count(4))[0] == "LimitExceededException"
    arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    summary = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
    assert summary["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    code, message = error(kinesis.split_shard, StreamName=stream, ShardToSplit=shard(0), NewStartingHashKey="99")
    assert (code, message) == ("ValidationException", f"Request is invalid. Stream {stream} under account 000000000000 is in "
                               "On-Demand mode.")


def test_shards_are_listed_by_when_they_were_open(kinesis, stream):
    def listed(**shard_filter):
        return numbers(kinesis.list_shards(StreamName=stream, ShardFilter=shard_filter)["Shards"])

    before = datetime.datetime.now(datetime.timezone.utc)
    split(kinesis, stream, 0)
    until(lambda: datetime.datetime.now(datetime.timezone.utc) - before > datetime.timedelta(milliseconds=20), every=0.01)
    between = datetime.datetime.now(datetime.timezone.utc)
    kinesis.merge_shards(StreamName=stream, ShardToMerge=shard(3), AdjacentShardToMerge=shard(1))
    assert listed(Type="AT_LATEST") == [2, 4]
    assert listed(Type="AT_TRIM_HORIZON") == [0, 1]
    assert listed(Type="FROM_TRIM_HORIZON") == [0, 1, 2, 3, 4]
    assert listed(Type="AT_TIMESTAMP", Timestamp=before) == [0, 1]
    assert listed(Type="AT_TIMESTAMP", Timestamp=between) == [1, 2, 3]
    assert listed(Type="FROM_TIMESTAMP", Timestamp=between) == [1, 2, 3, 4]
    assert listed(Type="AFTER_SHARD_ID", ShardId=shard(2)) == [3, 4]
    first = kinesis.list_shards(StreamName=stream, ShardFilter={"Type": "AT_TIMESTAMP", "Timestamp": between}, MaxResults=2)
    rest = kinesis.list_shards(NextToken=first["NextToken"])
    assert numbers(first["Shards"] + rest["Shards"]) == [1, 2, 3] and "NextToken" not in rest
    for wrong in ({"Type": "AFTER_SHARD_ID"}, {"Type": "AT_TIMESTAMP"}, {"Type": "AT_LATEST", "ShardId": shard(1)}):
        assert error(kinesis.list_shards, StreamName=stream, ShardFilter=wrong)[0] == "InvalidArgumentException"


def test_keys_keep_their_order_while_shards_change(kinesis, server, stream):
    """Four writers, a dozen changes: each key's records are read in the order in which they were put, and all of them."""
    stop, counts = threading.Event(), {}

    def write(writer):
        client, number = server.client("kinesis"), 0
        while not stop.is_set():
            number += 1
            records = [{"PartitionKey": f"{writer}-{key}", "Data": str(number)} for key in range(4)]
            assert client.put_records(StreamName=stream, Records=records)["FailedRecordCount"] == 0
        counts[writer] = number

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(12):
            found = open_shards(kinesis, stream)
            if turn % 3 == 2:
                kinesis.merge_shards(StreamName=stream, ShardToMerge=found[0]["ShardId"],
                                     AdjacentShardToMerge=found[1]["ShardId"])
            else:
                split(kinesis, stream, int(found[turn % len(found)]["ShardId"][-12:]))
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=30)
    by_key = {}
    for _, record in read_tree(kinesis, stream):
        by_key.setdefault(record["PartitionKey"], []).append(int(record["Data"]))
    assert by_key == {f"{writer}-{key}": list(range(1, counts[writer] + 1)) for writer in range(4) for key in range(4)}


SAVE = """
import base64, boto3, json, os, time
table = boto3.client("dynamodb")
def handler(event, context):
    for record in event["Records"]:
        key = record["kinesis"]["partitionKey"] + "/" + base64.b64decode(record["kinesis"]["data"]).decode()
        table.put_item(TableName=os.environ["TABLE"], Item={"key": {"S": key}, "at": {"N": str(time.time_ns())}})
"""


def test_a_mapping_reads_parents_before_their_children(kinesis, server, dynamodb, lambda_client, stream):
    table = function = f"mapped-{uuid.uuid4().hex[:8]}"
    dynamodb.create_table(TableName=table, BillingMode="PAY_PER_REQUEST",
                          KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
                          AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}])
    lambda_client.create_function(
        FunctionName=function, Runtime="python3.11", Handler="app.handler", Role=ROLE, Timeout=30,
        Environment={"Variables": {"TABLE": table}}, Code={"ZipFile": package({"app.py": SAVE})})
    arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    mapping = lambda_client.create_event_source_mapping(
        FunctionName=function, EventSourceArn=arn, StartingPosition="TRIM_HORIZON", BatchSize=10)["UUID"]
    number = 0
    for turn in range(3):
        for _ in range(5):
            number += 1
            kinesis.put_record(StreamName=stream, Data=str(number), PartitionKey="k", ExplicitHashKey="0")
        found = open_shards(kinesis, stream)
        split(kinesis, stream, int(found[0]["ShardId"][-12:]))
    kinesis.put_record(StreamName=stream, Data=str(number + 1), PartitionKey="k", ExplicitHashKey="0")

    def seen():
        items = dynamodb.scan(TableName=table, ConsistentRead=True)["Items"]
        return len(items) == number + 1 and items

    items = sorted(until(seen), key=lambda item: int(item["at"]["N"]))
    assert [item["key"]["S"] for item in items] == [f"k/{n}" for n in range(1, number + 2)]
    lambda_client.delete_event_source_mapping(UUID=mapping)
    lambda_client.delete_function(FunctionName=function)


def test_a_query_closes_its_windows_over_a_split(kinesis, server, analytics, stream):
    """Each trade is counted once, and windows go on closing though a shard has ended."""
    out, application = f"out-{uuid.uuid4().hex[:8]}", f"split-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=out, ShardCount=1)
    arn = "arn:aws:kinesis:us-east-1:000000000000:stream/"
    sql = '''CREATE OR REPLACE STREAM "S" ("n" INTEGER);
    CREATE OR REPLACE PUMP "P" AS INSERT INTO "S" SELECT STREAM COUNT(*) AS "n" FROM "SOURCE_SQL_STREAM_001"
    GROUP BY STEP("SOURCE_SQL_STREAM_001".ROWTIME BY INTERVAL '1' SECOND);'''
    analytics.create_application(
        ApplicationName=application, ApplicationCode=sql,
        Inputs=[{"NamePrefix": "SOURCE_SQL_STREAM", "KinesisStreamsInput": {"ResourceARN": arn + stream, "RoleARN": ROLE},
                 "InputSchema": {"RecordFormat": {"RecordFormatType": "JSON", "MappingParameters": {
                     "JSONMappingParameters": {"RecordRowPath": "$"}}},
                     "RecordColumns": [{"Name": "id", "SqlType": "INTEGER", "Mapping": "$.id"}]}}],
        Outputs=[{"Name": "S", "KinesisStreamsOutput": {"ResourceARN": arn + out, "RoleARN": ROLE},
                  "DestinationSchema": {"RecordFormatType": "JSON"}}])
    detail = analytics.describe_application(ApplicationName=application)["ApplicationDetail"]
    start = {"InputStartingPosition": "TRIM_HORIZON"}
    analytics.start_application(ApplicationName=application, InputConfigurations=[
        {"Id": detail["InputDescriptions"][0]["InputId"], "InputStartingPositionConfiguration": start}])

    def put(count):
        records = [{"PartitionKey": str(n), "Data": json.dumps({"id": n})} for n in range(count)]
        kinesis.put_records(StreamName=stream, Records=records)

    def counted():
        rows = [json.loads(record["Data"])["n"] for _, record in read_tree(kinesis, out)]
        return sum(rows)

    put(20)
    until(lambda: counted() == 20)
    split(kinesis, stream, 0)
    # The stream that takes the rows changes, too.
    split(kinesis, out, 0)
    put(30)
    until(lambda: counted() == 50)
    kinesis.merge_shards(StreamName=stream, ShardToMerge=shard(2), AdjacentShardToMerge=shard(3))
    put(10)
    until(lambda: counted() == 60)
    analytics.stop_application(ApplicationName=application)
    analytics.delete_application(ApplicationName=application, CreateTimestamp=detail["CreateTimestamp"])
    kinesis.delete_stream(StreamName=out)


def test_a_pipeline_file_sets_the_number_of_shards(kinesis, server, tmp_path):
    name = f"described-{uuid.uuid4().hex[:8]}"
    for shards in (2, 3, 3):
        file = tmp_path / "pipeline.toml"
        file.write_text(f'[[stream]]\nname = "{name}"\nshards = {shards}\n')
        server.run("apply", file)
        assert len(open_shards(kinesis, name)) == shards
    kinesis.delete_stream(StreamName=name)
