"""Kafka with librdkafka's own client: produce and consume, groups, administration, who may do what, and the same records by
the other protocols."""

import gzip
import json
import os
import resource
import socket
import struct
import subprocess
import threading
import time
import uuid

import boto3
import pytest
import requests
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic
from conftest import Node, until
from peers import hubs_connection_string

WAIT = 30
ADMINS = []
# Brokers that end with their test are no news.
QUIET = {"log_level": 0}
CODECS = ["gzip", "snappy", "lz4", "zstd", "none"]


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


def test_records_come_back_with_keys_headers_and_times(node):
    topic = make(node, name(), 2)
    sent = [
        (0, b"key", b"value", [("h", b"1"), ("h", None), ("\u00e4", b"")], 1_700_000_000_123),
        (0, None, b"no key", None, 1_700_000_000_100),
        (0, b"\xff\x00", b"key of bytes", None, None),
        (0, b"gone", None, None, None),
        (1, b"", b"", None, None),
    ]
    reports = produce(node, topic, sent)
    assert [error for error, _ in reports] == [None] * 5
    found = consume(node, topic, 4) + consume(node, topic, 1, partition=1)
    assert [(message.key(), message.value()) for message in found] == [(key, value) for _, key, value, _, _ in sent]
    assert [message.offset() for message in found] == [0, 1, 2, 3, 0]
    assert found[0].headers() == [("h", b"1"), ("h", None), ("\u00e4", b"")]
    assert found[1].headers() is None
    assert [message.timestamp()[1] for message in found[:2]] == [1_700_000_000_123, 1_700_000_000_100]
    assert abs(found[2].timestamp()[1] / 1000 - time.time()) < 60


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("acks", ["all", "1", "0"])
def test_every_codec_and_acknowledgement(node, codec, acks):
    topic = make(node, name(codec))
    values = [f"record {number} of many that look alike".encode() for number in range(500)]
    reports = produce(node, topic, plain(values), **{"compression.type": codec, "acks": acks, "linger.ms": 50})
    assert all(error is None for error, _ in reports)
    assert [message.value() for message in consume(node, topic, 500)] == values


def test_an_idempotent_producer_and_large_records(node):
    topic = make(node, name())
    values = [bytes([65 + number % 26]) * (900_000 if number % 10 == 0 else 100) for number in range(100)]
    reports = produce(node, topic, plain(values), **{"enable.idempotence": True, "linger.ms": 5})
    assert all(error is None for error, _ in reports)
    found = consume(node, topic, 100)
    assert [message.value() for message in found] == values
    assert [message.offset() for message in found] == list(range(100))
    client = producer(node, **{"message.max.bytes": 3_000_000})
    reports = []
    client.produce(topic, b"x" * 2_000_000, on_delivery=lambda error, _: reports.append(error))
    client.flush(WAIT)
    assert reports[0].code() == KafkaError.MSG_SIZE_TOO_LARGE


def test_positions_by_offset_and_time(node):
    topic = make(node, name())
    times = [1_700_000_000_000 + number * 1_000 for number in range(10)]
    produce(node, topic, [(0, None, b"%d" % number, None, at) for number, at in enumerate(times)])
    consumer = Consumer({"bootstrap.servers": address(node), **QUIET, "group.id": name()})
    try:
        assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=WAIT) == (0, 10)
        for asked, expected in [(times[4], 4), (times[4] - 1, 4), (times[0] - 5, 0), (times[9] + 1, -1)]:
            found = consumer.offsets_for_times([TopicPartition(topic, 0, asked)], timeout=WAIT)
            assert found[0].offset == expected, asked - times[0]
        consumer.assign([TopicPartition(topic, 0, 7)])
        assert [message.value() for message in poll(consumer, 3)] == [b"7", b"8", b"9"]
    finally:
        consumer.close()
    found = consume(node, topic, 10, offset=500, **{"auto.offset.reset": "earliest"})
    assert [message.offset() for message in found] == list(range(10)), "an offset that is not there"


def test_a_reader_is_woken(node):
    topic = make(node, name())
    consumer = Consumer({"bootstrap.servers": address(node), **QUIET, "group.id": name(), "fetch.wait.max.ms": 20_000})
    client = producer(node)
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        consumer.poll(1)
        for number in range(20):
            begun = time.monotonic()
            client.produce(topic, b"%d" % number)
            client.flush(WAIT)
            assert poll(consumer, 1)[0].value() == b"%d" % number
            assert time.monotonic() - begun < 10, "not when the wait is over"
    finally:
        consumer.close()


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


