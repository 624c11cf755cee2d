"""The tweets example as people start it: with the flaw dead letters arrive, with the fix the table fills."""

import json
import os
import subprocess
import sys
import time

import pytest
from conftest import ROOT, Node

EXAMPLE = ROOT / "examples" / "tweets"
MODULES = ROOT / "tests" / "sdk" / ".deps" / "node" / "node_modules"
DEADLINE_SECONDS = 30
pytestmark = pytest.mark.skipif(not (MODULES / "aws-sdk").exists() and os.environ.get("CI") != "true",
                                reason="no AWS SDK for JavaScript in tests/sdk/.deps/node; ./test installs it")


@pytest.fixture
def node(tmp_path):
    settings = tmp_path / "millstream.toml"
    settings.write_text("invoke_retry_seconds = [0, 0]\n")
    node = Node("--config", str(settings))
    try:
        yield node.start()
    finally:
        node.remove()


def produce(node):
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    subprocess.run([sys.executable, EXAMPLE / "produce.py", node.endpoint], check=True, env=environment, timeout=30)


def letters(node):
    sqs = node.client("sqs")
    url = sqs.get_queue_url(QueueName="dead-tweets")["QueueUrl"]
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        found = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2, MessageAttributeNames=["All"]).get("Messages")
        if found:
            return found
    raise AssertionError(f"no dead letter came:\n{node.output()}")


def saved(node):
    found = node.client("dynamodb").scan(TableName="tweets")["Items"]
    return sorted(item["TwitterID"]["S"] for item in found)


def test_with_the_flaw_dead_letters_arrive_and_with_the_fix_the_table_fills(node):
    tweets = [json.loads(line)["id"] for line in (EXAMPLE / "tweets.jsonl").read_text().splitlines()]
    node.run("apply", EXAMPLE / "pipeline.toml")
    produce(node)
    letter = letters(node)[0]
    attributes = letter["MessageAttributes"]
    assert set(attributes) == {"RequestID", "ErrorCode", "ErrorMessage"}
    assert attributes["ErrorMessage"]["StringValue"].startswith("1 validation error detected")  # its end is cut
    assert len(json.loads(letter["Body"])["items"]) > 25

    node.run("apply", EXAMPLE / "fixed.toml")
    produce(node)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while saved(node) != sorted(tweets) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert saved(node) == sorted(tweets)
