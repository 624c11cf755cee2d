"""Versions and aliases through boto3: copies that never change, names that point to them, and all that may name either."""

import io
import json
import uuid
import zipfile

import pytest
import requests
from botocore.exceptions import ClientError
from conftest import Node, package, until

ROLE = "arn:aws:iam::000000000000:role/any"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"

CODE = """
import boto3, os
def handler(event, context):
    if "fail" in event:
        raise ValueError("no")
    if "queue" in event:
        boto3.client("sqs").send_message(QueueUrl=event["queue"], MessageBody=TEXT + os.environ["MODE"])
    if "kinesis" in str(event):
        boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody=TEXT + os.environ["MODE"])
    if "httpMethod" in event:
        return {"statusCode": 200, "body": TEXT + os.environ["MODE"]}
    return [TEXT + os.environ["MODE"], context.function_version, context.invoked_function_arn, os.environ["AWS_LAMBDA_FUNCTION_VERSION"]]
TEXT = "%s-"
"""


def code(text):
    return package({"app.py": CODE.replace("%s", text)})


def error(call, **parameters):
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return raised.value.response["Error"]["Code"]


def variables(mode, queue=""):
    return {"Variables": {"MODE": mode, "QUEUE": queue}}


@pytest.fixture
def functions(node):
    return node.client("lambda")


@pytest.fixture
def name(functions):
    """A function of two versions, which is another itself; `live` is the first version."""
    name = f"v-{uuid.uuid4().hex[:8]}"
    made = functions.create_function(FunctionName=name, Runtime="python3.11", Handler="app.handler", Role=ROLE, Timeout=20,
                                     Code={"ZipFile": code("one")}, Environment=variables("a"), Publish=True)
    assert (made["Version"], made["FunctionArn"]) == ("1", f"{ARN}{name}:1")
    functions.update_function_configuration(FunctionName=name, Environment=variables("b"))
    second = functions.update_function_code(FunctionName=name, ZipFile=code("two"), Publish=True)
    assert (second["Version"], second["FunctionArn"]) == ("2", f"{ARN}{name}:2")
    functions.update_function_configuration(FunctionName=name, Environment=variables("c"))
    functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    yield name
    functions.delete_function(FunctionName=name)


def run(functions, name, **qualifier):
    answer = functions.invoke(FunctionName=name, Payload="{}", **qualifier)
    text, *shown = json.load(answer["Payload"])
    assert shown[0] == shown[2] == answer["ExecutedVersion"]
    return text, shown[0], shown[1]


def test_each_version_runs_as_it_was(functions, name):
    for given, qualifier, expected in [
        (name, {}, ("two-c", "$LATEST", ARN + name)),
        (name, {"Qualifier": "$LATEST"}, ("two-c", "$LATEST", ARN + name)),
        (name, {"Qualifier": "1"}, ("one-a", "1", f"{ARN}{name}:1")),
        (f"{name}:2", {}, ("two-b", "2", f"{ARN}{name}:2")),
        (f"{ARN}{name}:live", {}, ("one-a", "1", f"{ARN}{name}:live")),
        (name, {"Qualifier": "live"}, ("one-a", "1", f"{ARN}{name}:live")),
        # Warm processes are those of their version.
        (name, {}, ("two-c", "$LATEST", ARN + name)),
        (name, {"Qualifier": "2"}, ("two-b", "2", f"{ARN}{name}:2")),
    ]:
        assert run(functions, given, **qualifier) == expected
    for qualifier in ["3", "dead"]:
        for call in [functions.invoke, functions.get_function, functions.get_function_configuration]:
            assert error(call, FunctionName=name, Qualifier=qualifier) == "ResourceNotFoundException"
    assert error(functions.invoke, FunctionName=f"{name}:1", Qualifier="2") == "InvalidParameterValueException"
    shown = functions.get_function(FunctionName=name, Qualifier="live")
    assert (shown["Configuration"]["Version"], shown["Configuration"]["FunctionArn"]) == ("1", f"{ARN}{name}:live")
    downloaded = requests.get(shown["Code"]["Location"], timeout=10).content
    assert zipfile.ZipFile(io.BytesIO(downloaded)).read("app.py").decode() == CODE.replace("%s", "one")
    configuration = functions.get_function_configuration(FunctionName=name, Qualifier="2")
    assert configuration["Environment"]["Variables"]["MODE"] == "b"


