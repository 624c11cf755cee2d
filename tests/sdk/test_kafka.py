"""Kafka with librdkafka's own client: records, topics, and the same records by the other protocols."""

import json
import time

import pytest
from azure.eventhub import EventData, EventHubProducerClient
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import ConfigResource, NewPartitions, NewTopic
from conftest import Node
from kafka_clients import QUIET, WAIT, address, admin, batch, consume, joined, make, name, plain, poll, produce, producer, put, Raw, receive
from peers import hubs_connection_string

CODECS = ["gzip", "snappy", "lz4", "zstd", "none"]


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


def test_a_long_key_is_a_key(node):
    topic = make(node, name())
    sent = [(0, b"k" * 129, b"a", None, None), (0, b"k" * 128, b"b", None, None)]
    produce(node, topic, sent)
    assert [message.key() for message in consume(node, topic, 2)] == [key for _, key, *_ in sent]
    keys = [event.partition_key for event in receive(node, topic, 2)]
    assert keys == [None, b"k" * 128], "no partition key of a hub is longer"
