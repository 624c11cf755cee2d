"""Stream Analytics: jobs as resources over HTTP, and their results as the other services' official clients read them."""

import datetime
import io
import json
import re
import subprocess
import time
import urllib.error
import urllib.request
import uuid
import zipfile

import pytest
from azure.cosmos import CosmosClient, PartitionKey
from azure.eventhub import EventData, EventHubProducerClient
from azure.storage.blob import BlobServiceClient

from conftest import BINARY, until
from peers import COSMOS_KEY, blob_connection_string, hubs_connection_string, read_hub

GROUP = "/subscriptions/s/resourceGroups/g/providers"
JOBS = f"{GROUP}/Microsoft.StreamAnalytics/streamingjobs"
SECONDS = 60

WINDOW = """
    SELECT Symbol AS symbol, SUM(Shares) AS total, System.Timestamp() AS windowEnd INTO [{into}]
    FROM StockTransactionsRaw GROUP BY Symbol, TumblingWindow(second, 2)"""
TRADES = [("MSFT", 10), ("MSFT", 5), ("AAPL", 7), ("GOOG", 1), ("AAPL", 3)]
TOTALS = {"MSFT": 15, "AAPL": 10, "GOOG": 1}

FUNCTION = """
import boto3, os
def handler(event, context):
    table = boto3.resource("dynamodb", endpoint_url=os.environ.get("AWS_ENDPOINT_URL")).Table("rows")
    for row in event:
        table.put_item(Item={"key": row["symbol"] + row["windowEnd"], "symbol": row["symbol"], "total": row["total"]})
    return {}
"""


