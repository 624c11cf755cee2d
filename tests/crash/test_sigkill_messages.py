"""Kills the node again and again while messages go through queues and topics, then counts.

What must hold: each acknowledged message comes, each message whose deletion was acknowledged never comes again, and each
acknowledged publication comes to every queue that wants it and to no other.
"""

import time

from conftest import let_topics
from peers import Load

KILLS = 5
SECONDS_BETWEEN_KILLS = 2
SENDERS = WORKERS = PUBLISHERS = 2
HIDDEN_SECONDS = 10
DRAIN_SECONDS = 90
ACCOUNT = "000000000000"


class Messages(Load):
    """Senders, workers and publishers."""

    def __init__(self, node, url, topic):
        tasks = [self.send] * SENDERS + [self.work] * WORKERS + [self.publish] * PUBLISHERS
        super().__init__(node, [(self.repeat, ("sqs", "sns"), task, n) for n, task in enumerate(tasks)])
        self.url, self.topic = url, topic
        self.sent, self.received, self.deleted, self.published = set(), set(), set(), set()
        self.again = []

    def send(self, sqs, _, name, number):
        entries = [{"Id": str(n), "MessageBody": f"{name}-{number}-{n}"} for n in range(5)]
        answer = sqs.send_message_batch(QueueUrl=self.url, Entries=entries)
        self.sent |= {f"{name}-{number}-{entry['Id']}" for entry in answer["Successful"]}

    def work(self, sqs, *_):
        gone = set(self.deleted)
        answer = sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        messages = answer.get("Messages", [])
        bodies = {message["Body"] for message in messages}
        self.received |= bodies
        self.again += sorted(bodies & gone)
        if messages:
            entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
            answer = sqs.delete_message_batch(QueueUrl=self.url, Entries=entries)
            self.deleted |= {messages[int(entry["Id"])]["Body"] for entry in answer["Successful"]}

    def publish(self, _, sns, name, number):
        kind = "even" if number % 2 == 0 else "odd"
        message = f"{kind}-{name}-{number}"
        sns.publish(TopicArn=self.topic, Message=message,
                    MessageAttributes={"kind": {"DataType": "String", "StringValue": kind}})
        self.published.add(message)


def set_up(node):
    sqs, sns = node.client("sqs"), node.client("sns")
    urls = {name: sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": str(HIDDEN_SECONDS)})["QueueUrl"]
            for name in ["jobs", "all", "even"]}
    topic = sns.create_topic(Name="news")["TopicArn"]
    for name, settings in [("all", {}), ("even", {"FilterPolicy": '{"kind": ["even"]}'})]:
        queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"
        let_topics(sqs, urls[name], queue, {"ArnEquals": {"aws:SourceArn": topic}})
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue,
                      Attributes={"RawMessageDelivery": "true", **settings})
    return urls, topic


def drain(node, url, wanted):
    """What a queue still holds, until all that is wanted has come."""
    sqs, found = node.client("sqs"), set()
    deadline = time.monotonic() + DRAIN_SECONDS
    while not wanted <= found and time.monotonic() < deadline:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
        found |= {message["Body"] for message in messages}
        if messages:
            entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
            assert "Failed" not in sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    assert wanted <= found, f"{len(wanted - found)} did not come, such as {sorted(wanted - found)[:3]}"
    return found


def test_what_was_acknowledged_comes_and_what_was_deleted_does_not(node):
    urls, topic = set_up(node)
    with Messages(node, urls["jobs"], topic) as load:
        for _ in range(KILLS):
            time.sleep(SECONDS_BETWEEN_KILLS)
            node.kill()
            node.start()
        time.sleep(SECONDS_BETWEEN_KILLS)
    assert len(load.sent) > 500 and len(load.deleted) > 100 and len(load.published) > 100
    assert not load.again, f"deleted messages came again: {load.again[:3]}"
    left = drain(node, urls["jobs"], load.sent - load.received)
    assert not left & load.deleted
    drain(node, urls["all"], load.published)
    even = drain(node, urls["even"], {name for name in load.published if name.startswith("even")})
    assert all(name.startswith("even") for name in even)
