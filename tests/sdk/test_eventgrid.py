"""Event Grid through its own SDKs: publishing from Python and JavaScript, webhooks that this file runs, streams and functions
as endpoints, and a node that is killed under load."""

import base64
import datetime
import io
import json
import os
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
import zipfile

import pytest
from azure.core.credentials import AzureKeyCredential, AzureSasCredential
from azure.core.exceptions import ClientAuthenticationError, ResourceNotFoundError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent, EventGridPublisherClient, generate_sas
from azure.storage.blob import BlobServiceClient

from conftest import NODE_MODULES, Node, needs_javascript, until
from peers import PAUSE_SECONDS, Webhook, blob_connection_string
from test_eventhubs import receive, resource

MANAGEMENT = "/subscriptions/0000/resourceGroups/tests/providers/Microsoft.EventGrid/topics"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    settings = tmp_path_factory.mktemp("settings") / "millstream.toml"
    settings.write_text("event_retry_seconds = [1]\n")
    node = Node("--config", str(settings))
    try:
        yield node.start()
    finally:
        node.remove()


@pytest.fixture
def receivers():
    made = []

    def make(*arguments, **named):
        made.append(Webhook(*arguments, **named))
        return made[-1]

    yield make
    for receiver in made:
        receiver.close()


def manage(node, method, path, body=None, token="Bearer any"):
    request = urllib.request.Request(
        f"{node.endpoint}{MANAGEMENT}{path}?api-version=2022-06-15", method=method,
        data=None if body is None else json.dumps(body).encode(), headers={"authorization": token} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = answer.read()
            return answer.status, json.loads(content) if content else None
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


class Topic:
    def __init__(self, node, schema="EventGridSchema"):
        self.node, self.name = node, f"topic-{uuid.uuid4().hex[:8]}"
        status, self.made = manage(node, "PUT", f"/{self.name}", {"location": "westus2", "properties": {"inputSchema": schema}})
        assert status == 201, self.made
        self.endpoint = self.made["properties"]["endpoint"]
        self.key = manage(node, "POST", f"/{self.name}/listKeys")[1]["key1"]

    def client(self, credential=None):
        return EventGridPublisherClient(self.endpoint, credential or AzureKeyCredential(self.key), retry_total=0)

    def subscribe(self, name, destination, expected=201, **properties):
        if isinstance(destination, Webhook):
            destination = {"endpointType": "WebHook", "properties": {"endpointUrl": destination.url}}
        status, answer = manage(
            self.node, "PUT", f"/{self.name}/providers/Microsoft.EventGrid/eventSubscriptions/{name}",
            {"properties": {"destination": destination, **properties}})
        assert status == expected, answer
        return answer


def event(number=1, subject="orders/1", event_type="Orders.Made", **data):
    return EventGridEvent(id=f"e{number}", subject=subject, event_type=event_type, data={"number": number, **data},
                          data_version="1.0")


def test_a_topic_is_made_changed_and_removed(node):
    topic = Topic(node)
    assert topic.made["id"] == f"{MANAGEMENT}/{topic.name}" and topic.made["properties"]["provisioningState"] == "Succeeded"
    assert topic.endpoint == f"{node.endpoint}/eventgrid/{topic.name}/api/events"
    assert manage(node, "GET", f"/{topic.name}")[1] == topic.made
    assert topic.name in [one["name"] for one in manage(node, "GET", "")[1]["value"]]
    keys = manage(node, "POST", f"/{topic.name}/listKeys")[1]
    changed = manage(node, "POST", f"/{topic.name}/regenerateKey", {"keyName": "key1"})[1]
    assert changed["key1"] != keys["key1"] and changed["key2"] == keys["key2"]
    with pytest.raises(ClientAuthenticationError):
        topic.client().send(event())
    topic.client(AzureKeyCredential(keys["key2"])).send(event())
    tagged = manage(node, "PUT", f"/{topic.name}", {"location": "westus2", "tags": {"a": "b"}})[1]
    assert tagged["tags"] == {"a": "b"}
    other = {"location": "westus2", "properties": {"inputSchema": "CloudEventSchemaV1_0"}}
    assert manage(node, "PUT", f"/{topic.name}", other)[1]["error"]["code"] == "InvalidRequest"
    assert manage(node, "DELETE", f"/{topic.name}")[0] == 204
    assert manage(node, "GET", f"/{topic.name}")[1]["error"]["code"] == "ResourceNotFound"
    assert manage(node, "GET", "", token=None)[0] == 401


def test_events_of_the_python_sdk_are_delivered(node, receivers):
    topic, receiver = Topic(node), receivers()
    topic.subscribe("all", receiver)
    [validation] = receiver.handshakes[0]
    assert validation["eventType"] == "Microsoft.EventGrid.SubscriptionValidationEvent"
    assert validation["topic"] == f"{MANAGEMENT}/{topic.name}" and validation["subject"] == ""
    expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    with topic.client() as client:
        client.send(event(1))
        client.send([event(2), event(3)])
        client.send({"id": "e4", "subject": "s", "data": "text", "eventType": "t", "dataVersion": "1",
                     "eventTime": "2026-11-21T04:05:06.789Z"})
    token = generate_sas(topic.endpoint, topic.key, expires)
    topic.client(AzureSasCredential(token)).send(event(5))
    assert until(lambda: sorted(receiver.taken()) == ["e1", "e2", "e3", "e4", "e5"]), receiver.deliveries
    _, headers, [delivered] = next(one for one in receiver.deliveries if one[2][0]["id"] == "e1")
    assert headers["aeg-event-type"] == "Notification" and headers["aeg-subscription-name"] == "all"
    assert headers["aeg-delivery-count"] == "0" and headers["aeg-data-version"] == "1.0"
    assert headers["Content-Type" if "Content-Type" in headers else "content-type"].startswith("application/json")
    assert delivered["topic"] == f"{MANAGEMENT}/{topic.name}" and delivered["metadataVersion"] == "1"
    assert (delivered["subject"], delivered["eventType"], delivered["data"]) == ("orders/1", "Orders.Made", {"number": 1})


def test_deliveries_hold_as_many_events_and_headers_as_asked(node, receivers):
    topic, receiver, single = Topic(node), receivers(), receivers()
    mappings = [{"name": "x-fixed", "type": "Static", "properties": {"value": "secret", "isSecret": True}},
                {"name": "x-number", "type": "Dynamic", "properties": {"sourceField": "data.number"}}]
    webhook = lambda receiver, **more: {"endpointType": "WebHook", "properties": {"endpointUrl": receiver.url, **more}}
    topic.subscribe("batched", webhook(receiver, maxEventsPerBatch=4, preferredBatchSizeInKilobytes=64))
    made = topic.subscribe("headers", webhook(single, deliveryAttributeMappings=mappings))
    shown = made["properties"]["destination"]["properties"]["deliveryAttributeMappings"]
    assert shown == [{**mappings[0], "properties": {"isSecret": True}}, mappings[1]]
    topic.client().send([event(number) for number in range(10)])
    assert until(lambda: len(receiver.taken()) == 10 and len(single.taken()) == 10)
    assert sorted(len(body) for _, _, body in receiver.deliveries) == [2, 4, 4]
    for _, headers, [one] in single.deliveries:
        assert (headers["x-fixed"], headers["x-number"]) == ("secret", str(one["data"]["number"]))
    own = [{"name": "aeg-event-type", "type": "Static", "properties": {"value": "v"}}]
    refused = topic.subscribe("own", webhook(single, deliveryAttributeMappings=own), expected=400)
    assert "`aeg-event-type`" in refused["error"]["message"]


def test_cloud_events_keep_their_form(node, receivers):
    topic, receiver = Topic(node, "CloudEventSchemaV1_0"), receivers()
    topic.subscribe("all", receiver)
    assert {name.lower(): value for name, value in receiver.handshakes[0].items()}["webhook-request-origin"] == "eventgrid.azure.net"
    topic.client().send([
        CloudEvent(type="made", source="/tests", id="c1", data={"a": 1}, subject="s", extensions={"extra": "more"}),
        CloudEvent(type="made", source="/tests", id="c2", data=b"\x01\x02")])
    binary = urllib.request.Request(topic.endpoint, method="POST", data=b'{"a": 3}', headers={
        "aeg-sas-key": topic.key, "content-type": "application/json", "ce-specversion": "1.0", "ce-id": "c3",
        "ce-source": "/tests", "ce-type": "made"})
    assert urllib.request.urlopen(binary, timeout=10).status == 200
    assert until(lambda: sorted(receiver.taken()) == ["c1", "c2", "c3"]), receiver.deliveries
    found = {body["id"]: body for _, _, body in receiver.deliveries}
    assert found["c1"]["data"] == {"a": 1} and found["c1"]["extra"] == "more" and found["c1"]["specversion"] == "1.0"
    assert base64.b64decode(found["c2"]["data_base64"]) == b"\x01\x02" and found["c3"]["data"] == {"a": 3}
    translated = Topic(node)
    other = receivers()
    translated.subscribe("as-cloud-events", other, eventDeliverySchema="CloudEventSchemaV1_0")
    translated.client().send(event(9))
    assert until(other.taken) == ["e9"]
    assert other.deliveries[0][2]["source"] == f"{MANAGEMENT}/{translated.name}" and other.deliveries[0][2]["type"] == "Orders.Made"
    refused = topic.subscribe("wrong-way", receiver, expected=400, eventDeliverySchema="EventGridSchema")
    assert "CloudEvents only" in refused["error"]["message"]


@needs_javascript("@azure/eventgrid")
def test_the_javascript_sdk_publishes(node, receivers, tmp_path):
    plain, cloud = Topic(node), Topic(node, "CloudEventSchemaV1_0")
    receiver = receivers()
    plain.subscribe("all", receiver)
    cloud.subscribe("all", receiver)
    script = tmp_path / "publish.cjs"
    script.write_text("""
const { EventGridPublisherClient, AzureKeyCredential, AzureSASCredential, generateSharedAccessSignature } = require("@azure/eventgrid");
const [plain, plainKey, cloud, cloudKey] = process.argv.slice(2);
const options = { allowInsecureConnection: true };
const event = id => ({ id, subject: "s", eventType: "t", dataVersion: "1", data: { id } });
(async () => {
  await new EventGridPublisherClient(plain, "EventGrid", new AzureKeyCredential(plainKey), options).send([event("j1"), event("j2")]);
  const token = await generateSharedAccessSignature(plain, new AzureKeyCredential(plainKey), new Date(Date.now() + 3600e3));
  await new EventGridPublisherClient(plain, "EventGrid", new AzureSASCredential(token), options).send([event("j3")]);
  await new EventGridPublisherClient(cloud, "CloudEvent", new AzureKeyCredential(cloudKey), options)
    .send([{ type: "t", source: "/s", id: "j4", data: { a: 1 } }]);
})().catch(error => { console.error(error); process.exit(1); });
""")
    done = subprocess.run(["node", str(script), plain.endpoint, plain.key, cloud.endpoint, cloud.key], capture_output=True,
                          text=True, timeout=60, env={**os.environ, "NODE_PATH": str(NODE_MODULES)})
    assert done.returncode == 0, done.stderr
    assert until(lambda: sorted(receiver.taken()) == ["j1", "j2", "j3", "j4"]), receiver.deliveries


def test_filters_decide_who_gets_what(node, receivers):
    topic = Topic(node)
    wanted = {
        "types": ({"includedEventTypes": ["orders.gone"]}, ["e2"]),
        "subjects": ({"subjectBeginsWith": "ORDERS/", "subjectEndsWith": ".jpg"}, ["e3"]),
        "case": ({"subjectBeginsWith": "ORDERS/", "isSubjectCaseSensitive": True}, []),
        "numbers": ({"advancedFilters": [{"operatorType": "NumberInRange", "key": "data.number", "values": [[2, 3]]}]}, ["e2", "e3"]),
        "texts": ({"advancedFilters": [{"operatorType": "StringContains", "key": "data.color", "values": ["RE", "lu"]},
                                       {"operatorType": "NumberNotIn", "key": "data.number", "values": [4]}]}, ["e1", "e3"]),
        "missing": ({"advancedFilters": [{"operatorType": "IsNullOrUndefined", "key": "data.color"}]}, ["e2"]),
        "arrays": ({"enableAdvancedFilteringOnArrays": True,
                    "advancedFilters": [{"operatorType": "StringIn", "key": "data.tags", "values": ["B"]}]}, ["e3"]),
    }
    made = {}
    for name, (filter, _) in wanted.items():
        made[name] = receivers()
        answer = topic.subscribe(name, made[name], filter=filter)
        for member, value in filter.items():
            assert answer["properties"]["filter"][member] == value
    everything = receivers()
    topic.subscribe("everything", everything)
    topic.client().send([
        event(1, color="red"), event(2, event_type="Orders.Gone"), event(3, subject="orders/a.JPG", color="green", tags=["a", "b"]),
        event(4, subject="other", color="blue")])
    assert until(lambda: len(everything.taken()) == 4)
    for name, (_, ids) in wanted.items():
        assert until(lambda: sorted(made[name].taken()) == ids), (name, made[name].taken())
    many = [{"operatorType": "StringIn", "key": "data.x", "values": ["a"] * 26}]
    refused = topic.subscribe("many", everything, expected=400, filter={"advancedFilters": many})
    assert "at most 25 values" in refused["error"]["message"]
    unknown = [{"operatorType": "StringIn", "key": "eventTime", "values": ["a"]}]
    refused = topic.subscribe("unknown", everything, expected=400, filter={"advancedFilters": unknown})
    assert "found `eventTime`" in refused["error"]["message"]


def test_deliveries_are_tried_again_and_given_up(node, receivers):
    topic = Topic(node)
    receiver = receivers(lambda event, time: 503 if event["id"] == "e1" and time < 3 else 200)
    topic.subscribe("patient", receiver)
    dead = receivers(lambda event, time: 503)
    topic.subscribe("dead", dead, retryPolicy={"maxDeliveryAttempts": 2, "eventTimeToLiveInMinutes": 5})
    refusing = receivers(lambda event, time: 400)
    topic.subscribe("refusing", refusing)
    topic.client().send([event(1), event(2)])
    assert until(lambda: sorted(receiver.taken()) == ["e1", "e2"]), receiver.deliveries
    assert [headers["aeg-delivery-count"] for _, headers, [one] in receiver.deliveries if one["id"] == "e1"] == ["0", "1", "2"]
    assert until(lambda: dead.times == {"e1": 2, "e2": 2}), dead.times
    time.sleep(2.5)
    assert dead.times == {"e1": 2, "e2": 2}, "an attempt too many"
    assert until(lambda: refusing.times == {"e1": 1, "e2": 1}), "a 400 is final"


def test_what_is_given_up_becomes_a_dead_letter(node, receivers):
    topic, refusing = Topic(node), receivers(lambda event, time: 400)
    status, answer = manage(
        node, "PUT", f"/{topic.name}/eventSubscriptions/letters",
        {"properties": {
            "destination": {"endpointType": "WebHook", "properties": {"endpointUrl": refusing.url}},
            "deadLetterDestination": {"endpointType": "StorageBlob", "properties": {
                "resourceId": "/subscriptions/0/x/storageAccounts/a", "blobContainerName": topic.name}}}})
    assert status == 201, answer
    topic.client().send(event(1))
    container = BlobServiceClient.from_connection_string(blob_connection_string(node)).get_container_client(topic.name)
    [name] = until(lambda: list(container.list_blob_names()) if container.exists() else None)
    assert re.fullmatch(rf"{topic.name}/LETTERS/\d{{4}}/\d+/\d+/\d+/[0-9a-f-]{{36}}\.json", name), name
    [letter] = json.loads(container.download_blob(name).readall())
    assert letter["id"] == "e1" and letter["deadLetterReason"] == letter["lastDeliveryOutcome"] == "BadRequest"
    assert letter["deliveryAttempts"] == 1 and letter["data"] == {"number": 1}


def test_publishers_may_have_a_form_of_their_own(node, receivers):
    name = f"topic-{uuid.uuid4().hex[:8]}"
    mapping = {"inputSchemaMappingType": "Json", "properties": {
        "id": {"sourceField": "key"}, "eventType": {"sourceField": "kind", "defaultValue": "Unknown"},
        "subject": {"sourceField": "about", "defaultValue": "things"}, "dataVersion": {"defaultValue": "1.0"}}}
    made = {"location": "westus2", "properties": {"inputSchema": "CustomEventSchema", "inputSchemaMapping": mapping}}
    status, topic = manage(node, "PUT", f"/{name}", made)
    assert status == 201 and topic["properties"]["inputSchema"] == "CustomEventSchema", topic
    assert topic["properties"]["inputSchemaMapping"]["properties"]["id"] == {"sourceField": "key"}
    as_sent, mapped, cloud = receivers(), receivers(), receivers()
    for number, (receiver, schema) in enumerate([(as_sent, None), (mapped, "EventGridSchema"), (cloud, "CloudEventSchemaV1_0")]):
        wanted = {"eventDeliverySchema": schema} if schema else {}
        status, answer = manage(node, "PUT", f"/{name}/eventSubscriptions/sub-{number}", {"properties": {
            "destination": {"endpointType": "WebHook", "properties": {"endpointUrl": receiver.url}},
            "filter": {"includedEventTypes": ["Made", "Unknown"]}, **wanted}})
        assert status == 201 and answer["properties"]["eventDeliverySchema"] == (schema or "CustomInputSchema"), answer
    key = manage(node, "POST", f"/{name}/listKeys")[1]["key1"]
    sent = [{"key": "k1", "kind": "Made", "about": "orders/1", "more": [1]}, {"other": 2}, {"kind": "Unwanted"}]
    with EventGridPublisherClient(topic["properties"]["endpoint"], AzureKeyCredential(key), retry_total=0) as client:
        client.send(sent)
    wait = lambda receiver: until(lambda: len(receiver.events) >= 2) and receiver.events
    assert sorted(wait(as_sent), key=str) == sorted(sent[:2], key=str)
    first, second = sorted(wait(mapped), key=lambda event: event["subject"])
    assert (first["id"], first["eventType"], first["subject"], first["data"]) == ("k1", "Made", "orders/1", sent[0])
    assert first["topic"] == f"{MANAGEMENT}/{name}" and first["dataVersion"] == "1.0" and first["eventTime"]
    assert (second["eventType"], second["subject"], second["data"]) == ("Unknown", "things", sent[1]) and second["id"]
    assert {event["type"] for event in wait(cloud)} == {"Made", "Unknown"}
    wrong = {"location": "westus2", "properties": {"inputSchema": "CustomEventSchema"}}
    assert manage(node, "PUT", f"/{name}-2", wrong)[1]["error"]["code"] == "InvalidRequest"


def test_records_of_a_hub_have_the_attributes_that_were_asked_for(node):
    resource(node, "/default/eventhubs/attributed", "PUT", {"properties": {"partitionCount": 1}})
    topic = Topic(node)
    hub = "/subscriptions/0/resourceGroups/g/providers/Microsoft.EventHub/namespaces/default/eventhubs/attributed"
    static = {"name": "kind", "type": "Static", "properties": {"value": "order", "isSecret": False}}
    dynamic = {"name": "number", "type": "Dynamic", "properties": {"sourceField": "data.number"}}
    key = {"name": "PartitionKey", "type": "Dynamic", "properties": {"sourceField": "subject"}}
    mappings = {"deliveryAttributeMappings": [static, dynamic, key]}
    topic.subscribe("hub", {"endpointType": "EventHub", "properties": {"resourceId": hub, **mappings}})
    topic.client().send([event(7, subject="orders/7")])
    [(_, found)] = receive(node, "attributed", 1)
    assert {name.decode(): value.decode() for name, value in found.properties.items()} == {"kind": "order", "number": "7"}
    assert found.partition_key == b"orders/7"
    queue = {"endpointType": "StorageQueue", "properties": {"resourceId": "/x/storageAccounts/a", "queueName": "q", **mappings}}
    refused = topic.subscribe("queue", queue, expected=400)
    assert refused["error"]["code"] == "NotSupported"


def test_one_dead_subscriber_delays_nobody(node, receivers):
    topic, alive = Topic(node), receivers()
    dead, hangs = receivers(lambda event, time: 500), receivers(lambda event, time: time_out())

    def time_out():
        time.sleep(60)
        return 200

    topic.subscribe("dead", dead)
    topic.subscribe("alive", alive)
    topic.subscribe("hangs", hangs)
    begun = time.monotonic()
    topic.client().send([event(number) for number in range(200)])
    assert until(lambda: len(set(alive.taken())) == 200, seconds=45), len(alive.taken())
    assert time.monotonic() - begun < 60, "it waited for the one that hangs"
    manage(node, "DELETE", f"/{topic.name}")


def test_webhooks_have_to_consent(node, receivers):
    topic, silent = Topic(node), receivers(consent=False)
    answer = topic.subscribe("silent", silent)
    assert answer["properties"]["provisioningState"] == "AwaitingManualAction"
    assert answer["properties"]["destination"]["properties"]["endpointBaseUrl"] == silent.url.split("?")[0]
    [validation] = silent.handshakes[0]
    with urllib.request.urlopen(validation["data"]["validationUrl"], timeout=10) as visited:
        assert visited.status == 200
    path = f"/{topic.name}/eventSubscriptions/silent"
    assert manage(node, "GET", path)[1]["properties"]["provisioningState"] == "Succeeded"
    assert manage(node, "POST", f"{path}/getFullUrl")[1] == {"endpointUrl": silent.url}
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(validation["data"]["validationUrl"], timeout=10)
    topic.client().send(event(1))
    assert until(silent.taken) == ["e1"]
    nobody = {"endpointType": "WebHook", "properties": {"endpointUrl": f"{node.endpoint}/nothing"}}
    assert topic.subscribe("nobody", nobody, expected=400)["error"]["code"] == "EndpointValidationFailed"
    assert manage(node, "GET", f"/{topic.name}/eventSubscriptions")[1]["value"][0]["name"] == "silent"
    queue = {"endpointType": "StorageQueue", "properties": {"resourceId": "/x/y", "queueName": "q"}}
    assert "there is no queue `q`" in topic.subscribe("queue", queue, expected=400)["error"]["message"]
    assert manage(node, "DELETE", path)[0] == 204 and manage(node, "GET", path)[0] == 404
    # Who wanted the events is told that there are no more.
    [(headers, [told])] = until(lambda: silent.farewells)
    assert headers["aeg-subscription-name"] == "silent" and told["eventType"] == "Microsoft.EventGrid.SubscriptionDeletedEvent"
    assert told["data"] == {"eventSubscriptionId":
                            f"{told['topic']}/providers/Microsoft.EventGrid/eventSubscriptions/silent"}


def test_private_addresses_are_refused_unless_allowed(receivers, tmp_path):
    settings = tmp_path / "millstream.toml"
    settings.write_text("webhook_private_addresses = false\n")
    node, receiver = Node("--config", str(settings)), receivers()
    try:
        topic = Topic(node.start())
        for url in [receiver.url, receiver.url.replace("127.0.0.1", "localhost"), "http://[::ffff:127.0.0.1]/", "http://10.0.0.1/"]:
            destination = {"endpointType": "WebHook", "properties": {"endpointUrl": url}}
            assert "private" in topic.subscribe("one", destination, expected=400)["error"]["message"], url
        assert not receiver.handshakes
    finally:
        node.remove()


def test_a_stream_gets_the_events(node):
    topic, kinesis = Topic(node), node.client("kinesis")
    stream = f"events-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=stream, ShardCount=1)
    topic.subscribe("hub", {"endpointType": "EventHub", "properties": {
        "resourceId": f"/subscriptions/0/resourceGroups/g/providers/Microsoft.EventHub/namespaces/default/eventhubs/{stream}"}})
    topic.client().send([event(1), event(2)])
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId="shardId-000000000000",
                                          ShardIteratorType="TRIM_HORIZON")["ShardIterator"]

    def records():
        found = kinesis.get_records(ShardIterator=iterator)["Records"]
        return found if len(found) == 2 else None

    found = until(records)
    assert sorted(json.loads(record["Data"])[0]["id"] for record in found) == ["e1", "e2"]
    assert f"topic/{topic.name}" not in kinesis.list_streams()["StreamNames"]


