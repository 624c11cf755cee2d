"""SNS through boto3: topics, subscriptions of queues, functions and webhooks that this file runs, filters, signatures that a
library of others checks, and a node that is killed under load."""

import base64
import http.server
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from conftest import Node, let_topics, package, until

WAIT_SECONDS = 90


@pytest.fixture(scope="module")
def sns(node):
    return node.client("sns")


@pytest.fixture(scope="module")
def sqs(node):
    return node.client("sqs")


class Subscriber:
    """A webhook of this machine; `answer(time)` says which status the `time`th notification gets."""

    def __init__(self, answer=lambda time: 200):
        self.answer, self.lock = answer, threading.Lock()
        self.requests, self.times = [], 0
        subscriber = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(subscriber.take(dict(self.headers), body))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook?secret=1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, headers, body):
        headers = {name.lower(): value for name, value in headers.items()}
        with self.lock:
            self.requests.append((headers, body))
            if headers["x-amz-sns-message-type"] != "Notification":
                return 200
            self.times += 1
            return self.answer(self.times)

    def wait(self, kind, count=1):
        """The first `count` requests of a kind."""
        def found():
            with self.lock:
                return [request for request in self.requests if request[0]["x-amz-sns-message-type"] == kind]
        return until(lambda: found() if len(found()) >= count else None)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def subscribers():
    made = []

    def make(**arguments):
        made.append(Subscriber(**arguments))
        return made[-1]

    yield make
    for subscriber in made:
        subscriber.close()


def queue(sqs, name, **attributes):
    """A queue that lets topics of this account send to it."""
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    let_topics(sqs, url, arn)
    return url, arn


def let_topic_invoke(functions, function, topic):
    functions.add_permission(FunctionName=function, StatementId="topic", Action="lambda:InvokeFunction",
                             Principal="sns.amazonaws.com", SourceArn=topic)


def receive(sqs, url, count=1):
    """So many messages, deleted."""
    messages = []
    deadline = time.monotonic() + WAIT_SECONDS
    while len(messages) < count and time.monotonic() < deadline:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2,
                                           MessageAttributeNames=["All"]).get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            messages.append(message)
    assert len(messages) == count
    return messages


def check_signature(document, address=("SigningCertURL",)):
    """Checks a document as its subscribers do; the certificate is fetched from where the document says."""
    url = next(document[name] for name in address)
    with urllib.request.urlopen(url, timeout=10) as answer:
        certificate = x509.load_pem_x509_certificate(answer.read())
    names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{document[name]}\n" for name in names if document.get(name) is not None)
    digest = {"1": hashes.SHA1, "2": hashes.SHA256}[document["SignatureVersion"]]()
    certificate.public_key().verify(base64.b64decode(document["Signature"]), text.encode(), padding.PKCS1v15(), digest)
    certificate.verify_directly_issued_by(certificate)


def refused(call, code, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] == code, error.value
    return error.value.response["Error"]["Message"]


