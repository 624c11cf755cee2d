"""Who may do what, in the corners: roles given to services, headers that must be signed, credentials that end with their key,
packed bodies, resources that a request does not name."""

import gzip
import json
import uuid

import pytest
import requests
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from conftest import Node, until
from test_iam import ACCOUNT, LAMBDA, allow, client, make_function, policy, refused, user

FIREHOSE = {"Service": "firehose.amazonaws.com"}
ANALYTICS = {"Service": "kinesisanalytics.amazonaws.com"}
GATEWAY = {"Service": "apigateway.amazonaws.com"}
DENY = "Deny"


def name_of(kind):
    return f"{kind}-{uuid.uuid4().hex[:8]}"


def arn(service, resource):
    return f"arn:aws:{service}:us-east-1:{ACCOUNT}:{resource}"


@pytest.fixture(scope="module")
def iam(node):
    return node.client("iam")


@pytest.fixture
def role(iam):
    """Makes roles that a service may take on; gives the ARN."""
    def make(principal, *statements, **condition):
        name = name_of("role")
        statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **condition}
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(statement))["Role"]["Arn"]
        if statements:
            let(iam, made, *statements)
        return made
    return make


def let(iam, role, *statements):
    """Gives a role the statements as its one policy."""
    iam.put_role_policy(RoleName=role.split("/")[-1], PolicyName="p", PolicyDocument=policy(*statements))


def destination(bucket, role):
    return {"BucketARN": f"arn:aws:s3:::{bucket}", "RoleARN": role,
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1}}


def source(stream, role):
    return {"NamePrefix": "SRC", "KinesisStreamsInput": {"ResourceARN": arn("kinesis", f"stream/{stream}"), "RoleARN": role},
            "InputSchema": {"RecordFormat": {"RecordFormatType": "JSON"},
                            "RecordColumns": [{"Name": "n", "SqlType": "INTEGER", "Mapping": "$.n"}]}}


SQL = """
CREATE OR REPLACE STREAM "OUT" ("n" INTEGER);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM "n" FROM "SRC_001";
"""


def test_roles_of_delivery_streams_must_trust_and_be_passed(node, iam, user, role):
    firehose, kinesis = node.client("firehose"), node.client("kinesis")
    stream = name_of("s")
    kinesis.create_stream(StreamName=stream, ShardCount=1)
    make = lambda who, target, source=None: who.create_delivery_stream(
        DeliveryStreamName=name_of("d"), S3DestinationConfiguration=destination("b", target),
        **({} if source is None else {"DeliveryStreamType": "KinesisStreamAsSource", "KinesisStreamSourceConfiguration": {
            "KinesisStreamARN": arn("kinesis", f"stream/{stream}"), "RoleARN": source}}))
    other, good = role(LAMBDA), role(FIREHOSE)
    message = refused("InvalidArgumentException", make, who=firehose, target=other)
    assert message == f"Firehose is unable to assume role {other}. Please check the role provided."
    message = refused("InvalidArgumentException", make, who=firehose, target=good, source=good)
    assert f"not authorized to perform: kinesis:DescribeStream on resource: {arn('kinesis', f'stream/{stream}')}" in message
    let(iam, good, allow("kinesis:*"))
    make(firehose, good, good)
    # The condition against being used for somebody else, as the guide has it.
    guarded = role(FIREHOSE, Condition={"StringEquals": {"sts:ExternalId": ACCOUNT},
                                        "ArnLike": {"aws:SourceArn": arn("firehose", "deliverystream/*")}})
    make(firehose, guarded)
    elsewhere = role(FIREHOSE, Condition={"StringEquals": {"aws:SourceAccount": "111111111111"}})
    refused("InvalidArgumentException", make, who=firehose, target=elsewhere)
    anna = user("anna", allow("firehose:*"))("firehose")
    message = refused("AccessDeniedException", make, who=anna, target=good)
    assert f"iam:PassRole on resource: {good}" in message
    passing = allow("iam:PassRole", good, Condition={"StringEquals": {"iam:PassedToService": FIREHOSE["Service"]}})
    iam.put_user_policy(UserName="anna", PolicyName="pass", PolicyDocument=policy(passing))
    mine = make(anna, good)["DeliveryStreamARN"].split("/")[-1]
    assert "iam:PassRole" in refused("AccessDeniedException", make, who=anna, target=good, source=guarded)
    update = lambda **change: anna.update_destination(DeliveryStreamName=mine, CurrentDeliveryStreamVersionId="1",
                                                      DestinationId="destinationId-000000000001", S3DestinationUpdate=change)
    assert "iam:PassRole" in refused("AccessDeniedException", update, RoleARN=guarded)
    # What is not given need not be passed on.
    update(Prefix="p/")


