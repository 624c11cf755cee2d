"""The examples as people start from them, driven with the services' own clients."""

import csv
import io
import json
import re
import shutil
import time
import urllib.error
import urllib.request

import pytest
from azure.core.credentials import AzureKeyCredential
from azure.cosmos import CosmosClient
from azure.eventgrid import EventGridEvent, EventGridPublisherClient
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.storage.blob import BlobServiceClient

from conftest import ROOT, Node
from demo import Demo
from peers import hubs_connection_string

DEADLINE_SECONDS = 60


@pytest.fixture
def demo():
    started = []

    def start(*flags):
        started.append(Demo(*flags))
        return started[-1].start()

    yield start
    for each in started:
        each.remove()


@pytest.fixture
def fresh():
    node = Node()
    try:
        yield node.start()
    finally:
        node.remove()


def eventually(look, wanted):
    deadline = time.monotonic() + DEADLINE_SECONDS
    found = look()
    while found != wanted and time.monotonic() < deadline:
        time.sleep(0.2)
        found = look()
    assert found == wanted
    return found


def keys(node):
    """What `millstream keys` tells, by title."""
    told, title = {}, None
    for line in node.run("keys").splitlines():
        if line.startswith("  "):
            told[title].append(line.strip())
        else:
            title = line
            told[title] = []
    return told


def test_stock_trades_in_azures_words(fresh, tmp_path):
    folder = tmp_path / "example"
    shutil.copytree(ROOT / "examples" / "stock-trades-azure", folder)
    sql = folder / "share_change.sql"
    text = sql.read_text()
    assert "TumblingWindow(minute, 1)" in text
    # The example's windows are a minute long; nobody waits for that here.
    sql.write_text(text.replace("TumblingWindow(minute, 1)", "TumblingWindow(second, 2)"))
    fresh.run("apply", folder / "pipeline.toml")
    sums = {}
    producer = EventHubProducerClient.from_connection_string(hubs_connection_string(fresh), eventhub_name="stocktransactions")
    with producer:
        for number in range(6):
            trades = [{"symbol": ["MSFT", "AMZN", "GOOG"][index % 3], "price": 100.0 + index, "shares": index - 40,
                       "userId": 1, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())} for index in range(50)]
            producer.send_batch([EventData(json.dumps(trade)) for trade in trades])
            for trade in trades:
                sums[trade["symbol"]] = sums.get(trade["symbol"], 0) + trade["shares"]
            time.sleep(0.5)

    told = keys(fresh)
    endpoint, key = told["cosmos"]
    container = CosmosClient(endpoint, key).get_database_client("trades").get_container_client("changes")

    def summed(rows):
        found = {}
        for row in rows:
            found[row["symbol"]] = found.get(row["symbol"], 0) + row["shareChange"]
        return found

    eventually(lambda: summed(container.query_items("SELECT * FROM c", enable_cross_partition_query=True)), sums)
    document = next(iter(container.query_items("SELECT TOP 1 * FROM c WHERE c.symbol = 'MSFT'", partition_key="MSFT")))
    assert document["id"] == f"MSFT-{document['time']}"

    (account,) = told["blob storage, account devstoreaccount1"]
    blobs = BlobServiceClient.from_connection_string(account).get_container_client("trades")

    def contents(prefix):
        return [blobs.download_blob(blob.name).readall().decode() for blob in blobs.list_blobs(name_starts_with=prefix)]

    def lines():
        return [json.loads(line) for content in contents("changes/") for line in content.splitlines()]

    eventually(lambda: summed(lines()), sums)
    windows = [(row["symbol"], row["time"]) for row in lines()]
    assert len(windows) == len(set(windows)), "a window's row stands twice"

    def raw():
        return sorted(float(row["price"]) for content in contents("raw/") for row in csv.DictReader(io.StringIO(content)))

    eventually(raw, sorted(100.0 + index for index in range(50) for _ in range(6)))

    received = []

    def on_event(_, event):
        if event is not None:
            received.append(json.loads(event.body_as_str()))
        if summed(received) == sums:
            consumer.close()

    consumer = EventHubConsumerClient.from_connection_string(
        hubs_connection_string(fresh), consumer_group="$Default", eventhub_name="sharechanges")
    with consumer:
        consumer.receive(on_event, starting_position="-1", max_wait_time=DEADLINE_SECONDS)
    assert summed(received) == sums

    def announced():
        return summed(json.loads(line) for line in re.findall(r"\{.*\}", fresh.run("logs", "Announce")) if "shareChange" in line)

    eventually(announced, sums)

    sample = tmp_path / "sample.jsonl"
    fresh.run("sample", "stocktransactions", "--from-start", "--limit", "300", "--seconds", "5", "--out", sample)
    events = [json.loads(line) for line in sample.read_text().splitlines()]
    assert len(events) == 300 and {"EventEnqueuedUtcTime", "PartitionId", "symbol"} <= set(events[0])
    tried = fresh.run("test", "--query", "share-change-job", "--input", f"StockTransactionsRaw={sample}")
    rows = tried.split("ShareChangeFiles\n")[1].split("ShareChangeHub\n")[0]
    assert summed(map(json.loads, rows.splitlines())) == sums


