"""Kills the node again and again while events are published to a webhook that takes some, refuses some and fails at times.

What must hold: each event that was answered 200 is taken by the webhook at least once, or it becomes a dead letter; those that
the webhook refuses become one each, and none that it takes does.
"""

import json
import time
import urllib.request
from collections import Counter

import pytest
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import AzureError
from azure.eventgrid import EventGridEvent, EventGridPublisherClient
from azure.storage.blob import BlobServiceClient

from conftest import Node
from peers import BLOB_ACCOUNT, BLOB_KEY, PAUSE_SECONDS, Load, Webhook

KILLS = 6
SECONDS_BETWEEN_KILLS = 2.0
WRITERS = 3
BATCH = 10
MANAGEMENT = "/subscriptions/0000/resourceGroups/tests/providers/Microsoft.EventGrid/topics"

PIPELINE = """
name = "orders"

[[blob_container]]
name = "letters"

[[event_grid_topic]]
name = "orders"
[[event_grid_topic.subscription]]
name = "shop"
webhook = "{webhook}"
max_attempts = 2
dead_letter = {{ container = "letters" }}
"""


def number(event_id):
    return int(event_id.split("-")[1])


def status(event, time):
    """By their number: every 11th is refused for good, every 7th fails always, every 5th the first time."""
    if number(event["id"]) % 11 == 0:
        return 400
    if number(event["id"]) % 7 == 0 or (number(event["id"]) % 5 == 0 and time == 1):
        return 503
    return 200


def is_refused(event_id):
    return number(event_id) % 11 == 0 or number(event_id) % 7 == 0


@pytest.fixture(scope="module")
def node():
    node = Node(settings="event_retry_seconds = [1]\n")
    try:
        yield node.start()
    finally:
        node.remove()


class Publishers(Load):
    """Clients that publish, and the events of what was answered."""

    def __init__(self, node, key):
        super().__init__(node, [(self.publish, writer) for writer in range(WRITERS)])
        self.key, self.answered = key, set()

    def publish(self, writer):
        topic = f"{self.node.endpoint}/eventgrid/orders/api/events"
        client, count = EventGridPublisherClient(topic, AzureKeyCredential(self.key), retry_total=0), 0
        while not self.stop.is_set():
            ids = [f"{writer}-{count + offset}" for offset in range(BATCH)]
            count += BATCH
            try:
                client.send([EventGridEvent(id=one, subject="s", event_type="t", data={}, data_version="1") for one in ids])
            except (AzureError, OSError):
                # Not answered: they may arrive or not. The same ids are never sent again.
                time.sleep(0.05)
                continue
            self.answered.update(ids)
            time.sleep(PAUSE_SECONDS)


def letters(node):
    """As how many letters each event is there; the folder is the hour, the name tells a letter from the others."""
    container = BlobServiceClient(
        f"{node.endpoint}/devstoreaccount1",
        credential={"account_name": BLOB_ACCOUNT, "account_key": BLOB_KEY}).get_container_client("letters")
    found = set()
    for blob in container.list_blobs():
        (event,) = json.loads(container.download_blob(blob.name).readall())
        found.add((event["id"], blob.name.rsplit("/", 1)[1]))
    return Counter(event_id for event_id, _ in found)


def test_what_was_answered_is_delivered_or_becomes_a_dead_letter(node):
    webhook = Webhook(status)
    pipeline = node.folder / "orders.toml"
    pipeline.write_text(PIPELINE.format(webhook=webhook.url))
    node.run("apply", pipeline)
    request = urllib.request.Request(f"{node.endpoint}{MANAGEMENT}/orders/listKeys?api-version=2022-06-15", method="POST",
                                     headers={"authorization": "Bearer any"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        key = json.loads(answer.read())["key1"]
    with Publishers(node, key) as load:
        for _ in range(KILLS):
            time.sleep(SECONDS_BETWEEN_KILLS)
            node.kill()
            node.start()
    answered = load.answered
    assert len(answered) > 300, "the load was too small to prove anything"
    refused = {one for one in answered if is_refused(one)}
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = letters(node)
        if refused <= set(found) and answered - refused <= set(webhook.taken()):
            break
        time.sleep(0.5)
    lost = answered - set(webhook.taken()) - set(found)
    assert not lost, f"{len(lost)} of {len(answered)} events that were answered 200 are lost"
    assert refused <= set(found), "what the webhook refuses becomes a dead letter"
    assert all(is_refused(one) for one in found), "what the webhook takes does not"
    assert max(found.values()) == 1, "one letter each"
    assert not any(is_refused(one) for one in webhook.taken())
