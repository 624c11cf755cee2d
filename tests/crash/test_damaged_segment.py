"""Flips bytes of a segment between two runs of a node, then reads what is left with real clients.

What must hold: nothing that is damaged is given to anybody, everything else is, no reader stops at what is lost or goes in
circles, and it is told: by the log, by `millstream log verify` and by the node's status. `millstream log repair` makes the files sound.
"""

import json
import re
import time
import urllib.request

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from conftest import Node
from peers import read_hub

COUNT = 600
STREAM = "kept"
WAIT = 60
# Records whose batch is hit: in the middle, and the last one.
HIT = (300, COUNT - 1)


def text(number):
    return f"record {number:04} {'x' * 900}"


def flip(file):
    """Damages the records that are to be hit."""
    content = bytearray(file.read_bytes())
    for number in HIT:
        at = content.find(b"record %04d" % number)
        if at >= 0:
            content[at + 3] ^= 0x20
    file.write_bytes(content)


@pytest.fixture(scope="module")
def damaged():
    """A node that is stopped, whose records lie in a segment that is damaged in two places; and the offsets that are lost."""
    node = Node()
    try:
        node.start()
        kinesis = node.client("kinesis")
        kinesis.create_stream(StreamName=STREAM, ShardCount=1)
        for first in range(0, COUNT, 10):
            records = [{"Data": json.dumps({"n": n, "text": text(n)}), "PartitionKey": "k"} for n in range(first, first + 10)]
            assert kinesis.put_records(StreamName=STREAM, Records=records)["FailedRecordCount"] == 0
        assert node.stop() == 0
        (segment,) = [file for file in node.data.glob("logs/*/*.log") if b"record 0300" in file.read_bytes()]
        flip(segment)
        assert node.run("log", "verify", check=False).stdout.count("the journal still has them") == len(HIT)
        for journal in node.data.glob("journal/*.wal"):
            flip(journal)
        verified = node.run("log", "verify", check=False)
        assert verified.returncode != 0 and "log repair" in verified.stderr
        told = re.findall(r"damaged: (\S+) at byte \d+, \d+ bytes: (\d+) records of log \d+ from offset (\d+) on: lost",
                          verified.stdout)
        assert len(told) == len(HIT) and all(segment.name in file for file, _, _ in told), verified.stdout
        lost = {offset for _, count, first in told for offset in range(int(first), int(first) + int(count))}
        assert set(HIT) <= lost and len(lost) < COUNT / 4
        yield node, lost
    finally:
        node.remove()


def numbers(bodies):
    """The records' numbers; none of them is damaged."""
    found = [json.loads(body) for body in bodies]
    assert all(record["text"] == text(record["n"]) for record in found)
    return [record["n"] for record in found]


def read_kinesis(node, limit):
    kinesis = node.client("kinesis")
    shard = kinesis.list_shards(StreamName=STREAM)["Shards"][0]["ShardId"]
    at = kinesis.get_shard_iterator(StreamName=STREAM, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    found = []
    for _ in range(COUNT):
        got = kinesis.get_records(ShardIterator=at, Limit=limit)
        found += [(record["SequenceNumber"], record["Data"]) for record in got["Records"]]
        at = got["NextShardIterator"]
        if not got["Records"] and got["MillisBehindLatest"] == 0:
            break
    assert got["MillisBehindLatest"] == 0, "the reader got to the end"
    order = [int(sequence) for sequence, _ in found]
    assert order == sorted(set(order))
    return numbers(data for _, data in found)


def read_kafka(node, offset):
    """What a consumer gets from an offset on until it is told that it is at the end, and where that is."""
    consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{node.kafka_port}", "group.id": "reader", "log_level": 0,
                         "enable.partition.eof": True, "check.crcs": True})
    consumer.assign([TopicPartition(STREAM, 0, offset)])
    found, deadline = [], time.monotonic() + WAIT
    try:
        while time.monotonic() < deadline:
            message = consumer.poll(1)
            if message is None:
                continue
            if message.error() is None:
                found.append(message)
                continue
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            values = numbers(message.value() for message in found)
            assert values == [message.offset() for message in found]
            return values, message.offset()
        raise AssertionError(f"no end after {len(found)} records")
    finally:
        consumer.close()


def read_everywhere(node, left):
    for limit in (7, 10_000):
        assert read_kinesis(node, limit) == left
    assert read_kafka(node, 0) == (left, COUNT)
    inside = HIT[0]
    assert read_kafka(node, inside) == ([number for number in left if number > inside], COUNT)
    assert read_kafka(node, HIT[1]) == ([], COUNT), "a reader at what is lost at the end gets to the end"
    events = read_hub(node, STREAM, lambda found: len(found) >= len(left), WAIT)
    assert numbers(event.body_as_str() for _, event in events) == left
    rows = node.run("query", f"SELECT n FROM {STREAM}", "--from-start", "--limit", len(left), timeout=WAIT)
    assert sorted(json.loads(row)["n"] for row in rows.splitlines()) == left


def test_what_is_left_is_read_and_what_is_lost_is_told(damaged):
    node, lost = damaged
    left = [number for number in range(COUNT) if number not in lost]
    node.start()
    read_everywhere(node, left)
    told = [line for line in node.output().splitlines() if "a part of a segment is damaged" in line]
    assert len(told) == len(HIT), "each is told once"
    with urllib.request.urlopen(f"{node.console}/api/status", timeout=WAIT) as answer:
        (stream,) = [stream for stream in json.load(answer)["streams"] if stream["name"] == STREAM]
    assert stream["records_lost"] == len(lost)
    # Records go on being taken, and readers find them behind what is lost.
    kinesis = node.client("kinesis")
    more = json.dumps({"n": COUNT, "text": text(COUNT)})
    kinesis.put_record(StreamName=STREAM, Data=more, PartitionKey="k")
    assert read_kinesis(node, 10_000) == [*left, COUNT]
    assert read_kafka(node, HIT[1]) == ([COUNT], COUNT + 1)
    assert node.stop() == 0


def test_a_repair_makes_the_files_sound_and_says_what_it_gave_up(damaged):
    node, lost = damaged
    (segment,) = [file for file in node.data.glob("logs/*/*.log") if b"record 0299" in file.read_bytes()]
    before = segment.read_bytes()
    told = node.run("log", "repair", "--skip")
    assert told.count("lost") == len(HIT) and "add --yes" in told and segment.read_bytes() == before
    done = node.run("log", "repair", "--skip", "--yes")
    assert "written anew: logs/" in done
    assert [file.read_bytes() for file in (node.data / "damaged").iterdir()] == [before]
    verified = node.run("log", "verify")
    assert f"{len(lost)} records were given up" in verified and "damaged" not in verified
    node.start()
    left = [number for number in range(COUNT + 1) if number not in lost]
    assert read_kinesis(node, 10_000) == left
    assert read_kafka(node, 0) == (left, COUNT + 1)
    assert node.output().count("a part of a segment is damaged") == len(HIT), "nothing more is told"
    assert node.stop() == 0