def test_a_delivery_stream_does_what_its_roles_allow(node, iam, role):
    firehose, kinesis, logs = node.client("firehose"), node.client("kinesis"), node.client("logs")
    name, bucket = name_of("d"), name_of("b")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    reader, writer = role(FIREHOSE, allow("kinesis:*")), role(FIREHOSE)
    logged = {"CloudWatchLoggingOptions": {"Enabled": True, "LogGroupName": name, "LogStreamName": "errors"}}
    firehose.create_delivery_stream(
        DeliveryStreamName=name, DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration={"KinesisStreamARN": arn("kinesis", f"stream/{name}"), "RoleARN": reader},
        S3DestinationConfiguration=destination(bucket, writer) | logged)
    kinesis.put_record(StreamName=name, Data=b"one", PartitionKey="k")

    def told():
        groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
        return [event["message"] for event in logs.filter_log_events(logGroupName=name)["events"]] if name in groups else []

    denied = f"firehose is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::{bucket}/"
    until(lambda: any(denied in line for line in told()))
    folder = node.data / "objects" / bucket
    assert not folder.exists()
    # The role of the source is asked, too, however long the stream is there.
    let(iam, reader, allow("kinesis:*"), {"Effect": DENY, "Action": "kinesis:GetRecords", "Resource": "*"})
    let(iam, writer, allow("s3:PutObject", f"arn:aws:s3:::{bucket}/*"))
    until(lambda: any("kinesis:GetRecords" in line and "explicit deny" in line for line in told()))
    let(iam, reader, allow("kinesis:*"))
    found = until(lambda: [path for path in folder.rglob("*") if path.is_file()])
    assert found[0].read_bytes() == b"one"