def call(node, method, path, body=None, token="Bearer any", version="?api-version=2020-03-01", **headers):
    """A management request; gives status, document and entity tag."""
    named = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if token:
        named["Authorization"] = token
    request = urllib.request.Request(node.endpoint + path + version, method=method, headers=named,
                                     data=None if body is None else json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.status, json.loads(answer.read() or b"null"), answer.headers.get("ETag")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null"), None


def good(node, method, path, body=None, **options):
    status, document, _ = call(node, method, path, body, **options)
    assert status in (200, 201), document
    return document


def refused(node, method, path, body, status, text, **options):
    found, document, _ = call(node, method, path, body, **options)
    assert found == status and text in document["error"]["message"], document
    return document["error"]


def hub(node, name):
    path = f"{GROUP}/Microsoft.EventHub/namespaces/default/eventhubs/{name}"
    good(node, "PUT", path, {"properties": {"partitionCount": 2}})
    good(node, "PUT", path + "/consumergroups/jobs", {})


def publish(node, name, *bodies):
    with EventHubProducerClient.from_connection_string(hubs_connection_string(node), eventhub_name=name) as client:
        batch = client.create_batch()
        for body in bodies:
            batch.add(EventData(json.dumps(body)))
        client.send_batch(batch)


def send(node, name, *trades):
    publish(node, name, *({"Symbol": symbol, "Shares": shares} for symbol, shares in trades))


def received(node, name, enough):
    """What a hub holds once it is enough."""
    rows = lambda found: [json.loads(event.body_as_str()) for _, event in found]
    return rows(read_hub(node, name, lambda found: enough(rows(found))))


def totals(rows):
    """Windows may have cut the trades: what they add up to by symbol."""
    found = {}
    for row in rows:
        found[row["symbol"]] = found.get(row["symbol"], 0) + int(row["total"])
    return found


def blobs(node):
    return BlobServiceClient.from_connection_string(blob_connection_string(node), retry_total=0)


def contents(container):
    return {blob.name: container.download_blob(blob.name).readall().decode() for blob in container.list_blobs()}


def json_rows(container):
    return [json.loads(line) for text in contents(container).values() for line in text.splitlines()]


def csv_rows(container):
    rows = []
    for text in contents(container).values():
        head, *lines = text.splitlines()
        rows += [dict(zip(head.split(","), line.split(","))) for line in lines]
    return rows


def hub_source(name, **more):
    return {"type": "Microsoft.ServiceBus/EventHub", "properties": {
        "serviceBusNamespace": "default", "eventHubName": name, "sharedAccessPolicyName": "RootManageSharedAccessKey",
        "sharedAccessPolicyKey": "very secret", **more}}


def stream_input(name):
    return {"type": "Stream", "datasource": hub_source(name, consumerGroupName="jobs"),
            "serialization": {"type": "Json", "properties": {"encoding": "UTF8"}}}


def blob_output(container, pattern="", serialization=None):
    lines = {"type": "Json", "properties": {"encoding": "UTF8", "format": "LineSeparated"}}
    return {"datasource": {"type": "Microsoft.Storage/Blob", "properties": {
        "storageAccounts": [{"accountName": "devstoreaccount1", "accountKey": "very secret"}], "container": container,
        "pathPattern": pattern, "dateFormat": "yyyy-MM-dd", "timeFormat": "HH"}}, "serialization": serialization or lines}


CSV = {"type": "Csv", "properties": {"fieldDelimiter": ",", "encoding": "UTF8"}}


@pytest.fixture
def names(node):
    """A hub, a container and a job of names of their own."""
    mark = uuid.uuid4().hex[:8]
    hub(node, f"in-{mark}")
    blobs(node).create_container(f"box-{mark}")
    return {"hub": f"in-{mark}", "box": f"box-{mark}", "job": f"job-{mark}"}


def make(node, names, query=None, **properties):
    """A job of one input and one output of JSON lines."""
    query = WINDOW.format(into="lines") if query is None else query
    body = {"location": "West US", "tags": {"team": "trades"}, "properties": {
        "sku": {"name": "Standard"}, "compatibilityLevel": "1.2", "eventsOutOfOrderPolicy": "Adjust",
        "inputs": [{"name": "StockTransactionsRaw", "properties": stream_input(names["hub"])}],
        "outputs": [{"name": "lines", "properties": blob_output(names["box"])}],
        "transformation": {"name": "sums", "properties": {"streamingUnits": 1, "query": query}}, **properties}}
    return good(node, "PUT", f"{JOBS}/{names['job']}", body)


def state(node, job):
    return good(node, "GET", f"{JOBS}/{job}")["properties"]["jobState"]


def scripted(script, result="any", kind="Scalar", *arguments):
    """The properties of a function."""
    binding = {"type": "Microsoft.StreamAnalytics/JavascriptUdf", "properties": {"script": script}}
    inputs = [{"dataType": argument, "isConfigurationParameter": None} for argument in arguments]
    return {"type": kind, "properties": {"inputs": inputs, "output": {"dataType": result}, "binding": binding}}


def test_the_documents_query_into_every_output(node, names):
    job, copy = f"{JOBS}/{names['job']}", names["hub"] + "-copy"
    hub(node, copy)
    service = blobs(node)
    service.create_container("json-lines"), service.create_container("csv-files")
    cosmos = CosmosClient(node.endpoint + "/", credential=COSMOS_KEY)
    documents = cosmos.create_database("shop").create_container("sums", partition_key=PartitionKey(path="/symbol"))
    table = node.client("dynamodb")
    table.create_table(TableName="rows", BillingMode="PAY_PER_REQUEST",
                       KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
                       AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}])
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", FUNCTION)
    node.client("lambda").create_function(FunctionName="save-rows", Runtime="python3.11", Handler="app.handler", Timeout=30,
                                          Role="arn:aws:iam::000000000000:role/any", Code={"ZipFile": package.getvalue()})

    # As the portal does it: the job, then its parts one by one, the text before what it writes to.
    made = good(node, "PUT", job, {"location": "West US", "properties": {"sku": {"name": "Standard"}}})
    assert made["properties"]["jobState"] == "Created" and made["properties"]["provisioningState"] == "Succeeded"
    outputs = ("lines", "files", "latest", "copy", "saver")
    text = ";".join(WINDOW.format(into=into) for into in outputs)
    good(node, "PUT", f"{job}/transformations/sums", {"properties": {"streamingUnits": 6, "query": text}})
    good(node, "PUT", f"{job}/inputs/StockTransactionsRaw", {"properties": stream_input(names["hub"])})
    good(node, "PUT", f"{job}/outputs/lines", {"properties": blob_output("json-lines")})
    good(node, "PUT", f"{job}/outputs/files", {"properties": blob_output("csv-files", "sums/{date}/{time}", CSV)})
    good(node, "PUT", f"{job}/outputs/latest", {"properties": {"datasource": {
        "type": "Microsoft.Storage/DocumentDB", "properties": {
            "accountId": "local", "accountKey": "very secret", "database": "shop", "collectionNamePattern": "sums",
            "partitionKey": "symbol", "documentId": "symbol"}}}})
    good(node, "PUT", f"{job}/outputs/copy", {"properties": {
        "datasource": hub_source(copy), "serialization": {"type": "Json", "properties": {"encoding": "UTF8"}}}})
    good(node, "PUT", f"{job}/outputs/saver", {"properties": {"datasource": {
        "type": "Microsoft.AzureFunction", "properties": {"functionAppName": "app", "functionName": "save-rows",
                                                          "apiKey": "very secret"}}}})
    whole = good(node, "GET", job, version="?api-version=2020-03-01&$expand=inputs,outputs,transformation")
    assert "very secret" not in json.dumps(whole)
    assert [output["name"] for output in whole["properties"]["outputs"]] == list(outputs)
    assert whole["properties"]["transformation"]["properties"]["streamingUnits"] == 6

    good(node, "POST", f"{job}/start", {"outputStartMode": "JobStartTime"})
    send(node, names["hub"], *TRADES)
    assert until(lambda: totals(json_rows(service.get_container_client("json-lines"))) == TOTALS)
    assert until(lambda: totals(csv_rows(service.get_container_client("csv-files"))) == TOTALS)
    today = f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}"
    assert all(name.startswith(f"sums/{today}/") and name.endswith(".csv")
               for name in contents(service.get_container_client("csv-files")))
    assert totals(received(node, copy, lambda rows: totals(rows) == TOTALS)) == TOTALS
    assert until(lambda: totals({"symbol": item["symbol"]["S"], "total": item["total"]["N"]}
                                for item in table.scan(TableName="rows")["Items"]) == TOTALS)
    # One document a symbol: the last window's.
    found = until(lambda: (rows := list(documents.read_all_items())) and len(rows) == 3 and rows)
    assert {row["id"] for row in found} == set(TOTALS) and all(row["id"] == row["symbol"] for row in found)
    send(node, names["hub"], ("GOOG", 99))
    assert until(lambda: documents.read_item("GOOG", "GOOG")["total"] == 99)
    assert len(list(documents.read_all_items())) == 3
    shown = good(node, "GET", job)["properties"]
    assert shown["jobState"] == "Running" and shown["lastOutputEventTime"] > shown["createdDate"]
    good(node, "POST", f"{job}/stop")


