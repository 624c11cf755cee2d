"""Kills the node again and again while idempotent Kafka producers send, then counts.

What must hold: each record whose delivery was reported is there once, and a producer's records are in its order in each
partition, whatever the producers sent again by themselves. Groups go on at what they committed.
"""

import threading
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from peers import PAUSE_SECONDS, Load

KILLS = 5
SECONDS_BETWEEN_KILLS = 2.0
PARTITIONS = 3
TOPIC = "trades"
WAIT = 60


class Writer:
    """Sends numbers to its partition until it is told to stop; notes which were reported as delivered."""

    def __init__(self, node, partition, stop):
        self.node, self.partition, self.stop = node, partition, stop
        self.delivered, self.failed = [], []
        self.sent = 0

    def run(self):
        producer = Producer({"bootstrap.servers": f"127.0.0.1:{self.node.kafka_port}", "enable.idempotence": True,
                             "linger.ms": 5, "message.timeout.ms": 120_000, "retry.backoff.ms": 50,
                             "reconnect.backoff.max.ms": 500})
        while not self.stop.is_set():
            try:
                for _ in range(20):
                    producer.produce(TOPIC, b"%d" % self.sent, partition=self.partition, on_delivery=self.note)
                    self.sent += 1
            except BufferError:
                # The queue is full until the node is back.
                producer.poll(0.5)
            producer.poll(0)
            time.sleep(PAUSE_SECONDS)
        assert producer.flush(WAIT) == 0

    def note(self, error, message):
        (self.delivered if error is None else self.failed).append(int(message.value()))


def read(node, partition, count):
    consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{node.kafka_port}", "group.id": "count"})
    consumer.assign([TopicPartition(TOPIC, partition, 0)])
    found, deadline = [], time.monotonic() + WAIT
    _, end = consumer.get_watermark_offsets(TopicPartition(TOPIC, partition), timeout=WAIT)
    while len(found) < end and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is not None and not message.error():
            found.append(int(message.value()))
    consumer.close()
    return found


def test_delivered_records_are_there_once_and_in_order(node):
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{node.kafka_port}"})
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(WAIT)
    stop = threading.Event()
    writers = [Writer(node, partition, stop) for partition in range(PARTITIONS)]
    with Load(node, [(writer.run,) for writer in writers], stop):
        for committed in range(KILLS):
            time.sleep(SECONDS_BETWEEN_KILLS)
            consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{node.kafka_port}", "group.id": "place"})
            consumer.commit(offsets=[TopicPartition(TOPIC, 0, committed)], asynchronous=False)
            node.kill()
            node.start()
            assert consumer.committed([TopicPartition(TOPIC, 0)], timeout=WAIT)[0].offset == committed
            consumer.close()
        time.sleep(SECONDS_BETWEEN_KILLS)
    for writer in writers:
        assert not writer.failed
        found = read(node, writer.partition, writer.sent)
        assert found == list(range(writer.sent)), "once and in order"
        assert len(writer.delivered) == writer.sent > KILLS
