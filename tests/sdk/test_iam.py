"""IAM and STS through boto3: definitions, keys, temporary credentials, what each service answers those who may not."""

import json
import time

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from conftest import Node, package, until

ACCOUNT = "000000000000"
ONCE = {"retries": {"max_attempts": 0, "mode": "standard"}, "connect_timeout": 5, "read_timeout": 60}


def client(node, service, key, secret, token=None):
    return boto3.client(service, endpoint_url=node.endpoint, region_name="us-east-1", aws_access_key_id=key,
                        aws_secret_access_key=secret, aws_session_token=token, config=Config(**ONCE))


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trust(principal):
    return policy({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


LAMBDA = {"Service": "lambda.amazonaws.com"}


def refused(code, call, **arguments):
    """The message of the error that a call ends with."""
    with pytest.raises(ClientError) as failed:
        call(**arguments)
    assert failed.value.response["Error"]["Code"] == code, failed.value
    return failed.value.response["Error"]["Message"]


@pytest.fixture(scope="module")
def iam(node):
    return node.client("iam")


@pytest.fixture
def user(node, iam):
    """Makes users with keys and an inline policy; takes them away at the end."""
    made = []

    def make(name, *statements):
        iam.create_user(UserName=name)
        made.append(name)
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy(*statements))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return lambda service: client(node, service, key["AccessKeyId"], key["SecretAccessKey"])

    yield make
    for name in made:
        for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
            iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        for inline in iam.list_user_policies(UserName=name)["PolicyNames"]:
            iam.delete_user_policy(UserName=name, PolicyName=inline)
        for attached in iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]:
            iam.detach_user_policy(UserName=name, PolicyArn=attached["PolicyArn"])
        iam.delete_user(UserName=name)


