"""Event Hubs: producers over their namespace's units, producers that number what they send, clients behind a WebSocket, and the
event processor with its checkpoints in this node's own blobs."""

import asyncio
import json
import subprocess
import threading
import time

import pytest
from azure.eventhub import (
    EventData, EventHubConsumerClient, EventHubProducerClient, EventHubSharedKeyCredential, TransportType)
from azure.eventhub.aio import EventHubConsumerClient as AioConsumerClient
from azure.eventhub.exceptions import EventHubError
from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore
from azure.mgmt.eventhub import EventHubManagementClient
from azure.storage.blob import BlobServiceClient

from conftest import NODE_MODULES, needs_javascript
from peers import blob_connection_string, hubs_connection_string
from test_eventhubs import SECONDS, consumer, make_hub, producer, receive, resource
from test_management import client as management

# A unit takes so many bytes a second, and gives twice as many.
UNIT = 1 << 20


def units(node, namespace, count, most=None):
    """Gives a namespace throughput units with the service's own client."""
    hubs = management(EventHubManagementClient, node, "any")
    body = {"location": "local", "sku": {"name": "Standard", "tier": "Standard", "capacity": count}}
    if most:
        body["properties"] = {"isAutoInflateEnabled": True, "maximumThroughputUnits": most}
    return hubs.namespaces.begin_create_or_update("group", namespace, body).result()


def limited_hub(node, namespace, count, most=None):
    """What clients need for a hub of a namespace with so many units. The host's first label decides the namespace; it is sent
    without asking a name server for it."""
    made = units(node, namespace, count, most)
    assert made.sku.capacity == count
    resource(node, f"/{namespace}/eventhubs/hub", "PUT", {"properties": {"partitionCount": 1}})
    keys = resource(node, f"/{namespace}/authorizationRules/RootManageSharedAccessKey/listKeys", "POST")
    return {"fully_qualified_namespace": f"{namespace}.localhost", "eventhub_name": "hub",
            "credential": EventHubSharedKeyCredential(keys["keyName"], keys["primaryKey"]),
            "custom_endpoint_address": f"sb://127.0.0.1:{node.amqp_port}", "transport_type": TransportType.Amqp,
            "use_tls": False}


def sender(hub, retries=0):
    return EventHubProducerClient(retry_total=retries, **hub)


PATIENT = """
const { EventHubProducerClient } = require("@azure/event-hubs");
const [connection, hub, retries] = process.argv.slice(2);
(async () => {
  const retryOptions = { maxRetries: Number(retries), retryDelayInMs: 300, maxRetryDelayInMs: 300 };
  const client = new EventHubProducerClient(connection, hub, { retryOptions });
  let sent = 0, error = "";
  try {
    for (; sent < 5; sent++) await client.sendBatch([{ body: "x".repeat(900 * 1024) }], { partitionId: "0" });
  } catch (failed) { error = failed.code; }
  await client.close();
  console.log(JSON.stringify({ sent, error }));
})().catch((error) => { console.error(error); process.exit(1); });
"""


def test_more_than_a_namespaces_units_is_busy_and_goes_through_with_patience(node, tmp_path):
    hub = limited_hub(node, "narrow", 1)
    with sender(hub) as client, pytest.raises(EventHubError, match="50002"):
        for _ in range(30):
            client.send_batch([EventData("x" * (900 << 10))], partition_id="0")
    make_hub(node, "patient", 1)
    units(node, "default", 1)
    try:
        hasty = javascript(tmp_path, PATIENT, hubs_connection_string(node), "patient", "0")
        assert hasty["error"] == "ServerBusyError" and hasty["sent"] < 5
        patient = javascript(tmp_path, PATIENT, hubs_connection_string(node), "patient", "30")
        assert patient == {"sent": 5, "error": ""}
    finally:
        units(node, "default", 0)
    with producer(node, "patient") as client:
        for _ in range(4):
            client.send_batch([EventData("x" * (900 << 10))], partition_id="0")


def test_a_namespace_grows_when_it_may(node):
    hub = limited_hub(node, "growing", 1, most=3)
    hubs = management(EventHubManagementClient, node, "any")
    deadline = time.monotonic() + SECONDS
    with sender(hub) as client:
        while hubs.namespaces.get("group", "growing").sku.capacity < 3 and time.monotonic() < deadline:
            try:
                client.send_batch([EventData("x" * (900 << 10))], partition_id="0")
            except EventHubError as error:
                assert "50002" in str(error)
    grown = hubs.namespaces.get("group", "growing")
    assert (grown.sku.capacity, grown.maximum_throughput_units, grown.is_auto_inflate_enabled) == (3, 3, True)


