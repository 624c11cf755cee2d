"""The Kinesis Client Library for Java against the node alone: its leases and coordination in DynamoDB, its metrics in CloudWatch.

Two applications read one stream, one by polling, one by enhanced fan-out, each with two workers, processes of their own. The
stream's shards are split and merged under them, then a worker of each dies. Every second time two records are put as one, as the
Kinesis Producer Library aggregates them. The applications run beside each other, because a new one waits up to 40 seconds before
it makes its leases, which no setting of the library shortens.
"""

import datetime
import subprocess
import uuid

import pytest
from java_clients import needs_java, program
from test_kinesis_aggregated import aggregated

from conftest import until

pytestmark = needs_java

KEYS = [f"key-{number}" for number in range(12)]
RETRIEVALS = ["polling", "fan-out"]
HALF = 1 << 127


class Application:
    """Two workers that print into one file: what they are given is there in the order in which they were given it."""

    def __init__(self, node, stream, retrieval, folder):
        self.node, self.stream, self.retrieval = node, stream, retrieval
        self.name = f"{stream}-{retrieval}"
        self.file = folder / retrieval
        self.workers = {}

    def start(self, worker):
        command = program("Worker", self.node.endpoint, self.name, self.stream, worker, self.retrieval)
        with open(self.file, "ab") as told:
            self.workers[worker] = subprocess.Popen(command, stdout=told, stderr=told)

    def has_index(self):
        dynamodb = self.node.client("dynamodb")
        return self.name in dynamodb.list_tables()["TableNames"] and "GlobalSecondaryIndexes" in dynamodb.describe_table(
            TableName=self.name)["Table"]

    def lines(self):
        """Words of the lines that are whole."""
        return [line.split() for line in self.file.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def counts(self):
        """How many records of each key have come, each counted once. None is left out, and none comes before its turn."""
        counts = dict.fromkeys(KEYS, 0)
        for line in self.lines():
            if line[1:2] == ["record"]:
                key, number = line[3], int(line[4])
                assert number <= counts[key], f"{number} of {key} came before {counts[key]}"
                counts[key] = max(counts[key], number + 1)
        return counts

    def has(self, count):
        for worker in self.workers.values():
            assert worker.poll() is None, self.file.read_text()
        return self.counts() == dict.fromkeys(KEYS, count)

    def is_shared(self):
        return {line[0] for line in self.lines() if line[1:2] == ["begins"]} == {"first", "second"}

    def has_ended(self, *shards):
        return {line[2] for line in self.lines() if line[1:2] == ["ended"]} >= set(shards)

    def reader(self, shard):
        """Who had a record of a shard last."""
        return [line[0] for line in self.lines() if line[1:3] == ["record", shard]][-1]

    def kill(self, name):
        worker = self.workers.pop(name)
        worker.kill()
        worker.wait(timeout=30)

    def end(self):
        for name in list(self.workers):
            self.kill(name)


class Putter:
    """Gives every key its next numbers."""

    def __init__(self, kinesis, stream):
        self.kinesis, self.stream, self.count = kinesis, stream, 0

    def put(self, rounds=4):
        for _ in range(rounds):
            plain = [(key, str(self.count).encode()) for key in KEYS]
            packed = [(key, aggregated([(key, str(self.count + more).encode()) for more in (1, 2)])) for key in KEYS]
            for records in (plain, packed):
                answer = self.kinesis.put_records(StreamName=self.stream, Records=[
                    {"PartitionKey": key, "Data": data} for key, data in records])
                assert answer["FailedRecordCount"] == 0
            self.count += 3


@pytest.fixture(scope="module")
def applications(node, tmp_path_factory):
    """Both applications behind their story."""
    kinesis = node.client("kinesis")
    stream = f"leased-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=stream, ShardCount=2)
    putter = Putter(kinesis, stream)
    folder = tmp_path_factory.mktemp("applications")
    applications = {retrieval: Application(node, stream, retrieval, folder) for retrieval in RETRIEVALS}

    def everywhere(holds):
        until(lambda: all(holds(application) for application in applications.values()))

    try:
        for application in applications.values():
            application.start("first")
        # Of two that make the table's index at once, one is refused, and the library ends that worker.
        everywhere(Application.has_index)
        for application in applications.values():
            application.start("second")
        putter.put()
        everywhere(lambda application: application.has(putter.count) and application.is_shared())
        putter.put()
        kinesis.split_shard(StreamName=stream, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(HALF // 2))
        putter.put()
        everywhere(lambda application: application.has(putter.count) and application.has_ended("shardId-000000000000"))
        putter.put()
        kinesis.merge_shards(StreamName=stream, ShardToMerge="shardId-000000000002", AdjacentShardToMerge="shardId-000000000003")
        putter.put()
        everywhere(lambda application: application.has(putter.count) and application.has_ended(
            "shardId-000000000002", "shardId-000000000003"))
        putter.put()
        for application in applications.values():
            application.kill(application.reader("shardId-000000000004"))
        putter.put()
        everywhere(lambda application: application.has(putter.count))
        yield applications
    finally:
        for application in applications.values():
            application.end()


@pytest.mark.parametrize("retrieval", RETRIEVALS)
def test_nothing_is_lost_or_out_of_order_through_a_split_a_merge_and_a_death(applications, retrieval):
    application = applications[retrieval]
    survivor, = application.workers
    assert application.is_shared()
    assert application.reader("shardId-000000000001") == application.reader("shardId-000000000004") == survivor


@pytest.mark.parametrize("retrieval", RETRIEVALS)
def test_leases_are_kept_in_dynamodb(node, applications, retrieval):
    application = applications[retrieval]
    survivor, = application.workers
    owned = node.client("dynamodb").query(
        TableName=application.name, IndexName="LeaseOwnerToLeaseKeyIndex", KeyConditionExpression="leaseOwner = :owner",
        ExpressionAttributeValues={":owner": {"S": survivor}})["Items"]
    assert {"shardId-000000000001", "shardId-000000000004"} <= {lease["leaseKey"]["S"] for lease in owned}


@pytest.mark.parametrize("retrieval", RETRIEVALS)
def test_metrics_are_kept_in_cloudwatch(node, applications, retrieval):
    cloudwatch = node.client("cloudwatch")
    namespace = applications[retrieval].name
    listed = cloudwatch.list_metrics(Namespace=namespace, MetricName="RecordsProcessed")["Metrics"]
    now = datetime.datetime.now(datetime.timezone.utc)
    for metric in listed:
        read = cloudwatch.get_metric_statistics(
            **metric, Period=60, Statistics=["Sum"], StartTime=now - datetime.timedelta(minutes=10),
            EndTime=now + datetime.timedelta(minutes=1))
        assert read["Datapoints"]
    assert listed