def test_stop_edit_and_go_on(node, names):
    job, box = f"{JOBS}/{names['job']}", blobs(node).get_container_client(names["box"])
    make(node, names)
    refused(node, "POST", f"{job}/start", {"outputStartMode": "LastOutputEventTime"}, 400, "never ran")
    refused(node, "POST", f"{job}/start", {"outputStartMode": "CustomTime", "outputStartTime": "noon"}, 400, "noon")
    good(node, "POST", f"{job}/start", {"outputStartMode": "JobStartTime"})
    refused(node, "POST", f"{job}/start", {}, 409, "running")
    send(node, names["hub"], ("MSFT", 1))
    assert until(lambda: totals(json_rows(box)) == {"MSFT": 1})
    for method, path, body in [("PUT", "", {"properties": {}}), ("PATCH", "", {"tags": {"a": "b"}}),
                               ("PATCH", "/transformations/sums", {"properties": {"streamingUnits": 3}}),
                               ("DELETE", "/inputs/StockTransactionsRaw", None)]:
        refused(node, method, job + path, body, 409, "stop it")
    good(node, "POST", f"{job}/stop")
    assert state(node, names["job"]) == "Stopped"
    refused(node, "POST", f"{job}/stop", None, 409, "stopped")
    # What comes now is found when the job goes on, and by the new text.
    send(node, names["hub"], ("MSFT", 20))
    text = WINDOW.format(into="lines").replace("SUM(Shares)", "SUM(Shares * 10)")
    changed = good(node, "PATCH", f"{job}/transformations/sums", {"properties": {"query": text}})
    assert changed["properties"]["streamingUnits"] == 1 and "* 10" in changed["properties"]["query"]
    good(node, "POST", f"{job}/start", {"outputStartMode": "LastOutputEventTime"})
    assert until(lambda: totals(json_rows(box)) == {"MSFT": 201})
    good(node, "POST", f"{job}/stop")
    # From a moment of one's own choice: all is computed again.
    good(node, "POST", f"{job}/start", {"outputStartMode": "CustomTime", "outputStartTime": "2020-01-01T00:00:00Z"})
    assert until(lambda: totals(json_rows(box)) == {"MSFT": 201 + 210})
    good(node, "DELETE", job)
    assert call(node, "GET", job)[0] == 404 and call(node, "DELETE", job)[0] == 204


