"""Queues through Azure's and AWS's own clients, over one engine; events that go to queues; what a crash leaves."""

import base64
import json

import pytest
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.eventgrid import EventGridEvent, EventGridPublisherClient
from azure.storage.queue import QueueClient, QueueServiceClient
from botocore.exceptions import ClientError

from conftest import Node, until

PIPELINE = """
name = "orders"

[[queue]]
name = "orders"
visibility_seconds = 1
dead_letter = "orders-dead"
max_receives = 1

[[queue]]
name = "orders-dead"

[[event_grid_topic]]
name = "shop"

[[event_grid_topic.subscription]]
name = "to-orders"
queue = "orders"
"""


def storage_string(node):
    """The connection string of storage clients, as the command shows it."""
    lines = node.run("keys").splitlines()
    return next(line.strip() for line in lines if "QueueEndpoint=" in line)


@pytest.fixture(scope="module")
def storage(node):
    return QueueServiceClient.from_connection_string(storage_string(node), retry_total=0)


def test_azure_messages_are_sent_received_changed_and_deleted(storage):
    queue = storage.create_queue("letters", metadata={"owner": "me"})
    with pytest.raises(ResourceExistsError):
        storage.create_queue("letters", metadata={"owner": "you"})
    sent = queue.send_message("<hello> & \"you\" é")
    assert [message.content for message in queue.peek_messages()] == ["<hello> & \"you\" é"]
    (message,) = queue.receive_messages(visibility_timeout=60)
    assert (message.id, message.dequeue_count) == (sent.id, 1)
    assert list(queue.receive_messages()) == []
    with pytest.raises(HttpResponseError) as refused:
        queue.delete_message(sent.id, sent.pop_receipt)
    assert refused.value.error_code == "PopReceiptMismatch"
    changed = queue.update_message(message, visibility_timeout=0, content="again")
    (message,) = queue.receive_messages()
    assert (message.content, message.dequeue_count) == ("again", 2)
    assert changed.pop_receipt != message.pop_receipt
    properties = queue.get_queue_properties()
    assert (properties.approximate_message_count, properties.metadata) == (1, {"owner": "me"})
    queue.delete_message(message)
    with pytest.raises(ResourceNotFoundError):
        queue.delete_message(message)
    queue.send_message("later", visibility_timeout=60, time_to_live=-1)
    queue.clear_messages()
    assert queue.get_queue_properties().approximate_message_count == 0
    assert [queue.name for queue in storage.list_queues(name_starts_with="let")] == ["letters"]
    queue.delete_queue()
    with pytest.raises(ResourceNotFoundError):
        queue.send_message("nobody")


def test_a_wrong_key_is_refused(node):
    wrong = base64.b64encode(b"wrong").decode()
    credential = {"account_name": "devstoreaccount1", "account_key": wrong}
    queue = QueueClient(f"{node.endpoint}/devstoreaccount1-queue", "letters", credential=credential, retry_total=0)
    with pytest.raises(HttpResponseError) as refused:
        queue.send_message("hello")
    assert refused.value.status_code == 403


def test_events_go_to_a_queue_of_a_pipeline_file_and_become_dead_letters(node, storage, tmp_path):
    file = tmp_path / "pipeline.toml"
    file.write_text(PIPELINE)
    told = node.run("apply", file)
    assert "orders-dead" in told
    assert "created" not in node.run("apply", file)
    lines = node.run("keys").splitlines()
    at = lines.index("event grid, topic shop")
    topic = EventGridPublisherClient(lines[at + 1].strip(), AzureKeyCredential(lines[at + 2].strip()))
    topic.send(EventGridEvent(subject="orders/1", event_type="Order", data={"amount": 7}, data_version="1"))
    orders, dead = storage.get_queue_client("orders"), storage.get_queue_client("orders-dead")
    message = receive(orders)
    event = json.loads(base64.b64decode(message.content))
    assert (event["subject"], event["data"]) == ("orders/1", {"amount": 7})

    def moved():
        assert list(orders.receive_messages()) == []
        return list(dead.peek_messages())

    until(moved)
    assert receive(dead).content == message.content


def receive(queue):
    return until(lambda: next(iter(queue.receive_messages()), None))


