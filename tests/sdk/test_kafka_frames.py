"""Frames that librdkafka does not send: broken, repeated, too large, and too many connections."""

import resource
import struct

import pytest
from kafka_clients import WAIT, admin, batch, consume, make, name, plain, produce, put, Raw


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