def test_an_edit_keeps_what_open_windows_hold(node, names):
    job, box = f"{JOBS}/{names['job']}", blobs(node).get_container_client(names["box"])
    slow = WINDOW.format(into="lines").replace("second, 2", "second, 15")
    make(node, names, slow)
    good(node, "POST", f"{job}/start", {"outputStartMode": "JobStartTime"})
    # Not close to the end of a window: it is to be open when the job stops.
    while not 1 < time.time() % 15 < 7:
        time.sleep(0.1)
    send(node, names["hub"], ("MSFT", 1), ("MSFT", 2))
    time.sleep(2)
    for text in (slow + "\n-- nothing else", slow.replace("SUM(Shares)", "SUM(Shares + 0)")):
        good(node, "POST", f"{job}/stop")
        good(node, "PATCH", f"{job}/transformations/sums", {"properties": {"query": text}})
        good(node, "POST", f"{job}/start", {"outputStartMode": "LastOutputEventTime"})
    send(node, names["hub"], ("MSFT", 10))
    assert until(lambda: totals(json_rows(box)) == {"MSFT": 13})


def test_several_windows_at_once_that_begin_with_the_events(node, names):
    box = blobs(node).get_container_client(names["box"])
    make(node, names, """
        SELECT System.Window().Id AS windows, Symbol AS symbol, SUM(Shares) AS total INTO lines FROM StockTransactionsRaw
        GROUP BY Symbol, Windows(Window('slides', SlidingWindow(second, 1)),
                                 Window('session', SessionWindow(second, 1, 20) OVER (PARTITION BY Symbol)))""")
    good(node, "POST", f"{JOBS}/{names['job']}/start", {"outputStartMode": "JobStartTime"})
    send(node, names["hub"], ("MSFT", 1), ("MSFT", 2), ("AAPL", 4))
    found = lambda: sorted((row["windows"], row["symbol"], row["total"]) for row in json_rows(box))
    expected = [(kind, symbol, total) for kind in ("session", "slides") for symbol, total in (("AAPL", 4), ("MSFT", 3))]
    assert until(lambda: found() == expected), found()


