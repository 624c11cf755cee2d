"""Kills the node again and again while its shards are split and merged under load, then counts.

What must hold: each acknowledged record is there exactly once, in the shard and under the number that its writer was told;
a reader that reads parents before their children sees each key in the order in which it was put; and the open shards have
each hash key once.
"""

import threading
import time
from collections import Counter

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from conftest import until
from peers import PAUSE_SECONDS, Load

KILLS = 5
SECONDS_BETWEEN_KILLS = 1.5
WRITERS = 3
KEYS = 4
STREAM = "trades"


def key_range(shard):
    return int(shard["HashKeyRange"]["StartingHashKey"]), int(shard["HashKeyRange"]["EndingHashKey"])


def open_shards(kinesis):
    found = kinesis.list_shards(StreamName=STREAM, ShardFilter={"Type": "AT_LATEST"})["Shards"]
    return sorted(found, key=key_range)


class Writers(Load):
    """Writers that put and a hand that splits and merges; and what was acknowledged."""

    def __init__(self, node):
        super().__init__(node, [*((self.write, n) for n in range(WRITERS)), (self.reshard,)])
        self.lock = threading.Lock()
        self.acknowledged = {}
        self.changes = 0

    def done(self):
        """What was acknowledged so far: of each key, and of the hand."""
        with self.lock:
            return Counter(key for key, _ in self.acknowledged) + Counter(changes=self.changes)

    def write(self, writer):
        client, number = self.node.client("kinesis"), 0
        while not self.stop.is_set():
            number += 1
            records = [{"PartitionKey": f"{writer}-{key}", "Data": str(number)} for key in range(KEYS)]
            try:
                answer = client.put_records(StreamName=STREAM, Records=records)
            except (BotoCoreError, ClientError):
                # Not acknowledged: it may be there or not. The same numbers are never sent again.
                time.sleep(0.05)
                continue
            with self.lock:
                for record, result in zip(records, answer["Records"]):
                    if "SequenceNumber" in result:
                        self.acknowledged[record["PartitionKey"], number] = (result["ShardId"], result["SequenceNumber"])
            time.sleep(PAUSE_SECONDS)

    def reshard(self):
        client, turn = self.node.client("kinesis"), 0
        while not self.stop.is_set():
            turn += 1
            try:
                shards = open_shards(client)
                if len(shards) > 5:
                    client.merge_shards(StreamName=STREAM, ShardToMerge=shards[1]["ShardId"],
                                        AdjacentShardToMerge=shards[0]["ShardId"])
                else:
                    shard = shards[turn % len(shards)]
                    low, high = key_range(shard)
                    client.split_shard(StreamName=STREAM, ShardToSplit=shard["ShardId"],
                                       NewStartingHashKey=str((low + high) // 2))
                self.changes += 1
            except (BotoCoreError, ClientError):
                time.sleep(0.05)


def read_tree(kinesis):
    """All records, parents to their end before their children."""
    shards = kinesis.list_shards(StreamName=STREAM)["Shards"]
    found = []
    # Shards are listed in the order of their making.
    for shard in shards:
        iterator = kinesis.get_shard_iterator(
            StreamName=STREAM, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while iterator:
            page = kinesis.get_records(ShardIterator=iterator)
            found += [(shard["ShardId"], record) for record in page["Records"]]
            iterator = page.get("NextShardIterator")
            if not page["Records"] and page["MillisBehindLatest"] == 0:
                break
    return found


@pytest.fixture(scope="module")
def after_the_kills(node):
    node.client("kinesis").create_stream(StreamName=STREAM, ShardCount=2)
    with Writers(node) as load:
        for _ in range(KILLS):
            time.sleep(SECONDS_BETWEEN_KILLS)
            node.kill()
            node.start()
        # Each thread has lived through the kills.
        before = load.done()
        until(lambda: all(count > before[what] for what, count in load.done().items()) and len(load.done()) > WRITERS * KEYS)
    return node.client("kinesis"), load


def test_nothing_is_lost_and_keys_keep_their_order(after_the_kills):
    kinesis, load = after_the_kills
    places, last = {}, {}
    for shard, record in read_tree(kinesis):
        key, number = record["PartitionKey"], int(record["Data"])
        assert (key, number) not in places, "a record is there twice"
        places[key, number] = (shard, record["SequenceNumber"])
        assert number > last.get(key, 0), f"{key}: {number} behind {last.get(key)}"
        last[key] = number
    missing = {name: place for name, place in load.acknowledged.items() if places.get(name) != place}
    assert not missing


def test_open_shards_have_each_hash_key_once(after_the_kills):
    kinesis, _ = after_the_kills
    ranges = [key_range(shard) for shard in open_shards(kinesis)]
    assert ranges[0][0] == 0 and ranges[-1][1] == 2**128 - 1
    assert all(one[1] + 1 == other[0] for one, other in zip(ranges, ranges[1:]))
