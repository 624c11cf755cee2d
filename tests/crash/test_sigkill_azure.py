"""Kills the node again and again while trades come in over AMQP and a query's sums go out to blobs, documents and a hub.

What must hold: each settled trade is in the hub, once unless its client was interrupted and sent it again; each window's sum
is the sum over exactly the trades that the hub holds, and it is in every output once, although blobs are rewritten while
they grow.
"""

import calendar
import csv
import io
import json
import struct
import time
from collections import Counter, defaultdict

import pytest
from azure.cosmos import CosmosClient
from azure.storage.blob import BlobServiceClient

from peers import BLOB_ACCOUNT, BLOB_KEY, COSMOS_KEY, HubWriters

KILLS = 7
SECONDS_BETWEEN_KILLS = 2.5
WRITERS = 3
BATCH = 20
WINDOW_MS = 2000
SYMBOLS = ["MSFT", "AMZN", "GOOG", "AAPL", "NVDA"]

PIPELINE = f"""
name = "trades"

[[event_hub]]
name = "trades"
partitions = {WRITERS}

[[event_hub]]
name = "sums"
partitions = 2

[[blob_container]]
name = "sums"

[[cosmos_database]]
name = "market"
[[cosmos_database.container]]
name = "sums"
partition_key = "/symbol"
[[cosmos_database.container]]
name = "latest"
partition_key = "/symbol"

[[query]]
name = "sums"
dialect = "stream-analytics"
sql = \"\"\"
WITH sums AS (
    SELECT System.Timestamp() AS time, symbol, SUM(shares) AS shares, COUNT(*) AS trades
    FROM trades GROUP BY symbol, TumblingWindow(second, {WINDOW_MS // 1000}))
SELECT * INTO lines FROM sums;
SELECT * INTO members FROM sums;
SELECT * INTO cells FROM sums;
SELECT * INTO documents FROM sums;
SELECT * INTO latest FROM sums;
SELECT * INTO hub FROM sums;
\"\"\"

[[query.input]]
name = "trades"
event_hub = "trades"
columns = [{{ name = "symbol", type = "nvarchar(max)" }}, {{ name = "shares", type = "bigint" }}]

[[query.output]]
name = "lines"
blob = {{ container = "sums", path = "lines/{{symbol}}" }}
[[query.output]]
name = "members"
blob = {{ container = "sums", path = "members/{{date}}/{{time}}", array = true }}
[[query.output]]
name = "cells"
blob = {{ container = "sums", path = "cells/{{datetime:mm}}" }}
csv = ","
[[query.output]]
name = "documents"
cosmos = {{ database = "market", container = "sums", partition_key = "symbol" }}
[[query.output]]
name = "latest"
cosmos = {{ database = "market", container = "latest", document_id = "symbol", partition_key = "symbol" }}
[[query.output]]
name = "hub"
event_hub = "sums"
"""


def trades(writer, number):
    """The trades of a writer's batch."""
    return [trade(one, number + n) for n, one in enumerate(ids(writer, number))]


def ids(writer, number):
    return [f"{writer}-{number}-{n}" for n in range(BATCH)]


def trade(trade_id, number):
    return {"id": trade_id, "symbol": SYMBOLS[number % len(SYMBOLS)], "shares": number % 7 - 3}


