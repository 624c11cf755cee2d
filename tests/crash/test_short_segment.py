"""Cuts off the end of a segment that a checkpoint wrote, as a disk that loses what it said it had, and mends the folder.

What must hold: a node does not start over it and says what to do; `millstream log repair` puts back what the journal still has, says
what is lost, and changes nothing before it is told to; then everything else is read, and numbers go on.
"""

import pytest
from conftest import Node

COUNT = 300
STREAM = "kept"


def text(number):
    return b"record %04d " % number + b"x" * 900


@pytest.fixture
def cut():
    """A node that is stopped, and its segment without its last third."""
    node = Node()
    try:
        node.start()
        kinesis = node.client("kinesis")
        kinesis.create_stream(StreamName=STREAM, ShardCount=1)
        for first in range(0, COUNT, 10):
            records = [{"Data": text(number), "PartitionKey": "k"} for number in range(first, first + 10)]
            assert kinesis.put_records(StreamName=STREAM, Records=records)["FailedRecordCount"] == 0
        assert node.stop() == 0
        (segment,) = [file for file in node.data.glob("logs/*/*.log") if b"record 0200" in file.read_bytes()]
        content = segment.read_bytes()
        segment.write_bytes(content[:len(content) * 2 // 3])
        yield node, segment, content
    finally:
        node.remove()


def numbers(node):
    kinesis = node.client("kinesis")
    iterator = kinesis.get_shard_iterator(
        StreamName=STREAM, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    found = []
    while True:
        read = kinesis.get_records(ShardIterator=iterator)
        for record in read["Records"]:
            number = int(record["Data"][7:11])
            assert record["Data"] == text(number) and int(record["SequenceNumber"][-36:]) == number
            found.append(number)
        if read["MillisBehindLatest"] == 0:
            return found
        iterator = read["NextShardIterator"]


def refused(node, segment):
    """What the node says instead of starting."""
    verified = node.run("log", "verify", check=False)
    assert verified.returncode != 0 and segment.name in verified.stderr and "log repair" in verified.stderr
    with pytest.raises(RuntimeError):
        node.start()
    assert segment.name in node.output() and "millstream log repair" in node.output()


def test_what_the_journal_has_is_put_back(cut):
    node, segment, content = cut
    refused(node, segment)
    before = segment.read_bytes()
    told = node.run("log", "repair", "--skip")
    assert "the journal still has them" in told and "lost" not in told and segment.read_bytes() == before
    node.run("log", "repair", "--skip", "--yes")
    assert len(segment.read_bytes()) == len(content)
    assert [file.read_bytes() for file in (node.data / "damaged").iterdir()] == [before]
    node.run("log", "verify")
    node.start()
    assert numbers(node) == list(range(COUNT))
    assert node.stop() == 0


def test_what_nobody_has_is_said_to_be_lost(cut):
    node, segment, content = cut
    for journal in node.data.glob("journal/*.wal"):
        # One commit in the middle of what was cut off is not there any more.
        whole = bytearray(journal.read_bytes())
        at = whole.find(b"record 0250")
        if at >= 0:
            whole[at] ^= 1
            journal.write_bytes(whole)
    told = node.run("log", "repair", "--skip")
    assert told.count(": lost") == 1 and told.count("the journal still has them") == 2, told
    node.run("log", "repair", "--skip", "--yes")
    assert len(segment.read_bytes()) == len(content)
    verified = node.run("log", "verify")
    assert "records were given up" in verified
    node.start()
    left = numbers(node)
    assert left == [*range(250), *range(260, COUNT)]
    node.client("kinesis").put_record(StreamName=STREAM, Data=text(COUNT), PartitionKey="k")
    assert numbers(node) == [*left, COUNT]
    assert node.stop() == 0
