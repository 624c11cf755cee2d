"""Stream Analytics: jobs that join two hubs, as their clients make them and read their results."""

import datetime
import json
import re
import subprocess
import uuid

from conftest import BINARY, Node, until
from test_streamanalytics import JOBS, blobs, good, hub, json_rows, make, names, publish, refused, send, stream_input

JOIN = """
    SELECT t.Symbol AS symbol, t.Shares AS shares, o.Price AS price INTO lines FROM StockTransactionsRaw t
    {kind} JOIN Offers o ON t.Symbol = o.Symbol AND DATEDIFF(second, t, o) BETWEEN {low} AND {high}"""


def offer(node, name, *offers):
    publish(node, name, *({"Symbol": symbol, "Price": price} for symbol, price in offers))


def make_join(node, names, kind, low, high):
    job, offers = f"{JOBS}/{names['job']}", names["hub"] + "-offers"
    hub(node, offers)
    make(node, names, JOIN.format(kind=kind, low=low, high=high), inputs=[
        {"name": "StockTransactionsRaw", "properties": stream_input(names["hub"])},
        {"name": "Offers", "properties": stream_input(offers)}])
    return job, offers


def pairs(rows):
    return sorted((row["symbol"], row["shares"], row["price"]) for row in rows)


def test_two_hubs_are_joined_by_time(node, names):
    box = blobs(node).get_container_client(names["box"])
    job, offers = make_join(node, names, "INNER", -60, 60)
    good(node, "POST", f"{job}/start", {"outputStartMode": "JobStartTime"})
    send(node, names["hub"], ("MSFT", 1), ("AAPL", 2), ("NONE", 3))
    offer(node, offers, ("MSFT", 10), ("AAPL", 20), ("GOOG", 30))
    send(node, names["hub"], ("MSFT", 4))
    until(lambda: len(json_rows(box)) >= 3)
    # What was read before a stop is joined with what comes after the start.
    good(node, "POST", f"{job}/stop")
    good(node, "POST", f"{job}/start", {"outputStartMode": "LastOutputEventTime"})
    offer(node, offers, ("NONE", 40))
    until(lambda: len(json_rows(box)) >= 4)
    assert pairs(json_rows(box)) == [("AAPL", 2, 20), ("MSFT", 1, 10), ("MSFT", 4, 10), ("NONE", 3, 40)]


def test_an_event_that_nothing_follows_is_there_without_one(node, names):
    box = blobs(node).get_container_client(names["box"])
    job, offers = make_join(node, names, "LEFT OUTER", -30, 1)
    good(node, "POST", f"{job}/start", {"outputStartMode": "JobStartTime"})
    offer(node, offers, ("MSFT", 10))
    send(node, names["hub"], ("MSFT", 1), ("AAPL", 2))
    until(lambda: len(json_rows(box)) >= 2)
    assert sorted((row["symbol"], row["price"]) for row in json_rows(box)) == [("AAPL", None), ("MSFT", 10)]


def test_a_join_that_nothing_bounds_is_refused(node, names):
    make(node, names)
    text = "SELECT a.Symbol INTO lines FROM StockTransactionsRaw a JOIN StockTransactionsRaw b ON a.Symbol = b.Symbol"
    error = refused(node, "PUT", f"{JOBS}/{names['job']}/transformations/sums",
                    {"properties": {"streamingUnits": 1, "query": text}}, 400, "a join without bounds in time")
    assert "DATEDIFF(minute, a, b) BETWEEN 0 AND 15" in json.dumps(error)


def reference(container, path, serialization=None):
    return {"type": "Reference", "datasource": {"type": "Microsoft.Storage/Blob", "properties": {
        "storageAccounts": [{"accountName": "devstoreaccount1", "accountKey": "very secret"}], "container": container,
        "pathPattern": path, "dateFormat": "yyyy-MM-dd", "timeFormat": "HH"}},
        "serialization": serialization or {"type": "Json", "properties": {"encoding": "UTF8"}}}


LIMITS = """
    SELECT t.Symbol AS symbol, l.Name AS name INTO lines FROM StockTransactionsRaw t
    LEFT JOIN Companies l ON t.Symbol = l.Symbol WHERE t.Shares > l.Most OR l.Most IS NULL"""


def test_events_stand_beside_reference_data(node, names):
    job, service = f"{JOBS}/{names['job']}", blobs(node)
    service.create_container(tables := names["box"] + "-tables")
    make(node, names, LIMITS)
    csv = {"type": "Csv", "properties": {"fieldDelimiter": ",", "encoding": "UTF8"}}
    refused(node, "POST", f"{job}/start", {}, 400, "Companies")
    refused(node, "PUT", f"{job}/inputs/Companies", {"properties": reference(tables, "{time}/companies.csv", csv)}, 400, "{date}")
    good(node, "PUT", f"{job}/inputs/Companies", {"properties": reference(tables, "all/companies.csv", csv)})
    shown = good(node, "GET", f"{job}/inputs/Companies")["properties"]
    assert shown["type"] == "Reference" and shown["serialization"]["type"] == "Csv" and "very secret" not in json.dumps(shown)
    source = shown["datasource"]["properties"]
    assert (source["container"], source["pathPattern"]) == (tables, "all/companies.csv")
    whole = good(node, "GET", job, version="?api-version=2020-03-01&$expand=inputs")
    assert [found["name"] for found in whole["properties"]["inputs"]] == ["StockTransactionsRaw", "Companies"]

    service.get_blob_client(tables, "all/companies.csv").upload_blob("Symbol,Name,Most\nMSFT,Microsoft,10\nAAPL,Apple,1\n")
    good(node, "POST", f"{job}/start", {"outputStartMode": "JobStartTime"})
    send(node, names["hub"], ("MSFT", 5), ("AAPL", 5), ("MSFT", 50), ("NONE", 1))
    box = service.get_container_client(names["box"])
    until(lambda: len(json_rows(box)) >= 3)
    found = sorted((row["symbol"], row["name"]) for row in json_rows(box))
    assert found == [("AAPL", "Apple"), ("MSFT", "Microsoft"), ("NONE", None)]
    good(node, "POST", f"{job}/stop")
    good(node, "DELETE", f"{job}/inputs/Companies")
    refused(node, "POST", f"{job}/start", {}, 400, "Companies")