@pytest.mark.parametrize("strategy", ["range", "cooperative-sticky"])
def test_a_group_shares_partitions_and_goes_on_where_it_was(node, strategy):
    topic, group = make(node, name(), 4), name("group")
    partitions = [(topic, number) for number in range(4)]
    settings = {"partition.assignment.strategy": strategy}
    first, second = joined(node, group, [topic], **settings), joined(node, group, [topic], **settings)
    shares = until_assigned([first, second], partitions)
    assert [len(share) for share in shares] == [2, 2]
    described = admin(node).describe_consumer_groups([group])[group].result(WAIT)
    assert described.state.name == "STABLE" and len(described.members) == 2
    second.close()
    until_assigned([first], partitions)
    for partition in range(4):
        produce(node, topic, plain([b"a", b"b", b"c"], partition))
    found = poll(first, 12)
    assert len(found) == 12
    first.commit(offsets=[TopicPartition(topic, number, 2, metadata="two") for number in range(4)], asynchronous=False)
    first.close()
    again = joined(node, group, [topic], **settings)
    try:
        assert sorted((message.partition(), message.value()) for message in poll(again, 4)) == [
            (number, b"c") for number in range(4)]
        assert [(part.offset, part.metadata) for part in again.committed(
            [TopicPartition(topic, 0)], timeout=WAIT)] == [(2, "two")]
    finally:
        again.close()


def test_a_member_that_dies_is_replaced(node):
    topic, group = make(node, name(), 2), name("group")
    partitions = [(topic, 0), (topic, 1)]
    # A member over a socket of our own, which dies without a word.
    dead = Raw(node)
    error, member = dead.join(group)
    assert error == 79
    error, _ = dead.join(group, member)
    assert error == 0
    dead.close()
    alive = joined(node, group, [topic])
    try:
        until_assigned([alive], partitions)
    finally:
        alive.close()


def test_static_members_come_back_without_a_new_generation(node):
    topic, group = make(node, name(), 2), name("group")
    settings = {"group.instance.id": "one", "partition.assignment.strategy": "range", "session.timeout.ms": 60_000}
    revoked = []
    first = joined(node, group, [topic], lambda _, partitions: revoked.append(partitions), **settings)
    # It comes first and leads.
    until_assigned([first], [(topic, 0), (topic, 1)])
    other = joined(node, group, [topic], **{**settings, "group.instance.id": "two"})
    shares = until_assigned([first, other], [(topic, 0), (topic, 1)])
    other.close()
    revoked.clear()
    back = joined(node, group, [topic], **{**settings, "group.instance.id": "two"})
    try:
        assert until_assigned([first, back], [(topic, 0), (topic, 1)]) == shares
        assert not revoked, "a new generation takes everybody's partitions away"
    finally:
        first.close()
        back.close()


def test_groups_are_listed_and_deleted(node):
    topic, group = make(node, name()), name("group")
    produce(node, topic, plain([b"a"]))
    consumer = joined(node, group, [topic])
    assert len(poll(consumer, 1)) == 1
    consumer.commit(asynchronous=False)
    client = admin(node)
    with pytest.raises(KafkaException) as refused:
        client.delete_consumer_groups([group])[group].result(WAIT)
    assert refused.value.args[0].code() == KafkaError.NON_EMPTY_GROUP
    consumer.close()
    assert group in [listed.group_id for listed in client.list_consumer_groups().result(WAIT).valid]
    client.delete_consumer_groups([group])[group].result(WAIT)
    assert group not in [listed.group_id for listed in client.list_consumer_groups().result(WAIT).valid]
    with pytest.raises(KafkaException) as missing:
        client.delete_consumer_groups([group])[group].result(WAIT)
    assert missing.value.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND


def test_topics_are_made_changed_and_deleted(node):
    client, topic = admin(node), name()
    make(node, topic, 2, **{"retention.ms": "7200000"})
    assert len(client.list_topics(topic, timeout=WAIT).topics[topic].partitions) == 2
    settings = client.describe_configs([ConfigResource("topic", topic)])
    found = next(iter(settings.values())).result(WAIT)
    assert found["retention.ms"].value == "7200000" and found["cleanup.policy"].value == "delete"
    produce(node, topic, plain([b"a", b"b", b"c"]))
    client.create_partitions([NewPartitions(topic, 5)])[topic].result(WAIT)
    assert len(client.list_topics(topic, timeout=WAIT).topics[topic].partitions) == 5
    produce(node, topic, plain([b"new"], partition=4))
    assert consume(node, topic, 1, partition=4)[0].value() == b"new"
    [(part, deleted)] = client.delete_records([TopicPartition(topic, 0, 2)]).items()
    assert deleted.result(WAIT).low_watermark == 2
    assert [message.value() for message in consume(node, topic, 1, offset=2)] == [b"c"]
    assert client.describe_cluster().result(WAIT).nodes
    client.delete_topics([topic])[topic].result(WAIT)
    assert topic not in client.list_topics(timeout=WAIT).topics


@pytest.mark.parametrize("new, code", [
    (NewTopic("a/b", 1, 1), KafkaError.TOPIC_EXCEPTION),
    (NewTopic("x" * 250, 1, 1), KafkaError.TOPIC_EXCEPTION),
    (NewTopic("copies", 1, 3), KafkaError.INVALID_REPLICATION_FACTOR),
    (NewTopic("none", 0, 1), KafkaError.INVALID_PARTITIONS),
    (NewTopic("many", 100_000, 1), KafkaError.INVALID_PARTITIONS),
    (NewTopic("setting", 1, 1, config={"cleanup.policy": "compact"}), KafkaError.INVALID_CONFIG),
    (NewTopic("setting", 1, 1, config={"retention.ms": "-1"}), KafkaError.INVALID_CONFIG),
])
def test_topics_that_cannot_be_are_refused(node, new, code):
    with pytest.raises(KafkaException) as refused:
        admin(node).create_topics([new])[new.topic].result(WAIT)
    assert refused.value.args[0].code() == code


def test_what_is_not_there_is_told_as_such(node):
    topic = make(node, name())
    with pytest.raises(KafkaException) as refused:
        make(node, topic)
    assert refused.value.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
    missing = name("missing")
    assert admin(node).list_topics(missing, timeout=WAIT).topics[missing].error.code() == (
        KafkaError.UNKNOWN_TOPIC_OR_PART)
    with pytest.raises(KafkaException) as refused:
        admin(node).delete_topics([missing])[missing].result(WAIT)
    assert refused.value.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    reports = produce(node, missing, plain([b"x"]), **{"message.timeout.ms": 3_000})
    assert reports[0][0] is not None, "nothing is made by producing"
    transactional = producer(node, **{"transactional.id": "t"})
    with pytest.raises(KafkaException) as refused:
        transactional.init_transactions(10)
    assert refused.value.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


def test_a_topic_whose_name_differs_in_case_is_another_one(node):
    lower = make(node, name("case"), **{"retention.ms": "3600000000"})
    upper, client = lower.upper(), admin(node)
    produce(node, lower, plain([b"kept"]))
    with pytest.raises(KafkaException) as refused:
        make(node, upper)
    assert refused.value.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
    settings = next(iter(client.describe_configs([ConfigResource("topic", lower)]).values())).result(WAIT)
    assert settings["retention.ms"].value == "3600000000", "what is there is left as it is"
    kinesis = node.client("kinesis")
    kinesis.create_stream(StreamName=upper, ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName=upper)
    client.delete_topics([upper])[upper].result(WAIT)
    topics = client.list_topics(timeout=WAIT).topics
    assert lower in topics and upper not in topics
    assert consume(node, lower, 1)[0].value() == b"kept"


