"""Kills the node again and again while clients send over AMQP, then counts.

What must hold: each event whose delivery was settled is there, and a client's events are in its order; a batch is there as a
whole or not at all. It is there once, unless the node was killed before the client heard of it: the client sends it again by
itself then, so that it may be there twice, one behind the other.
"""

import json
import threading
import time
import urllib.request

from azure.eventhub import EventData, EventHubProducerClient
from azure.eventhub.exceptions import EventHubError

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


class Load:
    """Writers that send batches until told to stop, one a partition, and which batches were settled."""

    def __init__(self, node):
        self.node = node
        self.stop = threading.Event()
        self.kills = 0
        self.settled = [[] for _ in range(WRITERS)]
        self.interrupted = [set() for _ in range(WRITERS)]
        self.threads = [threading.Thread(target=self.write, args=(n,), daemon=True) for n in range(WRITERS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(timeout=60)
            assert not thread.is_alive()

    def write(self, writer):
        string = (f"Endpoint=sb://localhost:{self.node.amqp_port};SharedAccessKeyName=RootManageSharedAccessKey;"
                  "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;")
        number = 0
        while not self.stop.is_set():
            client = EventHubProducerClient.from_connection_string(string, eventhub_name=HUB, retry_total=0)
            try:
                with client:
                    while not self.stop.is_set():
                        number += 1
                        kills = self.kills
                        events = [EventData(json.dumps({"batch": number, "n": n})) for n in range(BATCH)]
                        client.send_batch(events, partition_id=str(writer))
                        self.settled[writer].append(number)
                        if kills != self.kills:
                            self.interrupted[writer].add(number)
            except (EventHubError, OSError):
                time.sleep(0.1)


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
    with Load(node) as load:
        for _ in range(KILLS):
            time.sleep(SECONDS_BETWEEN_KILLS)
            load.kills += 1
            node.kill()
            node.start()
        time.sleep(SECONDS_BETWEEN_KILLS)
    for writer in range(WRITERS):
        found = read(node, writer)
        batches = [found[at:at + BATCH] for at in range(0, len(found), BATCH)]
        assert all([event["n"] for event in batch] == list(range(BATCH)) for batch in batches), "batches are whole"
        numbers = [batch[0]["batch"] for batch in batches]
        assert all(len({event["batch"] for event in batch}) == 1 for batch in batches)
        assert numbers == sorted(numbers), "in order"
        twice = {number for number, next_one in zip(numbers, numbers[1:]) if number == next_one}
        assert twice <= load.interrupted[writer], "once"
        assert all(numbers.count(number) == 2 for number in twice)
        missing = set(load.settled[writer]) - set(numbers)
        assert not missing, f"{len(missing)} settled batches are missing"
        assert len(load.settled[writer]) > KILLS
