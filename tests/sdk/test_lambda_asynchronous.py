"""Asynchronous invocations through boto3: retries, dead letters, destinations, and the configuration of all three."""

import json
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import Node, let_topics, package, until

ROLE = "arn:aws:iam::000000000000:role/any"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"

CODE = """
def handler(event, context):
    print("id", context.aws_request_id)
    if event.get("fail"):
        raise ValueError("too many items")
    return {"got": event}
"""


@pytest.fixture(scope="module")
def node():
    node = Node(settings="invoke_retry_seconds = [0, 0]\n")
    try:
        yield node.start()
    finally:
        node.remove()


@pytest.fixture(scope="module")
def functions(node):
    return node.client("lambda")


@pytest.fixture(scope="module")
def sqs(node):
    return node.client("sqs")


@pytest.fixture
def queue(sqs):
    url = sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return url, arn


def create(functions, code=CODE, **more):
    name = f"f-{uuid.uuid4().hex[:8]}"
    functions.create_function(**{"FunctionName": name, "Runtime": "python3.11", "Handler": "app.handler", "Role": ROLE,
                                 "Timeout": 20, "Code": {"ZipFile": package({"app.py": code})}, **more})
    return name


def send(functions, name, event):
    answer = functions.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))
    assert answer["StatusCode"] == 202
    return answer["ResponseMetadata"]["RequestId"]


def receive(sqs, url):
    asked = dict(QueueUrl=url, WaitTimeSeconds=2, MessageAttributeNames=["All"])
    return until(lambda: sqs.receive_message(**asked).get("Messages"))[0]


def lines(node, name, text, count=1):
    """The lines of a function's log with a text, once there are so many."""
    logs = node.client("logs")

    def look():
        try:
            events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return None
        found = [event["message"] for event in events if text in event["message"]]
        return found if len(found) >= count else None

    return until(look)


def error(call, **parameters):
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return raised.value.response["Error"]["Code"]


def test_a_dead_letter_is_the_event_and_says_what_went_wrong(node, functions, sqs, queue):
    url, arn = queue
    name = create(functions, DeadLetterConfig={"TargetArn": arn})
    assert functions.get_function_configuration(FunctionName=name)["DeadLetterConfig"] == {"TargetArn": arn}
    request = send(functions, name, {"fail": True, "n": 7})
    letter = receive(sqs, url)
    assert json.loads(letter["Body"]) == {"fail": True, "n": 7}
    attributes = {key: (value["DataType"], value["StringValue"]) for key, value in letter["MessageAttributes"].items()}
    assert attributes == {"RequestID": ("String", request), "ErrorCode": ("Number", "200"),
                          "ErrorMessage": ("String", "too many items")}
    ids = lines(node, name, "id ", count=3)
    assert ids == [f"id {request}"] * 3, "tried three times under the id that the caller was given"


def test_a_dead_letter_queue_that_is_missing_is_told_in_the_log(node, functions):
    arn = "arn:aws:sqs:us-east-1:000000000000:nowhere"
    name = create(functions, DeadLetterConfig={"TargetArn": arn})
    request = send(functions, name, {"fail": True})
    (line,) = lines(node, name, "dead letter")
    assert request in line and arn in line


def test_destinations_get_a_record_of_each_end(functions, sqs, queue):
    url, arn = queue
    name = create(functions)
    config = functions.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=1, MaximumEventAgeInSeconds=3600,
        DestinationConfig={"OnSuccess": {"Destination": arn}, "OnFailure": {"Destination": arn}})
    assert (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (1, 3600)
    request = send(functions, name, {"n": 1})
    message = receive(sqs, url)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    record = json.loads(message["Body"])
    assert record["version"] == "1.0" and record["timestamp"].endswith("Z")
    assert record["requestContext"] == {"requestId": request, "functionArn": f"{ARN}{name}:$LATEST",
                                        "condition": "Success", "approximateInvokeCount": 1}
    assert record["requestPayload"] == {"n": 1} and record["responsePayload"] == {"got": {"n": 1}}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}

    send(functions, name, {"fail": 1})
    record = json.loads(receive(sqs, url)["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["responseContext"]["functionError"] == "Unhandled"
    assert record["responsePayload"]["errorMessage"] == "too many items"


def test_a_function_is_a_destination(node, functions):
    target = create(functions)
    name = create(functions)
    functions.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0,
                                               DestinationConfig={"OnFailure": {"Destination": ARN + target}})
    send(functions, name, {"fail": True})
    assert lines(node, target, "id ")


def test_a_topic_is_a_target_of_both_kinds(node, functions, sqs, queue):
    url, arn = queue
    sns = node.client("sns")
    topic = sns.create_topic(Name=f"t-{uuid.uuid4().hex[:8]}")["TopicArn"]
    let_topics(sqs, url, arn)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    name = create(functions, DeadLetterConfig={"TargetArn": topic})
    request = send(functions, name, {"fail": True})
    letter = receive(sqs, url)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=letter["ReceiptHandle"])
    assert json.loads(letter["Body"]) == {"fail": True}
    assert letter["MessageAttributes"]["RequestID"]["StringValue"] == request
    functions.update_function_configuration(FunctionName=name, DeadLetterConfig={"TargetArn": ""})
    functions.put_function_event_invoke_config(FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": topic}})
    send(functions, name, {"n": 1})
    assert json.loads(receive(sqs, url)["Body"])["requestPayload"] == {"n": 1}


def test_without_the_right_in_the_role_the_queue_stays_empty_and_the_log_says_why(node, functions, sqs, queue):
    url, arn = queue
    iam = node.client("iam")
    role = f"r-{uuid.uuid4().hex[:8]}"
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                                                      "Principal": {"Service": "lambda.amazonaws.com"}}]}
    role_arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    name = create(functions, DeadLetterConfig={"TargetArn": arn}, Role=role_arn)
    request = send(functions, name, {"fail": True})
    (line,) = lines(node, name, "dead letter")
    assert request in line and "sqs:SendMessage" in line and arn in line
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn}]}
    iam.put_role_policy(RoleName=role, PolicyName="letters", PolicyDocument=json.dumps(allow))
    send(functions, name, {"fail": True})
    assert json.loads(receive(sqs, url)["Body"]) == {"fail": True}


