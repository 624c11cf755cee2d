"""Event source mappings through boto3: streams and queues to functions that really run.

Functions write what they get into a table, one item an invocation, so that a test can see the batches in their order.
"""

import base64
import json
import re
import time
import uuid
from datetime import datetime

import pytest
from botocore.exceptions import ClientError
from conftest import Node, let_topics, package, until

ROLE = "arn:aws:iam::000000000000:role/any"
ACCOUNT = "us-east-1:000000000000"

# `mode` of the environment says what the function does with a record whose data begins with `bad`.
CODE = """
import base64, json, os, time
import boto3

table = boto3.client("dynamodb")

def text(record):
    if "dynamodb" in record:
        return json.dumps(record)
    return base64.b64decode(record["kinesis"]["data"]).decode() if "kinesis" in record else record["body"]

def identifier(record):
    return record["kinesis"]["sequenceNumber"] if "kinesis" in record else record["messageId"]

def handler(event, context):
    texts = [text(record) for record in event["Records"]]
    first = event["Records"][0]
    table.put_item(TableName=os.environ["TABLE"], Item={
        "function": {"S": context.function_name}, "at": {"S": "%020d" % time.time_ns()},
        "texts": {"S": json.dumps(texts)}, "record": {"S": json.dumps(first)}})
    bad = [record for record in event["Records"] if text(record).startswith("bad")]
    mode = os.environ.get("MODE", "fail")
    if bad and mode == "fail":
        raise ValueError("a bad record")
    if mode == "report":
        return {"batchItemFailures": [{"itemIdentifier": identifier(record)} for record in bad]}
    if mode == "nonsense":
        return {"batchItemFailures": [{"itemIdentifier": "none of them"}]}
    if mode == "slow":
        time.sleep(1)
"""


class World:
    """A node, its clients, and what tests make on it."""

    def __init__(self, node):
        self.node = node
        self.connect()
        self.table = "seen"
        self.dynamodb.create_table(
            TableName=self.table, BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "function", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ["function", "at"]])

    def connect(self):
        self.awslambda, self.kinesis = self.node.client("lambda"), self.node.client("kinesis")
        self.sqs, self.dynamodb = self.node.client("sqs"), self.node.client("dynamodb")

    def function(self, mode="fail", timeout=20):
        name = f"f-{uuid.uuid4().hex[:8]}"
        self.awslambda.create_function(
            FunctionName=name, Runtime="python3.11", Handler="app.handler", Role=ROLE, Code={"ZipFile": package({"app.py": CODE})},
            Timeout=timeout, Environment={"Variables": {"TABLE": self.table, "MODE": mode}})
        return name

    def stream(self, shards=1):
        name = f"s-{uuid.uuid4().hex[:8]}"
        self.kinesis.create_stream(StreamName=name, ShardCount=shards)
        return name, f"arn:aws:kinesis:{ACCOUNT}:stream/{name}"

    def queue(self, **attributes):
        name = f"q-{uuid.uuid4().hex[:8]}"
        url = self.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "30", **attributes})["QueueUrl"]
        return url, f"arn:aws:sqs:{ACCOUNT}:{name}"

    def put(self, stream, texts, key=lambda text: "k"):
        for at in range(0, len(texts), 500):
            records = [{"Data": text.encode(), "PartitionKey": key(text)} for text in texts[at:at + 500]]
            assert self.kinesis.put_records(StreamName=stream, Records=records)["FailedRecordCount"] == 0

    def map(self, function, arn, enabled=True, **parameters):
        if ":sqs:" not in arn:
            parameters.setdefault("StartingPosition", "TRIM_HORIZON")
        made = self.awslambda.create_event_source_mapping(
            FunctionName=function, EventSourceArn=arn, Enabled=enabled, **parameters)
        self.state(made["UUID"], "Enabled" if enabled else "Disabled")
        return made["UUID"]

    def state(self, mapping, state):
        return until(lambda: (found := self.get(mapping))["State"] == state and found)

    def get(self, mapping):
        return self.awslambda.get_event_source_mapping(UUID=mapping)

    def batches(self, function):
        """The texts of each invocation, in the order of the invocations."""
        return [json.loads(item["texts"]["S"]) for item in self.items(function)]

    def items(self, function):
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.table, ConsistentRead=True, KeyConditionExpression="#f = :f",
            ExpressionAttributeNames={"#f": "function"}, ExpressionAttributeValues={":f": {"S": function}})
        return [item for page in pages for item in page["Items"]]

    def wait_for(self, function, texts):
        """Waits until the function has had all of these; gives its batches."""
        def all_there():
            batches = self.batches(function)
            return set(texts) <= {text for batch in batches for text in batch} and batches
        return until(all_there)

    def messages(self, url):
        got = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1,
                                       AttributeNames=["All"]).get("Messages", [])
        for message in got:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in got]


