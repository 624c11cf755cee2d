"""DynamoDB Streams through an unmodified boto3: changes of a table, read as consumers read them."""

import uuid

import pytest
from botocore.exceptions import ClientError


@pytest.fixture(scope="module")
def streams(server):
    return server.client("dynamodbstreams")


@pytest.fixture
def table(dynamodb):
    """Makes tables with a stream of changes of a view."""
    made = []

    def make(view):
        name = f"changes-{uuid.uuid4().hex[:8]}"
        described = dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": view},
        )["TableDescription"]
        made.append(name)
        assert described["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": view}
        assert described["LatestStreamArn"].endswith(f"/stream/{described['LatestStreamLabel']}")
        return name, described["LatestStreamArn"]

    yield make
    for name in made:
        dynamodb.delete_table(TableName=name)


def item(name, count):
    return {"id": {"S": name}, "count": {"N": str(count)}}


def read(streams, arn, kind="TRIM_HORIZON", **position):
    """All records of a stream's shards from a position on."""
    records = []
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=kind, **position
        )["ShardIterator"]
        while iterator:
            answer = streams.get_records(ShardIterator=iterator, Limit=2)
            if not answer["Records"]:
                break
            records += answer["Records"]
            iterator = answer.get("NextShardIterator")
    return records


def test_each_change_is_one_record(dynamodb, streams, table):
    name, arn = table("NEW_AND_OLD_IMAGES")
    dynamodb.put_item(TableName=name, Item=item("a", 1))
    dynamodb.put_item(TableName=name, Item=item("a", 1))
    dynamodb.update_item(
        TableName=name,
        Key={"id": {"S": "a"}},
        UpdateExpression="ADD #c :one",
        ExpressionAttributeNames={"#c": "count"},
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    dynamodb.batch_write_item(
        RequestItems={name: [{"PutRequest": {"Item": item("b", 1)}}, {"DeleteRequest": {"Key": {"id": {"S": "c"}}}}]}
    )
    dynamodb.transact_write_items(TransactItems=[{"Delete": {"TableName": name, "Key": {"id": {"S": "b"}}}}])
    dynamodb.delete_item(TableName=name, Key={"id": {"S": "a"}})
    records = read(streams, arn)
    assert [one["eventName"] for one in records] == ["INSERT", "MODIFY", "INSERT", "REMOVE", "REMOVE"]
    modified = records[1]["dynamodb"]
    assert (modified["OldImage"], modified["NewImage"]) == (item("a", 1), item("a", 2))
    assert modified["Keys"] == {"id": {"S": "a"}}
    assert modified["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert modified["SizeBytes"] > 0
    numbers = [one["dynamodb"]["SequenceNumber"] for one in records]
    assert numbers == sorted(numbers) and all(21 <= len(number) <= 40 for number in numbers)
    assert len({one["eventID"] for one in records}) == 5
    assert (records[0]["eventSource"], records[0]["awsRegion"]) == ("aws:dynamodb", "us-east-1")
    after = read(streams, arn, "AFTER_SEQUENCE_NUMBER", SequenceNumber=numbers[2])
    assert [one["dynamodb"]["SequenceNumber"] for one in after] == numbers[3:]
    at = read(streams, arn, "AT_SEQUENCE_NUMBER", SequenceNumber=numbers[4])
    assert [one["dynamodb"]["SequenceNumber"] for one in at] == numbers[4:]
    assert read(streams, arn, "LATEST") == []


@pytest.mark.parametrize(
    ("view", "images"),
    [("KEYS_ONLY", set()), ("NEW_IMAGE", {"NewImage"}), ("OLD_IMAGE", {"OldImage"})],
)
def test_views(dynamodb, streams, table, view, images):
    name, arn = table(view)
    for count in (1, 2):
        dynamodb.put_item(TableName=name, Item=item("a", count))
    modified = read(streams, arn)[1]["dynamodb"]
    assert {"NewImage", "OldImage"} & set(modified) == images


def test_streams_are_listed_disabled_and_enabled_anew(dynamodb, streams, table):
    name, arn = table("KEYS_ONLY")
    listed = streams.list_streams(TableName=name)["Streams"]
    assert [(one["StreamArn"], one["TableName"]) for one in listed] == [(arn, name)]
    dynamodb.put_item(TableName=name, Item=item("a", 1))
    with pytest.raises(ClientError, match=f"Table already has an enabled stream: TableName: {name}"):
        dynamodb.update_table(
            TableName=name, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
        )
    dynamodb.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})
    dynamodb.put_item(TableName=name, Item=item("b", 1))
    described = streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert described["StreamStatus"] == "DISABLED"
    assert "EndingSequenceNumber" in described["Shards"][0]["SequenceNumberRange"]
    assert len(read(streams, arn)) == 1
    assert "StreamSpecification" not in dynamodb.describe_table(TableName=name)["Table"]
    again = dynamodb.update_table(
        TableName=name, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    )["TableDescription"]
    assert again["LatestStreamArn"] != arn
    with pytest.raises(ClientError) as caught:
        streams.describe_stream(StreamArn=arn)
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_iterators_cannot_be_made_up(streams):
    with pytest.raises(ClientError) as caught:
        streams.get_records(ShardIterator="arn:aws:dynamodb|1|AAAA")
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_changes_and_iterators_survive_a_restart(node):
    dynamodb, streams = node.client("dynamodb"), node.client("dynamodbstreams")
    described = dynamodb.create_table(
        TableName="restarted",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )["TableDescription"]
    arn = described["LatestStreamArn"]
    for count in range(5):
        dynamodb.put_item(TableName="restarted", Item=item(f"i{count}", count))
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    node.kill()
    node.start()
    dynamodb.put_item(TableName="restarted", Item=item("i5", 5))
    records = streams.get_records(ShardIterator=iterator)["Records"]
    assert [one["dynamodb"]["NewImage"] for one in records] == [item(f"i{count}", count) for count in range(6)]


PIPELINE = """
name = "told"

[[table]]
name = "told"
hash_key = { name = "id", type = "string" }
changes = "new_image"
capacity = { reads = 5, writes = 10 }
expiry = "until"
"""


def test_a_pipeline_file_says_what_a_table_tells_and_takes(node, tmp_path):
    file = tmp_path / "pipeline.toml"
    file.write_text(PIPELINE)
    assert "created" in node.run("apply", file)
    assert "unchanged" in node.run("apply", file) or "updated" in node.run("apply", file)
    file.write_text(PIPELINE.replace("new_image", "keys_only").replace("writes = 10", "writes = 20"))
    assert "updated" in node.run("apply", file)
    dynamodb = node.client("dynamodb")
    described = dynamodb.describe_table(TableName="told")["Table"]
    assert described["StreamSpecification"]["StreamViewType"] == "KEYS_ONLY"
    assert described["ProvisionedThroughput"]["WriteCapacityUnits"] == 20
    assert dynamodb.describe_time_to_live(TableName="told")["TimeToLiveDescription"]["AttributeName"] == "until"
    file.write_text(PIPELINE.replace("writes = 10", "writes = 0"))
    refused = node.run("apply", file, check=False)
    assert refused.returncode != 0 and "capacity.writes" in refused.stdout + refused.stderr
