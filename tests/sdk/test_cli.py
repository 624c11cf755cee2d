"""The vendor's own command line, as people type it: streams, queues, tables, functions, logs, who one is."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from conftest import needs, package
from test_iam import ACCOUNT, HANDLER

AWS = os.environ.get("MILLSTREAM_TEST_AWS") or shutil.which("aws", path=str(pathlib.Path(sys.executable).parent))
pytestmark = needs(AWS, "the package awscli is not installed beside this Python; ./test installs it")


@pytest.fixture
def aws(server, tmp_path):
    """Runs a command; gives what it printed, read when it is JSON."""
    environment = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1", "AWS_PAGER": "",
                   "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_MAX_ATTEMPTS": "1",
                   "AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}

    def run(*arguments, check=True):
        command = [AWS, "--endpoint-url", server.endpoint, "--output", "json", *arguments]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        if not check:
            return done
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


def test_who_one_is(aws):
    assert aws("sts", "get-caller-identity")["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_a_stream(aws, tmp_path):
    # Written so, both generations of the command line take it as it is.
    (tmp_path / "record").write_bytes(b"hello")
    aws("kinesis", "create-stream", "--stream-name", "typed", "--shard-count", "1")
    aws("kinesis", "wait", "stream-exists", "--stream-name", "typed")
    put = aws("kinesis", "put-record", "--stream-name", "typed", "--partition-key", "k", "--data",
              "fileb://record")
    at = aws("kinesis", "get-shard-iterator", "--stream-name", "typed", "--shard-id", put["ShardId"],
             "--shard-iterator-type", "TRIM_HORIZON")["ShardIterator"]
    (record,) = aws("kinesis", "get-records", "--shard-iterator", at)["Records"]
    assert record["SequenceNumber"] == put["SequenceNumber"]
    assert base64.b64decode(record["Data"]) == b"hello"


def test_a_queue(aws):
    url = aws("sqs", "create-queue", "--queue-name", "typed")["QueueUrl"]
    sent = aws("sqs", "send-message", "--queue-url", url, "--message-body", "hello")
    (message,) = aws("sqs", "receive-message", "--queue-url", url, "--wait-time-seconds", "5")["Messages"]
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "hello")
    aws("sqs", "delete-message", "--queue-url", url, "--receipt-handle", message["ReceiptHandle"])
    failed = aws("sqs", "get-queue-url", "--queue-name", "none", check=False)
    assert failed.returncode != 0 and "NonExistentQueue" in failed.stderr


def test_a_table(aws):
    aws("dynamodb", "create-table", "--table-name", "typed", "--billing-mode", "PAY_PER_REQUEST",
        "--attribute-definitions", "AttributeName=id,AttributeType=S", "--key-schema", "AttributeName=id,KeyType=HASH")
    aws("dynamodb", "wait", "table-exists", "--table-name", "typed")
    item = {"id": {"S": "1"}, "n": {"N": "7"}}
    aws("dynamodb", "put-item", "--table-name", "typed", "--item", json.dumps(item))
    assert aws("dynamodb", "get-item", "--table-name", "typed", "--key", '{"id": {"S": "1"}}')["Item"] == item
    # The command line asks for further pages by itself.
    assert aws("dynamodb", "scan", "--table-name", "typed", "--page-size", "1")["Count"] == 1


def test_a_function_and_its_log(aws, tmp_path):
    (tmp_path / "app.zip").write_bytes(package({"app.py": HANDLER}))
    aws("lambda", "create-function", "--function-name", "typed", "--runtime", "python3.11", "--handler", "app.handler",
        "--role", f"arn:aws:iam::{ACCOUNT}:role/any", "--zip-file", "fileb://app.zip", "--timeout", "30")
    aws("lambda", "wait", "function-active-v2", "--function-name", "typed")
    event = {"service": "sts", "operation": "get_caller_identity", "arguments": {}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    done = aws("lambda", "invoke", "--function-name", "typed", "--payload", "fileb://event.json", "out.json")
    assert done["StatusCode"] == 200 and "FunctionError" not in done
    assert json.loads((tmp_path / "out.json").read_text())["Account"] == ACCOUNT
    found = aws("logs", "filter-log-events", "--log-group-name", "/aws/lambda/typed")["events"]
    assert "REPORT RequestId" in found[-1]["message"]