def test_topics_are_made_listed_changed_and_removed(sns):
    arn = sns.create_topic(Name="made_1", Tags=[{"Key": "team", "Value": "a"}], Attributes={"DisplayName": "Made"})["TopicArn"]
    assert arn == "arn:aws:sns:us-east-1:000000000000:made_1"
    assert sns.create_topic(Name="made_1")["TopicArn"] == arn
    refused(sns.create_topic, "InvalidParameter", Name="made_1", Attributes={"DisplayName": "Other"})
    for name in ["", "a b", "a" * 257, "x.fifo"]:
        refused(sns.create_topic, "InvalidParameter", Name=name)
    attributes = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    assert (attributes["DisplayName"], attributes["Owner"], attributes["SubscriptionsConfirmed"]) == ("Made", "000000000000", "0")
    assert json.loads(attributes["Policy"])["Statement"][0]["Resource"] == arn
    sns.set_topic_attributes(TopicArn=arn, AttributeName="DisplayName", AttributeValue="Again")
    assert sns.get_topic_attributes(TopicArn=arn)["Attributes"]["DisplayName"] == "Again"
    refused(sns.set_topic_attributes, "InvalidParameter", TopicArn=arn, AttributeName="KmsMasterKeyId", AttributeValue="k")
    refused(sns.set_topic_attributes, "InvalidParameter", TopicArn=arn, AttributeName="Colour", AttributeValue="red")
    sns.tag_resource(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "b"}])
    sns.untag_resource(ResourceArn=arn, TagKeys=["team"])
    assert sns.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "stage", "Value": "b"}]
    sns.add_permission(TopicArn=arn, Label="l", AWSAccountId=["111111111111"], ActionName=["Publish"])
    policy = json.loads(sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"])
    assert policy["Statement"][1]["Action"] == ["SNS:Publish"]
    refused(sns.add_permission, "InvalidParameter", TopicArn=arn, Label="l", AWSAccountId=["1"], ActionName=["Publish"])
    sns.remove_permission(TopicArn=arn, Label="l")
    assert len(json.loads(sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"])["Statement"]) == 1
    sns.remove_permission(TopicArn=arn, Label="__default_statement_ID")
    usual = json.loads(sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"])["Statement"]
    assert [statement["Sid"] for statement in usual] == ["__default_statement_ID"]
    for index in range(101):
        sns.create_topic(Name=f"page-{index:03}")
    pages = list(sns.get_paginator("list_topics").paginate())
    assert len(pages) > 1 and len(pages[0]["Topics"]) == 100
    assert arn in [topic["TopicArn"] for page in pages for topic in page["Topics"]]
    for index in range(101):
        sns.delete_topic(TopicArn=f"arn:aws:sns:us-east-1:000000000000:page-{index:03}")
    sns.delete_topic(TopicArn=arn)
    sns.delete_topic(TopicArn=arn)
    refused(sns.get_topic_attributes, "NotFound", TopicArn=arn)
    refused(sns.publish, "NotFound", TopicArn=arn, Message="nobody")
    refused(sns.get_topic_attributes, "InvalidParameter", TopicArn="made_1")
    refused(sns.get_sms_attributes, "InvalidAction")


def test_queues_get_signed_notifications_or_plain_messages(sns, sqs):
    topic = sns.create_topic(Name="to-queues", Attributes={"SignatureVersion": "2"})["TopicArn"]
    (wrapped, wrapped_arn), (plain, plain_arn) = queue(sqs, "wrapped"), queue(sqs, "plain")
    first = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=wrapped_arn)["SubscriptionArn"]
    assert sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=wrapped_arn)["SubscriptionArn"] == first
    second = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=plain_arn,
                           Attributes={"RawMessageDelivery": "true"})["SubscriptionArn"]
    refused(sns.subscribe, "InvalidParameter", TopicArn=topic, Protocol="sqs", Endpoint=wrapped_arn,
            Attributes={"RawMessageDelivery": "true"})
    told = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert sorted(found["SubscriptionArn"] for found in told) == sorted([first, second])
    assert {found["Endpoint"] for found in told} == {wrapped_arn, plain_arn}
    attributes = {"kind": {"DataType": "String", "StringValue": "sale"},
                  "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}
    text = json.dumps({"default": "for all <é>", "sqs": "for queues"})
    sent = sns.publish(TopicArn=topic, Subject="Hello", Message=text, MessageStructure="json", MessageAttributes=attributes)
    (message,) = receive(sqs, wrapped)
    document = json.loads(message["Body"])
    assert (document["Type"], document["MessageId"], document["TopicArn"]) == ("Notification", sent["MessageId"], topic)
    assert (document["Subject"], document["Message"]) == ("Hello", "for queues")
    assert document["MessageAttributes"] == {
        "kind": {"Type": "String", "Value": "sale"}, "bytes": {"Type": "Binary", "Value": base64.b64encode(b"\x00\xff").decode()}}
    assert document["SignatureVersion"] == "2"
    check_signature(document)
    document["Message"] = "changed"
    with pytest.raises(Exception):
        check_signature(document)
    sns.set_topic_attributes(TopicArn=topic, AttributeName="SignatureVersion", AttributeValue="1")
    (message,) = receive(sqs, plain)
    assert message["Body"] == "for queues"
    assert message["MessageAttributes"]["bytes"] == {"DataType": "Binary", "BinaryValue": b"\x00\xff"}
    sns.publish(TargetArn=topic, Message="again")
    document = json.loads(receive(sqs, wrapped)[0]["Body"])
    assert (document["SignatureVersion"], "Subject" in document) == ("1", False)
    check_signature(document)
    sns.unsubscribe(SubscriptionArn=second)
    sns.unsubscribe(SubscriptionArn=second)
    refused(sns.get_subscription_attributes, "NotFound", SubscriptionArn=second)
    batch = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[
        {"Id": "a", "Message": "1"}, {"Id": "b", "Message": "2", "Subject": "x" * 101}, {"Id": "c", "Message": "3"}])
    assert [entry["Id"] for entry in batch["Successful"]] == ["a", "c"]
    assert (batch["Failed"][0]["Id"], batch["Failed"][0]["Code"]) == ("b", "InvalidParameter")
    assert sorted(json.loads(message["Body"])["Message"] for message in receive(sqs, wrapped, 2)) == ["1", "3"]
    refused(sns.publish, "InvalidParameter", TopicArn=topic, Message="x" * (256 * 1024 + 1))
    refused(sns.publish, "InvalidParameter", TopicArn=topic, Message="")
    refused(sns.publish, "InvalidParameter", TopicArn=topic, Message="m", MessageGroupId="two words")
    refused(sns.publish, "InvalidParameter", TopicArn=topic, Message="m", MessageDeduplicationId="d")
    refused(sns.subscribe, "InvalidParameter", TopicArn=topic, Protocol="sqs", Endpoint=plain_arn,
            Attributes={"AuthenticateOnUnsubscribe": "true"})
    refused(sns.publish_batch, "BatchEntryIdsNotDistinct", TopicArn=topic, PublishBatchRequestEntries=[
        {"Id": "a", "Message": "1"}, {"Id": "a", "Message": "2"}])
    refused(sns.publish_batch, "TooManyEntriesInBatchRequest", TopicArn=topic, PublishBatchRequestEntries=[
        {"Id": str(index), "Message": "1"} for index in range(11)])
    for protocol, endpoint in [("email", "me@a.example"), ("sms", "+100"), ("application", "x"), ("sqs", "x"), ("pigeon", "x")]:
        refused(sns.subscribe, "InvalidParameter", TopicArn=topic, Protocol=protocol, Endpoint=endpoint)


def test_topics_take_larger_messages_where_they_say_so_and_queues_are_told_of_groups(sns, sqs, subscribers):
    topic = sns.create_topic(Name="large")["TopicArn"]
    url, arn = queue(sqs, "large-messages")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    body = "x" * (300 * 1024)
    refused(sns.publish, "InvalidParameter", TopicArn=topic, Message=body)
    for wrong in ["1023", "1048577", "many"]:
        refused(sns.set_topic_attributes, "InvalidParameter", TopicArn=topic, AttributeName="MaximumMessageSize", AttributeValue=wrong)
    sns.set_topic_attributes(TopicArn=topic, AttributeName="MaximumMessageSize", AttributeValue=str(512 * 1024))
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["MaximumMessageSize"] == str(512 * 1024)
    sns.publish(TopicArn=topic, Message=body, MessageGroupId="tenant-1")
    message = until(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2, MessageSystemAttributeNames=["All"]).get("Messages"))[0]
    assert (message["Body"], message["Attributes"]["MessageGroupId"]) == (body, "tenant-1")
    refused(sns.publish, "InvalidParameter", TopicArn=topic, Message="x" * (512 * 1024 + 1))
    subscriber = subscribers()
    refused(sns.subscribe, "InvalidParameter", TopicArn=topic, Protocol="http", Endpoint=subscriber.url)
    other = sns.create_topic(Name="with-a-webhook")["TopicArn"]
    sns.subscribe(TopicArn=other, Protocol="http", Endpoint=subscriber.url)
    refused(sns.set_topic_attributes, "InvalidParameter", TopicArn=other, AttributeName="MaximumMessageSize", AttributeValue="1048576")


