"""Stream Analytics: what records hold on their way through jobs: delimited text, a hub's own columns, records and arrays."""

import json

from azure.eventhub import EventData, EventHubProducerClient

from conftest import until
from peers import hubs_connection_string
from test_streamanalytics import CSV, JOBS, blobs, good, hub, hub_source, json_rows, make, names, received, send


def test_delimited_text_begins_with_names(node, names, tmp_path):
    job, box = f"{JOBS}/{names['job']}", blobs(node).get_container_client(names["box"])
    make(node, names, "SELECT Symbol, Shares, PartitionId, EventEnqueuedUtcTime AS at INTO lines FROM StockTransactionsRaw")
    good(node, "PATCH", f"{job}/inputs/StockTransactionsRaw", {"properties": {"serialization": CSV}})
    good(node, "POST", f"{job}/start", {"outputStartMode": "JobStartTime"})
    texts = ["Symbol,Shares\nMSFT,1\n\"AAPL,9\nMSFT,2\n", "Shares,Price,Symbol\n7,1.5,GOOG"]
    with EventHubProducerClient.from_connection_string(hubs_connection_string(node), eventhub_name=names["hub"]) as client:
        client.send_batch([EventData(text) for text in texts], partition_id="1")
    rows = until(lambda: (found := json_rows(box)) and len(found) == 3 and found)
    assert sorted((row["Symbol"], row["Shares"], row["PartitionId"]) for row in rows) == [("GOOG", 7, 1), ("MSFT", 1, 1), ("MSFT", 2, 1)]
    assert all(row["at"].endswith("Z") for row in rows)
    sample = tmp_path / "sample.jsonl"
    node.run("sample", names["hub"], "--from-start", "--limit", "2", "--seconds", "5", "--out", sample)
    assert "GOOG" in sample.read_text()
    tried = node.run("test", "--query", names["job"], "--input", f"StockTransactionsRaw={sample}")
    assert tried.count("MSFT") == 2 and tried.count("GOOG") == 1 and '"PartitionId":1' in tried.replace(" ", "")


def test_a_star_stands_for_a_hubs_own_columns_too(node, names):
    job, box = f"{JOBS}/{names['job']}", blobs(node).get_container_client(names["box"])
    make(node, names, "SELECT * INTO lines FROM StockTransactionsRaw")
    good(node, "POST", f"{job}/start", {"outputStartMode": "JobStartTime"})
    send(node, names["hub"], ("MSFT", 1))
    (row,) = until(lambda: json_rows(box))
    assert set(row) == {"Symbol", "Shares", "EventProcessedUtcTime", "PartitionId", "EventEnqueuedUtcTime"}
    assert row["EventEnqueuedUtcTime"] <= row["EventProcessedUtcTime"] and row["PartitionId"] in (0, 1)


def test_records_and_arrays_taken_apart_from_hub_to_hub(node, names):
    job, copy = f"{JOBS}/{names['job']}", names["hub"] + "-parts"
    hub(node, copy)
    make(node, names, """
        CREATE TABLE StockTransactionsRaw (DeviceId nvarchar(max), SensorReadings record, SensorMetadata array)
        SELECT i.DeviceId, meta.ArrayIndex AS place, meta.ArrayValue.smKey AS name, meta.ArrayValue.smValue AS value,
               i.SensorReadings.Temperature, GetArrayElement(i.SensorReadings.Custom, 0) AS first,
               GetType(meta.ArrayValue) AS type, i.SensorReadings AS readings INTO parts
        FROM StockTransactionsRaw i CROSS APPLY GetArrayElements(i.SensorMetadata) AS meta""")
    good(node, "DELETE", f"{job}/outputs/lines")
    good(node, "PUT", f"{job}/outputs/parts", {"properties": {
        "datasource": hub_source(copy), "serialization": {"type": "Json", "properties": {"encoding": "UTF8"}}}})
    good(node, "POST", f"{job}/start", {"outputStartMode": "JobStartTime"})
    readings = {"Temperature": 80.5, "Custom": [12, -5, 0], "Deep": {"text": "a \"b\"\n"}}
    events = [
        {"DeviceId": "12345", "SensorReadings": readings, "SensorMetadata": [
            {"smKey": "Manufacturer", "smValue": "ABC"}, {"smKey": "Version", "smValue": {"major": 1}}]},
        {"DeviceId": 6, "SensorReadings": readings, "SensorMetadata": [{}]},  # its identifier is no text
        {"DeviceId": "empty", "SensorReadings": {}, "SensorMetadata": []},
        {"DeviceId": "last", "SensorReadings": None, "SensorMetadata": ["plain"]},
    ]
    with EventHubProducerClient.from_connection_string(hubs_connection_string(node), eventhub_name=names["hub"]) as client:
        client.send_batch([EventData(json.dumps(event)) for event in events], partition_id="0")
    of_device = {"DeviceId": "12345", "Temperature": 80.5, "first": 12, "type": "record", "readings": readings}
    found = received(node, copy, lambda rows: len(rows) == 3)
    assert sorted(found, key=lambda row: (row["DeviceId"], row["place"])) == [
        {**of_device, "place": 0, "name": "Manufacturer", "value": "ABC"},
        {**of_device, "place": 1, "name": "Version", "value": {"major": 1}},
        {"DeviceId": "last", "place": 0, "name": None, "value": None, "Temperature": None, "first": None,
         "type": "nvarchar(max)", "readings": None},
    ]
    good(node, "POST", f"{job}/stop")
