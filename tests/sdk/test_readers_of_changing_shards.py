"""Clients of Kafka and of Event Hubs read a Kinesis stream that is split and merged while records are put.

A shard is a partition to them, and a key goes from a parent to its children. Across partitions neither protocol has an order, so it
is by partition, parents before children, that each key's records must be there: all, once, and as they were put.
"""

import threading
import uuid

import pytest
from azure.eventhub import EventHubConsumerClient
from confluent_kafka import KafkaError
from conftest import until
from kafka_clients import joined
from peers import Load, hubs_connection_string

WRITERS, KEYS, CHANGES = 2, 8, 9


@pytest.fixture
def stream(node):
    name = f"changing-{uuid.uuid4().hex[:8]}"
    node.client("kinesis").create_stream(StreamName=name, ShardCount=2)
    return name


class Writers(Load):
    """Puts records, numbered by key."""

    def __init__(self, node, stream):
        super().__init__(node, [(self.write, writer) for writer in range(WRITERS)])
        self.stream, self.counts = stream, {}

    def write(self, writer):
        kinesis, number = self.node.client("kinesis"), 0
        while not self.stop.is_set():
            records = [{"PartitionKey": f"{writer}-{key}", "Data": str(number)} for key in range(KEYS)]
            assert kinesis.put_records(StreamName=self.stream, Records=records)["FailedRecordCount"] == 0
            number += 1
        self.counts |= {f"{writer}-{key}": number for key in range(KEYS)}


def change(node, stream, turn, seen):
    """Splits a shard or merges two, once the reader has seen more than before the last change."""
    kinesis, before = node.client("kinesis"), len(seen)
    until(lambda: len(seen) > before)
    shards = [shard for shard in kinesis.list_shards(StreamName=stream)["Shards"]
              if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]
    ranges = sorted((int(shard["HashKeyRange"]["StartingHashKey"]), int(shard["HashKeyRange"]["EndingHashKey"]), shard["ShardId"])
                    for shard in shards)
    if turn % 3 == 2:
        at = turn % (len(ranges) - 1)
        kinesis.merge_shards(StreamName=stream, ShardToMerge=ranges[at][2], AdjacentShardToMerge=ranges[at + 1][2])
        return
    low, high, widest = max(ranges, key=lambda one: one[1] - one[0])
    kinesis.split_shard(StreamName=stream, ShardToSplit=widest, NewStartingHashKey=str((low + high) // 2 + 1))


def check(node, stream, seen):
    """Changes the stream under its writers; then everything is there: `seen` has (partition, key, number) as it came."""
    with Writers(node, stream) as writers:
        for turn in range(CHANGES):
            change(node, stream, turn, seen)
    total = sum(writers.counts.values())
    until(lambda: len(seen) >= total)
    by_key = {}
    # Stable: within a partition the order is the one in which they came.
    for _, key, number in sorted(seen, key=lambda one: one[0]):
        by_key.setdefault(key, []).append(number)
    assert by_key == {key: list(range(count)) for key, count in writers.counts.items()}
    assert len({partition for partition, _, _ in seen}) > 2


@pytest.mark.parametrize("members", [1, 2])
def test_kafka_consumers(node, stream, members):
    seen, stop = [], threading.Event()

    def read():
        consumer = joined(node, stream, [stream], **{"topic.metadata.refresh.interval.ms": 300, "metadata.max.age.ms": 300})
        try:
            while not stop.is_set():
                message = consumer.poll(0.2)
                if message is None:
                    continue
                # While members come together anew, what was asked for before is refused.
                if message.error():
                    assert message.error().code() != KafkaError.OFFSET_OUT_OF_RANGE, message.error()
                    continue
                seen.append((message.partition(), message.key().decode(), int(message.value())))
                # What is read is this member's; whoever has the partition next goes on behind it.
                consumer.commit(message=message, asynchronous=False)
        finally:
            consumer.close()

    threads = [threading.Thread(target=read) for _ in range(members)]
    for thread in threads:
        thread.start()
    try:
        check(node, stream, seen)
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=60)


def test_event_hubs_consumers(node, stream):
    """The library asks once which partitions it shares out, so who reads a hub that gets more of them asks again."""
    seen, readers, stop = [], {}, threading.Event()

    def on_event(context, event):
        if event is not None:
            seen.append((int(context.partition_id), event.partition_key.decode(), int(event.body_as_str())))

    client = EventHubConsumerClient.from_connection_string(hubs_connection_string(node), "$Default", eventhub_name=stream)

    def watch():
        while not stop.wait(0.3):
            for partition in client.get_partition_ids():
                if partition not in readers:
                    settings = {"partition_id": partition, "starting_position": "-1", "max_wait_time": 1}
                    readers[partition] = threading.Thread(target=client.receive, args=(on_event,), kwargs=settings)
                    readers[partition].start()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        check(node, stream, seen)
    finally:
        stop.set()
        watcher.join(timeout=60)
        client.close()
        for reader in readers.values():
            reader.join(timeout=60)