def test_a_stopped_function_sends_its_events_away_at_once(functions, sqs, queue):
    url, arn = queue
    name = create(functions, DeadLetterConfig={"TargetArn": arn})
    stopped = functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert stopped["ReservedConcurrentExecutions"] == 0
    assert error(functions.invoke, FunctionName=name) == "TooManyRequestsException"
    send(functions, name, {"n": 1})
    assert receive(sqs, url)["MessageAttributes"]["ErrorCode"]["StringValue"] == "429"
    functions.delete_function_concurrency(FunctionName=name)
    assert "ReservedConcurrentExecutions" not in functions.get_function_concurrency(FunctionName=name)
    assert json.load(functions.invoke(FunctionName=name, Payload=b'{"n": 2}')["Payload"]) == {"got": {"n": 2}}


def test_configurations_are_read_changed_and_removed(functions, queue):
    _, arn = queue
    name = create(functions)
    assert error(functions.get_function_event_invoke_config, FunctionName=name) == "ResourceNotFoundException"
    assert error(functions.put_function_event_invoke_config, FunctionName=name) == "InvalidParameterValueException"
    functions.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    assert error(functions.update_function_event_invoke_config, FunctionName=name) == "InvalidParameterValueException"
    changed = functions.update_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=60)
    assert (changed["MaximumRetryAttempts"], changed["MaximumEventAgeInSeconds"]) == (0, 60)
    listed = functions.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"]
    assert [found["FunctionArn"] for found in listed] == [f"{ARN}{name}:$LATEST"]
    functions.delete_function_event_invoke_config(FunctionName=name)
    assert functions.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"] == []
    functions.update_function_configuration(FunctionName=name, DeadLetterConfig={"TargetArn": arn})
    functions.update_function_configuration(FunctionName=name, Timeout=5)
    assert functions.get_function_configuration(FunctionName=name)["DeadLetterConfig"]["TargetArn"] == arn
    functions.update_function_configuration(FunctionName=name, DeadLetterConfig={"TargetArn": ""})
    assert "DeadLetterConfig" not in functions.get_function_configuration(FunctionName=name)


def test_what_cannot_be_a_target_is_refused(functions):
    name = create(functions)
    put = functions.put_function_event_invoke_config
    assert error(put, FunctionName=name, MaximumRetryAttempts=3) == "ValidationException"
    assert error(put, FunctionName=name, MaximumEventAgeInSeconds=21601) == "ValidationException"
    bus = {"OnFailure": {"Destination": "arn:aws:events:us-east-1:000000000000:event-bus/b"}}
    assert error(put, FunctionName=name, DestinationConfig=bus) == "InvalidParameterValueException"
    letter = {"TargetArn": ARN + name}
    assert error(functions.update_function_configuration, FunctionName=name,
                 DeadLetterConfig=letter) == "InvalidParameterValueException"


def test_invocations_that_wait_are_listed(node, functions):
    name = create(functions, "import time\ndef handler(event, context):\n    time.sleep(event.get('sleep', 0))\n")
    assert node.run("function", "invocations", name) == ""
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    # It holds the function's only turn while the other waits.
    send(functions, name, {"sleep": 3})
    waits = send(functions, name, {})
    listed = [json.loads(line) for line in node.run("function", "invocations", name).splitlines()]
    assert waits in [found["id"] for found in listed]
    assert all((found["state"], found["function"], found["failures"]) == ("waiting", name, 0) for found in listed)
    until(lambda: node.run("function", "invocations", name) == "")
    assert "no function" in node.run("function", "invocations", "none", check=False).stderr


def test_permissions_and_tags(functions):
    name = create(functions, Tags={"team": "tweets"})
    assert error(functions.get_policy, FunctionName=name) == "ResourceNotFoundException"
    grant = dict(FunctionName=name, StatementId="topic", Action="lambda:InvokeFunction", Principal="sns.amazonaws.com",
                 SourceArn="arn:aws:sns:us-east-1:000000000000:t")
    functions.add_permission(**grant)
    assert error(functions.add_permission, **grant) == "ResourceConflictException"
    (statement,) = json.loads(functions.get_policy(FunctionName=name)["Policy"])["Statement"]
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"} and statement["Sid"] == "topic"
    assert statement["Condition"] == {"ArnLike": {"AWS:SourceArn": grant["SourceArn"]}}
    functions.remove_permission(FunctionName=name, StatementId="topic")
    assert error(functions.remove_permission, FunctionName=name, StatementId="topic") == "ResourceNotFoundException"

    functions.tag_resource(Resource=ARN + name, Tags={"cost": "low", "team": "portal"})
    functions.untag_resource(Resource=ARN + name, TagKeys=["cost", "none"])
    assert functions.list_tags(Resource=ARN + name)["Tags"] == {"team": "portal"}
    assert functions.get_function(FunctionName=name)["Tags"] == {"team": "portal"}
    limits = functions.get_account_settings()["AccountLimit"]
    assert limits["ConcurrentExecutions"] > 0
