"""A data folder on a small disk of its own that has less room left than the store keeps free: writes are refused for as long, reads go on,
and it heals by itself.
"""

import os
import subprocess

import pytest
from azure.eventhub import EventData
from azure.eventhub.exceptions import EventHubError
from botocore.exceptions import ClientError
from confluent_kafka import KafkaError
from conftest import Node, needs, until
from kafka_clients import consume, plain, produce
from test_eventhubs import producer

MIB = 1 << 20
# More than the room that the store keeps free, so that it is full before the disk is.
DISK_BYTES = 400 * MIB
SHARD = "shardId-000000000000"


def can_mount():
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def node():
    node = Node()
    node.data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", node.data], check=True)
    try:
        yield node.start()
    finally:
        node.stop()
        subprocess.run(["umount", node.data], check=True)
        node.remove()


def put(kinesis, data):
    """The error of a put, if it has one."""
    try:
        kinesis.put_record(StreamName="s", Data=data, PartitionKey="k")
        return None
    except ClientError as error:
        return error.response["Error"]["Code"]


@needs(can_mount(), "this user may not mount a disk")
def test_writes_are_refused_while_a_disk_is_full(node):
    kinesis = node.client("kinesis")
    kinesis.create_stream(StreamName="s", ShardCount=1)
    assert put(kinesis, b"before") is None
    filler = node.data / "filler"
    filler.write_bytes(bytes(os.statvfs(node.data).f_bavail * os.statvfs(node.data).f_frsize - 64 * MIB))
    assert until(lambda: put(kinesis, b"")) == "ProvisionedThroughputExceededException"
    with producer(node, "s") as client, pytest.raises(EventHubError, match="server-busy|throttled"):
        client.send_batch([EventData("full")])
    (error, _), = produce(node, "s", plain([b"full"]), **{"message.timeout.ms": 3_000})
    assert error.code() in (KafkaError._MSG_TIMED_OUT, KafkaError.KAFKA_STORAGE_ERROR)
    iterator = kinesis.get_shard_iterator(StreamName="s", ShardId=SHARD, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    assert kinesis.get_records(ShardIterator=iterator)["Records"][0]["Data"] == b"before"
    assert consume(node, "s", 1)[0].value() == b"before"
    filler.unlink()
    until(lambda: put(kinesis, b"after") is None)
    with producer(node, "s") as client:
        client.send_batch([EventData("after")])
    data = [record["Data"] for record in kinesis.get_records(ShardIterator=iterator)["Records"]]
    assert data[0] == b"before" and data[-2:] == [b"after", b"after"] and b"full" not in data
