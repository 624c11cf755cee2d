"""SIGKILL of the node and of functions' processes under a load of asynchronous invocations: none is lost."""

import json
import os
import random
import signal
import threading
import time

import pytest
from conftest import Node, package

ROLE = "arn:aws:iam::000000000000:role/any"
TABLE = "done"
ROUNDS = 3
PER_ROUND = 60
WAIT_SECONDS = 120

# Every fifth fails its first attempts by ending its own process; each writes its number once it is through.
CODE = """
import os, random
import boto3
table = boto3.client("dynamodb")
def handler(event, context):
    if event["n"] % 5 == 0 and random.random() < 0.5:
        os._exit(1)
    table.put_item(TableName="done", Item={"n": {"N": str(event["n"])}})
"""

LETTER = "def handler(event, context):\n    raise ValueError('never')\n"


@pytest.fixture
def node():
    node = Node(settings="invoke_retry_seconds = [0, 0]\n")
    try:
        yield node.start()
    finally:
        node.remove()


def kill_functions(node):
    """SIGKILL to everything that the node has started."""
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
            if parent == node.process.pid:
                os.kill(int(entry), signal.SIGKILL)
        except OSError:
            pass


def send(node, accepted, first):
    functions = node.client("lambda")
    for n in range(first, first + PER_ROUND):
        try:
            functions.invoke(FunctionName="writer", InvocationType="Event", Payload=json.dumps({"n": n}))
            functions.invoke(FunctionName="letter", InvocationType="Event", Payload=json.dumps({"n": n}))
        except Exception:
            return  # The node is gone: what it did not acknowledge counts for nobody.
        accepted.append(n)


def letters(node, url, found):
    sqs = node.client("sqs")
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"])
    for message in answer.get("Messages", []):
        assert {"RequestID", "ErrorCode", "ErrorMessage"} == set(message["MessageAttributes"])
        found.add(json.loads(message["Body"])["n"])
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def test_no_accepted_invocation_is_lost(node):
    url = node.client("sqs").create_queue(QueueName="dlq")["QueueUrl"]
    node.client("dynamodb").create_table(
        TableName=TABLE, BillingMode="PAY_PER_REQUEST", AttributeDefinitions=[{"AttributeName": "n", "AttributeType": "N"}],
        KeySchema=[{"AttributeName": "n", "KeyType": "HASH"}])
    functions = node.client("lambda")
    both = dict(Runtime="python3.11", Handler="app.handler", Role=ROLE, Timeout=30)
    functions.create_function(FunctionName="writer", Code={"ZipFile": package({"app.py": CODE})}, **both)
    functions.create_function(FunctionName="letter", Code={"ZipFile": package({"app.py": LETTER})}, **both,
                              DeadLetterConfig={"TargetArn": "arn:aws:sqs:us-east-1:000000000000:dlq"})
    # A process that ends itself may do so three times in a row: those go to the queue too.
    functions.put_function_event_invoke_config(
        FunctionName="writer", DestinationConfig={"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:failed"}})
    failed = node.client("sqs").create_queue(QueueName="failed")["QueueUrl"]
    accepted = []
    for round in range(ROUNDS):
        sender = threading.Thread(target=send, args=(node, accepted, round * PER_ROUND))
        sender.start()
        time.sleep(random.Random(round).uniform(0.2, 0.8))
        kill_functions(node)
        time.sleep(0.1)
        node.kill()
        sender.join(timeout=60)
        node.start()
    done, lettered, gone = set(), set(), set()
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        done = {int(item["n"]["N"]) for item in node.client("dynamodb").scan(TableName=TABLE)["Items"]}
        letters(node, url, lettered)
        sqs = node.client("sqs")
        for message in sqs.receive_message(QueueUrl=failed, MaxNumberOfMessages=10).get("Messages", []):
            gone.add(json.loads(message["Body"])["requestPayload"]["n"])
        if set(accepted) <= done | gone and set(accepted) <= lettered:
            break
    assert accepted and set(accepted) <= done | gone, set(accepted) - done - gone
    assert set(accepted) <= lettered, set(accepted) - lettered
