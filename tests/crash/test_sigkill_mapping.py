"""Kills the node again and again while records and messages go through event source mappings, then counts.

What must hold: each acknowledged record and message came to its function; each partition key's records came in their order,
but for batches that were under way when the node was killed: those come again as a whole or in part, never with a gap.
"""

import json
import time

from botocore.exceptions import BotoCoreError, ClientError
from conftest import package
from peers import PAUSE_SECONDS, Load

KILLS = 5
SECONDS_BETWEEN_KILLS = 2.5
KEYS = ["a", "b", "c", "d"]
ROLE = "arn:aws:iam::000000000000:role/any"
ACCOUNT = "us-east-1:000000000000"

# Each invocation leaves one item in a table: what it had, in its order, under the time at which it had it.
CODE = """
import base64, json, time
import boto3
table = boto3.client("dynamodb")
def handler(event, context):
    texts = [base64.b64decode(r["kinesis"]["data"]).decode() if "kinesis" in r else r["body"] for r in event["Records"]]
    table.put_item(TableName="seen", Item={
        "function": {"S": context.function_name}, "at": {"S": "%020d" % time.time_ns()}, "texts": {"S": json.dumps(texts)}})
"""


class Writers(Load):
    """Writers of numbers, one a partition key and one of a queue; and what was acknowledged."""

    def __init__(self, node, url):
        self.url, self.acknowledged = url, {name: [] for name in [*KEYS, "m"]}
        super().__init__(node, [(self.write, name) for name in self.acknowledged])

    def write(self, name):
        number = 0
        kinesis, sqs = self.node.client("kinesis"), self.node.client("sqs")
        while not self.stop.is_set():
            texts = [f"{name}{number + n:07}" for n in range(10)]
            number += 10
            try:
                if name == "m":
                    entries = [{"Id": text, "MessageBody": text} for text in texts]
                    failed = sqs.send_message_batch(QueueUrl=self.url, Entries=entries).get("Failed")
                else:
                    records = [{"Data": text.encode(), "PartitionKey": name} for text in texts]
                    failed = kinesis.put_records(StreamName="tweets", Records=records)["FailedRecordCount"]
                if not failed:
                    self.acknowledged[name] += texts
                time.sleep(PAUSE_SECONDS)
            except (BotoCoreError, ClientError, OSError):
                # What was not acknowledged may be there or not; its numbers are not used again.
                time.sleep(0.1)


def set_up(node):
    awslambda = node.client("lambda")
    node.client("dynamodb").create_table(
        TableName="seen", BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "function", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ["function", "at"]])
    # A queue's messages have to be hidden as long as their function may run.
    for name, timeout in [("records", 30), ("messages", 5)]:
        awslambda.create_function(FunctionName=name, Runtime="python3.11", Handler="app.handler", Role=ROLE,
                                  Timeout=timeout, Code={"ZipFile": package({"app.py": CODE})})
    node.client("kinesis").create_stream(StreamName="tweets", ShardCount=2)
    url = node.client("sqs").create_queue(QueueName="jobs", Attributes={"VisibilityTimeout": "5"})["QueueUrl"]
    awslambda.create_event_source_mapping(
        FunctionName="records", EventSourceArn=f"arn:aws:kinesis:{ACCOUNT}:stream/tweets", BatchSize=50,
        StartingPosition="TRIM_HORIZON")
    awslambda.create_event_source_mapping(FunctionName="messages", EventSourceArn=f"arn:aws:sqs:{ACCOUNT}:jobs")
    return url


def batches(node, function):
    pages = node.client("dynamodb").get_paginator("query").paginate(
        TableName="seen", ConsistentRead=True, KeyConditionExpression="#f = :f",
        ExpressionAttributeNames={"#f": "function"}, ExpressionAttributeValues={":f": {"S": function}})
    return [json.loads(item["texts"]["S"]) for page in pages for item in page["Items"]]


def wait_for(node, function, texts):
    deadline = time.monotonic() + 120
    while True:
        found = batches(node, function)
        missing = set(texts) - {text for batch in found for text in batch}
        if not missing:
            return found
        assert time.monotonic() < deadline, f"{len(missing)} did not come, such as {sorted(missing)[:3]}"
        time.sleep(0.5)


def test_nothing_is_lost_and_keys_keep_their_order(node):
    url = set_up(node)
    with Writers(node, url) as load:
        for _ in range(KILLS):
            time.sleep(SECONDS_BETWEEN_KILLS)
            node.kill()
            node.start()
        time.sleep(SECONDS_BETWEEN_KILLS)
    records = [text for key in KEYS for text in load.acknowledged[key]]
    assert len(records) > 1_000 and len(load.acknowledged["m"]) > 100
    wait_for(node, "messages", load.acknowledged["m"])
    came = [text for batch in wait_for(node, "records", records) for text in batch]
    for key in KEYS:
        of_key = [text for text in came if text[0] == key]
        known = sorted(set(of_key))
        place = {text: n for n, text in enumerate(known)}
        again = 0
        for before, after in zip(of_key, of_key[1:]):
            step = place[after] - place[before]
            assert step <= 1, f"{after} came after {before}: what is between them came later"
            again += step < 1
        assert again <= KILLS, f"{again} times it went back, with {KILLS} kills"
    twice = len(came) - len(set(came))
    assert twice <= KILLS * 2 * 50, "at most a batch of each shard comes again"
