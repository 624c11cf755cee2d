"""How long and how much topics keep, as Kafka's clients set it: at creation, and by IncrementalAlterConfigs."""

import time

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource
from conftest import Node
from kafka_clients import QUIET, WAIT, address, admin, consume, make, name, plain, produce

RECORD = b"x" * 2_000
KEPT = 400_000
# Where a partition may begin lies some 64 KiB apart, and a batch may be as large again.
GRAIN = 150_000


@pytest.fixture(scope="module")
def node():
    node = Node()
    try:
        yield node.start()
    finally:
        node.remove()


def settings(node, topic):
    described = admin(node).describe_configs([ConfigResource("topic", topic)])
    return {name: entry.value for name, entry in next(iter(described.values())).result(WAIT).items()}


def alter(node, topic, setting, value, operation=AlterConfigOpType.SET, **options):
    change = ConfigEntry(setting, value, incremental_operation=operation)
    resource = ConfigResource("topic", topic, incremental_configs=[change])
    next(iter(admin(node).incremental_alter_configs([resource], **options).values())).result(WAIT)


def watermarks(node, topic):
    consumer = Consumer({"bootstrap.servers": address(node), **QUIET, "group.id": name("reader")})
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=WAIT)
    finally:
        consumer.close()


def enforce(node):
    """The node looks at what its streams keep when it starts, and each minute."""
    assert node.stop() == 0
    node.start()


def until_kept(node, topic, at_most, seconds=90):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        low, high = watermarks(node, topic)
        if (high - low) * len(RECORD) <= at_most:
            return low, high
        time.sleep(0.2)
    raise AssertionError((low, high))


def test_a_partition_keeps_its_bytes_and_begins_later_beyond_them(node):
    topic = make(node, name("bounded"), 1, **{"retention.bytes": str(KEPT)})
    other = make(node, name("unbounded"))
    assert settings(node, topic)["retention.bytes"] == str(KEPT) and settings(node, other)["retention.bytes"] == "-1"
    for at in (topic, other):
        for _ in range(20):
            produce(node, at, plain([RECORD] * 50))
    enforce(node)
    low, high = until_kept(node, topic, KEPT + GRAIN)
    assert high == 1_000 and (high - low) * len(RECORD) >= KEPT
    first, *_ = consume(node, topic, 1, offset=low)
    assert first.offset() == low
    with pytest.raises(KafkaException) as gone:
        consume(node, topic, 1, offset=0, **{"auto.offset.reset": "error"})
    assert gone.value.args[0].code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)
    assert watermarks(node, other) == (0, 1_000), "a topic without a limit keeps all"


def test_settings_of_a_topic_are_changed_one_by_one(node):
    topic = make(node, name("changed"), 1, **{"retention.ms": "7200000"})
    alter(node, topic, "retention.bytes", "5000000")
    assert (settings(node, topic)["retention.bytes"], settings(node, topic)["retention.ms"]) == ("5000000", "7200000")
    alter(node, topic, "retention.ms", "3600001")
    alter(node, topic, "retention.bytes", None, AlterConfigOpType.DELETE)
    assert (settings(node, topic)["retention.bytes"], settings(node, topic)["retention.ms"]) == ("-1", "7200000")
    alter(node, topic, "retention.bytes", "7", validate_only=True)
    assert settings(node, topic)["retention.bytes"] == "-1", "only looked at"
    for setting, value, operation, error in [
        ("retention.bytes", "0", AlterConfigOpType.SET, KafkaError.INVALID_CONFIG),
        ("segment.bytes", "1000000", AlterConfigOpType.SET, KafkaError.INVALID_CONFIG),
        ("cleanup.policy", "compact", AlterConfigOpType.SET, KafkaError.INVALID_CONFIG),
        ("cleanup.policy", "compact", AlterConfigOpType.APPEND, KafkaError.INVALID_CONFIG),
    ]:
        with pytest.raises(KafkaException) as refused:
            alter(node, topic, setting, value, operation)
        assert refused.value.args[0].code() == error, (setting, value)
    with pytest.raises(KafkaException) as missing:
        alter(node, name("nowhere"), "retention.bytes", "1")
    assert missing.value.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_a_pipeline_file_limits_streams_and_hubs_and_a_start_keeps_it(node):
    file = node.folder / "pipeline.toml"
    text = '[[stream]]\nname = "piped"\nretention_bytes = 400000\n\n[[event_hub]]\nname = "hubbed"\nretention_bytes = 400000\n'
    file.write_text(text)
    node.run("apply", file)
    again = node.run("apply", file)
    assert "updated" not in again and "created" not in again, again
    enforce(node)
    for topic in ("piped", "hubbed"):
        assert settings(node, topic)["retention.bytes"] == "400000"
    # What a file does not say stays as it is; 0 takes it away.
    file.write_text('[[stream]]\nname = "piped"\n\n[[event_hub]]\nname = "hubbed"\nretention_bytes = 0\n')
    node.run("apply", file)
    assert [settings(node, topic)["retention.bytes"] for topic in ("piped", "hubbed")] == ["400000", "-1"]