def test_changes_at_once_do_not_lose_each_other(sns, sqs, node):
    topic = sns.create_topic(Name="at-once")["TopicArn"]
    _, arn = queue(sqs, "at-once-messages")
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
    dead = json.dumps({"deadLetterTargetArn": arn})
    settings = [("RawMessageDelivery", "true"), ("FilterPolicy", '{"a": ["b"]}'), ("RedrivePolicy", dead)]

    def change(number):
        client = node.client("sns")
        client.add_permission(TopicArn=topic, Label=f"l{number}", AWSAccountId=["1" * 12], ActionName=["Publish"])
        client.tag_resource(ResourceArn=topic, Tags=[{"Key": f"t{number}", "Value": ""}])
        name, value = settings[number % 3]
        client.set_subscription_attributes(SubscriptionArn=subscription, AttributeName=name, AttributeValue=value)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=WAIT_SECONDS)
    policy = json.loads(sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])
    assert {f"l{n}" for n in range(9)} <= {statement["Sid"] for statement in policy["Statement"]}
    assert len(sns.list_tags_for_resource(ResourceArn=topic)["Tags"]) == 9
    told = sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
    assert [told[name] for name, _ in settings] == [value for _, value in settings]


def test_filters_choose_by_attributes_or_by_the_body(sns, sqs):
    topic = sns.create_topic(Name="filtered")["TopicArn"]
    url, arn = queue(sqs, "chosen")
    policy = {"store": ["corp"], "price": [{"numeric": [">=", 10, "<", 20]}], "city": [{"anything-but": ["oslo"]}, {"exists": False}]}
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={
        "FilterPolicy": json.dumps(policy), "RawMessageDelivery": "true"})["SubscriptionArn"]
    attributes = sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
    assert json.loads(attributes["FilterPolicy"]) == policy and attributes["FilterPolicyScope"] == "MessageAttributes"

    def publish(text, **attributes):
        kinds = {int: "Number", str: "String"}
        given = {name: {"DataType": kinds[type(value)], "StringValue": str(value)} for name, value in attributes.items()}
        sns.publish(TopicArn=topic, Message=text, MessageAttributes=given)

    publish("no attributes")
    publish("another store", store="other", price=15)
    publish("too dear", store="corp", price=20)
    publish("oslo", store="corp", price=15, city="oslo")
    publish("chosen", store="corp", price=15)
    publish("chosen too", store="corp", price=10, city="rome")
    assert sorted(message["Body"] for message in receive(sqs, url, 2)) == ["chosen", "chosen too"]

    sns.set_subscription_attributes(SubscriptionArn=subscription, AttributeName="FilterPolicyScope", AttributeValue="MessageBody")
    sns.set_subscription_attributes(SubscriptionArn=subscription, AttributeName="FilterPolicy", AttributeValue=json.dumps(
        {"order": {"items": {"sku": [{"prefix": "a-"}]}}, "$or": [{"on": [True]}, {"from": [{"cidr": "10.0.0.0/8"}]}]}))
    for body in [{"order": {"items": [{"sku": "b-1"}, {"sku": "a-1"}]}, "on": True},
                 {"order": {"items": {"sku": "a-2"}}, "from": "10.1.2.3"},
                 {"order": {"items": {"sku": "a-3"}}, "from": "11.1.2.3"}, {"order": {}}]:
        sns.publish(TopicArn=topic, Message=json.dumps(body))
    sns.publish(TopicArn=topic, Message="no JSON")
    assert len(receive(sqs, url, 2)) == 2
    sns.set_subscription_attributes(SubscriptionArn=subscription, AttributeName="FilterPolicy", AttributeValue="{}")
    sns.publish(TopicArn=topic, Message="everything")
    assert receive(sqs, url)[0]["Body"] == "everything"

    def wrong(policy, scope="MessageBody"):
        return refused(sns.subscribe, "InvalidParameter", TopicArn=topic, Protocol="sqs", Endpoint=arn + "-other",
                       Attributes={"FilterPolicy": policy, "FilterPolicyScope": scope})

    assert "JSON" in wrong("{")
    assert "must be an object or an array" in wrong('{"a": 1}')
    assert "Unrecognized match type" in wrong('{"a": [{"like": "x"}]}')
    assert "too complex" in wrong(json.dumps({"a": list(range(151))}))
    assert "too complex" in wrong(json.dumps({name: ["x"] for name in "abcdef"}))
    assert "nested" in wrong('{"a": {"b": [1]}}', "MessageAttributes")
    assert "FilterPolicyScope" in wrong("{}", "Everything")