def test_publishing_is_once_for_each_change(functions, name):
    third = functions.publish_version(FunctionName=name, Description="third")
    assert (third["Version"], third["Description"]) == ("3", "third")
    assert functions.publish_version(FunctionName=name, Description="again")["Version"] == "3"
    listed = functions.list_versions_by_function(FunctionName=name)["Versions"]
    assert [found["Version"] for found in listed] == ["$LATEST", "1", "2", "3"]
    assert listed[0]["FunctionArn"] == f"{ARN}{name}:$LATEST"
    pages = functions.get_paginator("list_versions_by_function").paginate(FunctionName=name, PaginationConfig={"PageSize": 1})
    assert [found["Version"] for page in pages for found in page["Versions"]] == ["$LATEST", "1", "2", "3"]
    functions.update_function_configuration(FunctionName=name, Description="other")
    assert error(functions.publish_version, FunctionName=name, CodeSha256="other") == "InvalidParameterValueException"
    assert error(functions.publish_version, FunctionName=name, RevisionId="other") == "PreconditionFailedException"
    # Numbers are not given twice.
    functions.delete_function(FunctionName=name, Qualifier="3")
    functions.update_function_configuration(FunctionName=name, Environment=variables("d"))
    assert functions.publish_version(FunctionName=name)["Version"] == "4"
    assert error(functions.delete_function, FunctionName=name, Qualifier="$LATEST") == "InvalidParameterValueException"
    assert error(functions.delete_function, FunctionName=name, Qualifier="live") == "InvalidParameterValueException"
    assert error(functions.delete_function, FunctionName=name, Qualifier="1") == "ResourceConflictException"