@pytest.fixture(scope="module")
def world():
    node = Node(settings="mapping_retry_ms = [20, 200]\n")
    try:
        yield World(node.start())
    finally:
        node.remove()


def error(call, **parameters):
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    answer = raised.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_records_come_in_order_of_their_shard_in_batches_of_their_size(world):
    function, (stream, arn) = world.function(), world.stream(shards=3)
    texts = [f"{key}-{n:04}" for n in range(60) for key in "abcdef"]
    world.put(stream, texts, key=lambda text: text[0])
    mapping = world.map(function, arn, BatchSize=25)
    batches = world.wait_for(function, texts)
    assert all(len(batch) <= 25 for batch in batches) and sum(map(len, batches)) == len(texts)
    for key in "abcdef":
        assert [text for batch in batches for text in batch if text[0] == key] == [t for t in texts if t[0] == key]
    found = until(lambda: (found := world.get(mapping))["LastProcessingResult"] == "OK" and found)
    assert (found["BatchSize"], found["FunctionArn"]) == (25, f"arn:aws:lambda:{ACCOUNT}:function:{function}")
    record = json.loads(world.items(function)[0]["record"]["S"])
    assert record["eventSource"] == "aws:kinesis" and record["eventSourceARN"] == arn
    assert record["eventID"] == f"shardId-{int(record['eventID'][8:20]):012}:{record['kinesis']['sequenceNumber']}"
    assert record["invokeIdentityArn"] == ROLE and record["kinesis"]["kinesisSchemaVersion"] == "1.0"
    assert abs(record["kinesis"]["approximateArrivalTimestamp"] - time.time()) < 120


def test_a_window_gathers_what_comes_one_by_one(world):
    function, (stream, arn) = world.function(), world.stream()
    world.map(function, arn, BatchSize=100, MaximumBatchingWindowInSeconds=2)
    texts = [f"t{n}" for n in range(10)]
    for text in texts:
        world.put(stream, [text])
    batches = world.wait_for(function, texts)
    assert sum(batches, []) == texts and len(batches) < len(texts)


def test_reading_begins_where_it_is_told_to(world):
    stream, arn = world.stream()
    world.put(stream, ["old"])
    time.sleep(0.1)
    middle = time.time()
    time.sleep(0.1)
    world.put(stream, ["middle"])
    functions = {position: world.function() for position in ["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"]}
    for position, function in functions.items():
        more = {"StartingPositionTimestamp": middle} if position == "AT_TIMESTAMP" else {}
        mapping = world.map(function, arn, StartingPosition=position, **more)
        assert world.get(mapping)["StartingPosition"] == position
    world.put(stream, ["new"])
    expected = {"TRIM_HORIZON": ["old", "middle", "new"], "LATEST": ["new"], "AT_TIMESTAMP": ["middle", "new"]}
    for position, function in functions.items():
        batches = world.wait_for(function, ["new"])
        assert [text for batch in batches for text in batch] == expected[position], position