def test_what_was_acknowledged_survives_sigkill():
    node = Node()
    try:
        node.start()
        queue = QueueClient.from_connection_string(storage_string(node), "kept")
        queue.create_queue()
        for number in range(20):
            queue.send_message(str(number))
        taken = [message.content for message in queue.receive_messages(max_messages=5, visibility_timeout=600)]
        assert len(taken) == 5
        node.kill()
        node.start()
        rest = set()
        for message in queue.receive_messages(messages_per_page=32, visibility_timeout=600):
            rest.add(message.content)
        assert rest == {str(number) for number in range(20)} - set(taken)
    finally:
        node.remove()


@pytest.fixture(scope="module")
def sqs(node):
    return node.client("sqs")


def test_aws_messages_are_sent_received_and_deleted(sqs):
    url = sqs.create_queue(QueueName="tasks", Attributes={"VisibilityTimeout": "60"}, tags={"team": "a"})["QueueUrl"]
    assert sqs.get_queue_url(QueueName="tasks")["QueueUrl"] == url
    assert url in sqs.list_queues(QueueNamePrefix="ta")["QueueUrls"]
    attributes = {"size": {"DataType": "Number", "StringValue": "7"}, "raw": {"DataType": "Binary", "BinaryValue": b"\0\xff"}}
    sent = sqs.send_message(QueueUrl=url, MessageBody="hello <é>", MessageAttributes=attributes)
    (message,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], AttributeNames=["All"])["Messages"]
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "hello <é>")
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    (again,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    # The handle of the first receive counts no more.
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (counts["ApproximateNumberOfMessagesNotVisible"], counts["VisibilityTimeout"]) == ("1", "60")
    sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "a"}
    sqs.untag_queue(QueueUrl=url, TagKeys=["team"])
    assert sqs.list_queue_tags(QueueUrl=url).get("Tags", {}) == {}


def test_aws_batches_say_what_became_of_each_entry(sqs):
    url = sqs.create_queue(QueueName="batches")["QueueUrl"]
    entries = [{"Id": str(number), "MessageBody": f"m{number}"} for number in range(9)]
    sent = sqs.send_message_batch(QueueUrl=url, Entries=[*entries, {"Id": "late", "MessageBody": "x", "DelaySeconds": 901}])
    assert len(sent["Successful"]) == 9
    assert [failed["Id"] for failed in sent["Failed"]] == ["late"]
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in messages] == [f"m{number}" for number in range(9)]
    handles = [{"Id": str(at), "ReceiptHandle": message["ReceiptHandle"]} for at, message in enumerate(messages)]
    shown = [{**handle, "VisibilityTimeout": 0} for handle in handles]
    assert len(sqs.change_message_visibility_batch(QueueUrl=url, Entries=shown)["Successful"]) == 9
    deleted = sqs.delete_message_batch(QueueUrl=url, Entries=[*handles, {"Id": "bad", "ReceiptHandle": "x"}])
    assert len(deleted["Successful"]) == 9
    assert [failed["Code"] for failed in deleted["Failed"]] == ["ReceiptHandleIsInvalid"]
    sqs.purge_queue(QueueUrl=url)
    sqs.delete_queue(QueueUrl=url)


def test_aws_redrive_moves_a_message_to_the_dead_letter_queue(sqs):
    dead = sqs.create_queue(QueueName="tasks-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})
    url = sqs.create_queue(QueueName="redriven", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="poison")
    for _ in range(2):
        assert len(sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]) == 1
    assert "Messages" not in sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
    assert sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=5)["Messages"][0]["Body"] == "poison"


def test_aws_errors_are_the_services_own(sqs):
    url = sqs.create_queue(QueueName="errors")["QueueUrl"]
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName="nowhere")
    for call, code in [
        (lambda: sqs.create_queue(QueueName="a.fifo", Attributes={"FifoQueue": "true"}),
         "AWS.SimpleQueueService.UnsupportedOperation"),
        (lambda: sqs.create_queue(QueueName="errors", Attributes={"DelaySeconds": "5"}), "QueueAlreadyExists"),
        (lambda: sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "901"}), "InvalidAttributeValue"),
        (lambda: sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=11), "InvalidParameterValue"),
        (lambda: sqs.delete_message(QueueUrl=url, ReceiptHandle="x"), "ReceiptHandleIsInvalid"),
        (lambda: sqs.send_message_batch(QueueUrl=url, Entries=[]), "AWS.SimpleQueueService.EmptyBatchRequest"),
    ]:
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == code


def test_both_clouds_see_the_same_queue(sqs, storage):
    queue = storage.create_queue("shared")
    queue.send_message("from one to the other")
    url = sqs.get_queue_url(QueueName="shared")["QueueUrl"]
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "from one to the other"
