"""Turns of functions on a node with few processes: one that is slow leaves turns to the others."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from conftest import Node, package, until

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
        functions.create_function(FunctionName=name, Runtime="python3.11", Role=ROLE, Timeout=120, Handler="app.handler",
                                  Code={"ZipFile": package({"app.py": CODE})}, **more)
        return name

    return call


def starts(node, name):
    """How many START lines a function's log has."""
    try:
        return len(node.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern="START")["events"])
    except ClientError:
        return 0


def running(node, name, count):
    """Waits until so many invocations of a function have begun; gives how many have."""
    return until(lambda: starts(node, name) >= count and starts(node, name))


def test_the_number_of_processes_is_a_setting(node):
    assert node.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"] == 8


def test_slow_events_hold_up_nobody_else(node, make):
    functions = node.client("lambda")
    slow, fast = make(), make()
    for _ in range(20):
        functions.invoke(FunctionName=slow, InvocationType="Event", Payload=json.dumps({"seconds": 110}))
    running(node, slow, 4)
    functions.invoke(FunctionName=fast, InvocationType="Event", Payload=b"{}")
    assert json.load(functions.invoke(FunctionName=fast, Payload=b"{}")["Payload"]) == "done"
    # Long before one of the slow ones can have ended; it would have been the first of them otherwise.
    running(node, fast, 2)
    assert running(node, slow, 4) == 4, "four of eight are the share of one function's events"


def test_reserved_concurrency_is_there_whatever_others_do(node, make):
    functions = node.client("lambda", read_timeout=120)
    kept, others = make(), [make() for _ in range(8)]
    functions.put_function_concurrency(FunctionName=kept, ReservedConcurrentExecutions=2)
    begun = lambda: sum(starts(node, other) for other in others)
    with ThreadPoolExecutor(10) as pool:
        try:
            for other in others:
                pool.submit(functions.invoke, FunctionName=other, Payload=json.dumps({"seconds": 110}))
            until(lambda: begun() >= 6)
            calls = [pool.submit(functions.invoke, FunctionName=kept, Payload=b"{}") for _ in range(2)]
            assert [json.load(call.result()["Payload"]) for call in calls] == ["done", "done"]
            assert begun() == 6, "two of eight turns are kept"
        finally:
            # The callers have their end.
            node.kill()