def test_what_fails_is_tried_again_and_then_told_of(world):
    function, (stream, arn), (url, queue) = world.function(), world.stream(), world.queue()
    mapping = world.map(function, arn, enabled=False, BatchSize=3, MaximumRetryAttempts=2,
                        DestinationConfig={"OnFailure": {"Destination": queue}})
    world.put(stream, ["a", "bad", "b", "c"])
    world.awslambda.update_event_source_mapping(UUID=mapping, Enabled=True)
    batches = world.wait_for(function, ["c"])
    assert batches == [["a", "bad", "b"]] * 3 + [["c"]]
    document, = until(lambda: world.messages(url))
    batch, context = document["KinesisBatchInfo"], document["requestContext"]
    assert (batch["batchSize"], batch["shardId"], batch["streamArn"]) == (3, "shardId-000000000000", arn)
    assert batch["startSequenceNumber"] < batch["endSequenceNumber"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("RetryAttemptsExhausted", 3)
    assert document["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert world.get(mapping)["DestinationConfig"] == {"OnFailure": {"Destination": queue}}


def test_a_topic_is_told_of_what_is_given_up(world):
    function, (stream, arn), (url, queue) = world.function(), world.stream(), world.queue()
    sns = world.node.client("sns")
    topic = sns.create_topic(Name=f"t-{uuid.uuid4().hex[:8]}")["TopicArn"]
    let_topics(world.sqs, url, queue)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    world.put(stream, ["bad"])
    mapping = world.map(function, arn, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": topic}})
    document, = until(lambda: world.messages(url))
    assert document["KinesisBatchInfo"]["batchSize"] == 1
    assert world.get(mapping)["DestinationConfig"]["OnFailure"]["Destination"] == topic


def test_a_batch_is_split_until_the_bad_record_is_alone(world):
    function, (stream, arn), (url, queue) = world.function(), world.stream(), world.queue()
    texts = [f"t{n}" for n in range(15)] + ["bad"] + [f"u{n}" for n in range(16)]
    world.put(stream, texts)
    world.map(function, arn, BatchSize=32, MaximumRetryAttempts=1, BisectBatchOnFunctionError=True,
              DestinationConfig={"OnFailure": {"Destination": queue}})
    document, = until(lambda: world.messages(url))
    assert document["KinesisBatchInfo"]["batchSize"] == 1
    world.wait_for(function, texts)
    done = [text for batch in world.batches(function) if "bad" not in batch for text in batch]
    assert done == [text for text in texts if text != "bad"]
    assert world.batches(function).count(["bad"]) == 2


def test_a_bucket_gets_what_failed_with_its_records(world):
    function, (stream, arn) = world.function(), world.stream()
    bucket = f"letters-{uuid.uuid4().hex[:8]}"
    mapping = world.map(function, arn, MaximumRetryAttempts=0,
                        DestinationConfig={"OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"}})
    assert world.get(mapping)["DestinationConfig"] == {"OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"}}
    world.put(stream, ["bad", "b"])
    folder = world.node.data / "objects" / bucket
    (found,) = until(lambda: [path for path in folder.rglob("*") if path.is_file()])
    key = str(found.relative_to(folder))
    pattern = rf"aws/lambda/{mapping}/shardId-000000000000/(\d{{4}}/\d\d/\d\d)/\d{{4}}-\d\d-\d\dT\d\d\.\d\d\.\d\d-[0-9a-f-]{{36}}"
    assert re.fullmatch(pattern, key), key
    document = json.loads(found.read_text())
    assert document["requestContext"]["condition"] == "RetryAttemptsExhausted" and document["KinesisBatchInfo"]["batchSize"] == 2
    records = json.loads(document["payload"])["Records"]
    assert [base64.b64decode(record["kinesis"]["data"]) for record in records] == [b"bad", b"b"]


WINDOWS = """
import base64, json, os
import boto3

sqs = boto3.client("sqs")

def handler(event, context):
    state = event["state"]
    for record in event["Records"]:
        text = base64.b64decode(record["kinesis"]["data"]).decode()
        state[text] = state.get(text, 0) + 1
    if event["isFinalInvokeForWindow"]:
        sqs.send_message(QueueUrl=os.environ["QUEUE"], MessageBody=json.dumps(event))
    return {"state": state}
"""


def test_a_window_hands_its_state_on_and_is_told_of_its_end(world):
    name, (stream, arn), (url, _) = f"w-{uuid.uuid4().hex[:8]}", world.stream(), world.queue()
    world.awslambda.create_function(
        FunctionName=name, Runtime="python3.11", Handler="app.handler", Role=ROLE, Code={"ZipFile": package({"app.py": WINDOWS})},
        Timeout=20, Environment={"Variables": {"QUEUE": url}})
    mapping = world.map(name, arn, TumblingWindowInSeconds=2, BatchSize=3)
    assert world.get(mapping)["TumblingWindowInSeconds"] == 2
    sent = [f"t{n % 3}" for n in range(20)]
    for text in sent:
        world.put(stream, [text])
    ends, counts = [], {}

    def taken():
        for message in world.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
            world.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            ends.append(json.loads(message["Body"]))
            for text, count in ends[-1]["state"].items():
                counts[text] = counts.get(text, 0) + count
        return sum(counts.values()) >= len(sent)

    until(taken)
    assert counts == {text: sent.count(text) for text in set(sent)}
    starts = [end["window"]["start"] for end in ends]
    assert starts == sorted(set(starts)) and all(end["Records"] == [] for end in ends)
    assert not any(end["isWindowTerminatedEarly"] for end in ends)
    assert (ends[0]["eventSourceARN"], ends[0]["shardId"]) == (arn, "shardId-000000000000")
    begin, end = (ends[0]["window"][name] for name in ["start", "end"])
    assert (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() == 2


def test_a_function_says_from_which_record_on_it_failed(world):
    function, (stream, arn), (url, queue) = world.function("report"), world.stream(), world.queue()
    world.put(stream, ["a", "b", "bad", "c"])
    mapping = world.map(function, arn, MaximumRetryAttempts=1, FunctionResponseTypes=["ReportBatchItemFailures"],
                        DestinationConfig={"OnFailure": {"Destination": queue}})
    document, = until(lambda: world.messages(url))
    assert document["KinesisBatchInfo"]["batchSize"] == 2
    assert world.batches(function) == [["a", "b", "bad", "c"], ["bad", "c"]]
    world.put(stream, ["d"])
    assert world.wait_for(function, ["d"])[-1] == ["d"]
    assert world.get(mapping)["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_with_splitting_too_only_the_bad_record_is_given_up(world):
    function, (stream, arn), (url, queue) = world.function("report"), world.stream(), world.queue()
    texts = ["a", "b", "bad", "c", "d"]
    world.put(stream, texts)
    world.map(function, arn, MaximumRetryAttempts=0, FunctionResponseTypes=["ReportBatchItemFailures"],
              BisectBatchOnFunctionError=True, DestinationConfig={"OnFailure": {"Destination": queue}})
    document, = until(lambda: world.messages(url))
    assert document["KinesisBatchInfo"]["batchSize"] == 1
    assert world.wait_for(function, ["d"])[-1][-1] == "d"


def test_an_answer_that_names_no_record_of_the_batch_is_a_failure_of_all_of_it(world):
    function, (stream, arn), (url, queue) = world.function("nonsense"), world.stream(), world.queue()
    world.put(stream, ["a", "b"])
    world.map(function, arn, MaximumRetryAttempts=1, FunctionResponseTypes=["ReportBatchItemFailures"],
              DestinationConfig={"OnFailure": {"Destination": queue}})
    document, = until(lambda: world.messages(url))
    assert document["KinesisBatchInfo"]["batchSize"] == 2
    assert world.batches(function) == [["a", "b"]] * 2


def test_one_shard_does_not_hold_up_another(world):
    function, (stream, arn) = world.function(), world.stream(shards=2)
    hashes = {"bad": "0", "good": str(2 ** 127 + 5)}
    world.map(function, arn)
    for data in ["bad", "good"]:
        world.kinesis.put_record(StreamName=stream, Data=data.encode(), PartitionKey="k", ExplicitHashKey=hashes[data])
    world.wait_for(function, ["good"])
    until(lambda: world.batches(function).count(["bad"]) > 3)
    world.kinesis.put_record(StreamName=stream, Data=b"behind", PartitionKey="k", ExplicitHashKey="1")
    world.kinesis.put_record(StreamName=stream, Data=b"more", PartitionKey="k", ExplicitHashKey=hashes["good"])
    world.wait_for(function, ["more"])
    assert ["behind"] not in world.batches(function)


def test_lanes_of_a_shard_keep_the_order_of_each_key(world):
    function, (stream, arn) = world.function(), world.stream()
    texts = [f"{key}{n:03}" for n in range(40) for key in "abcdefgh"]
    world.put(stream, texts, key=lambda text: text[0])
    mapping = world.map(function, arn, BatchSize=20, ParallelizationFactor=4)
    batches = world.wait_for(function, texts)
    assert sum(map(len, batches)) == len(texts)
    for key in "abcdefgh":
        assert [text for batch in batches for text in batch if text[0] == key] == [t for t in texts if t[0] == key]
    world.awslambda.update_event_source_mapping(UUID=mapping, ParallelizationFactor=2)
    assert world.state(mapping, "Enabled")["ParallelizationFactor"] == 2
    world.put(stream, ["later"])
    world.wait_for(function, ["later"])


def test_only_what_matches_a_filter_comes(world):
    function, (stream, arn) = world.function(), world.stream()
    pattern = json.dumps({"data": {"symbol": [{"prefix": "MS"}], "price": [{"numeric": [">", 100]}]}})
    mapping = world.map(function, arn, FilterCriteria={"Filters": [{"Pattern": pattern}]})
    trades = [json.dumps({"symbol": symbol, "price": price}) for symbol in ["MSFT", "AMZN"] for price in [99, 101]]
    world.put(stream, trades + ["no json"])
    assert world.wait_for(function, [trades[1]]) == [[trades[1]]]
    assert world.get(mapping)["FilterCriteria"] == {"Filters": [{"Pattern": pattern}]}
    world.awslambda.update_event_source_mapping(UUID=mapping, FilterCriteria={})
    assert "FilterCriteria" not in world.state(mapping, "Enabled")
    world.put(stream, ["no json either"])
    world.wait_for(function, ["no json either"])


def test_what_is_disabled_waits_and_goes_on_where_it_was(world):
    function, (stream, arn) = world.function(), world.stream()
    mapping = world.map(function, arn)
    world.put(stream, ["a"])
    world.wait_for(function, ["a"])
    answer = world.awslambda.update_event_source_mapping(UUID=mapping, Enabled=False)
    assert answer["State"] == "Disabling"
    world.state(mapping, "Disabled")
    world.put(stream, ["b"])
    time.sleep(1)
    assert world.batches(function) == [["a"]]
    assert world.awslambda.update_event_source_mapping(UUID=mapping, Enabled=True)["State"] == "Enabling"
    assert world.wait_for(function, ["b"]) == [["a"], ["b"]]


def test_mappings_are_listed_changed_and_deleted(world):
    function, other = world.function(), world.function()
    streams = [world.stream() for _ in range(3)]
    mappings = [world.map(function, arn) for _, arn in streams]
    lists = world.awslambda.list_event_source_mappings
    assert {m["UUID"] for m in lists(FunctionName=function)["EventSourceMappings"]} == set(mappings)
    by_source = lists(EventSourceArn=streams[1][1])["EventSourceMappings"]
    assert [m["UUID"] for m in by_source] == [mappings[1]]
    pages = world.awslambda.get_paginator("list_event_source_mappings").paginate(
        FunctionName=f"arn:aws:lambda:{ACCOUNT}:function:{function}", PaginationConfig={"PageSize": 2})
    pages = [[m["UUID"] for m in page["EventSourceMappings"]] for page in pages]
    assert [len(page) for page in pages] == [2, 1] and sorted(sum(pages, [])) == sorted(mappings)

    code, message, status = error(world.awslambda.create_event_source_mapping, FunctionName=function,
                                  EventSourceArn=streams[0][1], StartingPosition="LATEST")
    assert (code, status) == ("ResourceConflictException", 409) and mappings[0] in message
    answer = world.awslambda.update_event_source_mapping(UUID=mappings[0], FunctionName=other, BatchSize=7)
    assert (answer["State"], answer["BatchSize"]) == ("Updating", 7)
    assert world.state(mappings[0], "Enabled")["FunctionArn"].endswith(other)

    assert world.awslambda.delete_event_source_mapping(UUID=mappings[0])["State"] == "Deleting"
    def gone():
        try:
            return world.get(mappings[0])["State"] != "Deleting"
        except ClientError as missing:
            return missing.response["Error"]["Code"] == "ResourceNotFoundException"
    until(gone)
    code, message, status = error(world.awslambda.delete_event_source_mapping, UUID=mappings[0])
    assert (code, status) == ("ResourceNotFoundException", 404)


def test_messages_of_a_queue_are_deleted_when_the_function_has_them(world):
    function, (url, arn) = world.function(), world.queue()
    mapping = world.map(function, arn)
    world.sqs.send_message(QueueUrl=url, MessageBody="one", MessageAttributes={
        "n": {"DataType": "Number", "StringValue": "7"}})
    record = json.loads(until(lambda: world.items(function))[0]["record"]["S"])
    assert (record["eventSource"], record["eventSourceARN"], record["body"]) == ("aws:sqs", arn, "one")
    assert record["messageAttributes"]["n"]["stringValue"] == "7"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    world.sqs.delete_message(QueueUrl=url, ReceiptHandle=record["receiptHandle"])
    texts = [f"m{n}" for n in range(40)]
    for at in range(0, 40, 10):
        world.sqs.send_message_batch(QueueUrl=url, Entries=[
            {"Id": text, "MessageBody": text} for text in texts[at:at + 10]])
    batches = world.wait_for(function, texts)
    assert all(len(batch) <= 10 for batch in batches) and sum(map(len, batches)) == 41

    def counts():
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        return world.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    until(lambda: set(counts().values()) == {"0"})
    found = world.get(mapping)
    assert (found["BatchSize"], found["StateTransitionReason"]) == (10, "USER_INITIATED")
    assert "MaximumRetryAttempts" not in found


def test_messages_that_fail_come_again_and_end_in_the_dead_letter_queue(world):
    dead_url, dead = world.queue()
    redrive = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 2})
    function = world.function("report", timeout=5)
    url, arn = world.queue(VisibilityTimeout="6", RedrivePolicy=redrive)
    for body in ["a", "bad", "b"]:
        world.sqs.send_message(QueueUrl=url, MessageBody=body)
    world.map(function, arn, FunctionResponseTypes=["ReportBatchItemFailures"])
    letter = until(lambda: world.sqs.receive_message(QueueUrl=dead_url, WaitTimeSeconds=1).get("Messages"))
    assert [message["Body"] for message in letter] == ["bad"]
    texts = sum(world.batches(function), [])
    assert (texts.count("bad"), texts.count("a"), texts.count("b")) == (2, 1, 1)


def test_a_window_gathers_messages_into_large_batches(world):
    function, (url, arn) = world.function(), world.queue()
    mapping = world.map(function, arn, BatchSize=1000, MaximumBatchingWindowInSeconds=2,
                        ScalingConfig={"MaximumConcurrency": 2},
                        FilterCriteria={"Filters": [{"Pattern": json.dumps({"body": {"n": [{"exists": True}]}})}]})
    texts = [json.dumps({"n": n}) for n in range(30)]
    for at in range(0, 30, 10):
        world.sqs.send_message_batch(QueueUrl=url, Entries=[
            {"Id": str(n), "MessageBody": texts[n]} for n in range(at, at + 10)])
    world.sqs.send_message(QueueUrl=url, MessageBody="filtered out")
    batches = world.wait_for(function, texts)
    assert len(batches) <= 6 and sorted(sum(batches, [])) == sorted(texts)
    assert world.get(mapping)["ScalingConfig"] == {"MaximumConcurrency": 2}


def test_a_restart_goes_on_without_loss(world):
    function, (stream, arn), (url, queue) = world.function("slow"), world.stream(shards=2), world.queue()
    first = [f"a{n:03}" for n in range(200)]
    mapping = world.map(function, arn, BatchSize=20)
    queued = world.map(function, queue)
    world.put(stream, first, key=lambda text: text)
    world.sqs.send_message(QueueUrl=url, MessageBody="message")
    until(lambda: world.batches(function))
    assert world.node.stop() == 0
    world.node.start()
    world.connect()
    second = [f"b{n:03}" for n in range(50)]
    world.put(stream, second, key=lambda text: text)
    batches = world.wait_for(function, first + second + ["message"])
    assert sum(map(len, batches)) <= 251 + 2 * 20 + 1
    assert world.get(mapping)["State"] == "Enabled" and world.get(queued)["State"] == "Enabled"


def test_what_is_wrong_is_told_in_the_services_words(world):
    function, (_, arn), (url, queue) = world.function(), world.stream(), world.queue()
    create = world.awslambda.create_event_source_mapping
    invalid = "InvalidParameterValueException"
    latest = {"StartingPosition": "LATEST"}
    for parameters, expected, words in [
        ({"EventSourceArn": arn}, invalid, "'startingPosition'"),
        ({}, invalid, "Unrecognized event source"),
        ({"EventSourceArn": f"arn:aws:s3:{ACCOUNT}:x"}, invalid, "Unrecognized event source"),
        ({"EventSourceArn": arn + "x", **latest}, invalid, "Stream not found"),
        ({"EventSourceArn": queue + "x"}, invalid, "NonExistentQueue"),
        ({"EventSourceArn": arn, **latest, "BatchSize": 10_001}, "ValidationException", "'batchSize'"),
        ({"EventSourceArn": arn, "StartingPosition": "SOMEWHERE"}, "ValidationException", "'startingPosition'"),
        ({"EventSourceArn": arn, "StartingPosition": "AT_TIMESTAMP"}, invalid, "timestamp"),
        ({"EventSourceArn": arn, "StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": time.time() + 900},
         invalid, "future"),
        ({"EventSourceArn": arn, **latest, "MaximumRecordAgeInSeconds": 59}, invalid, "MaximumRecordAgeInSeconds"),
        ({"EventSourceArn": arn, **latest, "TumblingWindowInSeconds": 901}, "ValidationException", "'tumblingWindowInSeconds'"),
        ({"EventSourceArn": arn, **latest, "TumblingWindowInSeconds": 5, "ParallelizationFactor": 2}, invalid, "parallelization"),
        ({"EventSourceArn": arn, **latest, "ScalingConfig": {"MaximumConcurrency": 5}}, invalid, "concurrency"),
        ({"EventSourceArn": arn, **latest, "Tags": {"a": "b"}}, invalid, "Tags"),
        ({"EventSourceArn": arn, **latest, "FilterCriteria": {"Filters": [{"Pattern": "{"}]}}, invalid, "pattern"),
        ({"EventSourceArn": arn, **latest, "FilterCriteria": {"Filters": [{"Pattern": '{"a":[1]}'}] * 6}}, invalid, "5"),
        ({"EventSourceArn": arn, **latest, "FilterCriteria": {"Filters": [{}]}}, invalid, "pattern"),
        ({"EventSourceArn": queue, "ParallelizationFactor": 2}, invalid, "parallelization"),
        ({"EventSourceArn": queue, "TumblingWindowInSeconds": 5}, invalid, "tumbling window"),
        ({"EventSourceArn": arn, **latest, "DestinationConfig": {"OnFailure": {"Destination": queue + "x"}}}, invalid,
         "no queue"),
        ({"EventSourceArn": arn, **latest, "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::b/key"}}},
         invalid, "a bucket"),
        ({"EventSourceArn": queue, **latest}, invalid, "starting position"),
        ({"EventSourceArn": queue, "MaximumRetryAttempts": 3}, invalid, "retries"),
        ({"EventSourceArn": queue, "BisectBatchOnFunctionError": True}, invalid, "splitting"),
        ({"EventSourceArn": queue, "BatchSize": 11}, invalid, "Maximum batch window in seconds must be greater than 0"),
    ]:
        code, message, status = error(create, FunctionName=function, **parameters)
        assert (code, status) == (expected, 400) and words in message, (parameters, code, message)
    code, message, status = error(create, FunctionName="none", EventSourceArn=arn, **latest)
    assert (code, status) == ("ResourceNotFoundException", 404) and message.endswith(":function:none")
    slow = world.function(timeout=31)
    code, message, status = error(create, FunctionName=slow, EventSourceArn=queue)
    assert message == "Queue visibility timeout: 30 seconds is less than Function timeout: 31 seconds"
    none = str(uuid.uuid4())
    for call in [world.awslambda.get_event_source_mapping, world.awslambda.update_event_source_mapping]:
        assert error(call, UUID=none)[0::2] == ("ResourceNotFoundException", 404)
    assert world.awslambda.list_event_source_mappings(FunctionName=function)["EventSourceMappings"] == []