def test_webhooks_confirm_get_notifications_and_are_told_of_their_end(sns, sqs, subscribers):
    topic = sns.create_topic(Name="to-webhooks")["TopicArn"]
    subscriber = subscribers(answer=lambda time: 503 if time <= 2 else 200)
    policy = {"healthyRetryPolicy": {"numRetries": 3, "minDelayTarget": 1, "maxDelayTarget": 1}}
    asked = sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=subscriber.url, Attributes={"DeliveryPolicy": json.dumps(policy)})
    assert asked["SubscriptionArn"] == "pending confirmation"
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"][0]["SubscriptionArn"] == "PendingConfirmation"
    headers, body = subscriber.wait("SubscriptionConfirmation")[0]
    document = json.loads(body)
    assert headers["x-amz-sns-topic-arn"] == topic == document["TopicArn"]
    check_signature(document)
    sns.publish(TopicArn=topic, Message="before it was confirmed")
    refused(sns.confirm_subscription, "InvalidParameter", TopicArn=topic, Token="0" * 64)
    with urllib.request.urlopen(document["SubscribeURL"], timeout=10) as answer:
        assert b"SubscriptionArn" in answer.read()
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("http", subscriber.url)
    sent = sns.publish(TopicArn=topic, Message="tried three times", Subject="s")["MessageId"]
    got = subscriber.wait("Notification", 3)
    for headers, body in got:
        document = json.loads(body)
        assert (headers["x-amz-sns-message-id"], headers["x-amz-sns-subscription-arn"]) == (sent, subscription["SubscriptionArn"])
        assert headers["content-type"] == "text/plain; charset=UTF-8"
        check_signature(document)
    assert urllib.parse.urlparse(document["UnsubscribeURL"]).query.endswith(subscription["SubscriptionArn"])
    with urllib.request.urlopen(document["UnsubscribeURL"], timeout=10):
        pass
    _, body = subscriber.wait("UnsubscribeConfirmation")[0]
    check_signature(json.loads(body))
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []
    assert [json.loads(body)["MessageId"] for _, body in subscriber.wait("Notification", 3)] == [sent] * 3


