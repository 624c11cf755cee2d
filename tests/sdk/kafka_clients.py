"""Clients of Kafka for tests: librdkafka's own, and frames by hand."""

import gzip
import socket
import struct
import time
import uuid

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from peers import read_hub

WAIT = 30
ADMINS = []
# Brokers that end with their test are no news.
QUIET = {"log_level": 0}


def address(node):
    return f"127.0.0.1:{node.kafka_port}"


def name(prefix="topic"):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def admin(node, **settings):
    # A client that nobody holds any more ends with what it was asked under way.
    ADMINS.append(AdminClient({"bootstrap.servers": address(node), **QUIET, **settings}))
    del ADMINS[:-4]
    return ADMINS[-1]


def make(node, topic, partitions=1, **config):
    made = admin(node).create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=1, config=config)])
    made[topic].result(WAIT)
    return topic


def producer(node, **settings):
    return Producer({"bootstrap.servers": address(node), **QUIET, "acks": "all", "message.timeout.ms": 20_000, **settings})


def produce(node, topic, records, **settings):
    """Produces `(partition, key, value, headers, timestamp)` in this order; gives what was reported of each."""
    client, reports = producer(node, **settings), []
    for partition, key, value, headers, timestamp in records:
        more = {} if timestamp is None else {"timestamp": timestamp}
        client.produce(topic, value, key, partition=partition, headers=headers, **more,
                       on_delivery=lambda error, message: reports.append((error, message)))
    assert client.flush(WAIT) == 0
    return reports


def plain(values, partition=0):
    return [(partition, None, value, None, None) for value in values]


def consume(node, topic, count, partition=0, offset=0, **settings):
    consumer = Consumer({"bootstrap.servers": address(node), **QUIET, "group.id": name("reader"), "enable.auto.commit": False,
                         **settings})
    try:
        consumer.assign([TopicPartition(topic, partition, offset)])
        return poll(consumer, count)
    finally:
        consumer.close()


def poll(consumer, count, seconds=WAIT):
    found, deadline = [], time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        found.append(message)
    return found


def joined(node, group, topics, on_revoke=lambda *_: None, **settings):
    consumer = Consumer({"bootstrap.servers": address(node), **QUIET, "group.id": group, "auto.offset.reset": "earliest",
                         "enable.auto.commit": False, "session.timeout.ms": 6_000, "heartbeat.interval.ms": 500,
                         **settings})
    consumer.subscribe(topics, on_revoke=on_revoke)
    return consumer


def until_assigned(consumers, partitions):
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        got = [consumer.poll(0.1) for consumer in consumers]
        assert not any(message is not None and message.error() for message in got)
        shares = [sorted((part.topic, part.partition) for part in consumer.assignment()) for consumer in consumers]
        if sorted(sum(shares, [])) == partitions and all(shares):
            return shares
    raise AssertionError(shares)


def receive(node, hub, count):
    """The first events of a hub's only partition, by AMQP."""
    found = read_hub(node, hub, lambda events: len(events) >= count, WAIT)
    assert len(found) >= count
    return [event for _, event in found[:count]]


class Raw:
    """Requests in bytes of our own, for what no client sends."""

    def __init__(self, node):
        self.socket = socket.create_connection(("127.0.0.1", node.kafka_port), timeout=10)

    def send(self, key, version, body=b"", client=b"raw"):
        head = struct.pack(">hhih", key, version, 7, len(client)) + client
        self.socket.sendall(struct.pack(">i", len(head) + len(body)) + head + body)

    def answer(self):
        length = struct.unpack(">i", self.exactly(4))[0]
        body = self.exactly(length)
        assert struct.unpack(">i", body[:4])[0] == 7
        return body[4:]

    def exactly(self, length):
        got = b""
        while len(got) < length:
            part = self.socket.recv(length - len(got))
            if not part:
                raise EOFError
            got += part
        return got

    def join(self, group, member=""):
        text = lambda value: struct.pack(">h", len(value)) + value.encode()
        metadata = struct.pack(">h", 0) + struct.pack(">i", 0) + struct.pack(">i", -1)
        protocols = b"".join(text(name) + struct.pack(">i", len(metadata)) + metadata for name in ["range", "roundrobin"])
        self.send(11, 4, text(group) + struct.pack(">ii", 6_000, 6_000) + text(member) + text("consumer")
                  + struct.pack(">i", 2) + protocols)
        self.socket.settimeout(WAIT)
        answer = self.answer()[4:]
        error, _, length = struct.unpack(">hih", answer[:8])
        rest = answer[8 + length:]
        leader = struct.unpack(">h", rest[:2])[0]
        rest = rest[2 + leader:]
        size = struct.unpack(">h", rest[:2])[0]
        return error, rest[2:2 + size].decode()

    def close(self):
        self.socket.close()


def batch(values, sequence=(-1, -1, -1), corrupt=False, packed=False):
    def varint(value):
        value, out = (value << 1) ^ (value >> 63), b""
        while value >= 0x80:
            out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
        return out + bytes([value])

    records = b""
    for number, value in enumerate(values):
        body = b"\0" + varint(0) + varint(number) + varint(-1) + varint(len(value)) + value + varint(0)
        records += varint(len(body)) + body
    if packed:
        records = gzip.compress(records)
    checked = struct.pack(">hiqqqhii", int(packed), len(values) - 1, 0, 0, *sequence, len(values)) + records
    crc = crc32c(checked) ^ (1 if corrupt else 0)
    return struct.pack(">qiibI", 0, 9 + len(checked), 0, 2, crc) + checked


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def put(raw, topic, records, acks=-1):
    body = struct.pack(">hhi", -1, acks, 1_000) + struct.pack(">i", 1) + struct.pack(">h", len(topic)) + topic.encode()
    body += struct.pack(">iii", 1, 0, len(records)) + records
    raw.send(0, 3, body)
    answer = raw.answer()
    at = 4 + 2 + len(topic) + 4 + 4
    return struct.unpack(">hq", answer[at:at + 10])


def sasl(user, password, **settings):
    return {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanisms": "PLAIN", "sasl.username": user,
            "sasl.password": password, **settings}