def test_a_function_gets_the_events(node):
    topic, table = Topic(node), f"events-{uuid.uuid4().hex[:8]}"
    dynamodb = node.client("dynamodb")
    dynamodb.create_table(TableName=table, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                          AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}])
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", f"""
import boto3
table = boto3.resource("dynamodb").Table("{table}")
def handler(event, context):
    table.put_item(Item={{"id": event["id"], "subject": event["subject"]}})
""")
    node.client("lambda").create_function(
        FunctionName=table, Runtime="python3.11", Handler="app.handler", Role="arn:aws:iam::000000000000:role/any", Timeout=30,
        Code={"ZipFile": package.getvalue()})
    topic.subscribe("save", {"endpointType": "AzureFunction", "properties": {
        "resourceId": f"/subscriptions/0/resourceGroups/g/providers/Microsoft.Web/sites/app/functions/{table}"}})
    topic.client().send([event(1), event(2)])
    assert until(lambda: dynamodb.scan(TableName=table)["Count"] == 2)


def publish(topic, body, method="POST", **headers):
    request = urllib.request.Request(topic.endpoint + "?api-version=2018-01-01", method=method, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, None
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["error"]


def test_a_subscription_ends_at_its_time(node, receivers):
    topic, receiver = Topic(node), receivers()
    at = lambda seconds: (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).isoformat()
    past = topic.subscribe("over", receiver, expected=400, expirationTimeUtc=at(-5))
    assert "time of expiry" in past["error"]["message"]
    topic.subscribe("over", receiver, expected=400, expirationTimeUtc="soon")
    made = topic.subscribe("brief", receiver, expirationTimeUtc=at(1.5))
    assert made["properties"]["expirationTimeUtc"].endswith("Z")
    path = f"/{topic.name}/providers/Microsoft.EventGrid/eventSubscriptions/brief"
    assert manage(node, "GET", path)[1]["properties"]["expirationTimeUtc"] == made["properties"]["expirationTimeUtc"]
    with topic.client() as client:
        client.send(event(1))
        assert until(lambda: receiver.taken() == ["e1"])
        assert until(lambda: manage(node, "GET", path)[0] == 404)
        client.send(event(2))
        topic.subscribe("brief", receiver)
        client.send(event(3))
    assert until(lambda: len(receiver.taken()) > 1) and receiver.taken() == ["e1", "e3"]


def test_errors_are_the_services_own(node):
    topic = Topic(node)
    good = {"aeg-sas-key": topic.key, "content-type": "application/json"}
    fine = json.dumps([{"id": "1", "subject": "s", "eventType": "t", "eventTime": "2026-11-21T04:05:06Z", "data": 1,
                        "dataVersion": "1"}]).encode()
    assert publish(topic, fine, **good) == (200, None)
    assert publish(topic, b"[]", **good) == (200, None)
    for changes, body, status, reason in [
        ({"aeg-sas-key": "wrong"}, fine, 401, "not authorized"),
        ({"aeg-sas-key": None}, fine, 401, "aeg-sas-token"),
        ({"aeg-sas-key": None, "aeg-sas-token": "r=a&e=b&s=YQ=="}, fine, 401, "signature"),
        ({"aeg-channel-name": "c"}, fine, 400, "aeg-channel-name"),
        ({"content-type": "application/cloudevents+json"}, fine, 400, "EventGridEvent"),
        ({}, b"{}", 400, "StartArray"),
        ({}, b"[1", 400, "no JSON"),
        ({}, b'[{"id": "1"}]', 400, "event 0: expected the member `subject`"),
        ({}, b"[" + b" " * (1 << 20) + b"]", 413, "1048576"),
    ]:
        headers = {name: value for name, value in {**good, **changes}.items() if value is not None}
        found, error = publish(topic, body, **headers)
        assert found == status and reason in error["message"], (changes, error)
    assert publish(topic, None, method="GET", **good)[0] == 405
    expired = generate_sas(topic.endpoint, topic.key, datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1))
    with pytest.raises(ClientAuthenticationError) as raised:
        topic.client(AzureSasCredential(expired)).send(event())
    assert "expired" in str(raised.value)
    with pytest.raises(ResourceNotFoundError):
        EventGridPublisherClient(topic.endpoint.replace(topic.name, "none"), AzureKeyCredential("k"), retry_total=0).send(event())
    host = {"Host": f"{topic.name}.westus2-1.eventgrid.azure.net", **good}
    request = urllib.request.Request(f"{node.endpoint}/api/events?api-version=2018-01-01", data=fine, headers=host)
    assert urllib.request.urlopen(request, timeout=10).status == 200


def test_what_was_answered_is_delivered_in_spite_of_kills(node, receivers):
    """Publishers write while the node is killed again and again: each event that was answered 200 arrives at least once."""
    topic, receiver = Topic(node), receivers(lambda event, time: 503 if int(event["id"].split("-")[1]) % 7 == 0 and time == 1 else 200)
    topic.subscribe("all", receiver)
    stop, answered, lock = threading.Event(), set(), threading.Lock()

    def write(writer):
        number = 0
        client = topic.client()
        while not stop.is_set():
            ids = [f"{writer}-{number + offset}" for offset in range(10)]
            number += 10
            events = [EventGridEvent(id=one, subject="s", event_type="t", data={}, data_version="1") for one in ids]
            try:
                client.send(events)
            except Exception:  # Not answered: they may arrive or not.
                time.sleep(0.05)
                continue
            with lock:
                answered.update(ids)
            time.sleep(PAUSE_SECONDS)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        time.sleep(1.5)
        node.kill()
        node.start()
    time.sleep(1)
    stop.set()
    for thread in threads:
        thread.join(timeout=30)
    assert len(answered) > 300, "the load was too small to prove anything"
    until(lambda: answered <= set(receiver.taken()), 90)
    lost = answered - set(receiver.taken())
    assert not lost, f"{len(lost)} of {len(answered)} events that were answered 200 were not delivered"
