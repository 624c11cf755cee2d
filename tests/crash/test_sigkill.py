"""Kills the node again and again under load from a real client, then counts.

What must hold: each acknowledged record is readable exactly once and in order in its shard; each closed window's sum in the
table is the sum over exactly the records that are in the stream.
"""

import calendar
import json
import threading
import time
from collections import defaultdict

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from conftest import package
from peers import PAUSE_SECONDS, Load

KILLS = 6
SECONDS_BETWEEN_KILLS = 2.5
WRITERS = 4
WINDOW_SECONDS = 2
SYMBOLS = ["MSFT", "AMZN", "GOOG", "AAPL", "NVDA"]
ROLE = "arn:aws:iam::000000000000:role/any"

SQL = f"""
CREATE OR REPLACE STREAM "OUTPUT_STREAM" ("time" TIMESTAMP, "symbol" VARCHAR(8), "shareChange" INTEGER, "trades" INTEGER);
CREATE OR REPLACE PUMP "STREAM_PUMP" AS INSERT INTO "OUTPUT_STREAM"
SELECT STREAM STEP("SOURCE_SQL_STREAM_001".ROWTIME BY INTERVAL '{WINDOW_SECONDS}' SECOND) AS "time", "symbol",
              SUM("shares") AS "shareChange", COUNT(*) AS "trades"
FROM "SOURCE_SQL_STREAM_001"
GROUP BY "symbol", STEP("SOURCE_SQL_STREAM_001".ROWTIME BY INTERVAL '{WINDOW_SECONDS}' SECOND);
"""

# A put keeps what an earlier delivery of the same row wrote: a second, different row for the same key is kept beside the
# first and found by the test.
SAVE = """
import base64, json, os
import boto3
table = boto3.resource("dynamodb").Table("sums")
def handler(event, context):
    results = []
    for record in event["records"]:
        row = json.loads(base64.b64decode(record["data"]))
        key = {"timestamp": row["time"], "symbol": row["symbol"]}
        item = dict(key, shareChange=row["shareChange"], trades=row["trades"])
        before = table.get_item(Key=key, ConsistentRead=True).get("Item")
        if before is not None and before != item:
            table.put_item(Item=dict(item, symbol=row["symbol"] + "/conflict"))
        table.put_item(Item=item)
        results.append({"recordId": record["recordId"], "result": "Ok"})
    return {"records": results}
"""


class Writers(Load):
    """Writers that put records, and what was acknowledged to them."""

    def __init__(self, node):
        super().__init__(node, [(self.write, n) for n in range(WRITERS)])
        self.lock = threading.Lock()
        self.acknowledged = {}

    def write(self, writer):
        client = self.node.client("kinesis")
        number = 0
        while not self.stop.is_set():
            records = []
            for _ in range(20):
                number += 1
                trade = {"id": f"{writer}-{number}", "symbol": SYMBOLS[number % len(SYMBOLS)], "shares": number % 7 - 3}
                records.append({"PartitionKey": trade["symbol"], "Data": json.dumps(trade)})
            try:
                answer = client.put_records(StreamName="trades", Records=records)
            except (BotoCoreError, ClientError):
                # Not acknowledged: it may be there or not. The same ids are never sent again.
                time.sleep(0.05)
                continue
            with self.lock:
                for record, result in zip(records, answer["Records"]):
                    if "SequenceNumber" in result:
                        trade_id = json.loads(record["Data"])["id"]
                        self.acknowledged[trade_id] = (result["ShardId"], int(result["SequenceNumber"]))
            time.sleep(PAUSE_SECONDS)


