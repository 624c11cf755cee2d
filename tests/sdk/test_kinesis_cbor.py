"""Kinesis in CBOR (`application/x-amz-cbor-1.1`), as the SDK for Java speaks it: a small codec here, a signature of botocore."""

import struct
import urllib.error
import urllib.request
import uuid
import zlib

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

CBOR = "application/x-amz-cbor-1.1"


class Millis(int):
    """A time: tag 1 with milliseconds."""


def head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    for size, (width, form) in enumerate(((1, ">B"), (2, ">H"), (4, ">I"), (8, ">Q"))):
        if number < 1 << 8 * width:
            return bytes([major << 5 | 24 + size]) + struct.pack(form, number)
    raise ValueError(number)


def encode(value):
    match value:
        case Millis():
            return head(6, 1) + head(0, int(value))
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            return head(0, value) if value >= 0 else head(1, -1 - value)
        case bytes():
            return head(2, len(value)) + value
        case str():
            return head(3, len(value.encode())) + value.encode()
        case list():
            return b"\x9f" + b"".join(map(encode, value)) + b"\xff"
        case dict():
            # Of no length that is told before, as the SDK writes them.
            return b"\xbf" + b"".join(encode(name) + encode(member) for name, member in value.items()) + b"\xff"
    raise TypeError(value)


def decode(body):
    value, rest = item(body)
    assert rest == b""
    return value


def item(body):
    major, low = body[0] >> 5, body[0] & 31
    body = body[1:]
    if major == 7:
        if low == 27:
            return struct.unpack(">d", body[:8])[0], body[8:]
        if low in (25, 26):
            width, form = (2, ">e") if low == 25 else (4, ">f")
            return struct.unpack(form, body[:width])[0], body[width:]
        return {20: False, 21: True, 22: None}[low], body
    number = low
    if low >= 24:
        width = 1 << low - 24
        number, body = int.from_bytes(body[:width], "big"), body[width:]
    if major in (0, 1):
        return (number if major == 0 else -1 - number), body
    if major in (2, 3):
        return (body[:number] if major == 2 else body[:number].decode()), body[number:]
    if major == 6:
        value, body = item(body)
        return Millis(value), body
    items = []
    for _ in range(number * (major - 3)):
        value, body = item(body)
        items.append(value)
    return (items if major == 4 else dict(zip(items[::2], items[1::2]))), body


@pytest.fixture
def call(server):
    """Calls an operation in CBOR; gives the status and the answer, decoded unless it is an event stream."""

    def send(operation, raw=None, **members):
        body = encode(members) if raw is None else raw
        request = AWSRequest("POST", server.endpoint + "/", data=body, headers={
            "Content-Type": CBOR, "X-Amz-Target": f"Kinesis_20131202.{operation}"})
        SigV4Auth(Credentials("test", "test"), "kinesis", "us-east-1").add_auth(request)
        try:
            answer = urllib.request.urlopen(urllib.request.Request(
                request.url, data=body, headers=dict(request.headers), method="POST"), timeout=30)
        except urllib.error.HTTPError as error:
            answer = error
        if answer.headers["Content-Type"] == "application/vnd.amazon.eventstream":
            return answer.status, answer
        assert answer.headers["Content-Type"] == CBOR
        content = answer.read()
        return answer.status, decode(content) if content else None

    return send


@pytest.fixture
def stream(kinesis):
    name = f"cbor-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=name, ShardCount=1)
    yield name
    kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)


