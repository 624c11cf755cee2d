"""Lambda and CloudWatch Logs through boto3: real processes, their answers, errors and lines."""

import base64
import json
import urllib.error
import urllib.request
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import needs_node, package, until

ROLE = "arn:aws:iam::000000000000:role/any"

CODE = """
import json, os
def handler(event, context):
    print("event", json.dumps(event))
    if event.get("fail"):
        raise ValueError("no such trade")
    return {"got": event, "name": context.function_name, "variable": os.environ.get("VARIABLE")}
"""


@pytest.fixture
def function(lambda_client):
    name = f"f-{uuid.uuid4().hex[:8]}"
    lambda_client.create_function(
        FunctionName=name, Runtime="python3.11", Handler="app.handler", Role=ROLE, Code={"ZipFile": package({"app.py": CODE})},
        Environment={"Variables": {"VARIABLE": "value"}}, Timeout=20)
    lambda_client.get_waiter("function_active_v2").wait(FunctionName=name)
    yield name
    lambda_client.delete_function(FunctionName=name)


def error(call, **parameters):
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    answer = raised.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_a_function_answers_and_its_log_comes_along(lambda_client, function):
    answer = lambda_client.invoke(FunctionName=function, Payload=json.dumps({"n": 1}), LogType="Tail")
    assert answer["StatusCode"] == 200 and "FunctionError" not in answer
    assert json.load(answer["Payload"]) == {"got": {"n": 1}, "name": function, "variable": "value"}
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert 'event {"n": 1}' in tail and "START RequestId:" in tail and "REPORT RequestId:" in tail


def test_errors_have_lambdas_shape(lambda_client, function):
    answer = lambda_client.invoke(FunctionName=function, Payload=json.dumps({"fail": True}))
    assert answer["StatusCode"] == 200 and answer["FunctionError"] == "Unhandled"
    document = json.load(answer["Payload"])
    assert (document["errorType"], document["errorMessage"]) == ("ValueError", "no such trade")
    assert any("app.py" in line for line in document["stackTrace"])


@needs_node
def test_node_functions_answer(lambda_client):
    name = f"n-{uuid.uuid4().hex[:8]}"
    code = "exports.handler = async (event, context) => ({ sum: event.a + event.b, id: context.awsRequestId });"
    lambda_client.create_function(FunctionName=name, Runtime="nodejs20.x", Handler="index.handler", Role=ROLE,
                                  Code={"ZipFile": package({"index.js": code})}, Timeout=20)
    answer = lambda_client.invoke(FunctionName=name, Payload=json.dumps({"a": 1, "b": 2}))
    document = json.load(answer["Payload"])
    assert document["sum"] == 3 and document["id"] == answer["ResponseMetadata"]["RequestId"]
    lambda_client.delete_function(FunctionName=name)


def test_events_run_later_and_dry_runs_not_at_all(lambda_client, logs, function):
    assert lambda_client.invoke(FunctionName=function, InvocationType="DryRun")["StatusCode"] == 204
    accepted = lambda_client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps({"later": 7}))
    assert accepted["StatusCode"] == 202

    def told():
        try:
            return logs.filter_log_events(logGroupName=f"/aws/lambda/{function}", filterPattern="later")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []

    assert until(told)[0]["message"] == 'event {"later": 7}'


def test_code_and_configuration_are_changed(lambda_client, function):
    before = lambda_client.get_function(FunctionName=function)["Configuration"]
    new = "def handler(event, context):\n    return 'new'\n"
    lambda_client.update_function_code(FunctionName=function, ZipFile=package({"app.py": new}))
    assert json.load(lambda_client.invoke(FunctionName=function)["Payload"]) == "new"
    changed = lambda_client.update_function_configuration(FunctionName=function, MemorySize=256, Timeout=9)
    assert (changed["MemorySize"], changed["Timeout"]) == (256, 9)
    after = lambda_client.get_function(FunctionName=function)["Configuration"]
    assert after["CodeSha256"] != before["CodeSha256"] and after["RevisionId"] != before["RevisionId"]
    listed = [found["FunctionName"] for page in lambda_client.get_paginator("list_functions").paginate() for found in page["Functions"]]
    assert function in listed


