"""A query after it was made: built up, started, stopped and changed by `millstream job` and by the console's forms."""

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

from azure.storage.blob import BlobServiceClient

from conftest import Node, until
from peers import blob_connection_string, read_hub

SECONDS = 60
TOTALS = "SELECT symbol, shares INTO {into} FROM trades"


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def post(node, path, fields, files=()):
    """Sends a form as a browser does: with files or without; gives status, page and where it leads."""
    if files is None:
        body, kind = urllib.parse.urlencode(fields).encode(), "application/x-www-form-urlencoded"
    else:
        boundary = uuid.uuid4().hex
        parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                 for name, value in fields]
        parts += [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="sample.json"\r\n'
                  f"Content-Type: application/json\r\n\r\n{text}\r\n" for name, text in files]
        body = "".join([*parts, f"--{boundary}--\r\n"]).encode()
        kind = f"multipart/form-data; boundary={boundary}"
    request = urllib.request.Request(node.console + path, body, {"Content-Type": kind})
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=SECONDS) as answer:
            return answer.status, answer.read().decode(), None
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers.get("Location")


def page(node, path):
    with urllib.request.urlopen(node.console + path, timeout=SECONDS) as answer:
        return answer.read().decode()


def refused(node, *arguments):
    done = node.run(*arguments, check=False)
    assert done.returncode != 0, done
    return done.stderr + done.stdout


def put(node, stream, *rows):
    records = [{"Data": json.dumps(row), "PartitionKey": "k"} for row in rows]
    node.client("kinesis").put_records(StreamName=stream, Records=records)


def rows(node, stream, count):
    lines = node.run("tail", stream, "--from-start", "--limit", count).splitlines()
    return [json.loads(json.loads(line)["data"]) for line in lines]


def state(node, name):
    queries = json.loads(page(node, "/api/status"))["queries"]
    return next(query["state"] for query in queries if query["name"] == name)


def marked(node, hub, count):
    """The properties and the body of the first events of a hub."""
    found = read_hub(node, hub, lambda events: len(events) >= count)
    return [(event.properties, json.loads(event.body_as_str())) for _, event in found]


def test_commands_build_a_job_step_by_step(node, tmp_path):
    node.run("create", "event-hub", "trades", "partitions=1")
    node.run("create", "stream", "first")
    node.run("create", "stream", "second")
    node.run("create", "query", "steps", "dialect=stream-analytics", "stopped=true")
    assert state(node, "steps") == "stopped"
    assert "the query is empty" in refused(node, "job", "start", "steps")
    node.run("job", "add-input", "steps", "trades", "event_hub=trades")
    assert "no event hub `trade`" in refused(node, "job", "add-input", "steps", "other", "event_hub=trade")
    node.run("job", "add-output", "steps", "one", "stream=first")
    (tmp_path / "q.sql").write_text(TOTALS.format(into="[one]"))
    assert "error[" in refused(node, "job", "set", "steps", "sql=SELECT symbol( INTO one FROM trades")
    node.run("job", "set", "steps", f"sql=@{tmp_path / 'q.sql'}", "streaming_units=6")
    assert node.run("job", "start", "steps").strip() == "query `steps` runs"
    assert "running" in refused(node, "job", "start", "steps")
    put(node, "trades", {"symbol": "A", "shares": 1})
    assert rows(node, "first", 1) == [{"symbol": "A", "shares": 1}]
    # What the documents add later: another output, and the text that writes it.
    node.run("job", "stop", "steps")
    assert "stopped" in refused(node, "job", "stop", "steps")
    node.run("job", "add-output", "steps", "two", "stream=second")
    assert "does not write its output `two`" in refused(node, "job", "start", "steps")
    put(node, "trades", {"symbol": "B", "shares": 2})
    node.run("job", "set", "steps", f"sql={TOTALS.format(into='one')} {TOTALS.format(into='two')}")
    node.run("job", "start", "steps", "--last-output")
    assert rows(node, "second", 1) == [{"symbol": "B", "shares": 2}]
    assert [row["symbol"] for row in rows(node, "first", 2)] == ["A", "B"]
    # What runs keeps writing its outputs.
    assert "does not write its output `two`" in refused(node, "job", "set", "steps", f"sql={TOTALS.format(into='one')}")
    shown = node.run("job", "show", "steps")
    assert shown.count("[[query.output]]") == 2 and "streaming_units = 6" in shown and 'event_hub = "trades"' in shown
    assert "no output `three`" in refused(node, "job", "remove-output", "steps", "three")
    node.run("job", "stop", "steps")
    node.run("job", "remove-output", "steps", "TWO")
    node.run("job", "set", "steps", f"sql={TOTALS.format(into='one')}")
    put(node, "trades", {"symbol": "C", "shares": 3})
    node.run("job", "start", "steps", "--at", "2020-01-01T00:00:00Z")
    assert [row["symbol"] for row in rows(node, "first", 5)] == ["A", "B", "A", "B", "C"]
    assert "expected a time" in refused(node, "job", "start", "steps", "--at", "noon")