def test_kafka_in_kinesis_and_event_hubs_out(node):
    topic = make(node, name())
    produce(node, topic, [(0, b"MSFT", b'{"n":1}', [("h", b"1"), ("none", None)], None), (0, b"\xff", b"two", None, None)])
    kinesis = node.client("kinesis")
    iterator = kinesis.get_shard_iterator(StreamName=topic, ShardId="shardId-000000000000",
                                          ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    records = kinesis.get_records(ShardIterator=iterator)["Records"]
    assert [(record["PartitionKey"], record["Data"]) for record in records] == [("MSFT", b'{"n":1}'), ("", b"two")]
    events = receive(node, topic, 2)
    assert [(event.body_as_str(), event.partition_key, event.sequence_number) for event in events] == [
        ('{"n":1}', b"MSFT", 0), ("two", None, 1)]
    assert events[0].properties == {b"h": b"1", b"none": None}
    assert events[1].raw_amqp_message.annotations[b"x-opt-kafka-key"] == b"\xff"


def test_kinesis_and_event_hubs_in_kafka_out(node):
    stream = name("stream")
    kinesis = node.client("kinesis")
    kinesis.create_stream(StreamName=stream, ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName=stream)
    kinesis.put_record(StreamName=stream, PartitionKey="MSFT", Data=b"from kinesis")
    message = consume(node, stream, 1)[0]
    assert (message.key(), message.value(), message.headers()) == (b"MSFT", b"from kinesis", None)
    assert abs(message.timestamp()[1] / 1000 - time.time()) < 60
    produce(node, stream, plain([b"from kafka"]))
    topic = make(node, name())
    with EventHubProducerClient.from_connection_string(hubs_connection_string(node), eventhub_name=topic) as sender:
        event = EventData("from amqp")
        event.properties = {"text": "a", "number": 7, "bytes": b"\xff"}
        sender.send_batch([event], partition_key="k")
    message = consume(node, topic, 1)[0]
    assert (message.key(), message.value()) == (b"k", b"from amqp")
    assert sorted(message.headers()) == [("bytes", b"\xff"), ("number", b"7"), ("text", b"a")]


def receive(node, hub, count):
    """The first events of a hub's only partition, by AMQP."""
    client = EventHubConsumerClient.from_connection_string(hubs_connection_string(node), "$Default", eventhub_name=hub)
    events, enough = [], threading.Event()

    def take(_context, batch):
        events.extend(batch)
        if len(events) >= count:
            enough.set()

    with client:
        arguments = {"on_event_batch": take, "starting_position": "-1", "max_wait_time": 1}
        threading.Thread(target=client.receive_batch, kwargs=arguments, daemon=True).start()
        assert enough.wait(WAIT)
    return events[:count]


def test_kafka_in_sql_out(node):
    topic = make(node, "prices")
    produce(node, topic, plain([b'{"symbol":"MSFT","price":%d}' % price for price in (10, 20, 30)]))
    sql = "SELECT symbol, price FROM prices WHERE price > 15"
    rows = [json.loads(row) for row in node.run("query", sql, "--from-start", "--limit", "2", timeout=60).splitlines()]
    assert rows == [{"symbol": "MSFT", "price": 20}, {"symbol": "MSFT", "price": 30}]


def test_partitions_that_a_topic_gets_are_read_from_their_beginning_by_running_queries(node):
    topic, out, query = make(node, name()), make(node, name("out")), name("query")
    analytics, stream = node.client("kinesisanalytics"), "arn:aws:kinesis:us-east-1:000000000000:stream/"
    role = {"RoleARN": "arn:aws:iam::000000000000:role/any"}
    analytics.create_application(
        ApplicationName=query,
        ApplicationCode='CREATE OR REPLACE STREAM "OUT" ("n" INTEGER);'
                        'CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM "n" FROM "SOURCE_SQL_STREAM_001";',
        Inputs=[{"NamePrefix": "SOURCE_SQL_STREAM", "KinesisStreamsInput": {"ResourceARN": stream + topic, **role},
                 "InputSchema": {"RecordFormat": {"RecordFormatType": "JSON"}, "RecordColumns": [
                     {"Name": "n", "SqlType": "INTEGER", "Mapping": "$.n"}]}}],
        Outputs=[{"Name": "OUT", "KinesisStreamsOutput": {"ResourceARN": stream + out, **role},
                  "DestinationSchema": {"RecordFormatType": "JSON"}}])
    analytics.start_application(ApplicationName=query, InputConfigurations=[
        {"Id": "1.1", "InputStartingPositionConfiguration": {"InputStartingPosition": "NOW"}}])
    deadline = time.monotonic() + WAIT
    while analytics.describe_application(ApplicationName=query)["ApplicationDetail"]["ApplicationStatus"] != "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    produce(node, topic, plain([b'{"n":1}']))
    consume(node, out, 1)
    admin(node).create_partitions([NewPartitions(topic, 3)])[topic].result(WAIT)
    for partition in (1, 2):
        produce(node, topic, plain([b'{"n":%d}' % (10 * partition)], partition))
    rows = [json.loads(message.value())["n"] for message in consume(node, out, 3)]
    assert rows[0] == 1 and sorted(rows) == [1, 10, 20]


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


@pytest.mark.parametrize("sent", [
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    struct.pack(">i", -1),
    struct.pack(">i", 2**31 - 1),
    struct.pack(">i", 4) + b"\0\0\0\0",
    struct.pack(">ihhih", 10, 999, 0, 7, -1),
    struct.pack(">ihhih", 10, 0, 99, 7, -1),
    struct.pack(">ihhihhii", 20, 3, 1, 7, -1, 0, 2**31 - 1, 0),
])
def test_what_is_no_request_ends_the_connection(node, sent):
    raw = Raw(node)
    raw.socket.sendall(sent)
    with pytest.raises((EOFError, ConnectionError)):
        raw.answer()
    raw.close()


def test_versions_are_told_to_clients_that_are_newer(node):
    raw = Raw(node)
    raw.send(18, 99)
    answer = raw.answer()
    error, count = struct.unpack(">hi", answer[:6])
    served = {key: (low, high) for key, low, high in struct.iter_unpack(">hhh", answer[6:])}
    assert error == 35 and len(served) == count and served[0][0] == 3 and served[18] == (0, 4)
    raw.close()


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


def test_batches_that_are_none_and_batches_sent_twice(node):
    topic, raw = make(node, name()), Raw(node)
    assert put(raw, topic, batch([b"a"], corrupt=True)) == (2, -1)
    assert put(raw, topic, batch([b"a"])[:40]) == (2, -1)
    assert put(raw, topic, batch([b"a"]) + batch([b"b"])) == (87, -1)
    assert put(raw, topic, batch([b"a"]), acks=3) == (21, -1)
    assert put(raw, topic, batch([b"a", b"b"], (990, 0, 0))) == (0, 0)
    assert put(raw, topic, batch([b"c"], (990, 0, 2))) == (0, 2)
    assert put(raw, topic, batch([b"a", b"b"], (990, 0, 0))) == (0, 0), "a repetition is answered as the first time"
    assert put(raw, topic, batch([b"x"], (990, 0, 9))) == (45, -1)
    assert put(raw, topic, batch([b"d"], (990, 1, 0))) == (0, 3)
    assert put(raw, topic, batch([b"e"], (990, 0, 3))) == (47, -1)
    assert [message.value() for message in consume(node, topic, 4)] == [b"a", b"b", b"c", b"d"]
    raw.close()


def test_what_a_request_unpacks_to_is_bounded_for_all_its_batches(node):
    topic, raw = make(node, name()), Raw(node)
    large = batch([b"\0" * 1_000_000] * 9, packed=True)
    one = struct.pack(">ii", 0, len(large)) + large
    body = struct.pack(">hhi", -1, -1, 1_000) + struct.pack(">i", 1) + struct.pack(">h", len(topic)) + topic.encode()
    raw.send(0, 3, body + struct.pack(">i", 3) + one * 3)
    answer = raw.answer()[4 + 2 + len(topic) + 4:]
    placed = [(error, offset) for _, error, offset, _ in struct.iter_unpack(">ihqq", answer[:3 * 22])]
    assert placed == [(0, 0), (10, -1), (10, -1)]
    assert put(raw, topic, batch([b"next"], packed=True)) == (0, 9)
    raw.close()


def test_what_is_asked_for_twice_is_told_once(node):
    raw, text = Raw(node), lambda value: struct.pack(">h", len(value)) + value.encode()
    group, topic = name("group"), make(node, name())
    raw.send(15, 0, struct.pack(">i", 1_000) + text(group) * 1_000)
    assert raw.answer()[:6] == struct.pack(">ih", 1, 0)
    raw.send(3, 0, struct.pack(">i", 1_000) + text(topic) * 1_000)
    answer = raw.answer()
    assert answer.count(topic.encode()) == 1
    raw.send(32, 1, struct.pack(">i", 1_000) + (struct.pack(">b", 2) + text(topic) + struct.pack(">i", -1)) * 1_000 + b"\0")
    assert raw.answer().count(topic.encode()) == 1
    raw.close()


def test_a_commit_of_nothing_makes_no_group(node):
    raw, group = Raw(node), name("group")
    text = lambda value: struct.pack(">h", len(value)) + value.encode()
    raw.send(8, 2, text(group) + struct.pack(">i", -1) + text("") + struct.pack(">q", -1) + struct.pack(">i", 0))
    raw.answer()
    raw.close()
    assert group not in [listed.group_id for listed in admin(node).list_consumer_groups().result(WAIT).valid]


def test_everything_is_there_after_a_restart():
    node = Node()
    try:
        node.start()
        topic, group = make(node, name(), 2), name("group")
        values = [b"%d" % number for number in range(100)]
        produce(node, topic, plain(values), **{"enable.idempotence": True})
        raw = Raw(node)
        assert put(raw, topic, batch([b"a"], (990, 0, 0))) == (0, 100)
        consumer = joined(node, group, [topic])
        assert len(poll(consumer, 50)) == 50
        consumer.commit(offsets=[TopicPartition(topic, 0, 40)], asynchronous=False)
        consumer.close()
        assert node.stop() == 0
        node.start()
        raw = Raw(node)
        assert put(raw, topic, batch([b"a"], (990, 0, 0)))[0] in (0, 46), "a repetition is known"
        raw.close()
        assert [message.value() for message in consume(node, topic, 101)] == values + [b"a"]
        again = joined(node, group, [topic])
        assert poll(again, 1)[0].offset() == 40
        again.close()
        [listed] = [found for found in admin(node).list_consumer_groups().result(WAIT).valid if found.group_id == group]
        assert listed
    finally:
        node.remove()


def sasl(user, password, **settings):
    return {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanisms": "PLAIN", "sasl.username": user,
            "sasl.password": password, **settings}


def test_the_development_connection_string_is_let_in(node):
    topic = make(node, name())
    secret = "Endpoint=sb://localhost;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE"
    produce(node, topic, plain([b"a"]), **sasl("$ConnectionString", secret))
    assert consume(node, topic, 1, **sasl("test", "test"))[0].value() == b"a"
    errors = []
    client = admin(node, **sasl("test", "wrong", **{"error_cb": errors.append}))
    with pytest.raises(KafkaException):
        client.list_topics(timeout=5)
    until(lambda: client.poll(0.1) or KafkaError._AUTHENTICATION in [error.code() for error in errors])


def test_a_namespace_has_topics_and_groups_of_its_own(node):
    path = "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventHub/namespaces/shop"
    made = requests.put(node.endpoint + path, json={"location": "here"}, headers={"Authorization": "Bearer any"}, timeout=WAIT)
    assert made.ok, made.text
    secret = "Endpoint=sb://shop.localhost/;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE"
    shop, topic, group = sasl("$ConnectionString", secret), name("orders"), name("group")
    admin(node, **shop).create_topics([NewTopic(topic, 1, 1)])[topic].result(WAIT)
    assert set(admin(node, **shop).list_topics(timeout=WAIT).topics) == {topic}
    assert topic not in admin(node).list_topics(timeout=WAIT).topics
    produce(node, topic, plain([b"a"]), **shop)
    consumer = joined(node, group, [topic], **shop)
    assert poll(consumer, 1)[0].value() == b"a"
    consumer.commit(asynchronous=False)
    consumer.close()
    groups = [{listed.group_id for listed in admin(node, **settings).list_consumer_groups().result(WAIT).valid}
              for settings in (shop, {})]
    assert group in groups[0] and group not in groups[1]


def test_what_a_namespace_takes_and_gives_is_its_units(node):
    node.run("create", "event-hubs-namespace", "narrow", "throughput_units=1")
    secret = "Endpoint=sb://narrow.localhost/;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE"
    narrow, topic, held = sasl("$ConnectionString", secret), name("held"), []
    admin(node, **narrow).create_topics([NewTopic(topic, 1, 1)])[topic].result(WAIT)
    values = [os.urandom(100_000) for _ in range(15)]
    # Half a second more than a second's share: nothing is refused, the client is told to wait.
    reports = produce(node, topic, plain(values), throttle_cb=held.append, **{**narrow, "linger.ms": 100})
    assert all(error is None for error, _ in reports)
    assert held and held[0].throttle_time > 0
    assert [message.value() for message in consume(node, topic, 15, **narrow)] == values


def test_a_long_key_is_a_key(node):
    topic = make(node, name())
    sent = [(0, b"k" * 129, b"a", None, None), (0, b"k" * 128, b"b", None, None)]
    produce(node, topic, sent)
    assert [message.key() for message in consume(node, topic, 2)] == [key for _, key, *_ in sent]
    keys = [event.partition_key for event in receive(node, topic, 2)]
    assert keys == [None, b"k" * 128], "no partition key of a hub is longer"


def test_rights_are_checked_topic_by_topic():
    node = Node(development=False)
    try:
        node.start()
        lines = [line.split() for line in node.run("keys").splitlines()]
        key, secret = lines[lines.index(["access", "keys", "of", "the", "root"]) + 1]
        owner = sasl(key, secret)
        for topic in ["mine", "other"]:
            admin(node, **owner).create_topics([NewTopic(topic, 1, 1)])[topic].result(WAIT)
        string = node.run("keys", "default").splitlines()[1].strip()
        produce(node, "mine", plain([b"a"]), **sasl("$ConnectionString", string))
        only_mine = sasl("$ConnectionString", string + ";EntityPath=mine")
        assert set(admin(node, **only_mine).list_topics(timeout=WAIT).topics) == {"mine"}
        assert consume(node, "mine", 1, **only_mine)[0].value() == b"a"
        other = joined(node, "group", ["other"], **only_mine)
        with pytest.raises(KafkaException) as refused:
            poll(other, 1)
        other.close()
        assert refused.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
        reader = user(node, (key, secret), "reader", ["kinesis:GetRecords", "kinesis:GetShardIterator"], "mine")
        assert consume(node, "mine", 1, **reader)[0].value() == b"a"
        connected = admin(node, **reader)
        assert set(connected.list_topics(timeout=WAIT).topics) == {"mine"}
        reports = produce(node, "mine", plain([b"x"]), **reader)
        assert reports[0][0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
        with pytest.raises(KafkaException) as refused:
            admin(node, **reader).delete_topics(["mine"])["mine"].result(WAIT)
        assert refused.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
        iam = root_iam(node, key, secret)
        iam.delete_access_key(UserName="reader", AccessKeyId=reader["sasl.username"])
        with pytest.raises(KafkaException):
            connected.list_topics(timeout=3)
        with pytest.raises(KafkaException):
            admin(node).list_topics(timeout=3)
        raw = Raw(node)
        raw.send(3, 1, struct.pack(">i", -1))
        with pytest.raises((EOFError, ConnectionError)):
            raw.answer()
        raw.close()
    finally:
        node.remove()


def root_iam(node, key, secret):
    return boto3.client("iam", endpoint_url=node.endpoint, region_name="us-east-1", aws_access_key_id=key,
                        aws_secret_access_key=secret)


def user(node, root, user, actions, stream):
    """A user who may do something with one stream."""
    iam = root_iam(node, *root)
    iam.create_user(UserName=user)
    allowed = {"Effect": "Allow", "Action": actions, "Resource": f"arn:aws:kinesis:*:*:stream/{stream}"}
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": [allowed]}))
    made = iam.create_access_key(UserName=user)["AccessKey"]
    return sasl(made["AccessKeyId"], made["SecretAccessKey"])


def test_clients_come_under_tls(tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate], check=True,
                   capture_output=True, timeout=60)
    node = Node("--tls-cert", certificate, "--tls-key", key)
    port = node.kafka_tls_port
    try:
        node.start()
        topic = make(node, name())
        tls = {"bootstrap.servers": f"localhost:{port}", "security.protocol": "SASL_SSL", "ssl.ca.location": str(certificate),
               "sasl.mechanisms": "PLAIN", "sasl.username": "test", "sasl.password": "test"}
        # The broker is found under the name that the certificate has.
        reports = produce(node, topic, plain([b"a"]), **tls)
        assert reports[0][0] is None
        assert consume(node, topic, 1, **tls)[0].value() == b"a"
    finally:
        node.remove()


def test_many_idle_connections_and_slow_readers_stand_in_nobodys_way(node):
    topic = make(node, name())
    produce(node, topic, plain([b"x" * 100_000] * 40))
    # As many as Kafka's part of the node's descriptors leaves room for.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    idle = [Raw(node) for _ in range(min(300, hard // 64 * 3 - 40) if hard != resource.RLIM_INFINITY else 300)]
    slow = [Raw(node) for _ in range(20)]
    body = struct.pack(">iiiib", -1, 0, 1, 4 << 20, 0) + struct.pack(">i", 1) + struct.pack(">h", len(topic))
    body += topic.encode() + struct.pack(">iiqi", 1, 0, 0, 4 << 20)
    for raw in slow:
        raw.send(1, 4, body)
    assert len(consume(node, topic, 40)) == 40
    for raw in idle + slow:
        raw.close()
