"""Delivery into an S3-class store that nobody here wrote: moto's server."""

import socket
import subprocess
import sys
import time

import boto3
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from conftest import Node, free_port, until
from test_blob import connect

ROLE = "arn:aws:iam::000000000000:role/any"


@pytest.fixture(scope="module")
def store():
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, "moto did not start"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def test_objects_reach_the_store_and_wait_for_a_bucket_that_is_not_there(store):
    s3 = boto3.client("s3", endpoint_url=store, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="s")
    s3.create_bucket(Bucket="archive")
    node = Node()
    node.folder.joinpath("node.toml").write_text(
        f'objects = {{ kind = "s3", endpoint = "{store}", access_key = "a", secret = "s" }}\n')
    node.flags = ("--dev", "--config", str(node.folder / "node.toml"))
    try:
        node.start()
        firehose = node.client("firehose")
        for name in ("archive", "later"):
            firehose.create_delivery_stream(DeliveryStreamName=name, S3DestinationConfiguration={
                "BucketARN": f"arn:aws:s3:::{name}", "RoleARN": ROLE, "Prefix": "raw/",
                "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1}})
            firehose.put_record_batch(DeliveryStreamName=name, Records=[{"Data": f"{n:03}\n"} for n in range(200)])

        def delivered(bucket):
            listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
            assert all(found["Key"].startswith("raw/") for found in listed)
            return b"".join(s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read() for found in listed)

        expected = b"".join(b"%03d\n" % n for n in range(200))
        until(lambda: delivered("archive") == expected)
        s3.create_bucket(Bucket="later")
        until(lambda: delivered("later") == expected)
    finally:
        node.remove()


def test_the_store_is_read_and_written_through_blob_clients(store):
    s3 = boto3.client("s3", endpoint_url=store, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="s")
    s3.create_bucket(Bucket="shared")
    for key in ("a/1", "a/2", "b"):
        s3.put_object(Bucket="shared", Key=key, Body=key.encode(), ContentType="text/plain", Metadata={"m": "1"})
    node = Node()
    node.folder.joinpath("node.toml").write_text(
        f'objects = {{ kind = "s3", endpoint = "{store}", access_key = "a", secret = "s" }}\n')
    node.flags = ("--dev", "--config", str(node.folder / "node.toml"))
    try:
        node.start()
        service = connect(node)
        container = service.get_container_client("shared")
        assert [blob.name for blob in container.list_blobs()] == ["a/1", "a/2", "b"]
        assert [blob.name for blob in container.list_blobs("a/", results_per_page=1)] == ["a/1", "a/2"]
        assert [item.name for item in container.walk_blobs(delimiter="/")] == ["a/", "b"]
        found = container.get_blob_client("a/1").get_blob_properties()
        assert (found.size, found.metadata, found.content_settings.content_type) == (3, {"m": "1"}, "text/plain")
        assert container.download_blob("a/2").readall() == b"a/2"
        assert container.download_blob("a/2", offset=1, length=1).readall() == b"/"
        container.upload_blob("new", b"content", metadata={"x": "y"}, overwrite=True)
        assert s3.get_object(Bucket="shared", Key="new")["Body"].read() == b"content"
        container.delete_blob("b")
        with pytest.raises(ResourceNotFoundError):
            container.download_blob("b")
        with pytest.raises(ResourceNotFoundError):
            container.delete_blob("b")
        for call in (lambda: service.create_container("other"), lambda: container.get_blob_client("b").stage_block("1", b"1"),
                     lambda: container.get_blob_client("new").set_blob_metadata({})):
            with pytest.raises(HttpResponseError) as raised:
                call()
            assert raised.value.status_code == 501 and "S3-class store" in raised.value.message
    finally:
        node.remove()