def test_readers_of_a_narrow_namespace_get_everything_later(node):
    hub = limited_hub(node, "slow", 40)
    with sender(hub) as client:
        for _ in range(7):
            client.send_batch([EventData("x" * (UNIT * 9 // 10))], partition_id="0")
    units(node, "slow", 1)
    found, done, begun = [], threading.Event(), time.monotonic()

    def on_event(_, event):
        found.append(event)
        if len(found) == 7:
            done.set()

    with EventHubConsumerClient(consumer_group="$Default", retry_total=0, **hub) as client:
        worker = threading.Thread(target=client.receive, args=(on_event,), kwargs={"starting_position": "-1"}, daemon=True)
        worker.start()
        assert done.wait(SECONDS)
    # The second's share goes out at once, and one event over it; the other four have to be earned.
    assert time.monotonic() - begun > 1
    with pytest.raises(Exception, match="1 to 40|expected"):
        units(node, "slow", 41)


NUMBERED = """
const { EventHubBufferedProducerClient, EventHubProducerClient } = require("@azure/event-hubs");
const [connection, hub] = process.argv.slice(2);
(async () => {
  const client = new EventHubProducerClient(connection, hub, { retryOptions: { maxRetries: 0 } });
  client._enableIdempotentRetries = true;
  await client.sendBatch([{ body: "a" }, { body: "b" }], { partitionId: "0" });
  const known = await client.getPartitionPublishingProperties("0");
  const batch = await client.createBatch({ partitionId: "0" });
  batch.tryAdd({ body: "c" });
  await client.sendBatch(batch);
  // As a client that lost the answers to all it sent: it begins again behind what it knows.
  const again = new EventHubProducerClient(connection, hub, { retryOptions: { maxRetries: 0 } });
  again._enableIdempotentRetries = true;
  const place = { producerGroupId: known.producerGroupId, ownerLevel: known.ownerLevel, startingSequenceNumber: 0 };
  again._partitionOptions = { 0: place };
  await again.sendBatch([{ body: "a" }, { body: "b" }, { body: "c" }], { partitionId: "0" });
  await again.sendBatch([{ body: "d" }], { partitionId: "0" });
  // A higher level displaces it.
  const higher = new EventHubProducerClient(connection, hub, { retryOptions: { maxRetries: 0 } });
  higher._enableIdempotentRetries = true;
  higher._partitionOptions = { 0: { ...place, ownerLevel: known.ownerLevel + 1, startingSequenceNumber: 4 } };
  await higher.sendBatch([{ body: "e" }], { partitionId: "0" });
  let displaced = "not at all";
  try { await again.sendBatch([{ body: "f" }], { partitionId: "0" }); } catch (error) { displaced = error.code || error.message; }
  for (const one of [client, again, higher]) await one.close();
  const errors = [];
  const buffered = new EventHubBufferedProducerClient(connection, hub, {
    enableIdempotentRetries: true, maxWaitTimeInMs: 20,
    onSendEventsErrorHandler: async (context) => { errors.push(String(context.error)); } });
  for (let n = 0; n < 50; n++) await buffered.enqueueEvent({ body: "n" + n }, { partitionId: "1" });
  await buffered.close({ flush: true });
  console.log(JSON.stringify({ known, displaced, errors }));
})().catch((error) => { console.error(error); process.exit(1); });
"""


def javascript(tmp_path, text, *arguments):
    script = tmp_path / "script.cjs"
    script.write_text(text)
    environment = {"NODE_PATH": str(NODE_MODULES), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    done = subprocess.run(["node", script, *arguments], capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_javascript("@azure/event-hubs")
def test_what_a_producer_numbers_is_kept_once(node, tmp_path):
    make_hub(node, "numbered", 2)
    told = javascript(tmp_path, NUMBERED, hubs_connection_string(node), "numbered")
    assert told["known"]["isIdempotentPublishingEnabled"] and told["known"]["lastPublishedSequenceNumber"] == 2
    assert "epoch" in told["displaced"] or "Producer" in told["displaced"], told
    assert told["errors"] == []
    found = receive(node, "numbered", 5, partition="0")
    assert [event.body_as_json() for _, event in found] == list("abcde")
    assert sorted(event.body_as_json() for _, event in receive(node, "numbered", 50, partition="1")) == \
        sorted(f"n{n}" for n in range(50))


SOCKET = """
const WebSocket = require("ws");
const { EventHubProducerClient, EventHubConsumerClient, earliestEventPosition } = require("@azure/event-hubs");
const [connection, hub] = process.argv.slice(2);
const port = new URL(connection.match(/Endpoint=sb:([^;]*)/)[1].replace(/^/, "http:")).port;
// The client asks for TLS, which the tests' node does not speak.
class Plain extends WebSocket { constructor(url, ...rest) { super(url.replace(/^wss:/, "ws:"), ...rest); } }
const options = { webSocketOptions: { webSocket: Plain } };
(async () => {
  const producer = new EventHubProducerClient(connection, hub, options);
  await producer.sendBatch([{ body: "a" }, { body: "b".repeat(300000) }], { partitionId: "0" });
  await producer.close();
  const consumer = new EventHubConsumerClient("$Default", connection, hub, options);
  const lengths = [];
  await new Promise((resolve, reject) => {
    const subscription = consumer.subscribe({
      processEvents: async (events) => {
        for (const event of events) lengths.push(event.body.length);
        if (lengths.length === 2) subscription.close().then(resolve);
      },
      processError: async (error) => reject(error),
    }, { startPosition: earliestEventPosition });
  });
  await consumer.close();
  console.log(JSON.stringify(lengths));
})().catch((error) => { console.error(error); process.exit(1); });
"""


@needs_javascript("ws")
def test_the_javascript_client_inside_a_websocket(node, tmp_path):
    make_hub(node, "socket-javascript", 1)
    assert javascript(tmp_path, SOCKET, hubs_connection_string(node), "socket-javascript") == [1, 300_000]


def test_the_synchronous_client_inside_a_websocket(node):
    make_hub(node, "socket-python", 1)
    address = f"sb://localhost:{node.port}"
    options = {"transport_type": TransportType.AmqpOverWebsocket, "custom_endpoint_address": address}
    with producer(node, "socket-python", **options) as client:
        client.send_batch([EventData("a"), EventData("b" * 300_000)])
    found, done = [], threading.Event()

    def on_event(_, event):
        found.append(event.body_as_str())
        if len(found) == 2:
            done.set()

    with consumer(node, "socket-python", **options) as client:
        worker = threading.Thread(target=client.receive, args=(on_event,), kwargs={"starting_position": "-1"}, daemon=True)
        worker.start()
        assert done.wait(SECONDS)
    assert found == ["a", "b" * 300_000]


def test_processors_share_partitions_and_go_on_behind_their_checkpoints(node):
    """Two processors with one store of checkpoints, in this node's blobs; a third goes on where they were."""
    make_hub(node, "processed", 4)
    BlobServiceClient.from_connection_string(blob_connection_string(node)).create_container("Checkpoints".lower())
    send = [[f"{partition}-{n}" for n in range(5)] for partition in range(4)]
    with producer(node, "processed") as client:
        for partition, texts in enumerate(send):
            client.send_batch([EventData(text) for text in texts], partition_id=str(partition))

    async def process(readers, wanted):
        """Reads until a checkpoint stands behind each of `wanted`; what was read, and who read which partition."""
        seen, behind, owners, done = [], set(), {}, asyncio.Event()

        def reader(name):
            store = BlobCheckpointStore.from_connection_string(blob_connection_string(node), "checkpoints")
            client = AioConsumerClient.from_connection_string(
                hubs_connection_string(node), "$Default", eventhub_name="processed", checkpoint_store=store,
                load_balancing_interval=1, partition_ownership_expiration_interval=10)

            async def on_event(context, event):
                seen.append(event.body_as_str())
                owners[context.partition_id] = name
                await context.update_checkpoint(event)
                behind.add(event.body_as_str())
                if behind >= wanted:
                    done.set()

            return client, client.receive(on_event, starting_position="-1")

        clients, tasks = [], []
        for name in range(readers):
            client, work = reader(name)
            clients.append(client)
            tasks.append(asyncio.ensure_future(work))
        await asyncio.wait_for(done.wait(), 60)
        for client in clients:
            await client.close()
        for task in tasks:
            task.cancel()
        return seen, owners

    async def behind_the_checkpoints():
        """What was sent and no checkpoint covers: a partition that changed hands may have gone back a little."""
        store = BlobCheckpointStore.from_connection_string(blob_connection_string(node), "checkpoints")
        async with store:
            namespace = hubs_connection_string(node).split("sb://")[1].split("/")[0].split(";")[0]
            checkpoints = await store.list_checkpoints(namespace, "processed", "$Default")
        kept = {each["partition_id"]: int(each["sequence_number"]) for each in checkpoints}
        assert set(kept) == {"0", "1", "2", "3"}, kept
        return {text for partition, texts in enumerate(send)
                for n, text in enumerate(texts) if n > kept[str(partition)]}

    everything = {text for texts in send for text in texts}
    seen, owners = asyncio.run(process(2, everything))
    assert set(seen) == everything
    assert set(owners) == {"0", "1", "2", "3"}
    again = asyncio.run(behind_the_checkpoints())
    assert again < everything
    with producer(node, "processed") as client:
        client.send_batch([EventData("later")], partition_id="2")
    seen, _ = asyncio.run(process(1, again | {"later"}))
    assert sorted(seen) == sorted(again | {"later"})