def test_stock_trades_in_azures_words_in_one_command(demo, tmp_path):
    trades = tmp_path / "trades.csv"
    rows = [f"2018-07-09T14:{minute:02}:{second:02}Z,{symbol},100.5,{shares},7"
            for minute, second, symbol, shares in [(30, 5, "MSFT", 10), (30, 50, "MSFT", -4), (31, 5, "AMZN", 3),
                                                   (31, 30, "MSFT", 2), (33, 0, "MSFT", 1)]]
    trades.write_text("time,symbol,price,shares,userId\n" + "\n".join(rows) + "\n")
    started = demo("--azure", "--replay", trades, "--speed", "60")
    started.wait_for(lambda: "trades accepted" in started.output(), "the demo does not begin")
    told = keys(started)
    (account,) = told["blob storage, account devstoreaccount1"]
    blobs = BlobServiceClient.from_connection_string(account).get_container_client("trades")

    def rows_of_blobs():
        return [row for blob in blobs.list_blobs(name_starts_with="raw/")
                for row in csv.DictReader(io.StringIO(blobs.download_blob(blob.name).readall().decode()))]

    started.wait_for(lambda: sorted(int(row["shares"]) for row in rows_of_blobs()) == [-4, 1, 2, 3, 10], "blobs lack trades")
    endpoint, key = told["cosmos"]
    changes = CosmosClient(endpoint, key).get_database_client("trades").get_container_client("changes")
    windows = {("MSFT", "2018-07-09T14:31"): 6, ("AMZN", "2018-07-09T14:32"): 3, ("MSFT", "2018-07-09T14:32"): 2}

    def documents():
        found = changes.query_items("SELECT * FROM c", enable_cross_partition_query=True)
        return {(row["symbol"], row["time"][:16]): row["shareChange"] for row in found}

    started.wait_for(lambda: documents() == windows, "the windows are not in Cosmos")
    assert started.stop() == 0


def test_orders_as_events_in_one_command(demo):
    started = demo("--event-grid", "--rate", "20")
    started.wait_for(lambda: re.search(r"[1-9]\d* delivered to audit, [1-9]\d* delivered to ship", started.output()),
                     "the subscribers get nothing")
    endpoint, topic_key, _ = keys(started)["event grid, topic orders"]
    client = EventGridPublisherClient(endpoint, AzureKeyCredential(topic_key))
    client.send(EventGridEvent(subject="orders/mine", event_type="Shop.OrderPlaced", data={"total": 20}, data_version="1"))
    started.wait_for(lambda: "orders/mine" in started.run("logs", "Ship"), "the function does not get it")
    received = []

    def on_event(_, event):
        if event is not None:
            received.extend(json.loads(event.body_as_str()))
        if any(order["subject"] == "orders/mine" for order in received):
            consumer.close()

    consumer = EventHubConsumerClient.from_connection_string(
        hubs_connection_string(started), consumer_group="$Default", eventhub_name="audit")
    with consumer:
        consumer.receive(on_event, starting_position="-1", max_wait_time=DEADLINE_SECONDS)
    assert {order["eventType"] for order in received} == {"Shop.OrderPlaced", "Shop.OrderPaid"}
    shipped = started.run("logs", "Ship")
    assert "Shop.OrderPlaced" in shipped and "Shop.OrderPaid" not in shipped
    assert started.stop() == 0


def test_orders_as_events(fresh):
    applied = fresh.run("apply", ROOT / "examples" / "event-grid" / "pipeline.toml")
    assert "unchanged" not in applied
    again = fresh.run("apply", ROOT / "examples" / "event-grid" / "pipeline.toml")
    assert "created" not in again and "updated" not in again, again
    told = keys(fresh)
    endpoint, topic_key, _ = told["event grid, topic orders"]
    (subscription_key, _) = told["api management, service shop, subscription developer"]
    client = EventGridPublisherClient(endpoint, AzureKeyCredential(topic_key))
    client.send([EventGridEvent(subject="orders/1", event_type="Shop.OrderPlaced", data={"total": 20}, data_version="1"),
                 EventGridEvent(subject="orders/1", event_type="Shop.OrderPaid", data={"total": 20}, data_version="1")])

    def post(event, **headers):
        request = urllib.request.Request(f"{fresh.endpoint}/apim/orders/", data=json.dumps([event]).encode(), method="POST",
                                         headers={"Content-Type": "application/json", **headers})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    order = {"id": "2", "subject": "orders/2", "eventType": "Shop.OrderPlaced", "data": {"total": 7}, "dataVersion": "1",
             "eventTime": "2026-01-05T14:30:00Z"}
    subscribed = {"Ocp-Apim-Subscription-Key": subscription_key}
    assert post(order, **subscribed, **{"aeg-sas-key": topic_key}) == 200
    assert post(order, **{"aeg-sas-key": topic_key}) == 401, "without a subscription key"
    assert post(order, **subscribed) == 401, "without the header that the policy asks for"
    assert post(order, **subscribed, **{"aeg-sas-key": "wrong"}) == 401, "with a key that the topic does not know"

    def shipped():
        return sorted(json.loads(line)["subject"] for line in re.findall(r"\{\"?.*\"subject\".*\}", fresh.run("logs", "Ship")))

    eventually(shipped, ["orders/1", "orders/2"])

    def audited():
        lines = fresh.run("tail", "audit", "--from-start", "--limit", "3", timeout=30).splitlines()
        return sorted(event["eventType"] for line in lines for event in json.loads(json.loads(line)["data"]))

    assert audited() == ["Shop.OrderPaid", "Shop.OrderPlaced", "Shop.OrderPlaced"]