def test_records_go_and_come_as_bytes(call, kinesis, stream):
    status, put = call("PutRecord", StreamName=stream, PartitionKey="k\u00e4y", Data=b"\x00\xff")
    assert status == 200 and put["ShardId"] == "shardId-000000000000"
    records = [{"PartitionKey": "k", "Data": bytes([n]) * 1_000} for n in range(30)]
    status, many = call("PutRecords", StreamName=stream, Records=records)
    assert (status, many["FailedRecordCount"], len(many["Records"])) == (200, 0, 30)
    status, iterator = call("GetShardIterator", StreamName=stream, ShardId="shardId-000000000000",
                            ShardIteratorType="TRIM_HORIZON")
    status, page = call("GetRecords", ShardIterator=iterator["ShardIterator"])
    assert [record["Data"] for record in page["Records"]] == [b"\x00\xff"] + [record["Data"] for record in records]
    first = page["Records"][0]
    assert (first["PartitionKey"], first["SequenceNumber"]) == ("k\u00e4y", put["SequenceNumber"])
    at = first["ApproximateArrivalTimestamp"]
    assert isinstance(at, Millis) and at > 1_600_000_000_000
    status, later = call("GetShardIterator", StreamName=stream, ShardId="shardId-000000000000",
                         ShardIteratorType="AT_TIMESTAMP", Timestamp=Millis(at))
    assert len(call("GetRecords", ShardIterator=later["ShardIterator"])[1]["Records"]) == 31
    # What came in CBOR is read in JSON.
    json_iterator = kinesis.get_shard_iterator(
        StreamName=stream, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    assert kinesis.get_records(ShardIterator=json_iterator)["Records"][0]["Data"] == b"\x00\xff"


def test_streams_are_made_described_and_changed(call, kinesis):
    name = f"cbor-{uuid.uuid4().hex[:8]}"
    assert call("CreateStream", StreamName=name, ShardCount=2) == (200, None)
    status, found = call("DescribeStreamSummary", StreamName=name)
    summary = found["StreamDescriptionSummary"]
    assert (status, summary["OpenShardCount"], type(summary["StreamCreationTimestamp"])) == (200, 2, Millis)
    status, shards = call("ListShards", StreamName=name, StreamCreationTimestamp=Millis(summary["StreamCreationTimestamp"]))
    assert status == 200 and len(shards["Shards"]) == 2
    assert call("SplitShard", StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey="999") == (200, None)
    assert call("DeleteStream", StreamName=name) == (200, None)


def test_errors_are_cbor_too(call):
    status, error = call("DescribeStreamSummary", StreamName="none")
    assert (status, error["__type"]) == (400, "ResourceNotFoundException") and "none" in error["message"]
    status, error = call("DescribeStreamSummary", raw=b"\xff\xff")
    assert (status, error["__type"]) == (400, "SerializationException")
    status, error = call("NoSuchOperation")
    assert (status, error["__type"]) == (400, "UnknownOperationException")


def message(answer):
    """The next message of an event stream: its headers and its payload, the checksums checked."""
    prelude = answer.read(12)
    total, headers_length, checksum = struct.unpack(">III", prelude)
    assert zlib.crc32(prelude[:8]) == checksum
    rest = answer.read(total - 12)
    assert zlib.crc32(prelude + rest[:-4]) == struct.unpack(">I", rest[-4:])[0]
    headers, raw = {}, rest[:headers_length]
    while raw:
        name_length = raw[0]
        name, kind = raw[1:1 + name_length].decode(), raw[1 + name_length]
        (length,) = struct.unpack(">H", raw[2 + name_length:4 + name_length])
        assert kind == 7
        headers[name] = raw[4 + name_length:4 + name_length + length].decode()
        raw = raw[4 + name_length + length:]
    return headers, rest[headers_length:-4]


def test_events_are_cbor_when_the_request_was(call, kinesis, stream):
    arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c")["Consumer"]["ConsumerARN"]
    kinesis.put_record(StreamName=stream, PartitionKey="k", Data=b"\x01")
    start = {"ConsumerARN": consumer, "ShardId": "shardId-000000000000", "StartingPosition": {"Type": "TRIM_HORIZON"}}
    status, answer = call("SubscribeToShard", **start)
    headers, payload = message(answer)
    assert (status, headers[":event-type"], decode(payload)) == (200, "initial-response", {})
    headers, payload = message(answer)
    assert (headers[":event-type"], headers[":content-type"]) == ("SubscribeToShardEvent", CBOR)
    assert decode(payload)["Records"][0]["Data"] == b"\x01"
    answer.close()
    status, error = call("SubscribeToShard", **start)
    assert (status, error["__type"]) == (400, "ResourceInUseException")