def test_applications_do_what_their_roles_allow(node, iam, user, role):
    analytics, kinesis = node.client("kinesisanalytics"), node.client("kinesis")
    taken, given, app = name_of("in"), name_of("out"), name_of("app")
    for stream in [taken, given]:
        kinesis.create_stream(StreamName=stream, ShardCount=1)
    reader, writer, other = role(ANALYTICS), role(ANALYTICS), role(LAMBDA)
    sink = lambda role: {"Name": "OUT", "DestinationSchema": {"RecordFormatType": "JSON"},
                         "KinesisStreamsOutput": {"ResourceARN": arn("kinesis", f"stream/{given}"), "RoleARN": role}}
    make = lambda who=analytics, reads=reader, writes=writer: who.create_application(
        ApplicationName=app, ApplicationCode=SQL, Inputs=[source(taken, reads)], Outputs=[sink(writes)])
    assert other in refused("InvalidArgumentException", make, reads=other)
    assert other in refused("InvalidArgumentException", make, writes=other)
    assert "sufficient privileges to the Kinesis Stream" in refused("InvalidArgumentException", make)
    discover = lambda: analytics.discover_input_schema(ResourceARN=arn("kinesis", f"stream/{taken}"), RoleARN=reader)
    assert "sufficient privileges" in refused("InvalidArgumentException", discover)
    let(iam, reader, allow(["kinesis:DescribeStream", "kinesis:Get*"], arn("kinesis", f"stream/{taken}")))
    anna = user("anna", allow("kinesisanalytics:*"), allow("iam:PassRole", reader))("kinesisanalytics")
    assert f"iam:PassRole on resource: {writer}" in refused("AccessDeniedException", make, who=anna)
    make()
    analytics.start_application(ApplicationName=app, InputConfigurations=[
        {"Id": "1.1", "InputStartingPositionConfiguration": {"InputStartingPosition": "TRIM_HORIZON"}}])
    kinesis.put_record(StreamName=taken, Data=b'{"n": 1}', PartitionKey="k")
    denied = f"not authorized to perform: kinesis:PutRecords on resource: {arn('kinesis', f'stream/{given}')}"
    until(lambda: denied in node.output())
    let(iam, writer, allow("kinesis:PutRecord*", arn("kinesis", f"stream/{given}")))
    at = kinesis.get_shard_iterator(StreamName=given, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON")
    read = lambda: kinesis.get_records(ShardIterator=at["ShardIterator"])["Records"]
    assert json.loads(until(read)[0]["Data"]) == {"n": 1}
    analytics.stop_application(ApplicationName=app)


def test_functions_get_rows_with_the_role_of_the_output(node, iam, role):
    analytics, kinesis = node.client("kinesisanalytics"), node.client("kinesis")
    stream, app = name_of("in"), name_of("app")
    kinesis.create_stream(StreamName=stream, ShardCount=1)
    writer = role(ANALYTICS)
    made_up = f"arn:aws:iam::{ACCOUNT}:role/nobody-made-it"
    function = {"ResourceARN": arn("lambda", "function:gone"), "RoleARN": writer}
    analytics.create_application(
        ApplicationName=app, ApplicationCode=SQL, Inputs=[source(stream, made_up)],
        Outputs=[{"Name": "OUT", "LambdaOutput": function, "DestinationSchema": {"RecordFormatType": "JSON"}}])
    analytics.start_application(ApplicationName=app, InputConfigurations=[
        {"Id": "1.1", "InputStartingPositionConfiguration": {"InputStartingPosition": "TRIM_HORIZON"}}])
    kinesis.put_record(StreamName=stream, Data=b'{"n": 1}', PartitionKey="k")
    denied = "kinesisanalytics is not authorized to perform: lambda:InvokeFunction"
    until(lambda: denied in requests.get(f"{node.console}/queries/{app}", timeout=10).text)
    let(iam, writer, allow("lambda:InvokeFunction"))
    # Now it is the function that is missing.
    until(lambda: denied not in requests.get(f"{node.console}/queries/{app}", timeout=10).text)
    analytics.stop_application(ApplicationName=app)


def test_an_application_of_the_newer_api_has_one_role_for_all(node, iam, user, role):
    kinesis, stream, app = node.client("kinesis"), name_of("in"), name_of("app")
    kinesis.create_stream(StreamName=stream, ShardCount=1)
    good, other, elsewhere = role(ANALYTICS, allow("kinesis:*")), role(LAMBDA), role(ANALYTICS, allow("kinesis:*"))
    given = {name: part for name, part in source(stream, good).items() if name != "KinesisStreamsInput"}
    given["KinesisStreamsInput"] = {"ResourceARN": arn("kinesis", f"stream/{stream}")}
    processed = {"InputLambdaProcessor": {"ResourceARN": arn("lambda", "function:gone")}}
    make = lambda who, holds=good: who.create_application(
        ApplicationName=app, RuntimeEnvironment="SQL-1_0", ServiceExecutionRole=holds, ApplicationConfiguration={
            "SqlApplicationConfiguration": {"Inputs": [given | {"InputProcessingConfiguration": processed}]},
            "ApplicationCodeConfiguration": {"CodeContentType": "PLAINTEXT", "CodeContent": {"TextContent": SQL}}})
    analytics = node.client("kinesisanalyticsv2")
    assert other in refused("InvalidArgumentException", make, who=analytics, holds=other)
    berta = user("berta", allow("kinesisanalytics:*"))("kinesisanalyticsv2")
    assert f"iam:PassRole on resource: {good}" in refused("AccessDeniedException", make, who=berta)
    make(analytics)
    pass_on = lambda: berta.update_application(ApplicationName=app, CurrentApplicationVersionId=1, ServiceExecutionRoleUpdate=elsewhere)
    assert f"iam:PassRole on resource: {elsewhere}" in refused("AccessDeniedException", pass_on)
    table = {"ReferenceId": "1.1", "S3ReferenceDataSourceUpdate": {"ReferenceRoleARNUpdate": elsewhere}}
    older = user("carla", allow("kinesisanalytics:*"))("kinesisanalytics")
    change = lambda: older.update_application(
        ApplicationName=app, CurrentApplicationVersionId=1, ApplicationUpdate={"ReferenceDataSourceUpdates": [table]})
    assert "iam:PassRole" in refused("AccessDeniedException", change)
    # What the function of an input gets is asked of the role, too.
    analytics.start_application(ApplicationName=app, RunConfiguration={"SqlRunConfigurations": [
        {"InputId": "1.1", "InputStartingPositionConfiguration": {"InputStartingPosition": "TRIM_HORIZON"}}]})
    kinesis.put_record(StreamName=stream, Data=b'{"n": 1}', PartitionKey="k")
    denied = "kinesisanalytics is not authorized to perform: lambda:InvokeFunction"
    until(lambda: denied in requests.get(f"{node.console}/queries/{app}", timeout=10).text)
    analytics.stop_application(ApplicationName=app)


def test_integrations_run_functions_with_their_role(node, iam, user, role):
    gateway = node.client("apigateway")
    make_function(node.client("lambda"), "answers", f"arn:aws:iam::{ACCOUNT}:role/nobody-made-it")
    api = gateway.create_rest_api(name="guarded")["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    place = {"restApiId": api, "resourceId": root, "httpMethod": "GET"}
    gateway.put_method(**place, authorizationType="NONE")
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn('lambda', 'function:answers')}/invocations"
    put = lambda who, role: who.put_integration(**place, type="AWS", integrationHttpMethod="POST", uri=uri, credentials=role,
                                                requestTemplates={"application/json": json.dumps(
                                                    {"service": "sts", "operation": "get_caller_identity", "arguments": {}})})
    runner, other = role(GATEWAY), role(LAMBDA)
    assert other in refused("BadRequestException", put, who=gateway, role=other)
    assert "not supported" in refused("BadRequestException", put, who=gateway, role="arn:aws:iam::*:user/*")
    anna = user("anna", allow("apigateway:*"))("apigateway")
    assert f"iam:PassRole on resource: {runner}" in refused("AccessDeniedException", put, who=anna, role=runner)
    # Members by their places would tell nobody which role they give.
    path = f"{node.endpoint}/restapis/{api}/resources/{root}/methods/GET/integration"
    request = AWSRequest("PUT", path, data=json.dumps(["AWS", "POST", uri, None, None, None, None, runner, None, None]))
    SigV4Auth(Credentials("test", "test"), "apigateway", "us-east-1").add_auth(request)
    answer = requests.put(path, data=request.data, headers=dict(request.prepare().headers), timeout=30)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, "SerializationException")
    put(gateway, runner)
    assert gateway.get_integration(**place)["credentials"] == runner
    gateway.put_method_response(**place, statusCode="200")
    gateway.put_integration_response(**place, statusCode="200")
    gateway.create_deployment(restApiId=api, stageName="prod")
    call = lambda: requests.get(f"{node.endpoint}/restapis/{api}/prod/_user_request_/", timeout=60)
    assert (call().status_code, call().json()) == (500, {"message": "Internal server error"})
    tried = gateway.test_invoke_method(**place)
    assert f"not authorized to perform: lambda:InvokeFunction on resource: {arn('lambda', 'function:answers')}" in tried["log"]
    let(iam, runner, allow("lambda:InvokeFunction", arn("lambda", "function:answers")))
    assert call().json()["Account"] == ACCOUNT