def test_roles(iam):
    made = iam.create_role(RoleName="tweets", Path="/service-role/", AssumeRolePolicyDocument=trust(LAMBDA),
                           Description="reads", Tags=[{"Key": "team", "Value": "a&b"}])["Role"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/service-role/tweets"
    assert made["RoleId"].startswith("AROA") and made["MaxSessionDuration"] == 3600
    got = iam.get_role(RoleName="tweets")["Role"]
    assert got["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == LAMBDA
    assert got["Description"] == "reads" and got["Tags"] == [{"Key": "team", "Value": "a&b"}]
    assert "already exists" in refused("EntityAlreadyExists", iam.create_role, RoleName="Tweets",
                                       AssumeRolePolicyDocument=trust(LAMBDA))
    iam.update_role(RoleName="tweets", Description="writes", MaxSessionDuration=7200)
    iam.update_assume_role_policy(RoleName="tweets", PolicyDocument=trust({"AWS": ACCOUNT}))
    got = iam.get_role(RoleName="tweets")["Role"]
    assert (got["Description"], got["MaxSessionDuration"]) == ("writes", 7200)
    iam.tag_role(RoleName="tweets", Tags=[{"Key": "x", "Value": "y"}])
    iam.untag_role(RoleName="tweets", TagKeys=["team"])
    assert iam.list_role_tags(RoleName="tweets")["Tags"] == [{"Key": "x", "Value": "y"}]
    document = policy(allow("sqs:*"))
    iam.put_role_policy(RoleName="tweets", PolicyName="queue", PolicyDocument=document)
    assert iam.get_role_policy(RoleName="tweets", PolicyName="queue")["PolicyDocument"] == json.loads(document)
    assert iam.list_role_policies(RoleName="tweets")["PolicyNames"] == ["queue"]
    arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaKinesisExecutionRole"
    iam.attach_role_policy(RoleName="tweets", PolicyArn=arn)
    attached = iam.list_attached_role_policies(RoleName="tweets")["AttachedPolicies"]
    assert attached == [{"PolicyName": "AWSLambdaKinesisExecutionRole", "PolicyArn": arn}]
    assert iam.list_entities_for_policy(PolicyArn=arn)["PolicyRoles"][0]["RoleName"] == "tweets"
    assert "must detach all policies first" in refused("DeleteConflict", iam.delete_role, RoleName="tweets")
    iam.detach_role_policy(RoleName="tweets", PolicyArn=arn)
    refused("NoSuchEntity", iam.detach_role_policy, RoleName="tweets", PolicyArn=arn)
    assert "must delete policies first" in refused("DeleteConflict", iam.delete_role, RoleName="tweets")
    iam.delete_role_policy(RoleName="tweets", PolicyName="queue")
    iam.delete_role(RoleName="tweets")
    assert "tweets cannot be found" in refused("NoSuchEntity", iam.get_role, RoleName="tweets")


def test_policies_have_versions(iam):
    arn = iam.create_policy(PolicyName="own", PolicyDocument=policy(allow("sqs:*")))["Policy"]["Arn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:policy/own"
    second = policy(allow("sns:*"))
    version = iam.create_policy_version(PolicyArn=arn, PolicyDocument=second, SetAsDefault=True)["PolicyVersion"]
    assert (version["VersionId"], version["IsDefaultVersion"]) == ("v2", True)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v2"
    got = iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]
    assert got["Document"] == json.loads(second)
    refused("DeleteConflict", iam.delete_policy, PolicyArn=arn)
    refused("DeleteConflict", iam.delete_policy_version, PolicyArn=arn, VersionId="v2")
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    assert [version["VersionId"] for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == ["v1"]
    assert [found["PolicyName"] for found in iam.list_policies(Scope="Local")["Policies"]] == ["own"]
    iam.delete_policy(PolicyArn=arn)
    refused("NoSuchEntity", iam.get_policy, PolicyArn=arn)


def test_policies_of_the_services_are_there(iam):
    names = set()
    for page in iam.get_paginator("list_policies").paginate(Scope="AWS", PaginationConfig={"PageSize": 10}):
        names.update(found["PolicyName"] for found in page["Policies"])
    assert {"AWSLambdaBasicExecutionRole", "AmazonDynamoDBFullAccess", "AdministratorAccess"} <= names
    arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    assert "logs:PutLogEvents" in document["Statement"][0]["Action"]
    refused("AccessDenied", iam.delete_policy, PolicyArn=arn)
    refused("NoSuchEntity", iam.get_policy, PolicyArn="arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole")


def test_wild_documents_are_refused(iam):
    iam.create_role(RoleName="wild", AssumeRolePolicyDocument=trust(LAMBDA))
    put = lambda document: refused("MalformedPolicyDocument", iam.put_role_policy, RoleName="wild", PolicyName="p",
                                   PolicyDocument=document)
    for document in ["{", "[]", "null", "\"x\"", policy(), policy({"Effect": "Allow"}), "[" * 50_000,
                     policy(allow("SendMessage")), policy(allow("sqs:*", "queue")), policy(allow("sqs:((a*)*)*")),
                     policy(allow("sqs:*", Principal="*")), policy(allow("sqs:*", Condition={"Likes": {"a:b": "c"}})),
                     policy(allow("sqs:*", "arn:aws:sqs:*:*:${aws:username")),
                     json.dumps({"Version": "2030-01-01", "Statement": allow("*")})]:
        put(document)
    refused("MalformedPolicyDocument", iam.create_role, RoleName="other", AssumeRolePolicyDocument=policy(allow("*")))
    long = policy(allow("sqs:*", [f"arn:aws:sqs:*:*:{'*a' * 50}{index}" for index in range(110)]))
    assert "10240" in refused("LimitExceeded", iam.put_role_policy, RoleName="wild", PolicyName="p", PolicyDocument=long)
    refused("ValidationError", iam.create_role, RoleName="a b", AssumeRolePolicyDocument=trust(LAMBDA))
    iam.delete_role(RoleName="wild")


def test_wild_patterns_take_no_time(node, iam, user):
    heavy = allow("sqs:*", "arn:aws:sqs:*:*:" + "*a" * 400 + "b")
    anna = user("anna", heavy)
    url = node.client("sqs").create_queue(QueueName="a" * 80)["QueueUrl"]
    begun = time.monotonic()
    refused("AccessDenied", anna("sqs").send_message, QueueUrl=url, MessageBody="x")
    assert time.monotonic() - begun < 5


def test_keys_are_let_in_while_they_are_active(node, iam, user):
    anna = user("anna")
    identity = anna("sts").get_caller_identity()
    assert identity["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/anna" and identity["UserId"].startswith("AIDA")
    assert node.client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    key = iam.list_access_keys(UserName="anna")["AccessKeyMetadata"][0]
    assert key["Status"] == "Active"
    iam.update_access_key(UserName="anna", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    refused("InvalidClientTokenId", anna("sts").get_caller_identity)
    refused("UnrecognizedClientException", anna("kinesis").list_streams)
    iam.update_access_key(UserName="anna", AccessKeyId=key["AccessKeyId"], Status="Active")
    anna("sts").get_caller_identity()
    iam.create_access_key(UserName="anna")
    assert "2" in refused("LimitExceeded", iam.create_access_key, UserName="anna")
    refused("DeleteConflict", iam.delete_user, UserName="anna")
    assert key["AccessKeyId"] in node.run("keys")


def test_every_service_refuses_in_its_own_words(node, user):
    anna = user("anna")
    place = f"us-east-1:{ACCOUNT}"
    calls = [
        ("kinesis", "list_streams", {}, "AccessDeniedException", "kinesis:ListStreams", "*"),
        ("kinesis", "put_record", {"StreamName": "s", "Data": b"x", "PartitionKey": "k"}, "AccessDeniedException",
         "kinesis:PutRecord", f"arn:aws:kinesis:{place}:stream/s"),
        ("firehose", "put_record", {"DeliveryStreamName": "d", "Record": {"Data": b"x"}}, "AccessDeniedException",
         "firehose:PutRecord", f"arn:aws:firehose:{place}:deliverystream/d"),
        ("dynamodb", "put_item", {"TableName": "t", "Item": {"id": {"S": "1"}}}, "AccessDeniedException",
         "dynamodb:PutItem", f"arn:aws:dynamodb:{place}:table/t"),
        ("sqs", "send_message", {"QueueUrl": f"{node.endpoint}/{ACCOUNT}/q", "MessageBody": "x"}, "AccessDenied",
         "sqs:SendMessage", f"arn:aws:sqs:{place}:q"),
        ("sns", "publish", {"TopicArn": f"arn:aws:sns:{place}:t", "Message": "x"}, "AuthorizationError", "sns:Publish",
         f"arn:aws:sns:{place}:t"),
        ("dynamodbstreams", "list_streams", {}, "AccessDeniedException", "dynamodb:ListStreams", "*"),
        ("lambda", "invoke", {"FunctionName": "f"}, "AccessDeniedException", "lambda:InvokeFunction",
         f"arn:aws:lambda:{place}:function:f"),
        ("logs", "describe_log_streams", {"logGroupName": "/aws/lambda/f"}, "AccessDeniedException",
         "logs:DescribeLogStreams", f"arn:aws:logs:{place}:log-group:/aws/lambda/f:log-stream:"),
        ("kinesisanalytics", "describe_application", {"ApplicationName": "a"}, "AccessDeniedException",
         "kinesisanalytics:DescribeApplication", f"arn:aws:kinesisanalytics:{place}:application/a"),
        ("apigateway", "get_rest_api", {"restApiId": "abc"}, "AccessDeniedException", "apigateway:GET",
         "arn:aws:apigateway:us-east-1::/restapis/abc"),
        ("iam", "create_role", {"RoleName": "r", "AssumeRolePolicyDocument": trust(LAMBDA)}, "AccessDenied",
         "iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/r"),
    ]
    for service, operation, arguments, code, action, resource in calls:
        message = refused(code, getattr(anna(service), operation), **arguments)
        assert message == (f"User: arn:aws:iam::{ACCOUNT}:user/anna is not authorized to perform: {action} on resource: "
                           f"{resource} because no identity-based policy allows the {action} action"), service


def test_nobody_is_fooled_by_names_of_other_places(node, user):
    node.client("kinesis").create_stream(StreamName="secret", ShardCount=1)
    secret = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/secret"
    anna = user("anna", allow("kinesis:*"), {"Effect": "Deny", "Action": "*", "Resource": secret})("kinesis")
    for name in [secret, secret.replace("us-east-1", "eu-west-1"), secret.replace(ACCOUNT, "111111111111")]:
        message = refused("AccessDeniedException", anna.describe_stream_summary, StreamARN=name)
        assert "with an explicit deny" in message


def test_policies_decide(node, iam, user):
    sqs = node.client("sqs")
    urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ["anna-1", "ben-1"]}
    anna = user("anna", allow("sqs:SendMessage", "arn:aws:sqs:*:*:${aws:username}-*"))("sqs")
    anna.send_message(QueueUrl=urls["anna-1"], MessageBody="x")
    anna.send_message_batch(QueueUrl=urls["anna-1"], Entries=[{"Id": "1", "MessageBody": "x"}])
    refused("AccessDenied", anna.send_message, QueueUrl=urls["ben-1"], MessageBody="x")
    refused("AccessDenied", anna.receive_message, QueueUrl=urls["anna-1"])
    # What changes counts at once; a denial outweighs.
    iam.attach_user_policy(UserName="anna", PolicyArn="arn:aws:iam::aws:policy/AmazonSQSFullAccess")
    anna.receive_message(QueueUrl=urls["ben-1"])
    iam.put_user_policy(UserName="anna", PolicyName="no",
                        PolicyDocument=policy({"Effect": "Deny", "Action": "sqs:Receive*", "Resource": "*"}))
    message = refused("AccessDenied", anna.receive_message, QueueUrl=urls["ben-1"])
    assert message.endswith("with an explicit deny in an identity-based policy")
    # Circumstances.
    near = {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}, "DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}
    far = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    ben = user("ben", allow("sqs:SendMessage", Condition=near), allow("sqs:ReceiveMessage", Condition=far))("sqs")
    ben.send_message(QueueUrl=urls["ben-1"], MessageBody="x")
    refused("AccessDenied", ben.receive_message, QueueUrl=urls["ben-1"])
    simulated = iam.simulate_principal_policy(PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:user/anna",
                                              ActionNames=["sqs:SendMessage", "sqs:ReceiveMessage", "sns:Publish"])
    decisions = [result["EvalDecision"] for result in simulated["EvaluationResults"]]
    assert decisions == ["allowed", "explicitDeny", "implicitDeny"]


def test_policies_of_resources_count_beside_the_callers(node, user):
    """One of both is enough, and a denial of either outweighs."""
    sqs, sns, functions = (node.client(service) for service in ["sqs", "sns", "lambda"])
    url = sqs.create_queue(QueueName="shared")["QueueUrl"]
    queue, topic = f"arn:aws:sqs:us-east-1:{ACCOUNT}:shared", sns.create_topic(Name="shared")["TopicArn"]
    functions.create_function(FunctionName="shared", Runtime="python3.11", Handler="app.handler", Timeout=30,
                              Role=f"arn:aws:iam::{ACCOUNT}:role/any",
                              Code={"ZipFile": package({"app.py": "def handler(event, context): return 1"})})
    anna, ben = user("anna"), user("ben", allow("sqs:*"), allow("sns:*"))
    send = lambda who: who("sqs").send_message(QueueUrl=url, MessageBody="x")
    let = lambda *statements: sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy(*statements)})
    name = lambda user: {"AWS": f"arn:aws:iam::{ACCOUNT}:user/{user}"}
    of = lambda effect, principal: {"Effect": effect, "Principal": principal, "Action": "SQS:SendMessage", "Resource": queue}
    assert "no identity-based policy" in refused("AccessDenied", send, who=anna)
    let(of("Allow", name("anna")))
    send(anna)
    refused("AccessDenied", anna("sqs").receive_message, QueueUrl=url)
    let(of("Allow", {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))
    refused("AccessDenied", send, who=anna)
    let(of("Allow", "*"), of("Deny", name("ben")))
    send(anna)
    assert refused("AccessDenied", send, who=ben).endswith("with an explicit deny in a resource-based policy")
    # The root mends what denies everybody.
    let(of("Deny", "*"))
    send(node.client)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    send(ben)
    # Topics: what nobody set is for services only.
    publish = lambda who: who("sns").publish(TopicArn=topic, Message="x")
    refused("AuthorizationError", publish, who=anna)
    statement = {"Effect": "Allow", "Principal": name("anna"), "Action": "SNS:Publish", "Resource": topic}
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy(statement))
    publish(anna)
    # Functions.
    invoke = lambda: anna("lambda").invoke(FunctionName="shared")
    refused("AccessDeniedException", invoke)
    functions.add_permission(FunctionName="shared", StatementId="anna", Action="lambda:InvokeFunction", Principal=name("anna")["AWS"])
    assert invoke()["StatusCode"] == 200
    functions.remove_permission(FunctionName="shared", StatementId="anna")
    refused("AccessDeniedException", invoke)


def test_batches_name_every_table(node, user):
    dynamodb = node.client("dynamodb")
    for name in ["mine", "theirs"]:
        dynamodb.create_table(TableName=name, KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                              AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                              BillingMode="PAY_PER_REQUEST")
    anna = user("anna", allow("dynamodb:BatchWriteItem", "arn:aws:dynamodb:*:*:table/mine"))("dynamodb")
    put = [{"PutRequest": {"Item": {"id": {"S": "1"}}}}]
    anna.batch_write_item(RequestItems={"mine": put})
    message = refused("AccessDeniedException", anna.batch_write_item, RequestItems={"mine": put, "theirs": put})
    assert "table/theirs" in message


def test_iterators_belong_to_their_streams(node, user):
    kinesis = node.client("kinesis")
    for name in ["mine", "theirs"]:
        kinesis.create_stream(StreamName=name, ShardCount=1)
    anna = user("anna", allow("kinesis:*", f"arn:aws:kinesis:*:{ACCOUNT}:stream/mine"))("kinesis")
    ask = {"ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
    anna.get_records(ShardIterator=anna.get_shard_iterator(StreamName="mine", **ask)["ShardIterator"])
    theirs = kinesis.get_shard_iterator(StreamName="theirs", **ask)["ShardIterator"]
    assert "stream/theirs" in refused("AccessDeniedException", anna.get_records, ShardIterator=theirs)


def test_roles_are_taken_on(node, iam, user):
    node.client("sqs").create_queue(QueueName="jobs")
    url = f"{node.endpoint}/{ACCOUNT}/jobs"
    arn = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=trust(LAMBDA))["Role"]["Arn"]
    iam.put_role_policy(RoleName="worker", PolicyName="p", PolicyDocument=policy(allow("sqs:*")))
    anna = user("anna")
    take = lambda who, **more: who("sts").assume_role(RoleArn=arn, RoleSessionName="night", **more)
    message = refused("AccessDenied", take, who=anna)
    assert message == f"User: arn:aws:iam::{ACCOUNT}:user/anna is not authorized to perform: sts:AssumeRole on resource: {arn}"
    iam.update_assume_role_policy(RoleName="worker", PolicyDocument=trust({"AWS": f"arn:aws:iam::{ACCOUNT}:user/anna"}))
    taken = take(anna)
    assert taken["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/night"
    as_role = lambda service, given: client(node, service, given["AccessKeyId"], given["SecretAccessKey"],
                                            given["SessionToken"])
    given = taken["Credentials"]
    assert as_role("sts", given).get_caller_identity()["Arn"] == taken["AssumedRoleUser"]["Arn"]
    as_role("sqs", given).send_message(QueueUrl=url, MessageBody="x")
    message = refused("AccessDeniedException", as_role("kinesis", given).list_streams)
    assert message.startswith(f"User: arn:aws:sts::{ACCOUNT}:assumed-role/worker/night is not authorized")
    # Without its token, with another's, and with a changed one it is nobody's.
    refused("InvalidClientTokenId", client(node, "sts", given["AccessKeyId"], given["SecretAccessKey"]).get_caller_identity)
    changed = {**given, "SessionToken": given["SessionToken"][:-8] + "AAAAAAAA"}
    refused("InvalidClientTokenId", as_role("sts", changed).get_caller_identity)
    # Trusting the account leaves it to the caller's policies.
    iam.update_assume_role_policy(RoleName="worker", PolicyDocument=trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))
    refused("AccessDenied", take, who=anna)
    iam.put_user_policy(UserName="anna", PolicyName="may", PolicyDocument=policy(allow("sts:AssumeRole", arn)))
    narrowed = take(anna, Policy=policy(allow("sqs:ReceiveMessage")), DurationSeconds=900)["Credentials"]
    as_role("sqs", narrowed).receive_message(QueueUrl=url)
    message = refused("AccessDenied", as_role("sqs", narrowed).send_message, QueueUrl=url, MessageBody="x")
    assert message.endswith("because no session policy allows the sqs:SendMessage action")
    refused("ValidationError", take, who=anna, DurationSeconds=43_200)
    refused("AccessDenied", anna("sts").assume_role, RoleArn=arn + "-not", RoleSessionName="night")
    session = anna("sts").get_session_token()["Credentials"]
    assert as_role("sts", session).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/anna"
    # A role that goes takes its sessions along.
    iam.delete_role_policy(RoleName="worker", PolicyName="p")
    iam.delete_role(RoleName="worker")
    refused("AccessDenied", as_role("sqs", given).send_message, QueueUrl=url, MessageBody="x")


HANDLER = """
import boto3

def handler(event, context):
    client = boto3.client(event["service"])
    answer = getattr(client, event["operation"])(**event["arguments"])
    answer.pop("ResponseMetadata")
    return answer
"""


def make_function(functions, name, role):
    return functions.create_function(FunctionName=name, Runtime="python3.11", Role=role, Handler="app.handler",
                                     Timeout=30, Code={"ZipFile": package({"app.py": HANDLER})})


def run(functions, name, service, operation, **arguments):
    payload = json.dumps({"service": service, "operation": operation, "arguments": arguments})
    answer = functions.invoke(FunctionName=name, Payload=payload)
    return json.load(answer["Payload"])


def test_functions_have_the_rights_of_their_roles(node, iam):
    functions = node.client("lambda")
    url = node.client("sqs").create_queue(QueueName="out")["QueueUrl"]
    arn = iam.create_role(RoleName="writer", AssumeRolePolicyDocument=trust(LAMBDA))["Role"]["Arn"]
    make_function(functions, "bound", arn)
    send = lambda: run(functions, "bound", "sqs", "send_message", QueueUrl=url, MessageBody="x")
    assert "assumed-role/writer/bound is not authorized to perform: sqs:SendMessage" in send()["errorMessage"]
    iam.put_role_policy(RoleName="writer", PolicyName="send", PolicyDocument=policy(allow("sqs:SendMessage")))
    assert "MessageId" in send()
    identity = run(functions, "bound", "sts", "get_caller_identity")
    assert identity["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/writer/bound"
    # A role that nobody made: a development node lets it do everything, and says so.
    make_function(functions, "unbound", f"arn:aws:iam::{ACCOUNT}:role/nobody-made-it")
    assert "MessageId" in run(functions, "unbound", "sqs", "send_message", QueueUrl=url, MessageBody="x")
    assert "nobody-made-it" in node.output()


def test_roles_of_functions_must_trust_and_be_passed(node, iam, user):
    functions = node.client("lambda")
    other = iam.create_role(RoleName="other", AssumeRolePolicyDocument=trust({"Service": "ec2.amazonaws.com"}))["Role"]["Arn"]
    message = refused("InvalidParameterValueException", make_function, functions=functions, name="no", role=other)
    assert message == "The role defined for the function cannot be assumed by Lambda."
    runner = iam.create_role(RoleName="runner", AssumeRolePolicyDocument=trust(LAMBDA))["Role"]["Arn"]
    anna = user("anna", allow("lambda:*"))("lambda")
    message = refused("AccessDeniedException", make_function, functions=anna, name="hers", role=runner)
    assert f"iam:PassRole on resource: {runner}" in message
    passing = allow("iam:PassRole", runner, Condition={"StringEquals": {"iam:PassedToService": LAMBDA["Service"]}})
    iam.put_user_policy(UserName="anna", PolicyName="pass", PolicyDocument=policy(passing))
    make_function(anna, "hers", runner)
    anna.update_function_configuration(FunctionName="hers", Timeout=20)
    message = refused("AccessDeniedException", anna.update_function_configuration, FunctionName="hers", Role=other)
    assert "iam:PassRole" in message


def test_everything_is_there_after_a_crash():
    node = Node()
    try:
        node.start()
        iam = node.client("iam")
        iam.create_user(UserName="anna")
        iam.put_user_policy(UserName="anna", PolicyName="p", PolicyDocument=policy(allow("kinesis:ListStreams")))
        key = iam.create_access_key(UserName="anna")["AccessKey"]
        own = iam.create_policy(PolicyName="own", PolicyDocument=policy(allow("sqs:ListQueues")))["Policy"]["Arn"]
        arn = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=trust({"AWS": ACCOUNT}))["Role"]["Arn"]
        iam.attach_role_policy(RoleName="worker", PolicyArn=own)
        given = node.client("sts").assume_role(RoleArn=arn, RoleSessionName="night")["Credentials"]
        node.kill()
        node.start()
        anna = client(node, "kinesis", key["AccessKeyId"], key["SecretAccessKey"])
        assert anna.list_streams()["StreamNames"] == []
        refused("AccessDeniedException", anna.create_stream, StreamName="s", ShardCount=1)
        worker = client(node, "sqs", given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        worker.list_queues()
        refused("AccessDenied", worker.create_queue, QueueName="q")
        assert [role["RoleName"] for role in iam.list_roles()["Roles"]] == ["worker"]
    finally:
        node.remove()


def test_a_node_that_takes_no_published_key():
    node = Node(development=False)
    try:
        node.start()
        refused("InvalidClientTokenId", node.client("sts").get_caller_identity)
        lines = [line.split() for line in node.run("keys").splitlines()]
        key, secret = lines[lines.index(["access", "keys", "of", "the", "root"]) + 1]
        assert client(node, "sts", key, secret).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
        functions = client(node, "lambda", key, secret)
        message = refused("InvalidParameterValueException", make_function, functions=functions, name="f",
                          role=f"arn:aws:iam::{ACCOUNT}:role/nobody-made-it")
        assert message == "The role defined for the function cannot be assumed by Lambda."
    finally:
        node.remove()


def test_mappings_read_what_the_role_allows(node, iam):
    functions, sqs = node.client("lambda"), node.client("sqs")
    stream = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/source"
    node.client("kinesis").create_stream(StreamName="source", ShardCount=1)
    url = sqs.create_queue(QueueName="source")["QueueUrl"]
    queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:source"
    role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=trust(LAMBDA))["Role"]["Arn"]
    make_function(functions, "reads", role)
    map_queue = lambda: functions.create_event_source_mapping(FunctionName="reads", EventSourceArn=queue)
    message = refused("InvalidParameterValueException", map_queue)
    assert message == "The provided execution role does not have permissions to call ReceiveMessage on SQS"
    message = refused("InvalidParameterValueException", functions.create_event_source_mapping, FunctionName="reads",
                      EventSourceArn=stream, StartingPosition="LATEST")
    assert message.startswith(f"Cannot access stream {stream}")
    for name in ["AWSLambdaKinesisExecutionRole", "AWSLambdaSQSQueueExecutionRole"]:
        iam.attach_role_policy(RoleName="reader", PolicyArn=f"arn:aws:iam::aws:policy/service-role/{name}")
    mapping = functions.create_event_source_mapping(FunctionName="reads", EventSourceArn=stream,
                                                    StartingPosition="LATEST")["UUID"]
    map_queue()
    # What the role loses later stops the mapping, and its state says why; what it gets again lets it go on.
    iam.detach_role_policy(RoleName="reader",
                           PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaKinesisExecutionRole")
    told = lambda: functions.get_event_source_mapping(UUID=mapping).get("LastProcessingResult", "")
    until(lambda: "not authorized to perform: kinesis:GetRecords" in told())
    iam.put_role_policy(RoleName="reader", PolicyName="again", PolicyDocument=policy(allow("kinesis:*", stream)))
    node.client("kinesis").put_record(StreamName="source", Data=b"{}", PartitionKey="k")
    until(lambda: "not authorized" not in told())


PIPELINE = """
name = "tweets"

[[role]]
name = "tweets"
attach = ["AWSLambdaKinesisExecutionRole"]
allow = [{ actions = ["sqs:SendMessage"], resources = ["arn:aws:sqs:*:*:tweets-*"] }]

[[user]]
name = "reader"
allow = [{ actions = ["sqs:Receive*"] }]

[[function]]
name = "decode"
runtime = "python3.11"
handler = "app.handler"
code = "decode"
role = "tweets"
"""


def test_a_pipeline_file_says_it_too(node, iam, tmp_path):
    (tmp_path / "decode").mkdir()
    (tmp_path / "decode" / "app.py").write_text(HANDLER)
    file = tmp_path / "pipeline.toml"
    file.write_text(PIPELINE)
    words = lambda: [line.split()[:3] for line in node.run("apply", file).splitlines()]
    assert words() == [["created", "role", "tweets"], ["created", "user", "reader"], ["created", "function", "decode"]]
    assert {outcome for outcome, *_ in words()} == {"unchanged"}
    sqs, functions = node.client("sqs"), node.client("lambda")
    urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ["tweets-dead", "other"]}
    send = lambda name: run(functions, "decode", "sqs", "send_message", QueueUrl=urls[name], MessageBody="x")
    assert "MessageId" in send("tweets-dead")
    assert "not authorized to perform: sqs:SendMessage" in send("other")["errorMessage"]
    lines = node.run("keys").splitlines()
    key, secret = lines[lines.index("access keys of user reader") + 1].split()
    assert client(node, "sqs", key, secret).receive_message(QueueUrl=urls["tweets-dead"])["Messages"]
    # What the file no longer says is taken away.
    file.write_text(PIPELINE.replace('["sqs:SendMessage"]', '["sqs:ListQueues"]'))
    assert words()[0] == ["updated", "role", "tweets"]
    assert "not authorized" in send("tweets-dead")["errorMessage"]
    file.write_text(PIPELINE.replace('"sqs:SendMessage"', '"SendMessage"'))
    failed = node.run("apply", file, check=False)
    assert failed.returncode != 0 and "the policy of `tweets`" in failed.stderr and "prefaced by a vendor" in failed.stderr


def test_without_its_permission_the_dead_letter_queue_stays_empty():
    node = Node(settings="invoke_retry_seconds = [0, 0]\n")
    try:
        node.start()
        iam, functions, sqs = node.client("iam"), node.client("lambda"), node.client("sqs")
        dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
        queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:dead"
        role = iam.create_role(RoleName="writer", AssumeRolePolicyDocument=trust(LAMBDA))["Role"]["Arn"]
        iam.attach_role_policy(RoleName="writer",
                               PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
        make_function(functions, "writes", role)
        functions.update_function_configuration(FunctionName="writes", DeadLetterConfig={"TargetArn": queue})
        logs = node.client("logs")

        def log():
            # The group comes with the function's first line.
            groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
            return [event["message"] for group in groups for event in logs.filter_log_events(logGroupName=group)["events"]]

        fail = lambda: functions.invoke(FunctionName="writes", InvocationType="Event", Payload=b'{"no": "service"}')
        fail()
        wanted = f"not authorized to perform: sqs:SendMessage on resource: {queue}"
        until(lambda: any(wanted in line for line in log()))
        counts = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
        assert counts["ApproximateNumberOfMessages"] == "0"
        iam.put_role_policy(RoleName="writer", PolicyName="send",
                            PolicyDocument=policy(allow("sqs:SendMessage", queue)))
        fail()
        letters = until(lambda: sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=1).get("Messages"))
        assert letters[0]["Body"] == '{"no": "service"}'
    finally:
        node.remove()
