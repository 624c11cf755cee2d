"""Firehose through boto3: records become objects in a bucket that is a folder."""

import gzip
import re
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import until

ROLE = "arn:aws:iam::000000000000:role/any"


def error(call, **parameters):
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return raised.value.response["Error"]["Code"], raised.value.response["Error"]["Message"]


def destination(bucket, **more):
    return {"BucketARN": f"arn:aws:s3:::{bucket}", "RoleARN": ROLE,
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1}, **more}


def objects(server, bucket, size):
    """The objects of a bucket once they hold as many bytes."""
    folder = server.data / "objects" / bucket

    def look():
        found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
                 if path.is_file() and not path.name.startswith(".")}
        return found if sum(map(len, found.values())) >= size else None

    return until(look)


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

    def whole():
        found = [gzip.decompress(content) for key, content in objects(server, name, 1).items() if key.endswith(".gz")]
        return found if sum(map(len, found)) == 3200 * 1024 else None

    found = until(whole)
    assert len(found) >= 3 and max(map(len, found)) <= (1 << 20) + 1024
    firehose.delete_delivery_stream(DeliveryStreamName=name)


def test_a_stream_is_delivered(server, firehose, kinesis, name):
    kinesis.create_stream(StreamName=name, ShardCount=2)
    kinesis.put_record(StreamName=name, Data=b"before\n", PartitionKey="before")
    firehose.create_delivery_stream(
        DeliveryStreamName=name, DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration={"KinesisStreamARN": f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}", "RoleARN": ROLE},
        ExtendedS3DestinationConfiguration=destination(name))
    kinesis.put_records(StreamName=name, Records=[{"Data": b"%04d\n" % n, "PartitionKey": str(n)} for n in range(200)])
    content = b"".join(objects(server, name, 1000).values())
    assert sorted(content.split()) == [b"%04d" % n for n in range(200)]
    described = firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
    assert described["DeliveryStreamType"] == "KinesisStreamAsSource" and described["DeliveryStreamStatus"] == "ACTIVE"
    source = described["Source"]["KinesisStreamSourceDescription"]
    assert source["DeliveryStartTimestamp"] == described["CreateTimestamp"] and source["RoleARN"] == ROLE
    assert source["KinesisStreamARN"] == f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}"
    with pytest.raises(ClientError) as raised:
        firehose.put_record(DeliveryStreamName=name, Record={"Data": b"x"})
    assert raised.value.response["Error"]["Code"] == "InvalidArgumentException"
    firehose.delete_delivery_stream(DeliveryStreamName=name)


def test_errors_are_the_services_own(firehose, name):
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


def test_prefixes_are_evaluated_and_extensions_kept(server, firehose, name):
    more = {"Prefix": "day=!{timestamp:yyyy-MM-dd}/!{firehose:random-string}/", "FileExtension": ".jsonl",
            "ErrorOutputPrefix": "bad/!{firehose:error-output-type}/", "CustomTimeZone": "UTC"}
    firehose.create_delivery_stream(DeliveryStreamName=name, ExtendedS3DestinationConfiguration=destination(name, **more))
    firehose.put_record(DeliveryStreamName=name, Record={"Data": b"one\n"})
    (key,) = objects(server, name, 4)
    assert re.fullmatch(rf"day=\d{{4}}-\d\d-\d\d/[0-9A-Za-z]{{11}}/{name}-1-[0-9-]{{19}}-[0-9a-f-]{{36}}\.jsonl", key), key
    described = firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
    (found,) = described["Destinations"]
    extended = found["ExtendedS3DestinationDescription"]
    assert {member: extended[member] for member in more} == more
    assert extended["BufferingHints"] == {"SizeInMBs": 1, "IntervalInSeconds": 1} and extended["RoleARN"] == ROLE
    assert extended["BucketARN"] == f"arn:aws:s3:::{name}" and extended["S3BackupMode"] == "Disabled"
    assert extended["CompressionFormat"] == "UNCOMPRESSED"
    assert extended["EncryptionConfiguration"] == {"NoEncryptionConfig": "NoEncryption"}
    assert found["S3DestinationDescription"]["Prefix"] == more["Prefix"]
    assert described["DeliveryStreamEncryptionConfiguration"] == {"Status": "DISABLED"}
    assert (described["VersionId"], described["HasMoreDestinations"]) == ("1", False)
    assert "LastUpdateTimestamp" not in described and "Source" not in described
    behind = firehose.describe_delivery_stream(DeliveryStreamName=name, ExclusiveStartDestinationId=found["DestinationId"])
    assert behind["DeliveryStreamDescription"]["Destinations"] == []
    firehose.delete_delivery_stream(DeliveryStreamName=name)


