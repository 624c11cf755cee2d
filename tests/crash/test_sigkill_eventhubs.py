"""Kills the node again and again while clients send over AMQP, then counts.

What must hold: each event whose delivery was settled is there, and a client's events are in its order; a batch is there as a
whole or not at all. It is there once, unless the node was killed before the client heard of it: the client sends it again by
itself then, so that it may be there twice, one behind the other.
"""

import json
import time
import urllib.request

from peers import HubWriters

KILLS = 5
SECONDS_BETWEEN_KILLS = 2.0
WRITERS = 3
BATCH = 20
HUB = "trades"


def make_hub(node):
    path = f"/subscriptions/s/resourceGroups/g/providers/Microsoft.EventHub/namespaces/default/eventhubs/{HUB}"
    request = urllib.request.Request(f"{node.endpoint}{path}", method="PUT",
                                     data=json.dumps({"properties": {"partitionCount": WRITERS}}).encode(),
                                     headers={"Authorization": "Bearer any"})
    urllib.request.urlopen(request, timeout=30).close()


def batch(_writer, number):
    return [{"batch": number, "n": n} for n in range(BATCH)]


def read(node, shard):
    kinesis = node.client("kinesis")
    iterator = kinesis.get_shard_iterator(StreamName=HUB, ShardId=f"shardId-{shard:012}",
                                          ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    found = []
    while True:
        answer = kinesis.get_records(ShardIterator=iterator)
        found += [json.loads(record["Data"]) for record in answer["Records"]]
        iterator = answer["NextShardIterator"]
        if not answer["Records"] and answer["MillisBehindLatest"] == 0:
            return found


def test_settled_events_are_there_once_and_in_order(node):
    make_hub(node)
    with HubWriters(node, HUB, WRITERS, batch) as load:
        for _ in range(KILLS):
            time.sleep(SECONDS_BETWEEN_KILLS)
            load.restart_node()
        time.sleep(SECONDS_BETWEEN_KILLS)
    for writer in range(WRITERS):
        found = read(node, writer)
        batches = [found[at:at + BATCH] for at in range(0, len(found), BATCH)]
        assert all([event["n"] for event in batch] == list(range(BATCH)) for batch in batches), "batches are whole"
        numbers = [batch[0]["batch"] for batch in batches]
        assert all(len({event["batch"] for event in batch}) == 1 for batch in batches)
        assert numbers == sorted(numbers), "in order"
        twice = {number for number, next_one in zip(numbers, numbers[1:]) if number == next_one}
        assert {(writer, number) for number in twice} <= load.interrupted, "once"
        assert all(numbers.count(number) == 2 for number in twice)
        settled = {number for of_writer, number in load.settled if of_writer == writer}
        missing = settled - set(numbers)
        assert not missing, f"{len(missing)} settled batches are missing"
        assert len(settled) > KILLS
