"""Firehose through boto3: records become objects in a bucket that is a folder."""

import gzip
import re
import time
import uuid

import pytest
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::000000000000:role/any"


def destination(bucket, **more):
    return {"BucketARN": f"arn:aws:s3:::{bucket}", "RoleARN": ROLE,
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1}, **more}


def objects(server, bucket, size, seconds=30):
    """The objects of a bucket once they hold as many bytes."""
    folder = server.data / "objects" / bucket
    deadline = time.monotonic() + seconds
    while True:
        found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
                 if path.is_file() and not path.name.startswith(".")}
        if sum(map(len, found.values())) >= size or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


@pytest.fixture
def name():
    return f"input-{uuid.uuid4().hex[:8]}"


def test_records_become_objects_under_the_services_names(server, firehose, name):
    made = firehose.create_delivery_stream(DeliveryStreamName=name, S3DestinationConfiguration=destination(name, Prefix="raw/"))
    assert made["DeliveryStreamARN"] == f"arn:aws:firehose:us-east-1:000000000000:deliverystream/{name}"
    assert firehose.put_record(DeliveryStreamName=name, Record={"Data": b"one\n"})["RecordId"]
    batch = firehose.put_record_batch(DeliveryStreamName=name, Records=[{"Data": f"{n}\n".encode()} for n in range(100)])
    assert batch["FailedPutCount"] == 0 and len(batch["RequestResponses"]) == 100
    expected = b"one\n" + b"".join(f"{n}\n".encode() for n in range(100))
    found = objects(server, name, len(expected))
    assert b"".join(content for _, content in sorted(found.items())) == expected
    for key in found:
        assert re.fullmatch(rf"raw/\d{{4}}/\d\d/\d\d/\d\d/{name}-1-\d{{4}}(-\d\d){{5}}-[0-9a-f-]{{36}}", key), key
    firehose.delete_delivery_stream(DeliveryStreamName=name)


def test_objects_are_cut_by_size_and_packed(server, firehose, name):
    firehose.create_delivery_stream(
        DeliveryStreamName=name, ExtendedS3DestinationConfiguration=destination(name, CompressionFormat="GZIP"))
    line = b"x" * 1023 + b"\n"
    for _ in range(8):
        firehose.put_record_batch(DeliveryStreamName=name, Records=[{"Data": line}] * 400)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = [gzip.decompress(content) for key, content in objects(server, name, 1).items() if key.endswith(".gz")]
        if sum(map(len, found)) == 3200 * 1024:
            break
        time.sleep(0.2)
    assert sum(map(len, found)) == 3200 * 1024
    assert len(found) >= 3 and max(map(len, found)) <= (1 << 20) + 1024
    firehose.delete_delivery_stream(DeliveryStreamName=name)


def test_a_stream_is_delivered(server, firehose, kinesis, name):
    kinesis.create_stream(StreamName=name, ShardCount=2)
    firehose.create_delivery_stream(
        DeliveryStreamName=name, DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration={"KinesisStreamARN": f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}", "RoleARN": ROLE},
        ExtendedS3DestinationConfiguration=destination(name))
    kinesis.put_records(StreamName=name, Records=[{"Data": b"%04d\n" % n, "PartitionKey": str(n)} for n in range(200)])
    content = b"".join(objects(server, name, 1000).values())
    assert sorted(content.split()) == [b"%04d" % n for n in range(200)]
    described = firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
    assert described["DeliveryStreamType"] == "KinesisStreamAsSource" and described["DeliveryStreamStatus"] == "ACTIVE"
    with pytest.raises(ClientError) as raised:
        firehose.put_record(DeliveryStreamName=name, Record={"Data": b"x"})
    assert raised.value.response["Error"]["Code"] == "InvalidArgumentException"
    firehose.delete_delivery_stream(DeliveryStreamName=name)


def test_errors_are_the_services_own(firehose, name):
    def error(call, **parameters):
        with pytest.raises(ClientError) as raised:
            call(**parameters)
        return raised.value.response["Error"]["Code"], raised.value.response["Error"]["Message"]

    assert error(firehose.put_record, DeliveryStreamName="none", Record={"Data": b"x"}) == (
        "ResourceNotFoundException", "Firehose none under account 000000000000 not found.")
    firehose.create_delivery_stream(DeliveryStreamName=name, S3DestinationConfiguration=destination(name))
    again = error(firehose.create_delivery_stream, DeliveryStreamName=name, S3DestinationConfiguration=destination(name))
    assert again[0] == "ResourceInUseException"
    many = error(firehose.put_record_batch, DeliveryStreamName=name, Records=[{"Data": b"x"}] * 501)
    assert many[0] == "ValidationException" and "less than or equal to 500" in many[1]
    other = error(firehose.create_delivery_stream, DeliveryStreamName="other", RedshiftDestinationConfiguration={
        "RoleARN": ROLE, "ClusterJDBCURL": "jdbc:redshift://a:1/b", "CopyCommand": {"DataTableName": "t"},
        "Username": "user1", "Password": "password1", "S3Configuration": destination("b")})
    assert other[0] == "InvalidArgumentException" and "RedshiftDestinationConfiguration" in other[1]
    assert name in firehose.list_delivery_streams(Limit=100)["DeliveryStreamNames"]
    firehose.delete_delivery_stream(DeliveryStreamName=name)