def test_partition_keys_of_outputs(node, names):
    job, copy, mark = f"{JOBS}/{names['job']}", names["hub"] + "-copy", names["box"]
    hub(node, copy)
    database = CosmosClient(node.endpoint + "/", credential=COSMOS_KEY).create_database(mark)
    database.create_container("regions", partition_key=PartitionKey(path="/region"))
    make(node, names, "SELECT Symbol AS symbol, Shares AS total INTO documents FROM StockTransactionsRaw")
    good(node, "DELETE", f"{job}/outputs/lines")

    def documents(key):
        return {"properties": {"datasource": {"type": "Microsoft.Storage/DocumentDB", "properties": {
            "accountId": "local", "database": mark, "collectionNamePattern": "regions", "partitionKey": key}}}}

    good(node, "PUT", f"{job}/outputs/documents", documents("symbol"))
    refused(node, "POST", f"{job}/start", {}, 400, "/region")
    good(node, "PUT", f"{job}/outputs/documents", documents("region"))
    good(node, "POST", f"{job}/start", {})
    good(node, "POST", f"{job}/stop")

    good(node, "DELETE", f"{job}/outputs/documents")
    keyed = {"datasource": hub_source(copy, partitionKey="total"), "serialization": stream_input("x")["serialization"]}
    good(node, "PUT", f"{job}/outputs/lines", {"properties": keyed})
    source = good(node, "GET", f"{job}/outputs/lines")["properties"]["datasource"]["properties"]
    assert source["partitionKey"] == "total"
    text = "SELECT Symbol AS symbol, Shares AS total INTO lines FROM StockTransactionsRaw"
    good(node, "PATCH", f"{job}/transformations/sums", {"properties": {"query": text}})
    good(node, "POST", f"{job}/start", {"outputStartMode": "JobStartTime"})
    send(node, names["hub"], *((symbol, 5) for symbol in "ABCDEFGH"))
    keys = [(partition, event.partition_key) for partition, event in read_hub(node, copy, lambda found: len(found) == 8)]
    assert len(keys) == 8
    assert len(set(keys)) == 1 and keys[0][1] in ("5", b"5")


PIPELINE = '''
name = "keyed"
[[event_hub]]
name = "{hub}"
partitions = 1
[[cosmos_database]]
name = "{box}"
[[cosmos_database.container]]
name = "k"
partition_key = "/region"
[[query]]
name = "{job}"
dialect = "stream-analytics"
sql = "SELECT symbol, region INTO docs FROM src"
streaming_units = {units}
[[query.input]]
name = "src"
event_hub = "{hub}"
columns = [{{ name = "symbol", type = "nvarchar(max)" }}, {{ name = "region", type = "nvarchar(max)" }}]
[[query.output]]
name = "docs"
cosmos = {{ database = "{box}", container = "k", partition_key = "{key}" }}
'''


def test_a_pipeline_file_is_held_to_its_containers_and_changes_units(node, names, tmp_path):
    mark, file = uuid.uuid4().hex[:8], tmp_path / "keyed.toml"

    def write(key, units):
        file.write_text(PIPELINE.format(hub=f"hub-{mark}", box=f"db-{mark}", job=f"keyed-{mark}", key=key, units=units))
        return file

    for key in ("symbol", "/nothing"):
        checked = subprocess.run([BINARY, "check", write(key, 1)], capture_output=True, text=True, timeout=60)
        assert checked.returncode != 0 and "`/region`" in checked.stdout + checked.stderr, checked
    assert "created" in node.run("apply", write("region", 1))
    assert "created" not in (again := node.run("apply", file)) and "updated" not in again
    assert re.search("updated +query", node.run("apply", write("/region", 6))) is not None
    shown = good(node, "GET", f"{JOBS}/keyed-{mark}", version="?api-version=2020-03-01&$expand=transformation")
    assert shown["properties"]["transformation"]["properties"]["streamingUnits"] == 6


