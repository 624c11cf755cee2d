"""Node.js functions through boto3: every style of handler, and the SDK's second version against the node."""

import json
import re
import uuid

import pytest
from conftest import needs_javascript, package

ROLE = "arn:aws:iam::000000000000:role/any"


@pytest.fixture
def run(lambda_client):
    """Makes a function of one file and calls it; gives its answer and its error."""
    made = []

    def call(code, event=None, file="index.js", **more):
        name = f"n-{uuid.uuid4().hex[:8]}"
        lambda_client.create_function(FunctionName=name, Runtime="nodejs20.x", Role=ROLE, Timeout=20,
                                      Code={"ZipFile": package({file: code})}, **{"Handler": "index.handler", **more})
        made.append(name)
        answer = lambda_client.invoke(FunctionName=name, Payload=json.dumps(event or {}))
        return json.load(answer["Payload"]), answer.get("FunctionError")

    yield call
    for name in made:
        lambda_client.delete_function(FunctionName=name)


@pytest.mark.parametrize("code", [
    "exports.handler = (event, context, callback) => { callback(null, event.n); };",
    "exports.handler = function(event, context, callback) { setTimeout(() => callback(null, event.n), 5); };",
    "exports.handler = (event, context) => context.succeed(event.n);",
    "exports.handler = (event, context) => context.done(null, event.n);",
    "exports.handler = async (event) => event.n;",
    "exports.handler = (event) => Promise.resolve(event.n);",
    "'use strict'; module.exports = { handler: async (event, context) => context.getRemainingTimeInMillis() > 0 ? event.n : 0 };",
])
def test_handlers_answer_in_every_style(run, code):
    assert run(code, {"n": 7}) == (7, None)


@pytest.mark.parametrize("code", [
    "exports.handler = (event, context, callback) => callback(new TypeError('bad tweet'));",
    "exports.handler = (event, context) => context.fail(new TypeError('bad tweet'));",
    "exports.handler = async () => { throw new TypeError('bad tweet'); };",
    "exports.handler = () => { throw new TypeError('bad tweet'); };",
])
def test_handlers_fail_in_every_style(run, code):
    document, error = run(code)
    assert error == "Unhandled"
    assert (document["errorType"], document["errorMessage"]) == ("TypeError", "bad tweet")
    assert any("index.js" in line for line in document["trace"])


def test_modules_are_found_by_their_kind(run):
    assert run("export const handler = async (event) => event.n;", {"n": 1}, "index.mjs") == (1, None)
    assert run("module.exports.deep = { handler: async () => 2 };", file="src/app.cjs", Handler="src/app.deep.handler") == (2, None)


def test_a_callback_waits_for_the_event_loop_unless_told_not_to(run, lambda_client):
    code = """
let late = 0;
exports.handler = (event, context, callback) => {
    context.callbackWaitsForEmptyEventLoop = event.wait;
    setTimeout(() => { late += 1; }, 100);
    callback(null, { get late() { return late; } });
};"""
    assert run(code, {"wait": True}) == ({"late": 1}, None)
    assert run(code, {"wait": False}) == ({"late": 0}, None)


def test_a_handler_that_says_nothing_has_answered_null(run):
    assert run("exports.handler = (event, context, callback) => { setTimeout(() => {}, 5); };") == (None, None)
    document, error = run("exports.handler = () => new Promise(() => {});")
    assert (error, document["errorType"]) == ("Unhandled", "Runtime.NodeJsExit")


def test_what_nobody_catches_ends_the_process_and_is_told(run):
    document, error = run("exports.handler = () => { Promise.reject(new Error('lost')); return new Promise(() => {}); };")
    assert (error, document["errorType"]) == ("Unhandled", "Runtime.UnhandledPromiseRejection")
    document, error = run("exports.handler = (e, c, callback) => { setTimeout(() => { throw new Error('late'); }, 1); };")
    assert (error, document["errorType"], document["errorMessage"]) == (
        "Unhandled", "Runtime.UncaughtException", "Error: late")


@pytest.mark.parametrize("file, handler, kind", [
    ("other.js", "index.handler", "Runtime.ImportModuleError"),
    ("index.js", "index.missing", "Runtime.HandlerNotFound"),
    ("index.js", "handler", "Runtime.MalformedHandlerName"),
])
def test_wrong_handlers_are_told_as_the_service_does(run, file, handler, kind):
    document, error = run("exports.handler = async () => 1;", file=file, Handler=handler)
    assert (error, document["errorType"]) == ("Unhandled", kind)


def test_console_calls_are_events_with_time_invocation_and_level(lambda_client, logs):
    name = f"n-{uuid.uuid4().hex[:8]}"
    code = """exports.handler = async (event, context) => {
        console.log(JSON.stringify({ a: 1 }, null, 2)); console.error('bad %d', 7); process.stdout.write('as it is\\n');
        return context.awsRequestId;
    };"""
    lambda_client.create_function(FunctionName=name, Runtime="nodejs20.x", Role=ROLE, Timeout=20, Handler="index.handler",
                                  Code={"ZipFile": package({"index.js": code})})
    answer = lambda_client.invoke(FunctionName=name, LogType="Tail")
    request, group = json.load(answer["Payload"]), f"/aws/lambda/{name}"
    messages = [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(stamp + f'\t{request}\tINFO\t{{\n  "a": 1\n}}', messages[1]), messages
    assert re.fullmatch(stamp + f"\t{request}\tERROR\tbad 7", messages[2]) and messages[3] == "as it is"
    errors = logs.filter_log_events(logGroupName=group, filterPattern="ERROR")["events"]
    assert [event["message"] for event in errors] == [messages[2]]
    lambda_client.delete_function(FunctionName=name)


@needs_javascript("aws-sdk")
def test_the_sdks_second_version_finds_the_node(run, dynamodb):
    table = f"t-{uuid.uuid4().hex[:8]}"
    dynamodb.create_table(TableName=table, BillingMode="PAY_PER_REQUEST",
                          AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                          KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}])
    code = """
'use strict';
var AWS = require('aws-sdk');
var client = new AWS.DynamoDB.DocumentClient();
exports.handler = (event, context, callback) => {
    var items = {};
    items[event.table] = event.ids.map((id) => ({ PutRequest: { Item: { id: id, tags: ['a'] } } }));
    client.batchWrite({ RequestItems: items }, function(err, data) {
        if (err) callback(err, err.stack);
        else callback(null, data.UnprocessedItems);
    });
};"""
    assert run(code, {"table": table, "ids": ["1", "2"]}) == ({}, None)
    assert dynamodb.scan(TableName=table)["Count"] == 2
    document, error = run(code, {"table": table, "ids": [str(n) for n in range(26)]})
    assert (error, document["errorType"]) == ("Unhandled", "ValidationException")