def test_functions_come_from_commands_files_and_forms(node, tmp_path):
    node.run("create", "event-hub", "codes", "partitions=1")
    node.run("create", "stream", "numbers")
    node.run("create", "query", "hexes", "dialect=stream-analytics", "stopped=true")
    node.run("job", "add-input", "hexes", "codes", "event_hub=codes")
    node.run("job", "add-output", "hexes", "numbers", "stream=numbers")
    (tmp_path / "hex2int.js").write_text("function hex2Int(hexValue) {\n  return parseInt(hexValue, 16); // it's one\n}\n")
    assert "SyntaxError" in refused(node, "job", "add-function", "hexes", "hex2Int", "script=function (")
    node.run("job", "add-function", "hexes", "hex2Int", f"script=@{tmp_path / 'hex2int.js'}", "result=bigint", "arguments=any")
    assert "no function `UDF.INT2HEX`" in refused(node, "job", "set", "hexes", "sql=SELECT UDF.int2Hex(c) INTO numbers FROM codes")
    node.run("job", "set", "hexes", "sql=SELECT UDF.hex2Int(c) AS n INTO numbers FROM codes")
    node.run("job", "start", "hexes")
    put(node, "codes", {"c": "ff"})
    assert rows(node, "numbers", 1) == [{"n": 255}]
    # The section that is shown is one that can be applied, and makes the same of it.
    shown = node.run("job", "show", "hexes")
    assert "[[query.function]]" in shown and "it's one" in shown
    (tmp_path / "shown.toml").write_text(f'name = "shown"\n{shown}')
    node.run("apply", tmp_path / "shown.toml")
    assert node.run("job", "show", "hexes") == shown
    form = page(node, "/queries/hexes/edit")
    assert "parseInt(hexValue, 16)" in form and 'name="function.1.script"' in form
    assert "no function" in refused(node, "job", "remove-function", "hexes", "hex2Int")
    (tmp_path / "bad.toml").write_text((tmp_path / "shown.toml").read_text().replace("return parseInt", "return return"))
    checked = node.run("apply", tmp_path / "bad.toml", check=False)
    assert checked.returncode != 0 and "function `hex2Int`: SyntaxError" in checked.stderr + checked.stdout


def test_forms_start_stop_and_change_a_query(node):
    node.run("create", "stream", "taps")
    node.run("create", "stream", "sums")
    node.run("create", "query", "forms", "dialect=kinesis", "input.name=SOURCE_001", "input.stream=taps",
             "input.columns=SYMBOL VARCHAR(8) $.symbol\nSHARES BIGINT $.shares", "output.name=OUT", "output.stream=sums",
             "sql=CREATE STREAM OUT (symbol VARCHAR(8), shares BIGINT); CREATE PUMP p AS INSERT INTO OUT "
             "SELECT STREAM symbol, shares FROM SOURCE_001;")
    shown = page(node, "/queries/forms")
    assert 'action="/queries/forms/stop"' in shown and "/queries/forms/edit" in shown
    assert post(node, "/queries/forms/stop", [], None)[::2] == (303, "/queries/forms")
    assert state(node, "forms") == "stopped"
    assert post(node, "/queries/forms/start", [("from", "noon")], None)[0] == 400
    status, text, _ = post(node, "/queries/forms/start", [("from", "time"), ("at", "noon")], None)
    assert status == 400 and "expected a time" in text
    assert post(node, "/queries/forms/start", [("from", "last-output")], None)[0] == 303
    assert state(node, "forms") in ("starting", "running")
    form = page(node, "/queries/forms/edit")
    assert "SHARES BIGINT $.shares" in form and 'value="sums"' in form
    fields = [("version", re.search(r'name="version" value="(\d+)"', form)[1]), ("input.1.name", "SOURCE_001"),
              ("input.1.stream", "taps"), ("input.1.columns", "SYMBOL VARCHAR(8) $.symbol\r\nSHARES BIGINT $.shares"),
              ("output.1.name", "OUT"), ("output.1.stream", "sums"), ("output.2.name", "MORE")]
    pump = "CREATE STREAM {0} (symbol VARCHAR(8), {1} BIGINT); CREATE PUMP p{0} AS INSERT INTO {0} " \
           "SELECT STREAM symbol, {1} FROM SOURCE_001;"
    sql = lambda *columns: ("sql", "\r\n".join(pump.format(*pair) for pair in columns))
    status, text, _ = post(node, "/queries/forms/edit", [*fields, sql(("OUT", "share"))])
    assert status == 200 and 'id="sql-wrong"' in text, text
    # `MORE` is taken away again before it is there.
    good = [*fields, ("remove", "output.2"), sql(("OUT", "shares"))]
    assert post(node, "/queries/forms/edit", good)[::2] == (303, "/queries/forms")
    status, text, _ = post(node, "/queries/forms/edit", good)
    assert status == 200 and "somebody else changed" in text
    assert "CREATE PUMP pOUT" in page(node, "/queries/forms")
    put(node, "taps", {"symbol": "A", "shares": 7})
    assert {"SYMBOL": "A", "SHARES": 7} in rows(node, "sums", 1)
    assert post(node, "/queries/none/stop", [], None)[0] == 404


