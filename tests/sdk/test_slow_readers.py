"""Many readers that do not read: what the node keeps for them is bounded, however much there is for them to read.

Clients are stopped (SIGSTOP) once records flow to them, so that their sockets fill; clients of Kafka only ask.
"""

import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

import pytest
from conftest import Node, needs, until
from kafka_clients import Raw, plain, produce
from peers import hubs_connection_string

STREAM = "flood"
SHARDS = 4
RECORDS, BYTES = 1_000, 25_000  # in each shard: 100 MB in all
CONSUMERS = 15
RECEIVERS = 4  # clients, each with a link to each partition
FETCHERS = 60
MIB = 1 << 20
# What the node may take more than before, for 60 subscriptions, 16 links and 180 fetches of 8 MiB: without bounds it would be
# the stream once for each reader of a shard, some 3 GB. Answers to fetches may take 192 MiB (docs/kafka.md); what reads have
# let go of, the allocator keeps for the threads that made it until these end.
MORE = 800 * MIB

RECEIVE = """
import sys, threading
from azure.eventhub import EventHubConsumerClient
for number in range(int(sys.argv[3])):
    client = EventHubConsumerClient.from_connection_string(sys.argv[1], "$Default", eventhub_name=sys.argv[2])
    first = threading.Event()
    receive = lambda client=client, first=first: client.receive(
        lambda context, event: first.set(), starting_position="-1", prefetch=200)
    threading.Thread(target=receive, daemon=True).start()
    assert first.wait(120)
print("flows", flush=True)
threading.Event().wait()
"""


@pytest.fixture(scope="module")
def node():
    node = Node()
    try:
        node.start()
        node.client("kinesis").create_stream(StreamName=STREAM, ShardCount=SHARDS)
        for shard in range(SHARDS):
            for _ in range(10):
                produce(node, STREAM, plain([os.urandom(BYTES)] * (RECORDS // 10), shard))
        yield node
    finally:
        node.remove()


def resident(node):
    status = pathlib.Path(f"/proc/{node.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024


class Stopped:
    """Programs that are stopped in the middle of their reading, and ended with the test."""

    def __init__(self):
        self.started = []

    def start(self, *command, **options):
        self.started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL, **options))
        return self.started[-1]

    def stop(self):
        for process in self.started:
            process.send_signal(signal.SIGSTOP)

    def end(self):
        for process in self.started:
            process.kill()
            process.wait(30)


@pytest.fixture
def stopped():
    stopped = Stopped()
    yield stopped
    stopped.end()


def subscribe(node, stopped):
    """Subscriptions over HTTP/2 to each shard, by curl, which signs them."""
    kinesis = node.client("kinesis")
    arn = kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]["StreamARN"]
    outs = []
    for number in range(CONSUMERS):
        consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=f"slow{number}")["Consumer"]["ConsumerARN"]
        for shard in kinesis.list_shards(StreamName=STREAM)["Shards"]:
            body = (f'{{"ConsumerARN":"{consumer}","ShardId":"{shard["ShardId"]}",'
                    '"StartingPosition":{"Type":"TRIM_HORIZON"}}')
            out = node.folder / f"pushed-{len(outs)}"
            stopped.start("curl", "-sS", "--http2-prior-knowledge", "--aws-sigv4", "aws:amz:us-east-1:kinesis", "--user",
                          "test:test", "-H", "Content-Type: application/x-amz-json-1.1",
                          "-H", "X-Amz-Target: Kinesis_20131202.SubscribeToShard", "-d", body, "--limit-rate", "20K",
                          "-N", "-o", str(out), node.endpoint + "/")
            outs.append(out)
    until(lambda: all(out.exists() and out.stat().st_size > 1_000 for out in outs))


def receive(node, stopped):
    process = stopped.start(sys.executable, "-c", RECEIVE, hubs_connection_string(node), STREAM, str(RECEIVERS),
                            stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == "flows"


def fetch(node):
    """Fetches that ask for as much as there may be, of all partitions, and read nothing."""
    partitions = b"".join(struct.pack(">iqi", shard, 0, 100 * MIB) for shard in range(SHARDS))
    topic = struct.pack(">h", len(STREAM)) + STREAM.encode() + struct.pack(">i", SHARDS) + partitions
    body = struct.pack(">iiiib", -1, 0, 1, 100 * MIB, 0) + struct.pack(">i", 1) + topic
    readers = []
    for _ in range(FETCHERS):
        reader = Raw(node)
        for _ in range(3):
            reader.send(1, 4, body)
        readers.append(reader)
    return readers


@needs(shutil.which("curl"), "curl is not installed, which speaks HTTP/2 here")
def test_memory_stays_bounded_whoever_does_not_read(node, stopped):
    before = resident(node)
    most, sockets = 0, []
    try:
        subscribe(node, stopped)
        pushed = resident(node)
        receive(node, stopped)
        received = resident(node)
        stopped.stop()
        sockets = fetch(node)
        # Until it takes no more: nothing says when a reader that does not read has got all that it gets.
        still = time.monotonic()
        while time.monotonic() - still < 5:
            now = resident(node)
            if now > most + MIB:
                most, still = now, time.monotonic()
            assert now - before < MORE, (before, pushed, received, now)
            time.sleep(0.2)
        print(f"resident MiB: {[size // MIB for size in (before, pushed, received, most)]}")
        # Who reads is served meanwhile.
        kinesis = node.client("kinesis")
        shard = kinesis.list_shards(StreamName=STREAM)["Shards"][0]["ShardId"]
        at = kinesis.get_shard_iterator(StreamName=STREAM, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        assert len(kinesis.get_records(ShardIterator=at, Limit=100)["Records"]) == 100
    finally:
        for reader in sockets:
            reader.close()