PIPELINE = '''
name = "tables"
[[event_hub]]
name = "{hub}"
partitions = 1
[[blob_container]]
name = "{box}"
[[query]]
name = "{job}"
dialect = "stream-analytics"
sql = "SELECT s.symbol, c.name INTO o FROM src s JOIN companies c ON s.symbol = c.symbol"
[[query.input]]
name = "src"
event_hub = "{hub}"
columns = [{{ name = "symbol", type = "nvarchar(max)" }}]
[[query.input]]
name = "companies"
blob = {{ container = "{box}", path = "{path}" }}
csv = ","
columns = [{{ name = "symbol", type = "nvarchar(max)" }}, {{ name = "name", type = "nvarchar(max)" }}]
[[query.output]]
name = "o"
'''


def test_files_and_commands_speak_of_reference_data(node, tmp_path):
    mark, file = uuid.uuid4().hex[:8], tmp_path / "tables.toml"
    job = f"tables-{mark}"

    def write(path):
        file.write_text(PIPELINE.format(hub=f"hub-{mark}", box=f"box-{mark}", job=job, path=path))
        return file

    checked = subprocess.run([BINARY, "check", write("")], capture_output=True, text=True, timeout=60)
    assert checked.returncode != 0 and "the path of a blob" in checked.stdout + checked.stderr, checked
    assert "created" in node.run("apply", write("a.csv"))
    assert "created" not in (again := node.run("apply", file)) and "updated" not in again
    assert re.search("updated +query", node.run("apply", write("b.csv"))) is not None
    assert 'path = "b.csv"' in node.run("job", "show", job)
    shown = good(node, "GET", f"{JOBS}/{job}/inputs/companies")["properties"]
    assert shown["datasource"]["properties"]["pathPattern"] == "b.csv"
    node.run("job", "stop", job)
    # The service has no columns to declare: those of the file stay.
    moved = {"properties": reference(f"box-{mark}", "moved.csv", {"type": "Csv", "properties": {"fieldDelimiter": ","}})}
    good(node, "PUT", f"{JOBS}/{job}/inputs/companies", moved)
    told = node.run("job", "show", job)
    assert 'path = "moved.csv"' in told and 'name = "symbol"' in told.split("moved.csv")[1], told
    node.run("job", "remove-input", job, "companies")
    node.run("job", "add-input", job, "companies", f"blob.container=box-{mark}", "blob.path=c.csv", "csv=,")
    shown = good(node, "GET", f"{JOBS}/{job}/inputs/companies")["properties"]
    assert shown["datasource"]["properties"]["pathPattern"] == "c.csv"


def test_versions_of_reference_data_follow_each_other():
    """Their paths say from when on they count; newer ones are found while the job runs, and again after a restart."""
    node = Node(settings="reference_scan_seconds = 1\n")
    try:
        names = {kind: f"{kind}-{uuid.uuid4().hex[:8]}" for kind in ("hub", "box", "job")}
        node.start()
        job, service = f"{JOBS}/{names['job']}", blobs(node)
        hub(node, names["hub"])
        service.create_container(names["box"])
        service.create_container(tables := names["box"] + "-tables")
        make(node, names, LIMITS)
        path = {"pathPattern": "v/{date}/{time}/companies.json", "dateFormat": "yyyy-MM-dd", "timeFormat": "HH-mm-ss"}
        versions = reference(tables, path["pathPattern"])
        versions["datasource"]["properties"] |= path
        good(node, "PUT", f"{job}/inputs/Companies", {"properties": versions})
        shown = good(node, "GET", f"{job}/inputs/Companies")["properties"]["datasource"]["properties"]
        assert {member: shown[member] for member in path} == path

        def put(name, ahead=0):
            at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=ahead)
            text = json.dumps({"Symbol": "MSFT", "Name": name, "Most": 0})
            service.get_blob_client(tables, at.strftime("v/%Y-%m-%d/%H-%M-%S/companies.json")).upload_blob(text)

        def seen():
            return [row["name"] for row in json_rows(service.get_container_client(names["box"]))]

        def send_until(name):
            """Sends until an event stands beside that version; all before it stand beside those before."""
            def sent():
                send(node, names["hub"], ("MSFT", 1))
                return name in seen()
            until(sent, every=0.5)

        put("first", ahead=-3600)
        good(node, "POST", f"{job}/start", {"outputStartMode": "JobStartTime"})
        send_until("first")
        put("second", ahead=3)
        send_until("second")
        node.stop()
        node.start()
        service = blobs(node)
        send_until("second")
        put("third")
        send_until("third")
        assert set(seen()) == {"first", "second", "third"}
    finally:
        node.remove()