def test_what_is_wrong_is_told_in_the_services_words(lambda_client, function):
    arn = "arn:aws:lambda:us-east-1:000000000000:function:none"
    assert error(lambda_client.invoke, FunctionName="none") == ("ResourceNotFoundException", f"Function not found: {arn}", 404)
    again = dict(FunctionName=function, Runtime="python3.11", Handler="app.handler", Role=ROLE, Code={"ZipFile": package({"app.py": CODE})})
    assert error(lambda_client.create_function, **again) == (
        "ResourceConflictException", f"Function already exist: {function}", 409)
    code, message, status = error(lambda_client.create_function, **{**again, "FunctionName": "x", "Code": {"ZipFile": b"no zip"}})
    assert (code, status) == ("InvalidParameterValueException", 400) and "Could not unzip" in message
    assert error(lambda_client.invoke, FunctionName=function, Payload=b"no json")[0] == "InvalidRequestContentException"
    code, message, _ = error(lambda_client.create_function, **{**again, "FunctionName": "x", "Timeout": 901})
    assert code == "ValidationException" and "less than or equal to 900" in message
    for asked, named in [({"TracingConfig": {"Mode": "Active"}}, "TracingConfig"), ({"KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/1"}, "KMSKeyArn"),
                         ({"SnapStart": {"ApplyOn": "PublishedVersions"}}, "SnapStart"), ({"LoggingConfig": {"LogFormat": "JSON"}}, "LogFormat"),
                         ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "reserved keys"), ({"Environment": {"Variables": {"A1": "x" * 5000}}}, "4KB limit")]:
        code, message, _ = error(lambda_client.create_function, **{**again, "FunctionName": "x", **asked})
        assert code == "InvalidParameterValueException" and named in message
    for asked in [{"Role": "nonsense"}, {"Handler": "x" * 129}, {"Description": "x" * 257}]:
        assert error(lambda_client.update_function_configuration, FunctionName=function, **asked)[0] == "ValidationException"
    code, message, status = error(lambda_client.list_layers)
    assert "not supported" in message and status == 404


def test_log_streams_are_listed_and_read_in_pages(lambda_client, logs, function):
    for n in range(5):
        lambda_client.invoke(FunctionName=function, Payload=json.dumps({"n": n}))
    group = f"/aws/lambda/{function}"
    assert any(found["logGroupName"] == group for found in logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"])
    (stream,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert "/[$LATEST]" in stream["logStreamName"]
    names = dict(logGroupName=group, logStreamName=stream["logStreamName"])
    messages, token = [], None
    while True:
        page = logs.get_log_events(**names, startFromHead=True, limit=4, **({"nextToken": token} if token else {}))
        messages += [event["message"] for event in page["events"]]
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
    assert [m for m in messages if m.startswith("event")] == [f'event {{"n": {n}}}' for n in range(5)]
    assert sum(m.startswith("START") for m in messages) == 5 and sum(m.startswith("REPORT") for m in messages) == 5
    last = logs.get_log_events(**names, limit=2)["events"]
    assert [event["message"] for event in last] == messages[-2:]
    assert error(logs.describe_log_streams, logGroupName="/none")[0] == "ResourceNotFoundException"


def test_a_package_can_be_had_back(lambda_client, function):
    sent = package({"app.py": "def handler(event, context):\n    return 'sent'\n"})
    lambda_client.update_function_code(FunctionName=function, ZipFile=sent)
    address = lambda_client.get_function(FunctionName=function)["Code"]["Location"]
    with urllib.request.urlopen(address, timeout=30) as answer:
        assert answer.read() == sent
    for wrong, status in ((address[:-6] + "AAAAAA", 403), (address.split("?")[0], 403)):
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(wrong, timeout=30)
        assert raised.value.code == status
    lambda_client.update_function_code(FunctionName=function, ZipFile=package({"app.py": CODE}))
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(address, timeout=30)
    assert raised.value.code == 404


def test_events_that_are_too_large_are_refused_in_the_services_words(lambda_client, function):
    for kind, limit in (("Event", 1 << 20), ("RequestResponse", 6 << 20)):
        payload = json.dumps("x" * limit)
        code, message, status = error(lambda_client.invoke, FunctionName=function, InvocationType=kind, Payload=payload)
        assert (code, status) == ("RequestTooLargeException", 413)
        assert message == f"{len(payload)} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"


def test_lists_and_runtimes_that_cannot_be(lambda_client, function):
    client = lambda_client
    code, message, _ = error(client.list_functions, MaxItems=10_001)
    assert code == "ValidationException" and "maxItems" in message
    assert error(client.list_functions, MasterRegion="us-east-1")[0] == "InvalidParameterValueException"
    for ended in ("nodejs", "nodejs4.3"):
        new = dict(FunctionName="ended", Handler="index.handler", Role=ROLE, Code={"ZipFile": package({"app.py": CODE})})
        code, message, _ = error(client.create_function, Runtime=ended, **new)
        assert code == "InvalidParameterValueException" and f"parameter of {ended} is no longer supported" in message
        code, _, _ = error(client.update_function_configuration, FunctionName=function, Runtime=ended)
        assert code == "InvalidParameterValueException"
