"""Event Hubs with Azure's client for Java: the program `java/Hubs.java` says what it expects."""

import uuid

import pytest
from java_clients import needs_java, run
from peers import blob_connection_string, hubs_connection_string
from test_eventhubs import make_hub, resource

pytestmark = needs_java


@pytest.fixture
def hub(node):
    name = f"java-{uuid.uuid4().hex[:8]}"
    make_hub(node, name, 4)
    resource(node, f"/default/eventhubs/{name}/consumergroups/second", "PUT", {"properties": {}})
    return name


@pytest.mark.parametrize("what", ["properties", "events", "positions", "groups", "errors"])
def test_a_hub(node, hub, what):
    run("Hubs", what, hubs_connection_string(node), hub)


def test_processors_with_checkpoints_in_blobs(node, hub):
    run("Hubs", "processors", hubs_connection_string(node), hub, blob_connection_string(node))