def test_a_subscription_that_was_confirmed_so_needs_a_signature_to_end(sns, node, subscribers):
    topic = sns.create_topic(Name="guarded")["TopicArn"]
    subscriber = subscribers()
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=subscriber.url, Attributes={"RawMessageDelivery": "true"})
    token = json.loads(subscriber.wait("SubscriptionConfirmation")[0][1])["Token"]
    arn = sns.confirm_subscription(TopicArn=topic, Token=token, AuthenticateOnUnsubscribe="true")["SubscriptionArn"]
    assert sns.confirm_subscription(TopicArn=topic, Token=token)["SubscriptionArn"] == arn
    assert sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]["ConfirmationWasAuthenticated"] == "true"
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{node.endpoint}/?Action=Unsubscribe&SubscriptionArn={arn}", timeout=10)
    assert error.value.code == 403
    sns.publish(TopicArn=topic, Message="as it is")
    headers, body = subscriber.wait("Notification")[0]
    assert (body, headers["x-amz-sns-rawdelivery"]) == (b"as it is", "true")
    sns.unsubscribe(SubscriptionArn=arn)


def test_what_a_webhook_refuses_goes_to_the_dead_letter_queue(sns, sqs, subscribers):
    topic = sns.create_topic(Name="refused")["TopicArn"]
    url, arn = queue(sqs, "undelivered")
    subscriber = subscribers(answer=lambda time: 400)
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=subscriber.url,
                  Attributes={"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn})})
    token = json.loads(subscriber.wait("SubscriptionConfirmation")[0][1])["Token"]
    sns.confirm_subscription(TopicArn=topic, Token=token)
    sent = sns.publish(TopicArn=topic, Message="unwanted")["MessageId"]
    assert json.loads(receive(sqs, url)[0]["Body"])["MessageId"] == sent
    assert subscriber.times == 1
    missing = sns.create_topic(Name="to-nowhere")["TopicArn"]
    sns.subscribe(TopicArn=missing, Protocol="sqs", Endpoint=arn + "-gone",
                  Attributes={"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn})})
    sent = sns.publish(TopicArn=missing, Message="nobody there")["MessageId"]
    assert json.loads(receive(sqs, url)[0]["Body"])["MessageId"] == sent


def test_functions_get_an_event(sns, sqs, node):
    code = "\n".join([
        "import boto3, json, os",
        "def handler(event, context):",
        "    sqs = boto3.client('sqs', endpoint_url=os.environ['NODE'])",
        "    url = sqs.get_queue_url(QueueName='seen')['QueueUrl']",
        "    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))"])
    url, _ = queue(sqs, "seen")
    function = node.client("lambda").create_function(
        FunctionName="listener", Runtime="python3.12", Handler="main.handler", Role="arn:aws:iam::000000000000:role/r",
        Code={"ZipFile": package({"main.py": code})}, Environment={"Variables": {"NODE": node.endpoint}}, Timeout=30)["FunctionArn"]
    topic = sns.create_topic(Name="to-functions")["TopicArn"]
    let_topic_invoke(node.client("lambda"), "listener", topic)
    arn = sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)["SubscriptionArn"]
    sent = sns.publish(TopicArn=topic, Message="hello")["MessageId"]
    (record,) = json.loads(receive(sqs, url)[0]["Body"])["Records"]
    assert (record["EventSource"], record["EventVersion"], record["EventSubscriptionArn"]) == ("aws:sns", "1.0", arn)
    assert (record["Sns"]["MessageId"], record["Sns"]["Subject"], record["Sns"]["MessageAttributes"]) == (sent, None, {})
    check_signature(record["Sns"], ("SigningCertUrl",))


def test_only_what_lets_a_topic_in_is_reached(sns, sqs, node):
    """Without a policy nothing comes, and it goes to the dead letters; what the guides write is enough."""
    letters, letters_arn = queue(sqs, "letters-of-refused")
    topic, other = (sns.create_topic(Name=name)["TopicArn"] for name in ["let-in", "not-let-in"])
    url = sqs.create_queue(QueueName="guarded")["QueueUrl"]
    arn = letters_arn.replace("letters-of-refused", "guarded")
    redrive = {"RawMessageDelivery": "true", "RedrivePolicy": json.dumps({"deadLetterTargetArn": letters_arn})}
    for name in [topic, other]:
        sns.subscribe(TopicArn=name, Protocol="sqs", Endpoint=arn, Attributes=redrive)
    sns.publish(TopicArn=topic, Message="no policy")
    assert receive(sqs, letters)[0]["Body"] == "no policy"
    # As the guides have it today, as they had it, and with a statement that takes it back.
    of_topic = {"ArnEquals": {"aws:SourceArn": topic}}
    for principal in [{"Service": "sns.amazonaws.com"}, "*", {"AWS": "*"}]:
        let_topics(sqs, url, arn, of_topic, principal)
        sns.publish(TopicArn=topic, Message="let in")
        assert receive(sqs, url)[0]["Body"] == "let in"
        sns.publish(TopicArn=other, Message="another topic")
        assert receive(sqs, letters)[0]["Body"] == "another topic"
    allow = {"Effect": "Allow", "Principal": "*", "Action": "SQS:*", "Resource": arn}
    policy = {"Version": "2012-10-17", "Statement": [allow, {**allow, "Effect": "Deny", "Condition": of_topic}]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    sns.publish(TopicArn=topic, Message="denied")
    assert receive(sqs, letters)[0]["Body"] == "denied"
    # A function whose policy names another topic.
    functions = node.client("lambda")
    function = functions.create_function(
        FunctionName="deaf", Runtime="python3.12", Handler="main.handler", Role="arn:aws:iam::000000000000:role/r",
        Code={"ZipFile": package({"main.py": "def handler(event, context): pass"})})["FunctionArn"]
    let_topic_invoke(functions, "deaf", other)
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function,
                  Attributes={"RedrivePolicy": json.dumps({"deadLetterTargetArn": letters_arn})})
    sns.publish(TopicArn=topic, Message="to the deaf")
    assert {message["Body"] for message in receive(sqs, letters, 2)} != {"to the deaf"}


def test_policies_that_cannot_be_read_are_refused(sns, sqs):
    url, arn = queue(sqs, "well-guarded")
    topic = sns.create_topic(Name="well-guarded")["TopicArn"]
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    for wrong in ["no json", "[]", json.dumps({"Statement": []}), json.dumps({"Statement": {**statement, "Effect": "Maybe"}}),
                  json.dumps({"Statement": {**statement, "Condition": {"StringFeels": {"a": "b"}}}})]:
        refused(sqs.set_queue_attributes, "InvalidAttributeValue", QueueUrl=url, Attributes={"Policy": wrong})
        refused(sns.set_topic_attributes, "InvalidParameter", TopicArn=topic, AttributeName="Policy", AttributeValue=wrong)


def test_topics_of_event_grid_are_others(sns, node):
    topic = sns.create_topic(Name="messages-only")["TopicArn"]
    base = f"{node.endpoint}/subscriptions/0000/resourceGroups/tests/providers/Microsoft.EventGrid/topics"

    def call(method, path, body=None):
        request = urllib.request.Request(f"{base}{path}?api-version=2025-02-15", method=method,
                                         data=json.dumps(body).encode() if body is not None else None,
                                         headers={"content-type": "application/json", "authorization": "Bearer x"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    assert call("GET", "/messages-only")[0] == 404
    assert call("PUT", "/messages-only", {"location": "local", "properties": {}})[0] >= 400
    assert call("PUT", "/events-only", {"location": "local", "properties": {}})[0] < 300
    refused(sns.create_topic, "InvalidParameter", Name="events-only")
    refused(sns.publish, "NotFound", TopicArn=topic.replace("messages", "events"), Message="x")
    assert topic in [found["TopicArn"] for page in sns.get_paginator("list_topics").paginate() for found in page["Topics"]]


def test_what_was_published_is_delivered_after_sigkill():
    node = Node()
    try:
        node.start()
        sns, sqs = node.client("sns"), node.client("sqs")
        topic = sns.create_topic(Name="killed")["TopicArn"]
        _, arn = queue(sqs, "survivors")
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
        accepted, stop = [], threading.Event()

        def publish():
            client = node.client("sns")
            while not stop.is_set():
                text = f"{threading.get_ident()}-{len(accepted)}-{time.monotonic_ns()}"
                try:
                    client.publish(TopicArn=topic, Message=text)
                except Exception:
                    return
                accepted.append(text)

        threads = [threading.Thread(target=publish) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(accepted) > 200)
        node.kill()
        stop.set()
        for thread in threads:
            thread.join(timeout=WAIT_SECONDS)
        node.start()
        url = node.client("sqs").get_queue_url(QueueName="survivors")["QueueUrl"]
        seen, deadline = set(), time.monotonic() + WAIT_SECONDS
        while not set(accepted) <= seen and time.monotonic() < deadline:
            got = node.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in got.get("Messages", []):
                seen.add(message["Body"])
        assert set(accepted) <= seen
    finally:
        node.remove()


PIPELINE = """
name = "shop"

[[queue]]
name = "sales"

[[queue]]
name = "lost-sales"

[[sns_topic]]
name = "shop"
display_name = "The shop"

[[sns_topic.subscription]]
queue = "sales"
raw = true
filter = '{"kind": ["sale"]}'
dead_letter = "lost-sales"
"""


def test_a_pipeline_file_defines_topics_and_subscriptions(sns, sqs, node, tmp_path):
    file = tmp_path / "pipeline.toml"
    file.write_text(PIPELINE)
    assert "arn:aws:sns:us-east-1:000000000000:shop" in node.run("apply", file)
    assert "created" not in node.run("apply", file) and "updated" not in node.run("apply", file)
    topic = sns.create_topic(Name="shop")["TopicArn"]
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    attributes = sns.get_subscription_attributes(SubscriptionArn=subscription["SubscriptionArn"])["Attributes"]
    assert json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"].endswith(":lost-sales")
    for kind in ["other", "sale"]:
        sns.publish(TopicArn=topic, Message=kind, MessageAttributes={"kind": {"DataType": "String", "StringValue": kind}})
    assert receive(sqs, sqs.get_queue_url(QueueName="sales")["QueueUrl"])[0]["Body"] == "sale"
    file.write_text(PIPELINE.replace('["sale"]', '["other"]'))
    assert "updated" in node.run("apply", file)
    file.write_text(PIPELINE.replace('queue = "sales"', 'queue = "sale"'))
    wrong = node.run("apply", file, check=False)
    assert wrong.returncode != 0 and "did you mean `sales`" in wrong.stderr + wrong.stdout


def test_the_console_shows_topics_of_messages_and_queues(sns, sqs, node):
    topic = sns.create_topic(Name="shown")["TopicArn"]
    _, arn = queue(sqs, "shown-queue")
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={
        "FilterPolicy": '{"a": [{"prefix": "<i>"}]}'})["SubscriptionArn"]

    def page(path):
        with urllib.request.urlopen(node.console + path, timeout=10) as answer:
            return answer.read().decode()

    assert topic in page("/topics/shown") and "/queues/shown-queue" in page("/queues")
    shown = page(f"/topics/shown/{subscription.rsplit(':', 1)[1]}")
    assert "/queues/shown-queue" in shown and "the attributes match" in shown and "<i>" not in shown
    assert "visible" in page("/queues/shown-queue")


def test_a_topic_takes_the_dead_letters_of_a_function(sns, sqs, node):
    code = "def handler(event, context):\n    raise ValueError('never')\n"
    topic = sns.create_topic(Name="letters-of-functions")["TopicArn"]
    url, arn = queue(sqs, "letters-of-functions")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    functions = node.client("lambda")
    functions.create_function(
        FunctionName="failing", Runtime="python3.12", Handler="main.handler", Role="arn:aws:iam::000000000000:role/r",
        Code={"ZipFile": package({"main.py": code})}, DeadLetterConfig={"TargetArn": topic})
    functions.put_function_event_invoke_config(FunctionName="failing", MaximumRetryAttempts=0)
    functions.invoke(FunctionName="failing", InvocationType="Event", Payload=b'{"a": 1}')
    (message,) = receive(sqs, url)
    assert json.loads(message["Body"]) == {"a": 1}
    assert "never" in message["MessageAttributes"]["ErrorMessage"]["StringValue"]
