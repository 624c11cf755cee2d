"""Kafka with the Java client: the console tools of Apache Kafka, which `./test` puts into `.deps/java`."""

import json
import subprocess
import uuid

import pytest
from conftest import until
from java_clients import LIBRARIES, needs_java
from kafka_clients import WAIT, admin, produce

TOOLS = "org.apache.kafka.tools"

pytestmark = needs_java


def tool(node, name, *arguments, stdin="", broker=True, options=()):
    where = ["--bootstrap-server", f"127.0.0.1:{node.kafka_port}"] if broker else []
    command = ["java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", *options, "-cp", f"{LIBRARIES}/*", f"{TOOLS}.{name}", *where]
    done = subprocess.run([*command, *arguments], input=stdin, capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


@pytest.fixture
def topic(node):
    topic = f"java-{uuid.uuid4().hex[:8]}"
    assert f"Created topic {topic}" in tool(node, "TopicCommand", "--create", "--topic", topic, "--partitions", "3")
    return topic


def test_topics(node, topic):
    described = tool(node, "TopicCommand", "--describe", "--topic", topic)
    assert "PartitionCount: 3" in described and "retention.ms=604800000" in described
    assert "already" in tool(node, "TopicCommand", "--create", "--topic", topic)
    tool(node, "TopicCommand", "--alter", "--topic", topic, "--partitions", "5")
    assert "PartitionCount: 5" in tool(node, "TopicCommand", "--describe", "--topic", topic)
    tool(node, "TopicCommand", "--delete", "--topic", topic)
    assert topic not in tool(node, "TopicCommand", "--list")


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_produce_consume_and_groups(node, topic, codec):
    lines = "".join(f"{number}\n" for number in range(1_000))
    tool(node, "ConsoleProducer", "--topic", topic, "--compression-codec", codec, stdin=lines)
    group = f"group-{topic}"
    consumed = tool(node, "consumer.ConsoleConsumer", "--topic", topic, "--group", group, "--from-beginning",
                    "--max-messages", "1000", "--timeout-ms", "30000")
    assert sorted(int(line) for line in consumed.split() if line.isdigit() and len(line) < 4) == list(range(1_000))
    described = [line.split() for line in tool(node, "consumer.group.ConsumerGroupCommand", "--describe", "--group",
                                               group).splitlines()]
    places = {line[2]: line[3:6] for line in described if line[:1] == [group]}
    assert sum(int(offset) for offset, _, _ in places.values()) == 1_000
    assert all(offset == end and lag == "0" for offset, end, lag in places.values())
    ends = tool(node, "GetOffsetShell", "--topic", topic)
    assert sum(int(line.split(":")[2]) for line in ends.splitlines() if line.startswith(topic)) == 1_000


def test_transactions_are_refused(node, topic):
    refused = tool(node, "ProducerPerformance", "--topic", topic, "--num-records", "10", "--record-size", "20", "--throughput",
                   "-1", "--producer-props", f"bootstrap.servers=127.0.0.1:{node.kafka_port}", "--transactional-id", "t",
                   broker=False)
    assert "TransactionalIdAuthorizationException" in refused


def test_records_are_deleted_up_to_an_offset(node, topic, tmp_path):
    tool(node, "ConsoleProducer", "--topic", topic, "--producer-property", "partitioner.class="
         "org.apache.kafka.clients.producer.RoundRobinPartitioner", stdin="".join(f"{number}\n" for number in range(30)))
    ends = {line.split(":")[1]: int(line.split(":")[2]) for line in tool(node, "GetOffsetShell", "--topic", topic).splitlines()
            if line.startswith(topic)}
    partition = max(ends, key=ends.get)
    file = tmp_path / "offsets.json"
    file.write_text(json.dumps({"version": 1, "partitions": [
        {"topic": topic, "partition": int(partition), "offset": ends[partition] - 1}]}))
    told = tool(node, "DeleteRecordsCommand", "--offset-json-file", str(file))
    assert f"low_watermark: {ends[partition] - 1}" in told
    left = tool(node, "GetOffsetShell", "--topic-partitions", f"{topic}:{partition}", "--time", "earliest")
    assert f"{topic}:{partition}:{ends[partition] - 1}" in left


def test_a_fixed_member_comes_back_in_its_place(node, topic):
    """It ends without leaving; the next one of its name need not wait until its session is over, which is longer than the test."""
    def consume(count):
        return tool(node, "consumer.ConsoleConsumer", "--topic", topic, "--group", f"group-{topic}", "--from-beginning",
                    "--max-messages", str(count), "--timeout-ms", "30000", "--consumer-property", "group.instance.id=one",
                    "--consumer-property", "session.timeout.ms=600000", "--consumer-property", "max.poll.records=10")

    tool(node, "ConsoleProducer", "--topic", topic, stdin="".join(f"{number}\n" for number in range(20)))
    first = [int(line) for line in consume(20).splitlines() if line.isdigit()]
    assert sorted(first) == list(range(20))
    tool(node, "ConsoleProducer", "--topic", topic, stdin="".join(f"{number}\n" for number in range(20, 30)))
    assert sorted(int(line) for line in consume(10).splitlines() if line.isdigit()) == list(range(20, 30))


def test_a_group_goes_on_when_its_leader_disappears(node, topic, tmp_path):
    """Killed, it says nothing: the other one notices that it has to join anew, leads and reads all partitions."""
    group, consumers = f"group-{topic}", []

    def consumer(number):
        command = ["java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{LIBRARIES}/*",
                   f"{TOOLS}.consumer.ConsoleConsumer", "--bootstrap-server", f"127.0.0.1:{node.kafka_port}", "--topic", topic,
                   "--group", group, "--from-beginning", "--consumer-property", "session.timeout.ms=6000",
                   "--consumer-property", "heartbeat.interval.ms=500"]
        with open(tmp_path / str(number), "wb") as told:
            consumers.append(subprocess.Popen(command, stdout=told, stderr=subprocess.DEVNULL))

    def shares():
        """How many partitions each member has, once all have some."""
        described = admin(node).describe_consumer_groups([group])[group].result(WAIT)
        found = [len(member.assignment.topic_partitions) for member in described.members]
        return sorted(found) if sum(found) == 3 else None

    def lines(number):
        return {line for line in (tmp_path / str(number)).read_text().split() if line.isdigit()}

    try:
        consumer(1)
        until(lambda: shares() == [3])
        consumer(2)
        until(lambda: shares() == [1, 2])
        consumers[0].kill()
        consumers[0].wait(WAIT)
        until(lambda: shares() == [3])
        produce(node, topic, [(number % 3, None, b"%d" % number, None, None) for number in range(30)])
        until(lambda: lines(2) == {str(number) for number in range(30)})
    finally:
        for process in consumers:
            process.kill()
            process.wait(WAIT)