def test_mistakes_are_told(node, names):
    job = f"{JOBS}/{names['job']}"
    make(node, names)

    def text(query):
        return {"properties": {"streamingUnits": 1, "query": query}}

    error = refused(node, "PUT", f"{job}/transformations/sums", text("SELECT COUNT(*)\nINTO lines FROM\n  a JOIN b"), 400, "line 3")
    assert error["code"] == "BadRequest" and error["details"][0]["line"] == 3 and error["details"][0]["column"] > 1
    refused(node, "PUT", f"{job}/transformations/sums", text("SELECT SUM(x) INTO lines FROM StockTransactionsRaw"), 400,
            "aggregate without a window")
    refused(node, "PUT", f"{job}/transformations/sums", {"properties": {"streamingUnits": 5, "query": ""}}, 400, "streaming units")
    good(node, "PUT", f"{job}/transformations/sums", text("SELECT * INTO lines FROM Nobody"))
    refused(node, "POST", f"{job}/start", {}, 400, "Nobody")
    good(node, "PUT", f"{job}/transformations/sums", text("SELECT * INTO elsewhere FROM StockTransactionsRaw"))
    refused(node, "POST", f"{job}/start", {}, 400, "`elsewhere`, which is no output")
    good(node, "PUT", f"{job}/transformations/sums", text("SELECT * INTO lines FROM StockTransactionsRaw"))
    good(node, "PUT", f"{job}/outputs/unused", {"properties": blob_output(names["box"])})
    refused(node, "POST", f"{job}/start", {}, 400, "does not write the output `unused`")
    good(node, "DELETE", f"{job}/transformations/sums")
    refused(node, "POST", f"{job}/start", {}, 400, "empty")

    source = stream_input(names["hub"])
    refused(node, "PUT", f"{job}/inputs/other", {"properties": stream_input("no-such-hub")}, 400, "no-such-hub")
    refused(node, "PUT", f"{job}/inputs/other", {"properties": {**source, "type": "Reference"}}, 400, "of reference data")
    refused(node, "PUT", f"{job}/inputs/other", {"properties": {**source, "datasource": {
        "type": "Microsoft.Storage/Blob", "properties": {}}}}, 400, "Microsoft.Storage/Blob")
    refused(node, "PUT", f"{job}/inputs/other", {"properties": {**source, "serialization": {"type": "Avro"}}}, 400, "Avro")
    source["datasource"]["properties"]["consumerGroupName"] = "nobody"
    refused(node, "PUT", f"{job}/inputs/other", {"properties": source}, 400, "nobody")
    sql = {"datasource": {"type": "Microsoft.Sql/Server/Database", "properties": {"server": "x"}}}
    refused(node, "PUT", f"{job}/outputs/other", {"properties": sql}, 400, "Microsoft.Sql/Server/Database")
    table = {"type": "Reference", "serialization": {"type": "Json"}, **sql}
    refused(node, "PUT", f"{job}/inputs/other", {"properties": table}, 400, "`Microsoft.Sql/Server/Database` of reference data")
    refused(node, "PUT", f"{job}/outputs/other", {"properties": blob_output(names["box"], "{date")}, 400, "{date")
    refused(node, "PUT", f"{job}/outputs/other", {"properties": {"datasource": hub_source(names["hub"], propertyColumns="a")}},
            400, "propertyColumns")
    refused(node, "PUT", f"{job}/outputs/other", {"properties": {"datasource": hub_source(names["hub"]), "sizeWindow": 100}},
            400, "sizeWindow")
    saver = {"type": "Microsoft.AzureFunction", "properties": {"functionName": "f", "maxBatchCount": 0}}
    refused(node, "PUT", f"{job}/outputs/other", {"properties": {"datasource": saver}}, 400, "maxBatchCount")
    refused(node, "PUT", f"{job}/functions/half", {"properties": scripted("function (x) { return x")}, 400, "SyntaxError")
    refused(node, "PUT", f"{job}/functions/half", {"properties": scripted("x => x", "decimal")}, 400, "nvarchar(max)")
    learned = {"type": "Scalar", "properties": {"binding": {"type": "Microsoft.MachineLearning/WebService", "properties": {}}}}
    refused(node, "PUT", f"{job}/functions/half", {"properties": learned}, 400, "Microsoft.MachineLearning/WebService")
    for name, value in [("compatibilityLevel", "1.0"), ("outputErrorPolicy", "Stop"), ("eventsOutOfOrderPolicy", "Keep"),
                        ("eventsLateArrivalMaxDelayInSeconds", 1_814_400), ("externals", {"storageAccount": {}})]:
        refused(node, "PATCH", job, {"properties": {name: value}}, 400, name)
    assert state(node, names["job"]) == "Created"