def test_forms_of_a_query_need_the_nodes_token():
    node = Node(development=False)
    try:
        node.start()
        token = node.run("keys").split("management, bearer token")[1].split()[0]
        node.run("create", "stream", "taps")
        node.run("create", "query", "locked", "dialect=stream-analytics", "input.name=taps", "input.stream=taps",
                 "sql=SELECT symbol INTO o FROM taps", "output.name=o")
        status, text, _ = post(node, "/queries/locked/stop", [("token", "no")], None)
        assert status == 403 and "not the node" in text and state(node, "locked") != "stopped"
        assert post(node, "/queries/locked/stop", [("token", token)], None)[0] == 303
        assert state(node, "locked") == "stopped"
    finally:
        node.remove()


def test_a_sample_is_uploaded(node):
    node.run("create", "stream", "samples")
    node.run("create", "query", "tried", "dialect=stream-analytics", "input.name=samples", "input.stream=samples",
             "sql=SELECT symbol, SUM(shares) AS shares INTO o FROM samples GROUP BY symbol, TumblingWindow(day, 1)")
    path = "/queries/tried/test"
    array = json.dumps([{"symbol": "A", "shares": 2}, {"symbol": "A", "shares": 3}], indent=2)
    row = lambda symbol, shares: f'>{symbol}</td><td class="number">{shares}</td>'
    status, text, _ = post(node, path, [("samples", "")], [("samples.file", array)])
    assert status == 200 and row("A", 5) in text, text
    status, text, _ = post(node, path, [("as", "file"), ("samples", "")], [("samples.file", "﻿" + array)])
    assert [json.loads(line) for line in text.splitlines()] == [{"output": "o", "row": {"symbol": "A", "shares": 5}}]
    status, text, _ = post(node, path, [("samples", '{"symbol":"B","shares":1}')], [("samples.file", "")])
    assert row("B", 1) in text, text
    status, text, _ = post(node, path, [("samples", '{"symbol":"B","shares":1}')], None)
    assert row("B", 1) in text, text
    status, text, _ = post(node, path, [("samples", "")], [("samples.file", '[\n{"a": 1},\n7]')])
    assert "expected a JSON object" in text


def test_outputs_hand_rows_on_as_they_are_asked(node):
    node.run("create", "event-hub", "raw", "partitions=1")
    node.run("create", "event-hub", "marked", "partitions=1")
    node.run("create", "blob-container", "gathered")
    done = node.run("create", "query", "handed", "dialect=stream-analytics", "input.name=raw", "input.event_hub=raw",
                    "input.columns=symbol nvarchar(max)", "sql=SELECT symbol INTO hub FROM raw", "output.name=hub",
                    "output.event_hub=marked", "output.property_columns=symbl", check=False)
    assert "has no column `symbl`, a property of its records" in done.stderr, done
    node.run("create", "query", "handed", "dialect=stream-analytics", "input.name=raw", "input.event_hub=raw",
             "sql=SELECT symbol, shares INTO hub FROM raw SELECT shares INTO blobs FROM raw", "output.name=hub",
             "output.event_hub=marked", "output.property_columns=symbol", "output.2.name=blobs",
             "output.2.blob.container=gathered", "output.2.blob.min_rows=3", "output.2.blob.max_seconds=7200")
    put(node, "raw", {"symbol": "A", "shares": 1}, {"symbol": "B", "shares": 2})
    expected = [({b"symbol": b"A"}, {"shares": 1}), ({b"symbol": b"B"}, {"shares": 2})]
    assert marked(node, "marked", 2) == expected
    container = BlobServiceClient.from_connection_string(blob_connection_string(node), retry_total=0) \
        .get_container_client("gathered")
    rows(node, "query/handed/blobs", 2)
    time.sleep(1)
    assert not list(container.list_blobs()), "two rows wait for the third"
    put(node, "raw", {"symbol": "C", "shares": 3})
    blobs = until(lambda: list(container.list_blobs()))
    assert [json.loads(line)["shares"] for line in
            container.download_blob(blobs[0].name).readall().decode().splitlines()] == [1, 2, 3]
