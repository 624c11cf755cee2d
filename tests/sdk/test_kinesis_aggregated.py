"""Records that the Kinesis Producer Library has packed into one: clients get them as they came, functions and SQL one by one."""

import hashlib
import json
import uuid

import pytest
from conftest import package, until

ROLE = "arn:aws:iam::000000000000:role/any"
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/"
MAGIC = b"\xf3\x89\x9a\xc2"

SAVE = """
import base64, boto3, json, os
table = boto3.client("dynamodb")
def handler(event, context):
    for record in event["Records"]:
        name = record["kinesis"]["partitionKey"] + "/" + base64.b64decode(record["kinesis"]["data"]).decode()
        table.put_item(TableName=os.environ["TABLE"], Item={"key": {"S": name}})
"""


def field(number, content):
    length, encoded = len(content), b""
    while length >= 0x80:
        encoded, length = encoded + bytes([length & 0x7F | 0x80]), length >> 7
    return bytes([number << 3 | 2]) + encoded + bytes([length]) + content


def aggregated(records):
    """A protobuf message of keys and records between its magic and its checksum."""
    message = b"".join(field(1, key.encode()) for key, _ in records)
    for index, (_, data) in enumerate(records):
        message += field(3, bytes([1 << 3, index]) + field(3, data))
    return MAGIC + message + hashlib.md5(message).digest()


@pytest.fixture
def stream(kinesis):
    name = f"packed-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=name, ShardCount=1)
    yield name
    kinesis.delete_stream(StreamName=name)


def read(kinesis, stream):
    iterator = kinesis.get_shard_iterator(
        StreamName=stream, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    return [record["Data"] for record in kinesis.get_records(ShardIterator=iterator)["Records"]]


def test_clients_get_them_as_they_came_and_functions_one_by_one(kinesis, dynamodb, lambda_client, stream):
    packed = aggregated([("a", b"1"), ("b", b"2"), ("a", b"3" * 200)])
    kinesis.put_record(StreamName=stream, Data=packed, PartitionKey="outer")
    kinesis.put_record(StreamName=stream, Data=b"plain", PartitionKey="outer")
    assert read(kinesis, stream) == [packed, b"plain"]
    table = function = f"packed-{uuid.uuid4().hex[:8]}"
    dynamodb.create_table(TableName=table, BillingMode="PAY_PER_REQUEST",
                          KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
                          AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}])
    lambda_client.create_function(
        FunctionName=function, Runtime="python3.11", Handler="app.handler", Role=ROLE, Timeout=30,
        Environment={"Variables": {"TABLE": table}}, Code={"ZipFile": package({"app.py": SAVE})})
    mapping = lambda_client.create_event_source_mapping(
        FunctionName=function, EventSourceArn=ARN + stream, StartingPosition="TRIM_HORIZON")["UUID"]
    expected = {"a/1", "b/2", "a/" + "3" * 200, "outer/plain"}
    until(lambda: {item["key"]["S"] for item in dynamodb.scan(TableName=table)["Items"]} == expected)
    lambda_client.delete_event_source_mapping(UUID=mapping)
    lambda_client.delete_function(FunctionName=function)


def test_sql_reads_them_one_by_one(kinesis, server, stream):
    rows = [("k", json.dumps({"n": n}).encode()) for n in range(5)]
    kinesis.put_record(StreamName=stream, Data=aggregated(rows), PartitionKey="outer")
    kinesis.put_record(StreamName=stream, Data=b'{"n": 5}', PartitionKey="outer")
    sql = f'SELECT STREAM "n" FROM "{stream}"'
    out = server.run("query", sql, "--dialect", "kinesis", "--from-start", "--limit", "6", timeout=30)
    assert [json.loads(line)["n"] for line in out.splitlines() if line.startswith("{")] == list(range(6))
