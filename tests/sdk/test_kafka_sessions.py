"""Fetch sessions, topic ids and leader epochs: what the Java client and librdkafka make of them, and frames that they do not send."""

import struct

import pytest
from confluent_kafka import TopicCollection
from java_clients import needs_java
from kafka_clients import WAIT, Raw, admin, consume, make, name, plain, produce
from test_kafka_java import tool

SESSION_NOT_FOUND, WRONG_EPOCH, FENCED, UNKNOWN_EPOCH = 70, 71, 74, 75
UNKNOWN_TOPIC, UNKNOWN_ID, MIXED = 3, 100, 106


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


class Fetcher:
    """A client that fetches in version 9, where topics have names and leaders epochs."""

    def __init__(self, node):
        self.raw = Raw(node)

    def fetch(self, session, epoch, wanted=(), forgotten=(), wait=0, bytes_min=0):
        """`wanted`: `(topic, partition, offset)` or with a leader's epoch. Gives the error, the session, and what there is by
        topic and partition: error, end, bytes of records."""
        def partition(index, offset, leader_epoch=-1):
            return struct.pack(">iiqqi", index, leader_epoch, offset, -1, 1 << 20)

        body = struct.pack(">iiiibii", -1, wait, bytes_min, 1 << 20, 0, session, epoch)
        body += array([text(topic) + array([partition(*rest)]) for topic, *rest in wanted])
        body += array([text(topic) + array([struct.pack(">i", index)]) for topic, index in forgotten])
        self.raw.send(1, 9, body)
        return self.read(self.raw.answer())

    def read(self, answer):
        _, error, session, topics = struct.unpack(">ihii", answer[:14])
        at, found = 14, {}
        for _ in range(topics):
            length = struct.unpack(">h", answer[at:at + 2])[0]
            topic, at = answer[at + 2:at + 2 + length].decode(), at + 2 + length
            count, at = struct.unpack(">i", answer[at:at + 4])[0], at + 4
            for _ in range(count):
                index, wrong, end, _, _, _, size = struct.unpack(">ihqqqii", answer[at:at + 38])
                at += 38 + max(size, 0)
                found[topic, index] = wrong, end, size
        assert at == len(answer)
        return error, session, found


@pytest.fixture
def fetcher(node):
    fetcher = Fetcher(node)
    yield fetcher
    fetcher.raw.close()


def test_a_session_asks_and_tells_what_changed(node, fetcher):
    topic = make(node, name(), partitions=3)
    error, session, found = fetcher.fetch(0, 0, [(topic, index, 0) for index in range(3)])
    assert (error, found) == (0, {(topic, index): (0, 0, 0) for index in range(3)}) and session > 0
    assert fetcher.fetch(session, 1) == (0, session, {})
    produce(node, topic, plain([b"one"], partition=1))
    error, _, found = fetcher.fetch(session, 2, wait=WAIT * 1_000, bytes_min=1)
    assert error == 0 and list(found) == [(topic, 1)] and found[topic, 1][:2] == (0, 1) and found[topic, 1][2] > 0
    # Asked for again from where it goes on; another one is not asked for any more.
    produce(node, topic, plain([b"two"], partition=2))
    assert fetcher.fetch(session, 3, [(topic, 1, 1)], forgotten=[(topic, 2)]) == (0, session, {})
    produce(node, topic, plain([b"three"], partition=0))
    error, _, found = fetcher.fetch(session, 4, wait=WAIT * 1_000, bytes_min=1)
    assert list(found) == [(topic, 0)]


def test_what_goes_wrong_in_a_session_is_told_until_it_is_right(node, fetcher):
    topic, later = make(node, name()), name("later")
    _, session, found = fetcher.fetch(0, 0, [(topic, 0, 0), (later, 0, 0)])
    assert found[later, 0][0] == UNKNOWN_TOPIC
    assert list(fetcher.fetch(session, 1)[2]) == [(later, 0)]
    make(node, later)
    assert fetcher.fetch(session, 2)[2] == {(later, 0): (0, 0, 0)}
    assert fetcher.fetch(session, 3)[2] == {}