def test_destinations_must_be_open_to_the_functions_role(node, iam, role):
    functions, sqs, kinesis = node.client("lambda"), node.client("sqs"), node.client("kinesis")
    sqs.create_queue(QueueName="ends")
    kinesis.create_stream(StreamName="ends", ShardCount=1)
    queue, stream = arn("sqs", "ends"), arn("kinesis", "stream/ends")
    runner = role(LAMBDA, allow("kinesis:*"))
    make_function(functions, "careful", runner)
    tell = lambda: functions.put_function_event_invoke_config(FunctionName="careful", DestinationConfig={
        "OnFailure": {"Destination": queue}})
    message = refused("InvalidParameterValueException", tell)
    assert message == f"The function's execution role does not have permissions to call SendMessage on {queue}"
    read = lambda **more: functions.create_event_source_mapping(FunctionName="careful", EventSourceArn=stream,
                                                                StartingPosition="LATEST", **more)
    message = refused("InvalidParameterValueException", read, DestinationConfig={"OnFailure": {"Destination": queue}})
    assert message == "The provided execution role does not have permissions to call SendMessage on SQS"
    mapping = read()["UUID"]
    change = lambda: functions.update_event_source_mapping(UUID=mapping, DestinationConfig={
        "OnFailure": {"Destination": queue}})
    refused("InvalidParameterValueException", change)
    let(iam, runner, allow("kinesis:*"), allow("sqs:SendMessage", queue))
    tell()
    change()