def read_everything(kinesis):
    """All records by shard, in the order in which they are read."""
    found = {}
    for shard in kinesis.list_shards(StreamName="trades")["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName="trades", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        records = []
        while True:
            page = kinesis.get_records(ShardIterator=iterator, Limit=10_000)
            records += page["Records"]
            iterator = page["NextShardIterator"]
            if not page["Records"] and page["MillisBehindLatest"] == 0:
                break
        found[shard["ShardId"]] = records
    return found


def expected_sums(shards):
    sums = defaultdict(lambda: [0, 0])
    for records in shards.values():
        for record in records:
            trade = json.loads(record["Data"])
            milliseconds = round(record["ApproximateArrivalTimestamp"].timestamp() * 1000)
            window = milliseconds // (WINDOW_SECONDS * 1000) * WINDOW_SECONDS * 1000
            sums[window, trade["symbol"]][0] += trade["shares"]
            sums[window, trade["symbol"]][1] += 1
    return dict(sums)


def table_sums(dynamodb):
    sums = {}
    for page in dynamodb.get_paginator("scan").paginate(TableName="sums", ConsistentRead=True):
        for item in page["Items"]:
            at = time.strptime(item["timestamp"]["S"][:19].replace("T", " "), "%Y-%m-%d %H:%M:%S")
            key = (calendar.timegm(at) * 1000, item["symbol"]["S"])
            sums[key] = [int(item["shareChange"]["N"]), int(item["trades"]["N"])]
    return sums


def set_up(node):
    node.client("kinesis").create_stream(StreamName="trades", ShardCount=2)
    node.client("kinesis").get_waiter("stream_exists").wait(StreamName="trades")
    node.client("dynamodb").create_table(
        TableName="sums", BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "timestamp", "KeyType": "HASH"}, {"AttributeName": "symbol", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("timestamp", "symbol")])
    function = node.client("lambda").create_function(
        FunctionName="save", Runtime="python3.11", Handler="app.handler", Role=ROLE, Timeout=30,
        Code={"ZipFile": package({"app.py": SAVE})})["FunctionArn"]
    analytics = node.client("kinesisanalytics")
    columns = [("id", "VARCHAR(32)"), ("symbol", "VARCHAR(8)"), ("shares", "INTEGER")]
    analytics.create_application(
        ApplicationName="sums", ApplicationCode=SQL,
        Inputs=[{
            "NamePrefix": "SOURCE_SQL_STREAM",
            "KinesisStreamsInput": {"ResourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/trades", "RoleARN": ROLE},
            "InputSchema": {
                "RecordFormat": {"RecordFormatType": "JSON",
                                 "MappingParameters": {"JSONMappingParameters": {"RecordRowPath": "$"}}},
                "RecordColumns": [{"Name": n, "SqlType": t, "Mapping": f"$.{n}"} for n, t in columns]},
        }],
        Outputs=[{"Name": "OUTPUT_STREAM", "LambdaOutput": {"ResourceARN": function, "RoleARN": ROLE},
                  "DestinationSchema": {"RecordFormatType": "JSON"}}])
    input_id = analytics.describe_application(ApplicationName="sums")["ApplicationDetail"]["InputDescriptions"][0]["InputId"]
    analytics.start_application(
        ApplicationName="sums",
        InputConfigurations=[{"Id": input_id, "InputStartingPositionConfiguration": {"InputStartingPosition": "TRIM_HORIZON"}}])


@pytest.fixture(scope="module")
def after_the_kills(node):
    """A node that was killed again and again under load and has caught up since."""
    set_up(node)
    with Writers(node) as load:
        for _ in range(KILLS):
            time.sleep(SECONDS_BETWEEN_KILLS)
            node.kill()
            node.start()
        time.sleep(SECONDS_BETWEEN_KILLS)
    shards = read_everything(node.client("kinesis"))
    expected = expected_sums(shards)
    # Windows close by themselves once their time is over; deliveries follow.
    deadline = time.monotonic() + 120
    while table_sums(node.client("dynamodb")) != expected and time.monotonic() < deadline:
        time.sleep(0.5)
    return load, shards, expected


def test_each_acknowledged_record_is_there_once_and_in_order(after_the_kills):
    load, shards, _ = after_the_kills
    assert len(load.acknowledged) > 500, "the load was too small to prove anything"
    seen = {}
    for shard, records in shards.items():
        numbers = [int(record["SequenceNumber"]) for record in records]
        assert numbers == sorted(set(numbers)), "sequence numbers rise within a shard"
        for record in records:
            trade_id = json.loads(record["Data"])["id"]
            assert trade_id not in seen, f"{trade_id} is there twice"
            seen[trade_id] = (shard, int(record["SequenceNumber"]))
    lost = [trade_id for trade_id, place in load.acknowledged.items() if seen.get(trade_id) != place]
    assert lost == [], f"{len(lost)} acknowledged records are lost or elsewhere"


def test_order_of_each_writer_is_kept_per_shard(after_the_kills):
    _, shards, _ = after_the_kills
    for records in shards.values():
        last = {}
        for record in records:
            writer, number = map(int, json.loads(record["Data"])["id"].split("-"))
            assert number > last.get(writer, 0)
            last[writer] = number


def test_every_window_sum_is_right(after_the_kills, node):
    _, _, expected = after_the_kills
    assert len(expected) >= len(SYMBOLS) * KILLS
    assert table_sums(node.client("dynamodb")) == expected
