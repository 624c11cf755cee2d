"""Turns of functions on a node with few processes: one that is slow leaves turns to the others."""

import io
import json
import time
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from conftest import Node

ROLE = "arn:aws:iam::000000000000:role/any"
CODE = """
import time
def handler(event, context):
    time.sleep(event.get("seconds", 0))
    return "done"
"""


@pytest.fixture
def node():
    node = Node("--function-processes", "8")
    try:
        yield node.start()
    finally:
        node.remove()


@pytest.fixture
def make(node):
    functions = node.client("lambda")

    def call(**more):
        name = f"f-{uuid.uuid4().hex[:8]}"
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("app.py", CODE)
        functions.create_function(FunctionName=name, Runtime="python3.11", Role=ROLE, Timeout=120, Handler="app.handler",
                                  Code={"ZipFile": buffer.getvalue()}, **more)
        return name

    return call


def running(node, name, count):
    """Waits until so many START lines are there."""
    logs, deadline = node.client("logs"), time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            started = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern="START")["events"]
            if len(started) >= count:
                return len(started)
        except ClientError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{name} has not run {count} times")


def test_the_number_of_processes_is_a_setting(node):
    assert node.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"] == 8


def test_slow_events_hold_up_nobody_else(node, make):
    functions = node.client("lambda")
    slow, fast = make(), make()
    for _ in range(20):
        functions.invoke(FunctionName=slow, InvocationType="Event", Payload=json.dumps({"seconds": 60}))
    running(node, slow, 4)
    functions.invoke(FunctionName=fast, InvocationType="Event", Payload=b"{}")
    assert json.load(functions.invoke(FunctionName=fast, Payload=b"{}")["Payload"]) == "done"
    # Long before one of the slow ones can have ended; it would have been the first of them otherwise.
    running(node, fast, 2)
    assert running(node, slow, 4) == 4, "four of eight are the share of one function's events"


def test_reserved_concurrency_is_there_whatever_others_do(node, make):
    functions = node.client("lambda", read_timeout=120)
    kept = make()
    functions.put_function_concurrency(FunctionName=kept, ReservedConcurrentExecutions=2)
    others = [make() for _ in range(4)]
    for other in others:
        for _ in range(8):
            functions.invoke(FunctionName=other, InvocationType="Event", Payload=json.dumps({"seconds": 60}))
    running(node, others[0], 1)
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(functions.invoke, FunctionName=kept, Payload=b"{}") for _ in range(2)]
        assert [json.load(call.result()["Payload"]) for call in calls] == ["done", "done"]