def post(node, service, headers, body=b"{}", after=(), credentials=("test", "test")):
    """A signed request, with headers that are added after it was signed."""
    request = AWSRequest("POST", node.endpoint + "/", data=body, headers=headers)
    SigV4Auth(Credentials(*credentials), service, "us-east-1").add_auth(request)
    return requests.post(node.endpoint + "/", data=body, headers=dict(request.prepare().headers) | dict(after), timeout=30)


def test_what_was_not_signed_does_not_count(node):
    json_type = {"Content-Type": "application/x-amz-json-1.1"}
    listing = json_type | {"X-Amz-Target": "Kinesis_20131202.ListStreams"}
    assert post(node, "kinesis", listing).status_code == 200
    # What proxies add, and what old clients leave out.
    assert post(node, "kinesis", listing, after={"X-Amzn-Trace-Id": "Root=1"}).status_code == 200
    target = {"X-Amz-Target": "Kinesis_20131202.ListStreams"}
    assert post(node, "kinesis", target, after=json_type).status_code == 200
    for headers, after in [(json_type, {"X-Amz-Target": "Kinesis_20131202.ListStreams"}), (listing, {"X-Amz-Anything": "1"})]:
        answer = post(node, "kinesis", headers, after=after)
        assert (answer.status_code, answer.json()["__type"]) == (400, "InvalidSignatureException"), (headers, after)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    assert "GetCallerIdentityResult" in post(node, "sts", form, body).text
    answer = post(node, "sts", form, body, after={"X-Amz-Anything": "1"})
    assert answer.status_code == 403 and "<Code>SignatureDoesNotMatch</Code>" in answer.text
    # An address that was signed before is opened with headers of its opener's own, but none that means something.
    request = AWSRequest("GET", node.endpoint + "/2015-03-31/functions/")
    SigV4QueryAuth(Credentials("test", "test"), "lambda", "us-east-1").add_auth(request)
    opened = lambda headers: requests.get(request.url, headers=headers, timeout=30).status_code
    assert (opened(json_type), opened({"X-Amz-Anything": "1"})) == (200, 403)


def test_packed_bodies_are_signed_as_they_are_sent(node):
    headers = {"Content-Type": "application/x-amz-json-1.1", "Content-Encoding": "gzip",
               "X-Amz-Target": "Kinesis_20131202.CreateStream"}
    name = name_of("packed")
    body = gzip.compress(json.dumps({"StreamName": name, "ShardCount": 1}).encode())
    assert post(node, "kinesis", headers, body).status_code == 200
    assert node.client("kinesis").describe_stream_summary(StreamName=name)
    broken = post(node, "kinesis", headers, b"no gzip")
    assert broken.json()["__type"] == "SerializationException"
    # Nothing is unpacked for somebody who is not known.
    assert post(node, "kinesis", headers, b"no gzip", credentials=("test", "wrong")).json()["__type"] == "InvalidSignatureException"


def test_an_sdk_packs_large_bodies_by_itself(node):
    cloudwatch = node.client("cloudwatch", request_min_compression_size_bytes=1)
    sent = {}
    cloudwatch.meta.events.register("before-send.cloudwatch.*", lambda request, **_: sent.update(request.headers))
    data = [{"MetricName": f"m{n}", "Value": n} for n in range(100)]
    cloudwatch.put_metric_data(Namespace="Packed", MetricData=data)
    assert sent["Content-Encoding"] in ("gzip", b"gzip")
    assert len(cloudwatch.list_metrics(Namespace="Packed")["Metrics"]) == 100