def test_what_is_not_served_is_refused_by_its_name(firehose, name):
    def refused(word, **parameters):
        code, message = error(firehose.create_delivery_stream, DeliveryStreamName=name, **parameters)
        assert code == "InvalidArgumentException" and word in message, message

    def extended(**more):
        return {"ExtendedS3DestinationConfiguration": destination(name, **more)}

    refused("Exactly one destination", S3DestinationConfiguration=destination(name), **extended())
    refused("Exactly one destination")
    refused("DeliveryStreamEncryptionConfigurationInput",
            DeliveryStreamEncryptionConfigurationInput={"KeyType": "AWS_OWNED_CMK"}, **extended())
    refused("S3BackupMode", **extended(S3BackupMode="Enabled", S3BackupConfiguration=destination(name)))
    refused("ProcessingConfiguration", **extended(ProcessingConfiguration={"Enabled": True}))
    refused("DynamicPartitioningConfiguration", **extended(DynamicPartitioningConfiguration={"Enabled": True}))
    refused("DataFormatConversionConfiguration", **extended(DataFormatConversionConfiguration={"Enabled": True}))
    refused("KMSEncryptionConfig", **extended(EncryptionConfiguration={"KMSEncryptionConfig": {
        "AWSKMSKeyARN": "arn:aws:kms:us-east-1:000000000000:key/1"}}))
    refused("LogGroupName", **extended(CloudWatchLoggingOptions={"Enabled": True}))
    refused("Mars/Olympus", **extended(CustomTimeZone="Mars/Olympus"))
    for prefix in ("../../etc/", "/etc/", "a/../../b/"):
        refused(prefix, **extended(Prefix=prefix))
    refused("ErrorOutputPrefix", **extended(Prefix="!{timestamp:yyyy}/"))
    bad = {"ErrorOutputPrefix": "bad/!{firehose:error-output-type}/"}
    refused("`T`", **extended(Prefix="!{timestamp:yyyy-MM-ddTHH}/", **bad))
    refused("partitionKeyFromQuery", **extended(Prefix="!{partitionKeyFromQuery:symbol}/", **bad))
    assert error(firehose.describe_delivery_stream, DeliveryStreamName=name)[0] == "ResourceNotFoundException"


def test_failed_deliveries_are_told_in_the_log(server, firehose, logs, name):
    (server.data / "objects").mkdir(exist_ok=True)
    (server.data / "objects" / name).write_text("a file where the bucket's folder would be")
    options = {"Enabled": True, "LogGroupName": f"/aws/kinesisfirehose/{name}", "LogStreamName": "DestinationDelivery"}
    firehose.create_delivery_stream(
        DeliveryStreamName=name, ExtendedS3DestinationConfiguration=destination(name, CloudWatchLoggingOptions=options))
    firehose.put_record(DeliveryStreamName=name, Record={"Data": b"one\n"})

    def told():
        try:
            return logs.filter_log_events(logGroupName=options["LogGroupName"])["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []

    assert name in until(told)[0]["message"]
    # It can be removed while it tries.
    firehose.delete_delivery_stream(DeliveryStreamName=name)
    assert error(firehose.describe_delivery_stream, DeliveryStreamName=name)[0] == "ResourceNotFoundException"
    (server.data / "objects" / name).unlink()


def test_delivery_streams_are_listed_in_pages_and_tagged(firehose, kinesis, name):
    names = [f"{name}-{number:02}" for number in range(12)]
    for each in names:
        firehose.create_delivery_stream(
            DeliveryStreamName=each, S3DestinationConfiguration=destination(name), Tags=[{"Key": "team", "Value": "a"}])
    first = firehose.list_delivery_streams(ExclusiveStartDeliveryStreamName=name)
    assert (first["DeliveryStreamNames"], first["HasMoreDeliveryStreams"]) == (names[:10], True)
    second = firehose.list_delivery_streams(ExclusiveStartDeliveryStreamName=names[9], Limit=2)
    assert second["DeliveryStreamNames"] == names[10:]
    reading = firehose.list_delivery_streams(DeliveryStreamType="KinesisStreamAsSource", Limit=100)
    assert not set(names) & set(reading["DeliveryStreamNames"])
    firehose.tag_delivery_stream(DeliveryStreamName=names[0], Tags=[{"Key": "stage", "Value": "test"}, {"Key": "alone"}])
    firehose.untag_delivery_stream(DeliveryStreamName=names[0], TagKeys=["team"])
    tags = firehose.list_tags_for_delivery_stream(DeliveryStreamName=names[0])
    assert tags["Tags"] == [{"Key": "alone", "Value": ""}, {"Key": "stage", "Value": "test"}] and not tags["HasMoreTags"]
    page = firehose.list_tags_for_delivery_stream(DeliveryStreamName=names[0], Limit=1)
    assert page["HasMoreTags"] and [tag["Key"] for tag in page["Tags"]] == ["alone"]
    many = [{"Key": f"k{number}", "Value": "v"} for number in range(49)]
    assert error(firehose.tag_delivery_stream, DeliveryStreamName=names[0], Tags=many)[0] == "LimitExceededException"
    for each in names:
        firehose.delete_delivery_stream(DeliveryStreamName=each)


def test_a_destination_is_updated(server, firehose, name):
    firehose.create_delivery_stream(
        DeliveryStreamName=name, ExtendedS3DestinationConfiguration=destination(name, Prefix="a/", FileExtension=".json"))
    first = firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
    which = {"DeliveryStreamName": name, "DestinationId": first["Destinations"][0]["DestinationId"]}
    firehose.update_destination(
        CurrentDeliveryStreamVersionId=first["VersionId"], ExtendedS3DestinationUpdate={"Prefix": "b/"}, **which)
    second = firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
    assert second["VersionId"] == "2" and second["LastUpdateTimestamp"] >= second["CreateTimestamp"]
    extended = second["Destinations"][0]["ExtendedS3DestinationDescription"]
    assert extended == {**first["Destinations"][0]["ExtendedS3DestinationDescription"], "Prefix": "b/"}
    stale = error(firehose.update_destination, CurrentDeliveryStreamVersionId="1",
                  ExtendedS3DestinationUpdate={"Prefix": "c/"}, **which)
    assert stale[0] == "ConcurrentModificationException"
    outside = error(firehose.update_destination, CurrentDeliveryStreamVersionId="2",
                    ExtendedS3DestinationUpdate={"Prefix": "../"}, **which)
    assert outside[0] == "InvalidArgumentException"
    firehose.put_record(DeliveryStreamName=name, Record={"Data": b"one\n"})
    (key,) = objects(server, name, 4)
    assert key.startswith("b/") and f"/{name}-2-" in key and key.endswith(".json"), key
    firehose.delete_delivery_stream(DeliveryStreamName=name)
