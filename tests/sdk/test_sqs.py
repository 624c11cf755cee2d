"""SQS through boto3: everything of standard queues, the query protocol as old clients speak it, and what bad clients get."""

import base64
import datetime
import hashlib
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from botocore.exceptions import ClientError
from conftest import until

WAIT_SECONDS = 90
ACCOUNT = "000000000000"


@pytest.fixture(scope="module")
def sqs(node):
    return node.client("sqs")


def make(sqs, name, **attributes):
    return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def arn(name):
    return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"


def refused(call, code, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] == code, error.value
    return error.value.response["Error"]["Message"]


def receive(sqs, url, **arguments):
    return sqs.receive_message(QueueUrl=url, **{"MaxNumberOfMessages": 10, **arguments}).get("Messages", [])


def attribute(sqs, url, name):
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name]


def test_queues_are_made_found_changed_and_removed(sqs):
    url = make(sqs, "made", DelaySeconds="1")
    assert make(sqs, "made", DelaySeconds="1") == url
    assert sqs.get_queue_url(QueueName="made")["QueueUrl"] == url
    refused(sqs.create_queue, "QueueAlreadyExists", QueueName="made", Attributes={"DelaySeconds": "2"})
    refused(sqs.create_queue, "AWS.SimpleQueueService.UnsupportedOperation", QueueName="made.fifo")
    refused(sqs.create_queue, "InvalidParameterValue", QueueName="a b")
    refused(sqs.create_queue, "InvalidAttributeName", QueueName="other", Attributes={"Colour": "red"})
    refused(sqs.create_queue, "InvalidAttributeValue", QueueName="other", Attributes={"DelaySeconds": "901"})
    refused(sqs.get_queue_url, "AWS.SimpleQueueService.NonExistentQueue", QueueName="none")
    refused(sqs.get_queue_attributes, "InvalidAttributeName", QueueUrl=url, AttributeNames=["Colour"])
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "7"})
    assert attribute(sqs, url, "VisibilityTimeout") == "7"
    sqs.tag_queue(QueueUrl=url, Tags={"team": "a", "stage": "b"})
    sqs.untag_queue(QueueUrl=url, TagKeys=["team"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"stage": "b"}
    sqs.add_permission(QueueUrl=url, Label="l", AWSAccountIds=["111111111111"], Actions=["SendMessage"])
    assert json.loads(attribute(sqs, url, "Policy"))["Statement"][0]["Action"] == ["SQS:SendMessage"]
    refused(sqs.add_permission, "InvalidParameterValue", QueueUrl=url, Label="l", AWSAccountIds=["1"], Actions=["SendMessage"])
    sqs.remove_permission(QueueUrl=url, Label="l")
    refused(sqs.remove_permission, "InvalidParameterValue", QueueUrl=url, Label="l")
    refused(sqs.get_queue_url, "AWS.SimpleQueueService.NonExistentQueue", QueueName="made", QueueOwnerAWSAccountId="111111111111")
    assert sqs.get_queue_url(QueueName="made", QueueOwnerAWSAccountId=ACCOUNT)["QueueUrl"] == url
    refused(sqs.add_permission, "InvalidParameterValue", QueueUrl=url, Label="a b", AWSAccountIds=["1" * 12], Actions=["*"])
    refused(sqs.tag_queue, "InvalidParameterValue", QueueUrl=url, Tags={"x" * 129: "long"})
    refused(sqs.tag_queue, "MissingParameter", QueueUrl=url, Tags={})
    refused(sqs.create_queue, "InvalidParameterValue", QueueName="other", tags={str(n): "" for n in range(51)})
    for index in range(5):
        make(sqs, f"page-{index}")
    pages = [page["QueueUrls"] for page in sqs.get_paginator("list_queues").paginate(
        QueueNamePrefix="page-", PaginationConfig={"PageSize": 2})]
    assert [len(page) for page in pages] == [2, 2, 1]
    sqs.delete_queue(QueueUrl=url)
    refused(sqs.send_message, "AWS.SimpleQueueService.NonExistentQueue", QueueUrl=url, MessageBody="x")


def test_messages_carry_attributes_and_sums_that_the_client_checks(sqs):
    url = make(sqs, "attributes")
    given = {"text": {"DataType": "String.custom", "StringValue": "é"}, "number": {"DataType": "Number", "StringValue": "7.5"},
             "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}
    sent = sqs.send_message(QueueUrl=url, MessageBody="body <é>", MessageAttributes=given, MessageSystemAttributes=trace)
    summed = hashlib.md5()
    for part in [b"AWSTraceHeader", b"String"]:
        summed.update(len(part).to_bytes(4, "big") + part)
    value = trace["AWSTraceHeader"]["StringValue"].encode()
    summed.update(b"\x01" + len(value).to_bytes(4, "big") + value)
    assert sent["MD5OfMessageSystemAttributes"] == summed.hexdigest()
    (message,) = receive(sqs, url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"], VisibilityTimeout=0)
    assert (message["Body"], message["MessageAttributes"], message["MessageId"]) == ("body <é>", given, sent["MessageId"])
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    system = message["Attributes"]
    assert system["AWSTraceHeader"] == trace["AWSTraceHeader"]["StringValue"]
    assert (system["SenderId"], system["ApproximateReceiveCount"]) == (ACCOUNT, "1")
    (message,) = receive(sqs, url, MessageAttributeNames=["te.*", "number"], AttributeNames=["SentTimestamp"], VisibilityTimeout=0)
    assert set(message["MessageAttributes"]) == {"text", "number"} and set(message["Attributes"]) == {"SentTimestamp"}
    bad = {"AWS.x": {"DataType": "String", "StringValue": "x"}}
    refused(sqs.send_message, "InvalidParameterValue", QueueUrl=url, MessageBody="x", MessageAttributes=bad)
    refused(sqs.send_message, "InvalidParameterValue", QueueUrl=url, MessageBody="x",
            MessageAttributes={str(index): {"DataType": "String", "StringValue": "x"} for index in range(11)})
    for wrong, code in [({"DataType": "Number", "StringValue": "seven"}, "InvalidParameterValue"),
                        ({"DataType": "String", "StringListValues": ["x"]}, "AWS.SimpleQueueService.UnsupportedOperation")]:
        refused(sqs.send_message, code, QueueUrl=url, MessageBody="x", MessageAttributes={"a": wrong})
    refused(sqs.send_message, "InvalidMessageContents", QueueUrl=url, MessageBody="\x01")
    refused(sqs.send_message, "InvalidParameterValue", QueueUrl=url, MessageBody="x" * (1024 * 1024 + 1))
    refused(sqs.send_message, "InvalidParameterValue", QueueUrl=url, MessageBody="x", DelaySeconds=901)
    refused(sqs.receive_message, "InvalidParameterValue", QueueUrl=url, MaxNumberOfMessages=11)
    refused(sqs.receive_message, "InvalidParameterValue", QueueUrl=url, ReceiveRequestAttemptId="x")


def test_large_messages_and_those_of_groups_come_through(sqs):
    url, small = make(sqs, "large"), make(sqs, "small", MaximumMessageSize="1024")
    assert attribute(sqs, url, "MaximumMessageSize") == str(1024 * 1024)
    body = "x" * (1024 * 1024)
    sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="tenant-1")
    (message,) = receive(sqs, url, MessageSystemAttributeNames=["MessageGroupId"])
    assert (message["Body"], message["Attributes"]) == (body, {"MessageGroupId": "tenant-1"})
    refused(sqs.send_message, "InvalidParameterValue", QueueUrl=url, MessageBody="x", MessageGroupId="two words")
    refused(sqs.send_message, "AWS.SimpleQueueService.UnsupportedOperation", QueueUrl=url, MessageBody="x",
            MessageDeduplicationId="x")
    refused(sqs.receive_message, "InvalidAttributeName", QueueUrl=url, MessageSystemAttributeNames=["Colour"])
    sent = sqs.send_message_batch(QueueUrl=small, Entries=[
        {"Id": "fits", "MessageBody": "x" * 1024}, {"Id": "too-large", "MessageBody": "x" * 1025}])
    assert [entry["Id"] for entry in sent["Successful"]] == ["fits"]
    assert (sent["Failed"][0]["Id"], sent["Failed"][0]["Code"]) == ("too-large", "InvalidParameterValue")


def test_changes_at_once_do_not_lose_each_other(sqs, node):
    url = make(sqs, "at-once")

    def change(number):
        client = node.client("sqs")
        client.add_permission(QueueUrl=url, Label=f"l{number}", AWSAccountIds=["1" * 12], Actions=["SendMessage"])
        client.tag_queue(QueueUrl=url, Tags={f"t{number}": ""})
        name, value = [("VisibilityTimeout", "7"), ("DelaySeconds", "8"), ("ReceiveMessageWaitTimeSeconds", "9")][number % 3]
        client.set_queue_attributes(QueueUrl=url, Attributes={name: value})

    threads = [threading.Thread(target=change, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=WAIT_SECONDS)
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert {statement["Sid"] for statement in json.loads(attributes["Policy"])["Statement"]} == {f"l{n}" for n in range(12)}
    assert [attributes[name] for name in ["VisibilityTimeout", "DelaySeconds", "ReceiveMessageWaitTimeSeconds"]] == ["7", "8", "9"]
    assert len(sqs.list_queue_tags(QueueUrl=url)["Tags"]) == 12


def test_receipts_cannot_be_made_up_and_old_ones_do_nothing(sqs):
    url, other = make(sqs, "receipts"), make(sqs, "receipts-other")
    sqs.send_message(QueueUrl=url, MessageBody="one")
    (first,) = receive(sqs, url, VisibilityTimeout=0)
    (second,) = receive(sqs, url)
    assert first["ReceiptHandle"] != second["ReceiptHandle"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    assert attribute(sqs, url, "ApproximateNumberOfMessagesNotVisible") == "1"
    handle = second["ReceiptHandle"]
    changed = base64.b64encode(base64.b64decode(handle)[:-1] + b"9").decode()
    for bad in ["x", changed, "0" * 24, ""]:
        refused(sqs.delete_message, "ReceiptHandleIsInvalid", QueueUrl=url, ReceiptHandle=bad)
    refused(sqs.delete_message, "ReceiptHandleIsInvalid", QueueUrl=other, ReceiptHandle=handle)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    refused(sqs.change_message_visibility, "AWS.SimpleQueueService.MessageNotInflight", QueueUrl=url, ReceiptHandle=handle,
            VisibilityTimeout=10)
    (third,) = receive(sqs, url)
    refused(sqs.change_message_visibility, "InvalidParameterValue", QueueUrl=url, ReceiptHandle=third["ReceiptHandle"],
            VisibilityTimeout=43_201)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=third["ReceiptHandle"])
    sqs.delete_message(QueueUrl=url, ReceiptHandle=third["ReceiptHandle"])
    assert attribute(sqs, url, "ApproximateNumberOfMessagesNotVisible") == "0"


def test_batches_say_of_each_entry_what_became_of_it(sqs):
    url = make(sqs, "batches")
    sent = sqs.send_message_batch(QueueUrl=url, Entries=[
        {"Id": "a", "MessageBody": "1"}, {"Id": "b", "MessageBody": "2", "DelaySeconds": 901}, {"Id": "c", "MessageBody": "3"}])
    assert [entry["Id"] for entry in sent["Successful"]] == ["a", "c"]
    assert (sent["Failed"][0]["Id"], sent["Failed"][0]["SenderFault"]) == ("b", True)
    messages = receive(sqs, url)
    entries = [{"Id": str(index), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 60}
               for index, message in enumerate(messages)]
    changed = sqs.change_message_visibility_batch(QueueUrl=url, Entries=entries + [
        {"Id": "x", "ReceiptHandle": "no", "VisibilityTimeout": 1}])
    assert len(changed["Successful"]) == 2 and changed["Failed"][0]["Code"] == "ReceiptHandleIsInvalid"
    gone = sqs.delete_message_batch(QueueUrl=url, Entries=[
        {"Id": entry["Id"], "ReceiptHandle": entry["ReceiptHandle"]} for entry in entries])
    assert len(gone["Successful"]) == 2
    code = "AWS.SimpleQueueService."
    refused(sqs.send_message_batch, code + "EmptyBatchRequest", QueueUrl=url, Entries=[])
    refused(sqs.send_message_batch, code + "TooManyEntriesInBatchRequest", QueueUrl=url, Entries=[
        {"Id": str(index), "MessageBody": "x"} for index in range(11)])
    refused(sqs.send_message_batch, code + "BatchEntryIdsNotDistinct", QueueUrl=url, Entries=[
        {"Id": "a", "MessageBody": "x"}, {"Id": "a", "MessageBody": "x"}])
    refused(sqs.send_message_batch, code + "InvalidBatchEntryId", QueueUrl=url, Entries=[{"Id": "a b", "MessageBody": "x"}])
    refused(sqs.send_message_batch, code + "BatchRequestTooLong", QueueUrl=url, Entries=[
        {"Id": str(index), "MessageBody": "x" * 400_000} for index in range(3)])


def test_a_long_poll_ends_with_the_first_message(sqs, node):
    url = make(sqs, "polled")
    began = time.monotonic()
    threading.Timer(1, lambda: node.client("sqs").send_message(QueueUrl=url, MessageBody="now")).start()
    assert receive(sqs, url, WaitTimeSeconds=20)[0]["Body"] == "now"
    assert time.monotonic() - began < 15
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=3)
    assert attribute(sqs, url, "ApproximateNumberOfMessagesDelayed") == "1"
    assert receive(sqs, url, WaitTimeSeconds=20)[0]["Body"] == "later"


def test_a_purge_empties_once_a_minute(sqs):
    url = make(sqs, "purged")
    sqs.send_message(QueueUrl=url, MessageBody="x")
    sqs.purge_queue(QueueUrl=url)
    assert attribute(sqs, url, "ApproximateNumberOfMessages") == "0"
    refused(sqs.purge_queue, "AWS.SimpleQueueService.PurgeQueueInProgress", QueueUrl=url)


def test_dead_letters_are_moved_back(sqs):
    dead = make(sqs, "letters-dead")
    policy = json.dumps({"deadLetterTargetArn": arn("letters-dead"), "maxReceiveCount": 1})
    url = make(sqs, "letters", RedrivePolicy=policy, VisibilityTimeout="0")
    assert json.loads(attribute(sqs, url, "RedrivePolicy"))["deadLetterTargetArn"] == arn("letters-dead")
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    for index in range(3):
        sqs.send_message(QueueUrl=url, MessageBody=str(index))
    until(lambda: receive(sqs, url) == [] and attribute(sqs, dead, "ApproximateNumberOfMessages") == "3")
    (letter, *_) = receive(sqs, dead, VisibilityTimeout=0, MessageSystemAttributeNames=["DeadLetterQueueSourceArn"])
    assert letter["Attributes"]["DeadLetterQueueSourceArn"] == arn("letters")
    refused(sqs.start_message_move_task, "InvalidParameterValue", SourceArn=arn("letters"))
    refused(sqs.start_message_move_task, "ResourceNotFoundException", SourceArn=arn("none"))
    refused(sqs.start_message_move_task, "ResourceNotFoundException", SourceArn=arn("letters-dead"), DestinationArn=arn("none"))
    refused(sqs.list_message_move_tasks, "ResourceNotFoundException", SourceArn=arn("none"))
    sqs.start_message_move_task(SourceArn=arn("letters-dead"))
    done = until(lambda: [task for task in sqs.list_message_move_tasks(SourceArn=arn("letters-dead"))["Results"]
                          if task["Status"] != "RUNNING"])
    assert (done[0]["Status"], done[0]["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 3)
    assert attribute(sqs, url, "ApproximateNumberOfMessages") == "3"
    until(lambda: receive(sqs, url) == [] and attribute(sqs, dead, "ApproximateNumberOfMessages") == "3")
    slow = sqs.start_message_move_task(SourceArn=arn("letters-dead"), DestinationArn=arn("letters"), MaxNumberOfMessagesPerSecond=1)
    refused(sqs.start_message_move_task, "AWS.SimpleQueueService.UnsupportedOperation", SourceArn=arn("letters-dead"))
    assert sqs.cancel_message_move_task(TaskHandle=slow["TaskHandle"])["ApproximateNumberOfMessagesMoved"] <= 3
    refused(sqs.cancel_message_move_task, "ResourceNotFoundException", TaskHandle=slow["TaskHandle"])
    sqs.set_queue_attributes(QueueUrl=dead, Attributes={"RedriveAllowPolicy": json.dumps({"redrivePermission": "denyAll"})})
    refused(sqs.create_queue, "InvalidAttributeValue", QueueName="letters-other", Attributes={"RedrivePolicy": policy})
    sqs.set_queue_attributes(QueueUrl=dead, Attributes={"RedriveAllowPolicy": json.dumps(
        {"redrivePermission": "byQueue", "sourceQueueArns": [arn("letters-other")]})})
    make(sqs, "letters-other", RedrivePolicy=policy)
    refused(sqs.create_queue, "InvalidAttributeValue", QueueName="letters-third", Attributes={"RedrivePolicy": policy})


class QueryClient:
    """The query protocol as old clients speak it: forms in, XML out, signed by botocore."""

    def __init__(self, node):
        self.endpoint = node.endpoint

    def call(self, action, path="/", **members):
        form = urllib.parse.urlencode({"Action": action, "Version": "2012-11-05", **members})
        headers = {"content-type": "application/x-www-form-urlencoded"}
        request = botocore.awsrequest.AWSRequest("POST", self.endpoint + path, headers=headers, data=form)
        credentials = botocore.credentials.Credentials("test", "test")
        botocore.auth.SigV4Auth(credentials, "sqs", "us-east-1").add_auth(request)
        request = urllib.request.Request(request.url, data=form.encode(), headers=dict(request.headers))
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, self.read(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, self.read(error.read())

    def read(self, body):
        tree = xml.etree.ElementTree.fromstring(body)
        for element in tree.iter():
            element.tag = element.tag.split("}")[-1]
        return tree


def test_old_clients_speak_forms_and_xml(node):
    client = QueryClient(node)
    status, answer = client.call("CreateQueue", QueueName="old", **{"Attribute.1.Name": "VisibilityTimeout", "Attribute.1.Value": "9"})
    url = answer.findtext("CreateQueueResult/QueueUrl")
    assert status == 200 and url.endswith(f"/{ACCOUNT}/old") and answer.findtext("ResponseMetadata/RequestId")
    path = urllib.parse.urlparse(url).path
    _, answer = client.call("SendMessage", path, MessageBody="b&<é>", **{
        "MessageAttribute.1.Name": "n", "MessageAttribute.1.Value.DataType": "String", "MessageAttribute.1.Value.StringValue": "v"})
    sent = answer.findtext("SendMessageResult/MessageId")
    _, answer = client.call("ReceiveMessage", path, MaxNumberOfMessages=10, **{"AttributeName.1": "All", "MessageAttributeName.1": "All"})
    message = answer.find("ReceiveMessageResult/Message")
    assert (message.findtext("Body"), message.findtext("MessageId")) == ("b&<é>", sent)
    assert message.findtext("MessageAttribute/Value/StringValue") == "v"
    assert "ApproximateReceiveCount" in [name.text for name in message.findall("Attribute/Name")]
    handle = message.findtext("ReceiptHandle")
    _, answer = client.call("ChangeMessageVisibilityBatch", path, **{
        "ChangeMessageVisibilityBatchRequestEntry.1.Id": "a", "ChangeMessageVisibilityBatchRequestEntry.1.ReceiptHandle": handle,
        "ChangeMessageVisibilityBatchRequestEntry.1.VisibilityTimeout": "30"})
    assert answer.findtext("ChangeMessageVisibilityBatchResult/ChangeMessageVisibilityBatchResultEntry/Id") == "a"
    status, _ = client.call("DeleteMessage", path, ReceiptHandle=handle)
    assert status == 200
    _, answer = client.call("GetQueueAttributes", QueueUrl=url, **{"AttributeName.1": "VisibilityTimeout"})
    attribute = answer.find("GetQueueAttributesResult/Attribute")
    assert (attribute.findtext("Name"), attribute.findtext("Value")) == ("VisibilityTimeout", "9")
    _, answer = client.call("ListQueues", QueueNamePrefix="old")
    assert [found.text for found in answer.findall("ListQueuesResult/QueueUrl")] == [url]
    _, answer = client.call("SendMessageBatch", path, **{
        "SendMessageBatchRequestEntry.1.Id": "a", "SendMessageBatchRequestEntry.1.MessageBody": "1",
        "SendMessageBatchRequestEntry.2.Id": "b", "SendMessageBatchRequestEntry.2.MessageBody": "2",
        "SendMessageBatchRequestEntry.2.DelaySeconds": "901"})
    assert answer.findtext("SendMessageBatchResult/SendMessageBatchResultEntry/Id") == "a"
    assert answer.findtext("SendMessageBatchResult/BatchResultErrorEntry/Id") == "b"
    status, _ = client.call("SetQueueAttributes", path, **{"Attribute.Name": "DelaySeconds", "Attribute.Value": "3"})
    _, answer = client.call("GetQueueAttributes", path, AttributeName="DelaySeconds")
    assert (status, answer.findtext("GetQueueAttributesResult/Attribute/Value")) == (200, "3")
    status, answer = client.call("SetQueueAttributes", path)
    assert (status, answer.findtext("Error/Code")) == (400, "MissingParameter")
    status, answer = client.call("GetQueueUrl", QueueName="none")
    assert (status, answer.findtext("Error/Code")) == (400, "AWS.SimpleQueueService.NonExistentQueue")
    status, answer = client.call("SendMessage", path, MessageBody="x", DelaySeconds="soon")
    assert (status, answer.findtext("Error/Code")) == (400, "InvalidParameterValue")
    status, answer = client.call("Dance", path)
    assert status in (400, 404)


def test_queues_are_measured_by_the_second(sqs, node):
    url = make(sqs, "measured")
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(index), "MessageBody": "x"} for index in range(7)])

    def shown():
        with urllib.request.urlopen(f"{node.console}/queues/measured", timeout=10) as answer:
            text = answer.read().decode()
        visible = text[text.index("visible"):][:200]
        return "7" in visible

    until(shown)


def test_queue_depths_are_metrics_of_cloudwatch(sqs, node):
    url = make(sqs, "depths")
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(index), "MessageBody": "x"} for index in range(3)])
    cloudwatch = node.client("cloudwatch")

    def data(metric, statistic):
        now = datetime.datetime.now(datetime.timezone.utc)
        answer = cloudwatch.get_metric_statistics(
            Namespace="AWS/SQS", MetricName=metric, Dimensions=[{"Name": "QueueName", "Value": "depths"}],
            StartTime=now - datetime.timedelta(minutes=5), EndTime=now + datetime.timedelta(minutes=1), Period=60,
            Statistics=[statistic])
        return [point[statistic] for point in answer["Datapoints"]]

    until(lambda: sum(data("NumberOfMessagesSent", "Sum")) == 3)
    until(lambda: 3 in data("ApproximateNumberOfMessagesVisible", "Maximum"))