def test_aliases_are_made_changed_listed_and_removed(functions, name):
    made = functions.create_alias(FunctionName=name, Name="canary", FunctionVersion="1", Description="d",
                                  RoutingConfig={"AdditionalVersionWeights": {"2": 0.25}})
    assert (made["AliasArn"], made["RoutingConfig"]) == (f"{ARN}{name}:canary", {"AdditionalVersionWeights": {"2": 0.25}})
    assert error(functions.create_alias, FunctionName=name, Name="canary", FunctionVersion="1") == "ResourceConflictException"
    for wrong in [{"Name": "7", "FunctionVersion": "1"}, {"Name": "a b", "FunctionVersion": "1"},
                  {"Name": "x", "FunctionVersion": "one"}]:
        assert error(functions.create_alias, FunctionName=name, **wrong) == "ValidationException"
    assert error(functions.create_alias, FunctionName=name, Name="x", FunctionVersion="9") == "ResourceNotFoundException"
    for weights in [{"1": 0.1}, {"2": 1.5}, {"2": 0.1, "1": 0.1}, {"$LATEST": 0.1}]:
        assert error(functions.create_alias, FunctionName=name, Name="x", FunctionVersion="1",
                     RoutingConfig={"AdditionalVersionWeights": weights}) == "InvalidParameterValueException"
    assert [alias["Name"] for alias in functions.list_aliases(FunctionName=name)["Aliases"]] == ["canary", "live"]
    functions.create_alias(FunctionName=name, Name="head", FunctionVersion="$LATEST")
    listed = functions.list_aliases(FunctionName=name, FunctionVersion="1")["Aliases"]
    assert [alias["Name"] for alias in listed] == ["canary", "live"]
    # All of it to one, then to the other.
    functions.update_alias(FunctionName=name, Name="canary", RoutingConfig={"AdditionalVersionWeights": {"2": 1.0}})
    assert run(functions, name, Qualifier="canary")[:2] == ("two-b", "2")
    functions.update_alias(FunctionName=name, Name="canary", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
    seen = {run(functions, name, Qualifier="canary")[1] for _ in range(40)}
    assert seen == {"1", "2"}
    changed = functions.update_alias(FunctionName=name, Name="canary", FunctionVersion="2",
                                     RoutingConfig={"AdditionalVersionWeights": {}})
    assert changed["RevisionId"] != made["RevisionId"] and "RoutingConfig" not in changed and changed["Description"] == "d"
    assert error(functions.update_alias, FunctionName=name, Name="canary", RevisionId="x") == "PreconditionFailedException"
    functions.delete_alias(FunctionName=name, Name="canary")
    functions.delete_alias(FunctionName=name, Name="canary")
    assert error(functions.get_alias, FunctionName=name, Name="canary") == "ResourceNotFoundException"
    assert error(functions.update_alias, FunctionName=name, Name="canary") == "ResourceNotFoundException"


def test_revisions_are_of_what_was_seen(functions, name):
    """Publishing and permissions change a revision too; each version and each alias has its own."""
    revision = lambda **qualifier: functions.get_function_configuration(FunctionName=name, **qualifier)["RevisionId"]
    permission = {"FunctionName": name, "Action": "lambda:InvokeFunction", "Principal": "sns.amazonaws.com"}
    first = revision()
    published = functions.publish_version(FunctionName=name, RevisionId=first)
    assert len({first, revision(), published["RevisionId"]}) == 3
    assert published["RevisionId"] == revision(Qualifier=published["Version"])
    second = revision()
    for call, parameters in [
        (functions.update_function_code, {"FunctionName": name, "ZipFile": code("other")}),
        (functions.update_function_code, {"FunctionName": name, "ZipFile": code("other"), "DryRun": True}),
        (functions.update_function_configuration, {"FunctionName": name, "Timeout": 9}),
        (functions.publish_version, {"FunctionName": name}),
        (functions.add_permission, {**permission, "StatementId": "s"}),
    ]:
        assert error(call, **parameters, RevisionId=first) == "PreconditionFailedException"
    assert revision() == second
    functions.add_permission(**permission, StatementId="s", RevisionId=second)
    third = revision()
    assert third != second and functions.get_policy(FunctionName=name)["RevisionId"] == third
    remove = {"FunctionName": name, "StatementId": "s"}
    assert error(functions.remove_permission, **remove, RevisionId=second) == "PreconditionFailedException"
    functions.remove_permission(**remove, RevisionId=third)
    # Those of an alias are apart.
    latest, alias = revision(), functions.get_alias(FunctionName=name, Name="live")["RevisionId"]
    assert error(functions.add_permission, **permission, StatementId="s", Qualifier="live", RevisionId=latest) == "PreconditionFailedException"
    functions.add_permission(**permission, StatementId="s", Qualifier="live", RevisionId=alias)
    changed = functions.get_alias(FunctionName=name, Name="live")["RevisionId"]
    assert changed != alias and functions.get_policy(FunctionName=name, Qualifier="live")["RevisionId"] == changed
    assert error(functions.update_alias, FunctionName=name, Name="live", RevisionId=alias) == "PreconditionFailedException"
    assert revision() == latest
    updated = functions.update_function_code(FunctionName=name, ZipFile=code("five"), RevisionId=latest, Publish=True)
    assert run(functions, name, Qualifier=updated["Version"])[0] == "five-c"


def test_functions_are_listed_with_their_versions(functions, name):
    own = lambda found: [entry["FunctionArn"].removeprefix(ARN) for entry in found if entry["FunctionName"] == name]
    pages = lambda **options: functions.get_paginator("list_functions").paginate(**options)
    every = [entry for page in pages(FunctionVersion="ALL") for entry in page["Functions"]]
    assert own(every) == [f"{name}:$LATEST", f"{name}:1", f"{name}:2"]
    small = pages(FunctionVersion="ALL", PaginationConfig={"PageSize": 2})
    assert [entry["FunctionArn"] for page in small for entry in page["Functions"]] == [entry["FunctionArn"] for entry in every]
    assert own([entry for page in pages(PaginationConfig={"PageSize": 1}) for entry in page["Functions"]]) == [name]
    assert error(functions.list_functions, FunctionVersion="SOME") == "ValidationException"


def test_asynchronous_invocations_are_treated_as_their_name_says(node, functions, name):
    sqs = node.client("sqs")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    told = f"arn:aws:sqs:us-east-1:000000000000:{name}"
    config = functions.put_function_event_invoke_config
    get = lambda qualifier: functions.get_function_event_invoke_config(FunctionName=name, Qualifier=qualifier)
    config(FunctionName=name, MaximumRetryAttempts=2)
    assert get("$LATEST")["FunctionArn"] == f"{ARN}{name}:$LATEST"
    for qualifier in ["1", "live"]:
        assert error(get, qualifier=qualifier) == "ResourceNotFoundException"
    put = config(FunctionName=f"{name}:1", MaximumRetryAttempts=0, MaximumEventAgeInSeconds=60)
    assert (put["FunctionArn"], get("1")["MaximumRetryAttempts"]) == (f"{ARN}{name}:1", 0)
    config(FunctionName=name, Qualifier="live", DestinationConfig={"OnSuccess": {"Destination": told}})
    changed = functions.update_function_event_invoke_config(FunctionName=name, Qualifier="live", MaximumRetryAttempts=1)
    assert changed["DestinationConfig"]["OnSuccess"]["Destination"] == told and changed["FunctionArn"] == f"{ARN}{name}:live"
    # An alias takes what was said of it along to another version.
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    assert get("live")["MaximumRetryAttempts"] == 1
    for qualifier in ["1", "2", "live"]:
        functions.invoke(FunctionName=name, Qualifier=qualifier, InvocationType="Event", Payload=json.dumps({"by": qualifier}))
    message = until(lambda: sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages"))[0]
    record = json.loads(message["Body"])
    assert record["requestPayload"] == {"by": "live"} and record["responsePayload"][0] == "two-b"

    listed = functions.get_paginator("list_function_event_invoke_configs")
    for options in [{}, {"PaginationConfig": {"PageSize": 1}}]:
        found = [entry for page in listed.paginate(FunctionName=name, **options) for entry in page["FunctionEventInvokeConfigs"]]
        assert [entry["FunctionArn"] for entry in found] == [f"{ARN}{name}:{of}" for of in ["$LATEST", "1", "live"]]
    assert error(functions.list_function_event_invoke_configs, FunctionName=name, MaxItems=51) == "ValidationException"
    for of in [{"Qualifier": "7"}, {"Qualifier": "7", "DestinationConfig": {"OnFailure": {"Destination": told}}}]:
        assert error(config, FunctionName=name, MaximumRetryAttempts=0, **of) == "ResourceNotFoundException"
    # What is allowed for a name is not all of the function's.
    assert error(functions.list_function_event_invoke_configs, FunctionName=f"{name}:live") == "ResourceNotFoundException"
    revision = functions.get_function_configuration(FunctionName=name, Qualifier="live")["RevisionId"]
    assert revision == functions.get_alias(FunctionName=name, Name="live")["RevisionId"]
    functions.delete_function_event_invoke_config(FunctionName=name, Qualifier="1")
    assert error(get, qualifier="1") == "ResourceNotFoundException" and get("live") and get("$LATEST")
    sqs.delete_queue(QueueUrl=queue)


def test_a_version_is_not_changed_by_naming_it(node, functions, name):
    other = node.client("lambda")
    other.meta.events.register("before-call.lambda.UpdateFunctionConfiguration",
                               lambda params, **_: params.update(url=params["url"] + "?Qualifier=1"))
    before = functions.get_function_configuration(FunctionName=name)["Handler"]
    with pytest.raises(ClientError) as raised:
        other.update_function_configuration(FunctionName=name, Handler="other.handler")
    assert "Qualifier" in raised.value.response["Error"]["Message"]
    assert functions.get_function_configuration(FunctionName=name)["Handler"] == before


def test_a_version_has_one_name(functions, name):
    version = functions.publish_version(FunctionName=name)["Version"]
    assert functions.get_function_configuration(FunctionName=name, Qualifier=version)["Version"] == version
    assert error(functions.get_function_configuration, FunctionName=name, Qualifier=f"0{version}") == "ResourceNotFoundException"


def test_what_permits_nothing_is_no_permission(functions, name):
    wrong = {"FunctionName": name, "StatementId": "s", "Principal": "sns.amazonaws.com"}
    assert error(functions.add_permission, **wrong, Action="InvokeFunction") == "InvalidParameterValueException"


def test_apis_topics_mappings_and_permissions_name_aliases(node, functions, name):
    sqs, sns, gateway, kinesis = (node.client(service) for service in ["sqs", "sns", "apigateway", "kinesis"])
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = f"{ARN}{name}:live"
    # What is permitted to the function is not permitted to its alias.
    functions.add_permission(FunctionName=name, StatementId="api", Action="lambda:InvokeFunction",
                             Principal="apigateway.amazonaws.com")
    api = gateway.create_rest_api(name=name)
    place = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "GET"}
    gateway.put_method(**place, authorizationType="NONE")
    gateway.put_integration(**place, type="AWS_PROXY", integrationHttpMethod="POST",
                            uri=f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations")
    gateway.create_deployment(restApiId=api["id"], stageName="prod")
    call = lambda: requests.get(f"{node.endpoint}/restapis/{api['id']}/prod/_user_request_/", timeout=30)
    assert call().status_code == 500
    functions.add_permission(FunctionName=name, Qualifier="live", StatementId="api", Action="lambda:InvokeFunction",
                             Principal="apigateway.amazonaws.com")
    (statement,) = json.loads(functions.get_policy(FunctionName=name, Qualifier="live")["Policy"])["Statement"]
    assert statement["Resource"] == arn
    assert call().text == "one-a"
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    assert call().text == "two-b"
    functions.remove_permission(FunctionName=name, Qualifier="live", StatementId="api")
    assert call().status_code == 500
    assert error(functions.get_policy, FunctionName=name, Qualifier="live") == "ResourceNotFoundException"

    kinesis.create_stream(StreamName=name, ShardCount=1)
    functions.update_function_configuration(FunctionName=name, Environment=variables("mapped", queue))
    version = functions.publish_version(FunctionName=name)["Version"]
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion=version)
    mapping = functions.create_event_source_mapping(
        FunctionName=arn, EventSourceArn=f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}", StartingPosition="TRIM_HORIZON")
    assert mapping["FunctionArn"] == arn
    kinesis.put_record(StreamName=name, Data=b"x", PartitionKey="k")
    take = lambda: until(lambda: sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages"))
    assert take()[0]["Body"] == "two-mapped"
    topic = sns.create_topic(Name=name)["TopicArn"]
    subscription = sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)["SubscriptionArn"]
    assert sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]["Endpoint"] == arn
    later = functions.invoke(FunctionName=name, Qualifier="1", InvocationType="Event", Payload=json.dumps({"queue": queue}))
    assert later["StatusCode"] == 202 and take()[0]["Body"] == "one-a"


def test_versions_and_aliases_are_there_after_a_start():
    node = Node()
    try:
        node.start()
        functions = node.client("lambda")
        functions.create_function(FunctionName="kept", Runtime="python3.11", Handler="app.handler", Role=ROLE, Timeout=20,
                                  Code={"ZipFile": code("one")}, Environment=variables("a"), Publish=True)
        functions.create_alias(FunctionName="kept", Name="live", FunctionVersion="1")
        functions.update_function_code(FunctionName="kept", ZipFile=code("two"))
        node.kill()
        node.start()
        functions = node.client("lambda")
        assert run(functions, "kept", Qualifier="live")[:2] == ("one-a", "1")
        assert run(functions, "kept")[:2] == ("two-a", "$LATEST")
        functions.delete_function(FunctionName="kept")
        assert error(functions.invoke, FunctionName="kept", Qualifier="1") == "ResourceNotFoundException"
    finally:
        node.remove()
