"""Event Hubs with the official clients, unmodified, and the same records by other protocols."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from azure.core.credentials import AzureSasCredential
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient, EventHubSharedKeyCredential
from azure.eventhub import TransportType
from azure.eventhub.aio import EventHubConsumerClient as AioConsumerClient
from azure.eventhub.aio import EventHubProducerClient as AioProducerClient
from azure.eventhub.amqp import AmqpAnnotatedMessage
from azure.eventhub.exceptions import AuthenticationError, ConnectError, EventHubError
from conftest import NODE_MODULES, Node, needs_javascript
from peers import hubs_connection_string

RESOURCES = "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventHub/namespaces"
SECONDS = 90


def resource(node, path, method="GET", body=None):
    """A call on a resource, as the cloud's own tools make it."""
    request = urllib.request.Request(f"{node.endpoint}{RESOURCES}{path}", method=method,
                                     data=None if body is None else json.dumps(body).encode(),
                                     headers={"Authorization": "Bearer any", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=SECONDS) as response:
        return json.loads(response.read() or b"null")


def make_hub(node, name, partitions=2):
    return resource(node, f"/default/eventhubs/{name}", "PUT", {"properties": {"partitionCount": partitions}})


def producer(node, hub, **options):
    options.setdefault("retry_total", 0)
    string = options.pop("string", None) or hubs_connection_string(node)
    return EventHubProducerClient.from_connection_string(string, eventhub_name=hub, **options)


def consumer(node, hub, group="$Default", **options):
    options.setdefault("retry_total", 0)
    string = options.pop("string", None) or hubs_connection_string(node)
    return EventHubConsumerClient.from_connection_string(string, group, eventhub_name=hub, **options)


def receive(node, hub, count, start="-1", partition=None, **options):
    """`count` events of a hub (or partition) from a position on, as (partition, event)."""
    found, done = [], threading.Event()

    def on_event(context, event):
        if event is not None:
            found.append((context.partition_id, event))
        if len(found) >= count:
            done.set()

    client = consumer(node, hub)
    options = {"starting_position": start, "max_wait_time": 1, **options}
    if partition is not None:
        options["partition_id"] = partition
    worker = threading.Thread(target=client.receive, args=(on_event,), kwargs=options, daemon=True)
    worker.start()
    try:
        assert done.wait(SECONDS), f"{len(found)} of {count} events came"
    finally:
        client.close()
        worker.join(SECONDS)
    return found


def bodies(found):
    return sorted(event.body_as_str() for _, event in found)


def send(node, hub, *texts, **options):
    with producer(node, hub) as client:
        batch = client.create_batch(**options)
        for text in texts:
            batch.add(EventData(text))
        client.send_batch(batch)


def test_properties_of_a_hub_and_its_partitions(node):
    made = make_hub(node, "properties", 3)
    assert made["properties"]["partitionIds"] == ["0", "1", "2"]
    with producer(node, "properties") as client:
        properties = client.get_eventhub_properties()
        assert (properties["eventhub_name"], properties["partition_ids"]) == ("properties", ["0", "1", "2"])
        empty = client.get_partition_properties("1")
        assert empty["is_empty"] and empty["last_enqueued_sequence_number"] == -1
        client.send_batch([EventData("a"), EventData("b")], partition_id="1")
        filled = client.get_partition_properties("1")
        assert (filled["is_empty"], filled["beginning_sequence_number"]) == (False, 0)
        assert (filled["last_enqueued_sequence_number"], filled["last_enqueued_offset"]) == (1, "1")
        assert abs(filled["last_enqueued_time_utc"].timestamp() - time.time()) < 60


def test_batches_single_events_partitions_and_keys(node):
    make_hub(node, "sending", 4)
    send(node, "sending", "batch-1", "batch-2")
    send(node, "sending", "fixed", partition_id="3")
    send(node, "sending", "keyed-1", partition_key="test_partition_a")
    with producer(node, "sending") as client:
        client.send_event(EventData("single"), partition_key="test_partition_a")
        client.send_batch([EventData("list-1"), EventData("list-2")])
    found = receive(node, "sending", 7)
    assert bodies(found) == ["batch-1", "batch-2", "fixed", "keyed-1", "list-1", "list-2", "single"]
    by_body = {event.body_as_str(): (partition, event) for partition, event in found}
    assert by_body["fixed"][0] == "3"
    # The partition that clients find for this key by themselves.
    assert by_body["keyed-1"][0] == by_body["single"][0] == "3"
    assert by_body["keyed-1"][1].partition_key == b"test_partition_a"
    assert by_body["fixed"][1].partition_key is None


def test_properties_of_an_event_are_kept(node):
    make_hub(node, "kept", 1)
    event = EventData(b"\x00\x01body")
    event.properties = {"text": "a", "number": 7, "yes": True, "real": 1.5, "bytes": b"x", "none": None}
    event.message_id, event.correlation_id, event.content_type = "id-1", "of-1", "application/json"
    value = AmqpAnnotatedMessage(value_body={"price": 1})
    sequence = AmqpAnnotatedMessage(sequence_body=[1, "two"])
    several = AmqpAnnotatedMessage(data_body=[b"one", b"two"])
    with producer(node, "kept") as client:
        client.send_batch([event, value, sequence, several])
    _, first = receive(node, "kept", 4)[0]
    assert b"".join(first.body) == b"\x00\x01body"
    assert first.properties == {b"text": b"a", b"number": 7, b"yes": True, b"real": 1.5, b"bytes": b"x", b"none": None}
    assert (first.message_id, first.correlation_id, first.content_type) == ("id-1", "of-1", "application/json")
    assert (first.sequence_number, first.offset) == (0, "0")
    assert abs(first.enqueued_time.timestamp() - time.time()) < 60
    came = [event.raw_amqp_message for _, event in receive(node, "kept", 4)]
    assert came[1].body == {b"price": 1} and list(came[3].body) == [b"one", b"two"]
    kinesis = node.client("kinesis")
    assert [record["Data"] for record in records(kinesis, "kept")] == [
        b"\x00\x01body", b'{"price":1}', b'[1,"two"]', b"onetwo"]


def test_positions(node):
    make_hub(node, "positions", 1)
    send(node, "positions", "0", "1", "2")
    time.sleep(0.05)
    _, last = receive(node, "positions", 3)[-1]
    middle = last.enqueued_time
    time.sleep(0.05)
    send(node, "positions", "3", "4")
    for start, inclusive, expected in [
        ("-1", False, "01234"), (2, False, "34"), (2, True, "234"), ("1", False, "234"), ("1", True, "1234"),
        (middle, False, "34"),
    ]:
        found = receive(node, "positions", len(expected), start, "0", starting_position_inclusive=inclusive)
        assert "".join(event.body_as_str() for _, event in found) == expected, start
    got, ready = [], threading.Event()
    client = consumer(node, "positions")

    def on_event(_, event):
        if event is None:
            ready.set()
        else:
            got.append(event.body_as_str())
            ready.set()

    worker = threading.Thread(target=client.receive, args=(on_event,), daemon=True,
                              kwargs={"starting_position": "@latest", "max_wait_time": 1})
    worker.start()
    assert ready.wait(SECONDS)
    ready.clear()
    send(node, "positions", "new")
    deadline = time.monotonic() + SECONDS
    while not got and time.monotonic() < deadline:
        ready.wait(1)
        ready.clear()
    client.close()
    assert got == ["new"]


def test_a_reader_sees_how_far_the_partition_reaches(node):
    make_hub(node, "metrics", 1)
    send(node, "metrics", "a", "b", "c")
    client, seen, done = consumer(node, "metrics"), [], threading.Event()

    def on_event(context, event):
        if event is not None:
            seen.append(context.last_enqueued_event_properties)
            done.set()

    worker = threading.Thread(target=client.receive, args=(on_event,), daemon=True,
                              kwargs={"starting_position": "-1", "track_last_enqueued_event_properties": True})
    worker.start()
    assert done.wait(SECONDS)
    client.close()
    assert (seen[0]["sequence_number"], seen[0]["offset"]) == (2, "2")


def test_asynchronous_and_buffered_clients(node):
    make_hub(node, "aio", 4)

    async def run():
        total, errors = 2_000, []

        async def on_success(events, partition):
            pass

        async def on_error(events, partition, error):
            errors.append(error)

        client = AioProducerClient.from_connection_string(
            hubs_connection_string(node), eventhub_name="aio", buffered_mode=True, on_success=on_success, on_error=on_error)
        async with client:
            for number in range(total):
                await client.send_event(EventData(str(number)), partition_id=str(number % 4))
            await client.flush()
        assert errors == []
        found, done = {str(partition): [] for partition in range(4)}, asyncio.Event()

        async def on_batch(context, events):
            found[context.partition_id].extend(int(event.body_as_str()) for event in events)
            if sum(map(len, found.values())) >= total:
                done.set()

        client = AioConsumerClient.from_connection_string(hubs_connection_string(node), "$Default", eventhub_name="aio")
        async with client:
            task = asyncio.ensure_future(client.receive_batch(on_batch, starting_position="-1"))
            await asyncio.wait_for(done.wait(), SECONDS)
            task.cancel()
        for partition, numbers in found.items():
            assert numbers == list(range(int(partition), total, 4)), "in order within the partition"

    asyncio.run(run())


def test_a_reader_of_a_higher_level_displaces_others(node):
    make_hub(node, "levels", 1)
    send(node, "levels", "a")
    errors, came, displaced = [], threading.Event(), threading.Event()

    def on_error(_, error):
        errors.append(error)
        displaced.set()

    first = consumer(node, "levels")
    worker = threading.Thread(target=first.receive, args=(lambda *_: came.set(),), daemon=True, kwargs={
        "starting_position": "-1", "partition_id": "0", "owner_level": 1, "on_error": on_error})
    worker.start()
    assert came.wait(SECONDS)
    second, got = consumer(node, "levels"), threading.Event()
    other = threading.Thread(target=second.receive, args=(lambda *_: got.set(),), daemon=True, kwargs={
        "starting_position": "-1", "partition_id": "0", "owner_level": 2})
    other.start()
    assert got.wait(SECONDS)
    assert displaced.wait(SECONDS)
    assert "amqp:link:stolen" in str(errors[0]) and "higher epoch of '2'" in str(errors[0])
    refused, lower = threading.Event(), []
    third = consumer(node, "levels")

    def on_lower(_, error):
        lower.append(error)
        refused.set()

    last = threading.Thread(target=third.receive, args=(lambda *_: None,), daemon=True, kwargs={
        "starting_position": "-1", "partition_id": "0", "owner_level": 0, "on_error": on_lower})
    last.start()
    assert refused.wait(SECONDS)
    assert "amqp:link:stolen" in str(lower[0])
    for client in (first, second, third):
        client.close()


def test_wrong_keys_rights_hubs_and_sizes(node):
    make_hub(node, "guarded", 1)
    wrong = hubs_connection_string(node, key="d3Jvbmc=")
    with producer(node, "guarded", string=wrong) as client, pytest.raises(AuthenticationError):
        client.send_batch([EventData("a")])
    with producer(node, "missing") as client, pytest.raises(ConnectError):
        client.get_eventhub_properties()
    with producer(node, "missing") as client, pytest.raises(EventHubError):
        client.send_event(EventData("a"))
    resource(node, "/default/eventhubs/guarded/authorizationRules/reader", "PUT", {"properties": {"rights": ["Listen"]}})
    keys = resource(node, "/default/eventhubs/guarded/authorizationRules/reader/listKeys", "POST")
    reader = hubs_connection_string(node, "reader", keys["primaryKey"])
    with producer(node, "guarded", string=reader) as client:
        assert client.get_eventhub_properties()["partition_ids"] == ["0"]
        with pytest.raises(EventHubError, match="amqp:unauthorized-access"):
            client.send_event(EventData("a"))
    resource(node, "/default/eventhubs/guarded/authorizationRules/reader/regenerateKeys", "POST", {"keyType": "PrimaryKey"})
    with producer(node, "guarded", string=reader) as client, pytest.raises(AuthenticationError):
        client.send_event(EventData("a"))
    with producer(node, "guarded") as client:
        with pytest.raises(EventHubError, match="1048576|exceeds"):
            client.send_event(EventData(b"x" * (1 << 20)))
        client.send_event(EventData(b"x" * ((1 << 20) - 200)))
    errors, refused = [], threading.Event()
    client = consumer(node, "guarded", group="nobody")

    def on_error(_, error):
        errors.append(error)
        refused.set()

    worker = threading.Thread(target=client.receive, args=(lambda *_: None,), daemon=True,
                              kwargs={"partition_id": "0", "on_error": on_error})
    worker.start()
    assert refused.wait(SECONDS)
    client.close()
    assert "amqp:not-found" in str(errors[0])


def signature(node, path, key="SAS_KEY_VALUE", policy="RootManageSharedAccessKey", seconds=60):
    uri = urllib.parse.quote_plus(f"http://localhost:{node.port}{path}")
    expiry = str(int(time.time()) + seconds)
    mac = hmac.new(key.encode(), f"{uri}\n{expiry}".encode(), hashlib.sha256).digest()
    return f"SharedAccessSignature sr={uri}&sig={urllib.parse.quote_plus(base64.b64encode(mac))}&se={expiry}&skn={policy}"


def post(node, path, body, **headers):
    headers.setdefault("Authorization", signature(node, path))
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{node.endpoint}{path}/messages?timeout=60&api-version=2014-01", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def test_sending_over_http(node):
    make_hub(node, "http", 4)
    assert post(node, "/http", b"one", Content_Type="text/plain", Mine="x",
                BrokerProperties='{"PartitionKey":"test_partition_a"}') == 201
    batch = [{"Body": "two", "UserProperties": {"n": 2}}, {"Body": "three"}]
    assert post(node, "/http", json.dumps(batch).encode(), Content_Type="application/vnd.microsoft.servicebus.json") == 201
    assert post(node, "/http/partitions/2", b"four") == 201
    assert post(node, "/default/http", b"five", Authorization=signature(node, "/http")) == 201
    assert post(node, "/http", b"x", Authorization=signature(node, "/http", key="wrong")) == 401
    assert post(node, "/http", b"x", Authorization=signature(node, "/http", seconds=-5)) == 401
    assert post(node, "/http", b"x", Authorization=signature(node, "/other")) == 401
    assert post(node, "/nothing", b"x") == 404
    assert post(node, "/http/partitions/9", b"x") == 400
    assert post(node, "/http", b"x" * ((1 << 20) + 1)) == 413
    found = receive(node, "http", 5)
    assert bodies(found) == ["five", "four", "one", "three", "two"]
    by_body = {event.body_as_str(): (partition, event) for partition, event in found}
    assert by_body["one"][0] == "3" and by_body["one"][1].properties[b"mine"] == b"x"
    assert by_body["two"][1].properties == {b"n": 2}
    assert by_body["four"][0] == "2"


def test_a_partition_that_was_split_takes_no_events(node):
    make_hub(node, "split", 2)
    kinesis = node.client("kinesis")
    shard = kinesis.list_shards(StreamName="split")["Shards"][0]
    ends = shard["HashKeyRange"]
    kinesis.split_shard(StreamName="split", ShardToSplit=shard["ShardId"],
                        NewStartingHashKey=str((int(ends["StartingHashKey"]) + int(ends["EndingHashKey"])) // 2))
    path = "/split/partitions/0"
    request = urllib.request.Request(f"{node.endpoint}{path}/messages?timeout=60&api-version=2014-01", b"x",
                                     {"Authorization": signature(node, path)})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=SECONDS)
    assert refused.value.code == 400 and b"Partition 0 was split" in refused.value.read()
    assert [post(node, f"/split{rest}", b"x") for rest in ["", "/partitions/1", "/partitions/3"]] == [201, 201, 201]


def test_what_is_said_of_an_event_over_http_is_in_the_message(node):
    make_hub(node, "described", 1)
    broker = {"PartitionKey": "k", "MessageId": "m", "CorrelationId": "c", "Label": "l", "ReplyTo": "r", "SessionId": "k"}
    assert post(node, "/described", b"{}", Content_Type="application/json", BrokerProperties=json.dumps(broker), Alert="Strong Wind",
                Level="7", Share="0.5", Urgent="true", Quoted='"7"') == 201
    batch = [{"Body": "YQ==", "IsBodyBase64": True, "BrokerProperties": {"MessageId": "m2", "ContentType": "text/plain"},
              "UserProperties": {"Alert": "x", "ok": False}}]
    kind = "application/vnd.microsoft.servicebus.json"
    assert post(node, "/described/publishers/the%20till", json.dumps(batch).encode(), Content_Type=kind) == 201
    for refused in ({"TimeToLive": 90}, {"PartitionKey": "x" * 129}, {"SessionId": "a", "PartitionKey": "b"}):
        assert post(node, "/described", b"x", BrokerProperties=json.dumps(refused)) == 400, refused
    for refused in ([{"Body": "a", "Mine": 1}], [{"Body": "a", "BrokerProperties": {"Mine": 1}}], [], {},
                    [{"Body": "a", "BrokerProperties": {"PartitionKey": key}} for key in "ab"]):
        assert post(node, "/described", json.dumps(refused).encode(), Content_Type=kind) == 400, refused
    (_, one), (_, two) = receive(node, "described", 2)
    assert one.partition_key == b"k" and one.body_as_str() == "{}"
    assert (one.message_id, one.correlation_id, one.content_type) == ("m", "c", "application/json")
    system = one.raw_amqp_message.properties
    assert (system.subject, system.reply_to, system.group_id) == (b"l", b"r", b"k")
    assert one.properties == {b"alert": b"Strong Wind", b"level": 7, b"share": 0.5, b"urgent": True, b"quoted": b"7"}
    assert two.body_as_str() == "a" and two.partition_key == b"the till"
    assert (two.message_id, two.content_type) == ("m2", "text/plain")
    assert two.properties == {b"Alert": b"x", b"ok": False}


def test_a_partition_key_is_not_too_long(node):
    make_hub(node, "keyed", 1)
    with producer(node, "keyed") as client:
        client.send_event(EventData("a"), partition_key="\u00e4" * 128)
        with pytest.raises(EventHubError, match="128 characters"):
            client.send_event(EventData("b"), partition_key="x" * 129)
    assert bodies(receive(node, "keyed", 1)) == ["a"]


def records(kinesis, stream):
    found = []
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard["ShardId"],
                                              ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        found += kinesis.get_records(ShardIterator=iterator)["Records"]
    return found


def test_a_hub_is_a_stream_of_the_other_protocols(node):
    make_hub(node, "shared", 2)
    kinesis = node.client("kinesis")
    send(node, "shared", '{"by":"amqp"}', partition_key="k")
    kinesis.put_record(StreamName="shared", PartitionKey="other", Data=b'{"by":"kinesis"}')
    assert sorted(record["Data"] for record in records(kinesis, "shared")) == [b'{"by":"amqp"}', b'{"by":"kinesis"}']
    found = receive(node, "shared", 2)
    assert bodies(found) == ['{"by":"amqp"}', '{"by":"kinesis"}']
    assert sorted(event.partition_key for _, event in found) == [b"k", b"other"]
    rows = node.run("query", "SELECT [by] FROM shared", "--from-start", "--limit", 2)
    assert sorted(json.loads(row)["by"] for row in rows.splitlines()) == ["amqp", "kinesis"]


def test_namespaces_groups_and_their_keys(node):
    resource(node, "/shop", "PUT", {})
    resource(node, "/shop/eventhubs/orders", "PUT", {"properties": {"partitionCount": 1, "messageRetentionInDays": 2}})
    group = resource(node, "/shop/eventhubs/orders/consumergroups/audit", "PUT", {"properties": {"userMetadata": "mine"}})
    assert group["properties"]["userMetadata"] == "mine"
    names = [group["name"] for group in resource(node, "/shop/eventhubs/orders/consumergroups")["value"]]
    assert names == ["$Default", "audit"]
    hub = resource(node, "/shop/eventhubs/orders")
    assert (hub["properties"]["partitionCount"], hub["properties"]["messageRetentionInDays"]) == (1, 2)
    shown = node.run("keys", "shop", "orders").splitlines()
    assert shown[0] == "RootManageSharedAccessKey"
    string = shown[1].strip()
    assert string.endswith(";EntityPath=orders;UseDevelopmentEmulator=true")
    # The host's first label decides the namespace; here it is sent without asking a name server for it.
    key = string.split("SharedAccessKey=")[1].split(";")[0]
    client = EventHubProducerClient(
        fully_qualified_namespace="shop.localhost", eventhub_name="orders", retry_total=0,
        credential=EventHubSharedKeyCredential("RootManageSharedAccessKey", key),
        custom_endpoint_address=f"sb://127.0.0.1:{node.amqp_port}", transport_type=TransportType.Amqp, use_tls=False)
    with client:
        client.send_batch([EventData("a")])
        assert client.get_partition_properties("0")["last_enqueued_sequence_number"] == 0
    with pytest.raises(urllib.error.HTTPError) as refused:
        resource(node, "/shop/eventhubs/many", "PUT", {"properties": {"partitionCount": 33}})
    assert refused.value.code == 400
    with pytest.raises(urllib.error.HTTPError) as refused:
        resource(node, "/shop", "DELETE")
    assert refused.value.code == 409
    resource(node, "/shop/eventhubs/orders", "DELETE")
    resource(node, "/shop", "DELETE")
    assert node.run("keys", "nowhere", check=False).returncode == 1


PIPELINE = """
[[event_hubs_namespace]]
name = "depot"
throughput_units = 2
maximum_throughput_units = 4
policies = [{ name = "auditor", rights = ["listen"] }]

[[event_hub]]
name = "crates"
namespace = "depot"
partitions = 1

[[event_hub.policy]]
name = "till"
rights = ["send"]
"""


def key_of(node, *scope, policy):
    """A policy's first key, from what the command shows."""
    lines = node.run("keys", *scope).splitlines()
    return lines[lines.index(policy) + 1].split("SharedAccessKey=")[1].split(";")[0]


def test_policies_and_units_by_file_command_and_form(node, tmp_path):
    file = tmp_path / "depot.toml"
    file.write_text(PIPELINE)
    applied = node.run("apply", file)
    assert "created   namespace       depot" in applied and "created   event hub       crates" in applied
    assert "updated" not in node.run("apply", file) and "created" not in node.run("apply", file)
    at = {"fully_qualified_namespace": "depot.localhost", "eventhub_name": "crates", "retry_total": 0, "use_tls": False,
          "custom_endpoint_address": f"sb://127.0.0.1:{node.amqp_port}", "transport_type": TransportType.Amqp}
    credential = EventHubSharedKeyCredential("till", key_of(node, "depot", "crates", policy="till"))
    with EventHubProducerClient(credential=credential, **at) as client:
        client.send_event(EventData("a"))
    reader = EventHubSharedKeyCredential("auditor", key_of(node, "depot", policy="auditor"))
    with EventHubProducerClient(credential=reader, **at) as client, pytest.raises(EventHubError):
        client.send_event(EventData("b"))
    # What the file changes is changed; keys stay.
    file.write_text(PIPELINE.replace('["listen"]', '["send", "listen"]').replace("= 4", "= 8"))
    assert "updated   namespace       depot" in node.run("apply", file)
    with EventHubProducerClient(credential=reader, **at) as client:
        client.send_event(EventData("b"))
    assert resource(node, "/depot")["properties"]["maximumThroughputUnits"] == 8
    for wrong, words in [('["send"]', '["manage"]'), ("= 4", "= 1")]:
        file.write_text(PIPELINE.replace(wrong, words))
        assert node.run("check", file, check=False).returncode != 0
    node.run("create", "event-hubs-namespace", "depot", "policy.name=clerk", "policy.rights=send,listen")
    assert "clerk" in node.run("keys", "depot") and "hub crates" in node.run("keys")
    boundary = "----form"
    fields = {"name": "crates", "namespace": "depot", "partitions": "1", "policy.1.name": "robot", "policy.1.rights": "listen"}
    body = "".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                   for name, value in fields.items()) + f"--{boundary}--\r\n"
    form = urllib.request.Request(f"{node.console}/new/event-hub", body.encode(),
                                  {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    with urllib.request.urlopen(form, timeout=SECONDS) as page:
        assert "updated" in page.read().decode()
    with urllib.request.urlopen(f"{node.console}/hubs/depot/crates", timeout=SECONDS) as page:
        shown = page.read().decode()
    assert "robot" in shown and "2, up to 8 by itself" in shown


JAVASCRIPT = """
const { EventHubProducerClient, EventHubConsumerClient, earliestEventPosition } = require("@azure/event-hubs");
const [connection, hub] = process.argv.slice(2);
(async () => {
  const producer = new EventHubProducerClient(connection, hub);
  const properties = await producer.getEventHubProperties();
  const batch = await producer.createBatch({ partitionKey: "pk1" });
  for (let n = 0; n < 3; n++) batch.tryAdd({ body: { n }, properties: { n } });
  await producer.sendBatch(batch);
  await producer.sendBatch([{ body: "text" }, { body: null }], { partitionId: "0" });
  const partition = await producer.getPartitionProperties("0");
  await producer.close();
  const consumer = new EventHubConsumerClient("$Default", connection, hub);
  const events = [];
  await new Promise((resolve, reject) => {
    const subscription = consumer.subscribe({
      processEvents: async (received, context) => {
        for (const e of received) events.push({ body: e.body, partition: context.partitionId, key: e.partitionKey, n: e.properties?.n, system: Object.keys(e.systemProperties || {}) });
        if (events.length >= 5) subscription.close().then(resolve);
      },
      processError: async (error) => reject(error),
    }, { startPosition: earliestEventPosition });
  });
  await consumer.close();
  console.log(JSON.stringify({ ids: properties.partitionIds, last: partition.lastEnqueuedSequenceNumber, events }));
})().catch((error) => { console.error(error); process.exit(1); });
"""


@needs_javascript("@azure/event-hubs")
def test_the_javascript_client(node, tmp_path):
    make_hub(node, "javascript", 32)
    script = tmp_path / "events.cjs"
    script.write_text(JAVASCRIPT)
    done = subprocess.run(["node", script, hubs_connection_string(node), "javascript"], capture_output=True, text=True,
                          timeout=120, env={"NODE_PATH": str(NODE_MODULES), "PATH": "/usr/local/bin:/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ids"] == [str(n) for n in range(32)] and found["last"] == 1
    keyed = [event for event in found["events"] if event.get("key") == "pk1"]
    assert [event["body"] for event in keyed] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert {event["partition"] for event in keyed} == {"13"} and [event["n"] for event in keyed] == [0, 1, 2]
    fixed = [event for event in found["events"] if event["partition"] == "0"]
    assert [event.get("body") for event in fixed] == ["text", None]
    assert {name for event in found["events"] for name in event["system"]} == set()


def test_malformed_frames_end_their_connection_only(node):
    make_hub(node, "sturdy", 1)
    opened = b"AMQP\x00\x01\x00\x00" + bytes.fromhex("0000001202000000") + b"\x00\x53\x10\xc0\x05\x01\xa1\x02me"
    opened = opened[:11] + bytes([len(opened) - 8]) + opened[12:]
    for attack, expected in [
        (b"HTTP/1.1\r\n\r\n", b"AMQP\x03\x01\x00\x00"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404 Not Found"),
        (b"GET /$servicebus/websocket HTTP/1.1\r\nHost: localhost\r\n\r\n", b"400 Bad Request"),
        (opened + b"\xff" * 64, b"amqp:connection:framing-error"),
        (opened + bytes.fromhex("0000000c02000000") + b"junk", b"amqp:decode-error"),
        (opened + bytes.fromhex("0000000f02000000") + b"\x00\x53\x17\xc0\x02\x01\x40", b"amqp:not-allowed"),
        (opened + bytes.fromhex("0000001202000000") + b"\x00\x53\x12\xf0\xff\xff\xff\xff\x40\x40", b"amqp:decode-error"),
    ]:
        with socket.create_connection(("127.0.0.1", node.amqp_port), timeout=SECONDS) as raw:
            raw.sendall(attack)
            answer = b""
            while piece := raw.recv(65536):
                answer += piece
        assert expected in answer, (attack, answer)
    send(node, "sturdy", "fine")
    assert bodies(receive(node, "sturdy", 1)) == ["fine"]


def over_websockets(string, hub, texts, **options):
    """Sends texts and reads them again, all inside a WebSocket; gives what came."""
    options.update(transport_type=TransportType.AmqpOverWebsocket, retry_total=0)

    async def run():
        async with AioProducerClient.from_connection_string(string, eventhub_name=hub, **options) as client:
            assert (await client.get_eventhub_properties())["eventhub_name"] == hub
            for text in texts:
                await client.send_batch([EventData(text)])
        found, done = [], asyncio.Event()

        async def on_event(_, event):
            found.append(event.body_as_str())
            if len(found) == len(texts):
                done.set()

        async with AioConsumerClient.from_connection_string(string, "$Default", eventhub_name=hub, **options) as client:
            task = asyncio.ensure_future(client.receive(on_event, starting_position="-1"))
            await asyncio.wait_for(done.wait(), SECONDS)
            task.cancel()
        return found

    return asyncio.run(run())


def test_inside_a_websocket(node):
    for name, port in [("by-http", node.port), ("by-amqp", node.amqp_port)]:
        make_hub(node, name, 1)
        texts = ["a", "b" * 300_000, "c"]
        came = over_websockets(hubs_connection_string(node), name, texts, custom_endpoint_address=f"sb://localhost:{port}")
        assert came == texts
        assert bodies(receive(node, name, 3)) == sorted(texts)
    wrong = hubs_connection_string(node, key="d3Jvbmc=")
    with pytest.raises(AuthenticationError):
        over_websockets(wrong, "by-http", ["a"], custom_endpoint_address=f"sb://localhost:{node.port}")


def test_a_link_ends_with_its_token(node):
    """A token of a few seconds: the link is detached when it is over, and a client that brings a new one goes on."""
    make_hub(node, "brief", 1)
    audience = f"sb://localhost:{node.amqp_port}/brief"

    def credential(seconds):
        uri, expiry = urllib.parse.quote_plus(audience), int(time.time()) + seconds
        mac = hmac.new(b"SAS_KEY_VALUE", f"{uri}\n{expiry}".encode(), hashlib.sha256).digest()
        token = f"SharedAccessSignature sr={uri}&sig={urllib.parse.quote_plus(base64.b64encode(mac))}&se={expiry}" \
                "&skn=RootManageSharedAccessKey"
        return AzureSasCredential(token)

    def client(credential):
        return EventHubProducerClient(f"localhost:{node.amqp_port}", "brief", credential, retry_total=0, use_tls=False,
                                      transport_type=TransportType.Amqp)

    with client(credential(10)) as brief:
        brief.send_event(EventData("in time"))
        time.sleep(14)
        with pytest.raises(EventHubError, match="(?i)expired|unauthorized|detach|closed"):
            brief.send_event(EventData("too late"))
    with client(credential(60)) as again:
        again.send_event(EventData("again"))
    assert bodies(receive(node, "brief", 2)) == ["again", "in time"]


def test_under_tls(tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate], check=True,
                   capture_output=True, timeout=SECONDS)
    node = Node("--tls-cert", certificate, "--tls-key", key)
    port = node.amqp_tls_port
    try:
        node.start()
        make_hub(node, "secret", 1)
        string = "Endpoint=sb://localhost/;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE"
        client = EventHubProducerClient.from_connection_string(
            string, eventhub_name="secret", retry_total=0, connection_verify=str(certificate),
            custom_endpoint_address=f"sb://localhost:{port}", transport_type=TransportType.Amqp)
        with client:
            client.send_batch([EventData("a")])
            assert client.get_partition_properties("0")["last_enqueued_sequence_number"] == 0
        came = over_websockets(string, "secret", ["b"], connection_verify=str(certificate),
                               custom_endpoint_address=f"sb://localhost:{port}")
        assert came[0] == "a"
        shown = node.run("keys", "default")
        assert f"Endpoint=sb://localhost:{port}/;" in shown and "UseDevelopmentEmulator" not in shown
        assert bodies(receive(node, "secret", 2)) == ["a", "b"]
    finally:
        node.remove()
