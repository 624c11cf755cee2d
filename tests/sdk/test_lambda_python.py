"""Python functions through boto3: what they log, what they are told, and how they fail."""

import base64
import json
import re
import uuid

import pytest
from conftest import package

ROLE = "arn:aws:iam::000000000000:role/any"
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"

CODE = """
import logging
from decimal import Decimal
logger = logging.getLogger()
logger.setLevel(logging.INFO)

def logs(event, context):
    print("printed\\ntwice")
    logger.info("told\\nin lines")
    logger.warning("took %d ms", 7)
    logging.getLogger("library").debug("not asked for")
    return context.aws_request_id

def context(event, context):
    client = context.client_context
    return [client.custom, client.env, client.client.app_title, context.identity.cognito_identity_id]

def decimals(event, context):
    return {"price": Decimal("1.10"), "large": Decimal("12345678901234567890.5")}

def fails(event, context):
    raise ValueError("no such trade")

def no_json(event, context):
    return {1, 2}
"""


@pytest.fixture
def run(lambda_client):
    """Makes a function and calls it; gives its answer as a text, its error, and its name."""
    made = []

    def call(handler, code=CODE, **more):
        name = f"p-{uuid.uuid4().hex[:8]}"
        lambda_client.create_function(FunctionName=name, Runtime="python3.11", Role=ROLE, Timeout=20, Handler=handler,
                                      Code={"ZipFile": package({"app.py": code})})
        made.append(name)
        answer = lambda_client.invoke(FunctionName=name, **more)
        return answer["Payload"].read().decode(), answer.get("FunctionError"), name

    yield call
    for name in made:
        lambda_client.delete_function(FunctionName=name)


def messages(logs, name):
    """What the log says; it is whole when the answer is there."""
    return [event["message"] for event in logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]]


def test_the_logger_writes_events_with_level_time_and_invocation(run, logs):
    answer, error, name = run("app.logs")
    assert error is None, answer
    found = messages(logs, name)
    between = found[1:-2]
    assert between[:2] == ["printed", "twice"]
    assert re.fullmatch(rf"\[INFO\]\t{STAMP}\t{json.loads(answer)}\ttold\nin lines", between[2]), between
    assert re.fullmatch(rf"\[WARNING\]\t{STAMP}\t{json.loads(answer)}\ttook 7 ms", between[3]), between
    assert len(between) == 4


def test_the_context_has_the_services_members(run):
    given = {"custom": {"a": 1}, "env": {"locale": "de"}, "client": {"app_title": "shop"}}
    answer, error, _ = run("app.context", ClientContext=base64.b64encode(json.dumps(given).encode()).decode())
    assert (json.loads(answer), error) == ([{"a": 1}, {"locale": "de"}, "shop", None], None)


def test_decimals_are_written_as_numbers_digit_by_digit(run):
    answer, error, _ = run("app.decimals")
    assert (answer, error) == ('{"price": 1.10, "large": 12345678901234567890.5}', None)


@pytest.mark.parametrize("handler, code, kind, message", [
    ("app.none", "", "Runtime.HandlerNotFound", "Handler 'none' missing on module 'app'"),
    ("none.handler", "", "Runtime.ImportModuleError", "Unable to import module 'none': No module named 'none'"),
    ("app", "", "Runtime.MalformedHandlerName", "Bad handler 'app': not enough values to unpack (expected 2, got 1)"),
    ("app.handler", "def handler(:", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"),
    ("app.no_json", CODE, "Runtime.MarshalError", "Unable to marshal response: Object of type set is not JSON serializable"),
    ("app.fails", CODE, "ValueError", "no such trade"),
])
def test_errors_have_the_services_names_and_only_the_functions_own_frames(run, logs, handler, code, kind, message):
    answer, error, name = run(handler, code)
    document = json.loads(answer)
    assert (error, document["errorType"]) == ("Unhandled", kind)
    assert document["errorMessage"].startswith(message) and "requestId" in document
    assert "bootstrap" not in answer and "importlib" not in answer
    assert any(told.startswith(f"[ERROR] {kind}: {message}") and "\nTraceback" in told for told in messages(logs, name))