def test_who_asks_out_of_turn_is_told_to_begin_anew(node, fetcher):
    topic = make(node, name())
    assert fetcher.fetch(12_345, 1)[0] == SESSION_NOT_FOUND
    _, session, _ = fetcher.fetch(0, 0, [(topic, 0, 0)])
    assert fetcher.fetch(session, 5)[0] == WRONG_EPOCH
    assert fetcher.fetch(session, 1)[0] == 0
    assert fetcher.fetch(session, 1)[0] == WRONG_EPOCH
    assert fetcher.fetch(session, -1) == (0, 0, {})
    assert fetcher.fetch(session, 2)[0] == SESSION_NOT_FOUND
    # Without one: all is told each time.
    assert fetcher.fetch(0, -1, [(topic, 0, 0)]) == fetcher.fetch(0, -1, [(topic, 0, 0)]) == (0, 0, {(topic, 0): (0, 0, 0)})


def test_there_is_one_epoch_of_leaders(node, fetcher):
    topic = make(node, name())
    epochs = {epoch: fetcher.fetch(0, -1, [(topic, 0, 0, epoch)])[2][topic, 0][0] for epoch in (-1, 0, 1, -2)}
    assert epochs == {-1: 0, 0: 0, 1: UNKNOWN_EPOCH, -2: FENCED}


def test_sessions_of_names_and_of_ids_are_not_mixed(node, fetcher):
    topic = make(node, name())
    _, session, _ = fetcher.fetch(0, 0, [(topic, 0, 0)])
    # Version 13: the flexible encoding, topics by their ids.
    head = struct.pack(">hhih", 1, 13, 7, -1) + b"\0"
    body = struct.pack(">iiiibii", -1, 0, 0, 1 << 20, 0, session, 1) + b"\1\1\1\0"
    fetcher.raw.socket.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
    tags, _, error = struct.unpack(">bih", fetcher.raw.answer()[:7])
    assert (tags, error) == (0, MIXED)


def test_an_id_that_is_none_is_told(fetcher):
    head = struct.pack(">hhih", 1, 13, 7, -1) + b"\0"
    partition = struct.pack(">iiqiqi", 0, -1, 0, -1, -1, 1 << 20) + b"\0"
    body = struct.pack(">iiiibii", -1, 0, 0, 1 << 20, 0, 0, -1) + b"\2" + b"\7" * 16 + b"\2" + partition + b"\0" + b"\1\1\0"
    fetcher.raw.socket.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
    answer = fetcher.raw.answer()
    assert answer[11:12] == b"\2" and answer[12:28] == b"\7" * 16
    assert struct.unpack(">ih", answer[29:35]) == (0, UNKNOWN_ID)


def test_a_topic_that_is_made_anew_has_another_id(node):
    def topic_id(topic):
        return admin(node).describe_topics(TopicCollection([topic]))[topic].result(WAIT).topic_id

    topic = make(node, name())
    first = topic_id(topic)
    assert str(first) == str(topic_id(topic)) and first.get_most_significant_bits() != 0
    produce(node, topic, plain([b"old"]))
    assert [message.value() for message in consume(node, topic, 1)] == [b"old"]
    admin(node).delete_topics([topic])[topic].result(WAIT)
    make(node, topic)
    assert str(topic_id(topic)) != str(first)
    produce(node, topic, plain([b"new"]))
    assert [message.value() for message in consume(node, topic, 1)] == [b"new"]


@needs_java
def test_the_java_client_goes_on_in_its_session(node):
    topic = name("java")
    tool(node, "TopicCommand", "--create", "--topic", topic, "--partitions", "3")
    assert "TopicId: " in tool(node, "TopicCommand", "--describe", "--topic", topic)
    tool(node, "ConsoleProducer", "--topic", topic, stdin="".join(f"{number}\n" for number in range(500)))
    told = tool(node, "consumer.ConsoleConsumer", "--topic", topic, "--from-beginning", "--max-messages", "500",
                "--timeout-ms", "30000", "--consumer-property", "max.partition.fetch.bytes=1000",
                options=["-Dorg.slf4j.simpleLogger.log.org.apache.kafka.clients.FetchSessionHandler=debug"])
    assert {line for line in told.splitlines() if line.isdigit()} == {str(number) for number in range(500)}
    assert "sent an incremental fetch response" in told
    assert "FETCH_SESSION" not in told