def test_temporary_credentials_end_with_the_key_behind_them(node, iam, role):
    iam.create_user(UserName="brief")
    iam.put_user_policy(UserName="brief", PolicyName="p", PolicyDocument=policy(allow("*")))
    key = iam.create_access_key(UserName="brief")["AccessKey"]
    sts = client(node, "sts", key["AccessKeyId"], key["SecretAccessKey"])
    worker = role({"AWS": ACCOUNT}, allow("*"))
    first = sts.get_session_token()["Credentials"]
    of = lambda given: client(node, "sts", given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    second = sts.assume_role(RoleArn=worker, RoleSessionName="night")["Credentials"]
    third = of(second).assume_role(RoleArn=worker, RoleSessionName="late")["Credentials"]
    for given in [first, second, third]:
        of(given).get_caller_identity()
    iam.update_access_key(UserName="brief", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    for given in [first, second, third]:
        refused("InvalidClientTokenId", of(given).get_caller_identity)
    iam.update_access_key(UserName="brief", AccessKeyId=key["AccessKeyId"], Status="Active")
    of(third).get_caller_identity()
    iam.delete_access_key(UserName="brief", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="brief", PolicyName="p")
    iam.delete_user(UserName="brief")
    for given in [first, second, third]:
        refused("InvalidClientTokenId", of(given).get_caller_identity)


def test_credentials_of_a_development_node_are_none_of_another():
    node = Node()
    try:
        node.start()
        given = node.client("sts").get_session_token()["Credentials"]
        who = lambda: client(node, "sts", given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        assert who().get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
        node.stop()
        node.flags = tuple(flag for flag in node.flags if flag != "--dev")
        node.start()
        refused("InvalidClientTokenId", who().get_caller_identity)
    finally:
        node.remove()


def test_a_denial_for_one_resource_counts_where_none_is_named(node, user):
    sqs = node.client("sqs")
    dead, secret = name_of("dead"), name_of("secret")
    sqs.create_queue(QueueName=dead)
    sqs.create_queue(QueueName=secret)
    redrive = json.dumps({"deadLetterTargetArn": arn("sqs", dead), "maxReceiveCount": 1})
    sqs.create_queue(QueueName=name_of("jobs"), Attributes={"RedrivePolicy": redrive})
    anna = user("anna", allow("sqs:*"), {"Effect": DENY, "Action": "sqs:SendMessage", "Resource": arn("sqs", secret)})("sqs")
    anna.list_queues()
    # Each message would go back to where it came from, which may be any queue.
    message = refused("AccessDenied", anna.start_message_move_task, SourceArn=arn("sqs", dead))
    assert "sqs:SendMessage on resource: * with an explicit deny" in message


def test_who_cancels_a_task_must_be_allowed_to_for_its_queue(node, user):
    sqs = node.client("sqs")
    dead, free = name_of("dead"), name_of("free")
    for name in [dead, free]:
        sqs.create_queue(QueueName=name)
    redrive = json.dumps({"deadLetterTargetArn": arn("sqs", dead), "maxReceiveCount": 1})
    sqs.create_queue(QueueName=name_of("jobs"), Attributes={"RedrivePolicy": redrive})
    url = sqs.get_queue_url(QueueName=dead)["QueueUrl"]
    for _ in range(10):
        sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": "x"} for n in range(10)])
    handle = sqs.start_message_move_task(SourceArn=arn("sqs", dead), DestinationArn=arn("sqs", free),
                                         MaxNumberOfMessagesPerSecond=1)["TaskHandle"]
    anna = user("anna", allow("sqs:CancelMessageMoveTask", arn("sqs", free)))("sqs")
    message = refused("AccessDenied", anna.cancel_message_move_task, TaskHandle=handle)
    assert f"sqs:CancelMessageMoveTask on resource: {arn('sqs', dead)}" in message
    ben = user("ben", allow("sqs:CancelMessageMoveTask", arn("sqs", dead)))("sqs")
    ben.cancel_message_move_task(TaskHandle=handle)