def test_resources_are_shown_changed_and_guarded(node, names):
    job = f"{JOBS}/{names['job']}"
    made = make(node, names, eventsLateArrivalMaxDelayInSeconds=-1, eventsOutOfOrderPolicy="Drop",
                eventsOutOfOrderMaxDelayInSeconds=7)
    assert made["id"] == job and made["type"] == "Microsoft.StreamAnalytics/streamingjobs"
    assert made["location"] == "West US" and made["tags"] == {"team": "trades"}
    assert made["properties"]["eventsLateArrivalMaxDelayInSeconds"] == -1
    assert (made["properties"]["eventsOutOfOrderPolicy"], made["properties"]["eventsOutOfOrderMaxDelayInSeconds"]) == ("Drop", 7)
    listed = good(node, "GET", JOBS)["value"]
    assert names["job"] in [entry["name"] for entry in listed]
    # A document that was shown may be sent again, and changes nothing.
    shown = good(node, "GET", job)
    assert good(node, "PUT", job, shown)["properties"]["etag"] == shown["properties"]["etag"]
    assert good(node, "GET", f"{job}/inputs")["value"][0]["name"] == "StockTransactionsRaw"

    status, read, tag = call(node, "GET", f"{job}/inputs/StockTransactionsRaw")
    source = read["properties"]["datasource"]["properties"]
    assert status == 200 and tag.strip('"') == read["properties"]["etag"]
    assert (source["eventHubName"], source["consumerGroupName"]) == (names["hub"], "jobs")
    assert "sharedAccessPolicyKey" not in source
    change = {"properties": {"serialization": CSV}}
    changed = good(node, "PATCH", f"{job}/inputs/StockTransactionsRaw", change, If_Match=tag)
    assert changed["properties"]["serialization"]["type"] == "Csv"
    refused(node, "PATCH", f"{job}/inputs/StockTransactionsRaw", change, 412, "If-Match", If_Match=tag)
    refused(node, "PUT", f"{job}/outputs/lines", {"properties": blob_output(names["box"])}, 412, "If-None-Match", If_None_Match="*")
    _, _, tag = call(node, "GET", job)
    assert good(node, "PATCH", job, {"tags": {"team": None, "a": "b"}}, If_Match=tag)["tags"] == {"a": "b"}
    refused(node, "DELETE", job, None, 412, "If-Match", If_Match=tag)
    assert call(node, "GET", f"{job}/outputs/nothing")[0] == 404
    assert call(node, "DELETE", f"{job}/outputs/lines")[0] == 200
    assert good(node, "GET", f"{job}/outputs")["value"] == []
    refused(node, "GET", job, None, 401, "Bearer", token=None)
    refused(node, "GET", job, None, 400, "api-version", version="")


def test_jobs_survive_a_restart(names, node):
    job, box = f"{JOBS}/{names['job']}", blobs(node).get_container_client(names["box"])
    make(node, names)
    good(node, "POST", f"{job}/start")
    send(node, names["hub"], ("MSFT", 1))
    assert until(lambda: totals(json_rows(box)) == {"MSFT": 1})
    before = good(node, "GET", job, version="?api-version=2021-10-01-preview&$expand=inputs,outputs,transformation")
    node.kill()
    node.start()
    after = good(node, "GET", job, version="?api-version=2021-10-01-preview&$expand=inputs,outputs,transformation")
    for changing in ("jobState", "lastOutputEventTime"):
        before["properties"].pop(changing, None), after["properties"].pop(changing, None)
    assert before == after
    assert until(lambda: state(node, names["job"]) == "Running")
    send(node, names["hub"], ("MSFT", 2))
    assert until(lambda: totals(json_rows(box)) == {"MSFT": 3})