def read_hub(node, hub, partitions):
    """All events of a hub with their times of arrival, in milliseconds."""
    kinesis = node.client("kinesis")
    found = []
    for shard in range(partitions):
        iterator = kinesis.get_shard_iterator(StreamName=hub, ShardId=f"shardId-{shard:012}",
                                              ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while True:
            page = kinesis.get_records(ShardIterator=iterator)
            found += [(round(record["ApproximateArrivalTimestamp"].timestamp() * 1000), json.loads(record["Data"]))
                      for record in page["Records"]]
            iterator = page["NextShardIterator"]
            if not page["Records"] and page["MillisBehindLatest"] == 0:
                break
    return found


def expected_rows(events):
    sums = defaultdict(lambda: [0, 0])
    for arrived, event in events:
        # A window holds its end, not its beginning, as the service has it.
        end = -(-arrived // WINDOW_MS) * WINDOW_MS
        sums[end, event["symbol"]][0] += event["shares"]
        sums[end, event["symbol"]][1] += 1
    return Counter((end, symbol, shares, trades) for (end, symbol), (shares, trades) in sums.items())


def row(found):
    at = time.strptime(found["time"][:19], "%Y-%m-%dT%H:%M:%S")
    return calendar.timegm(at) * 1000, found["symbol"], int(found["shares"]), int(found["trades"])


def blob_rows(node, output):
    container = BlobServiceClient(
        f"{node.endpoint}/devstoreaccount1",
        credential={"account_name": BLOB_ACCOUNT, "account_key": BLOB_KEY}).get_container_client("sums")
    rows = []
    for blob in container.list_blobs(name_starts_with=f"{output}/"):
        text = container.download_blob(blob.name).readall().decode()
        if output == "members":
            rows += json.loads(text)
        elif output == "cells":
            rows += csv.DictReader(io.StringIO(text))
        else:
            rows += [json.loads(line) for line in text.splitlines()]
    return Counter(map(row, rows))


def documents(node, container):
    with CosmosClient(node.endpoint + "/", credential=COSMOS_KEY) as client:
        return list(client.get_database_client("market").get_container_client(container).read_all_items())


def outputs(node):
    """Every output's rows, and how often each is there."""
    rows = {output: blob_rows(node, output) for output in ("lines", "members", "cells")}
    rows["documents"] = Counter(map(row, documents(node, "sums")))
    rows["hub"] = Counter(row(event) for _, event in read_hub(node, "sums", 2))
    return rows


def last_rows(rows):
    """The last window of each symbol."""
    return {symbol: (end, symbol, shares, trades) for end, symbol, shares, trades in sorted(rows)}


def latest(node):
    return {document["id"]: row(document) for document in documents(node, "latest")}


def wait_for(node, expected, seconds=120):
    """Windows close by themselves once their time is over; deliveries follow."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = outputs(node)
        if all(rows == expected for rows in found.values()) and latest(node) == last_rows(expected):
            return True
        time.sleep(0.5)
    return False


@pytest.fixture(scope="module")
def after_the_kills(node):
    """A node that was killed again and again under load and has caught up since."""
    pipeline = node.folder / "trades.toml"
    pipeline.write_text(PIPELINE)
    node.run("apply", pipeline)
    with HubWriters(node, "trades", WRITERS, trades) as load:
        for turn in range(KILLS):
            time.sleep(SECONDS_BETWEEN_KILLS)
            # An orderly stop among them: it closes blobs, where a kill lets them grow on.
            end = node.stop if turn == KILLS // 2 else node.kill
            load.restart_node(end, between=lambda: node.run("log", "verify"))
        time.sleep(SECONDS_BETWEEN_KILLS)
    events = read_hub(node, "trades", WRITERS)
    expected = expected_rows(events)
    wait_for(node, expected)
    return load, events, expected


def test_each_settled_trade_is_there_once(after_the_kills):
    load, events, _ = after_the_kills
    settled, interrupted = ({one for batch in batches for one in ids(*batch)} for batches in (load.settled, load.interrupted))
    assert len(settled) > 500, "the load was too small to prove anything"
    times = Counter(event["id"] for _, event in events)
    lost = settled - set(times)
    assert not lost, f"{len(lost)} settled trades are lost"
    twice = {trade_id for trade_id, count in times.items() if count > 1}
    assert twice <= interrupted and max(times.values()) <= 2, "once, unless the client sent it again"


@pytest.mark.parametrize("output", ["lines", "members", "cells", "documents", "hub"])
def test_every_sum_is_in_every_output_once(after_the_kills, node, output):
    _, _, expected = after_the_kills
    assert len(expected) >= len(SYMBOLS) * KILLS
    found = outputs(node)[output]
    assert found - expected == Counter(), "twice, or a sum that is none"
    assert expected - found == Counter(), "missing"


def test_the_last_row_of_an_id_stays(after_the_kills, node):
    _, _, expected = after_the_kills
    assert latest(node) == last_rows(expected)


def tear(journal):
    """Spoils the last transaction of the journal, as a write that the machine did not finish."""
    file = sorted(journal.glob("*.wal"))[-1]
    content, frames, at = bytearray(file.read_bytes()), {}, 64
    epoch = int.from_bytes(content[16:24], "little")
    while (at := content.find(b"mst1", at)) >= 0:
        of, lsn = struct.unpack_from("<QQ", content, at + 8)
        if of == epoch and at % 8 == 0:
            frames[lsn] = at
        at += 4
    last = frames[max(frames)]
    body, _, appends = struct.unpack_from("<III", content, last + 48)
    content[last + 64 + 8 * appends + body - 1] ^= 0xFF
    file.write_bytes(content)


def test_a_torn_tail_is_told_and_what_it_held_is_done_again(after_the_kills, node):
    _, _, expected = after_the_kills
    node.kill()
    tear(node.data / "journal")
    assert "interrupted write" in node.run("log", "verify")
    node.start()
    assert "is cut off" in node.output()
    assert wait_for(node, expected)