def test_a_function_that_is_gone_holds_records_until_it_is_back(world):
    function, (stream, arn) = world.function(), world.stream()
    mapping = world.map(function, arn)
    world.awslambda.delete_function(FunctionName=function)
    world.put(stream, ["a"])
    until(lambda: world.get(mapping)["LastProcessingResult"].startswith("PROBLEM: "))
    world.awslambda.create_function(
        FunctionName=function, Runtime="python3.11", Handler="app.handler", Role=ROLE, Code={"ZipFile": package({"app.py": CODE})},
        Timeout=20, Environment={"Variables": {"TABLE": world.table}})
    assert world.wait_for(function, ["a"]) == [["a"]]


def test_changes_of_a_table_come_in_the_order_of_their_items(world):
    function, table = world.function("all"), f"t-{uuid.uuid4().hex[:8]}"
    made = world.dynamodb.create_table(
        TableName=table, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    arn = made["TableDescription"]["LatestStreamArn"]
    for n in range(3):
        world.dynamodb.put_item(TableName=table, Item={"id": {"S": "x"}, "n": {"N": str(n)}})
    world.dynamodb.delete_item(TableName=table, Key={"id": {"S": "x"}})
    mapping = world.map(function, arn, StartingPosition="TRIM_HORIZON", FilterCriteria={"Filters": [
        {"Pattern": json.dumps({"eventName": ["INSERT", "REMOVE"]})}]})
    assert world.get(mapping)["EventSourceArn"] == arn
    texts = sum(until(lambda: world.batches(function)), [])
    changes = [json.loads(text) for text in texts]
    assert [change["eventName"] for change in changes] == ["INSERT", "REMOVE"]
    insert = changes[0]["dynamodb"]
    assert changes[0]["eventSourceARN"] == arn and changes[0]["eventSource"] == "aws:dynamodb"
    assert insert["NewImage"] == {"id": {"S": "x"}, "n": {"N": "0"}} and insert["Keys"] == {"id": {"S": "x"}}
    assert world.awslambda.list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"][0]["UUID"] == mapping
    code, message, status = error(world.awslambda.create_event_source_mapping, FunctionName=function,
                                  EventSourceArn=arn + "1", StartingPosition="LATEST")
    assert code == "InvalidParameterValueException" and "Stream not found" in message
    code, message, status = error(
        world.awslambda.create_event_source_mapping, FunctionName=world.function(), EventSourceArn=arn,
        StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=time.time() - 5)
    assert code == "InvalidParameterValueException" and "Unsupported starting position" in message


PIPELINE = """
name = "tweets"

[[stream]]
name = "tweets"

[[queue]]
name = "failed"

[[queue]]
name = "jobs"

[[function]]
name = "decode"
runtime = "python3.11"
handler = "app.handler"
code = "code"
environment = { TABLE = "seen" }

[[mapping]]
stream = "tweets"
function = "decode"
batch_size = 100
max_retries = 2
bisect = true
on_failure = "failed"

[[mapping]]
queue = "jobs"
function = "decode"

[[table]]
name = "items"
hash_key = { name = "id", type = "string" }
changes = "new_image"

[[mapping]]
table = "items"
function = "decode"
start_at = "latest"
"""


def test_a_pipeline_file_makes_and_changes_mappings_and_a_record_can_be_traced(world, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text(CODE)
    file = tmp_path / "pipeline.toml"

    def apply(text):
        file.write_text(text)
        lines = world.node.run("apply", file).splitlines()
        return [line.split()[0] for line in lines if " mapping " in line]

    assert apply(PIPELINE) == ["created"] * 3
    assert apply(PIPELINE) == ["unchanged"] * 3
    assert apply(PIPELINE.replace("batch_size = 100", "batch_size = 2")) == ["updated", "unchanged", "unchanged"]
    mappings = world.awslambda.list_event_source_mappings(FunctionName="decode")["EventSourceMappings"]
    stream, = [mapping for mapping in mappings if ":kinesis:" in mapping["EventSourceArn"]]
    assert (stream["BatchSize"], stream["MaximumRetryAttempts"]) == (2, 2)
    assert stream["DestinationConfig"]["OnFailure"]["Destination"].endswith(":failed")

    put = world.kinesis.put_record(StreamName="tweets", Data=b"traced", PartitionKey="k")
    world.wait_for("decode", ["traced"])
    def trace():
        told = world.node.run("trace", put["SequenceNumber"])
        return "ran decode" in told and told
    told = until(trace)
    assert "delivered to decode ok" in told and "item written to seen" in told

    file.write_text(PIPELINE.replace('function = "decode"\nbatch_size', 'function = "decoed"\nbatch_size'))
    done = world.node.run("apply", file, check=False)
    assert done.returncode != 0 and "did you mean `decode`?" in done.stdout + done.stderr
    assert f"{file}:22:" in done.stdout + done.stderr
