"""Kinesis Analytics through boto3: applications that join in-application streams."""

import json
import time
import uuid

import pytest
from azure.storage.blob import BlobServiceClient
from botocore.exceptions import ClientError

from peers import blob_connection_string
from test_kinesisanalytics import DEADLINE_SECONDS, ROLE, begin, code, detail, message, put, sink, source, streams

JOIN = """
CREATE OR REPLACE STREAM "BUYS" ("symbol" VARCHAR(8), "shares" INTEGER);
CREATE OR REPLACE PUMP "P1" AS INSERT INTO "BUYS"
SELECT STREAM "symbol", "shares" FROM "SOURCE_SQL_STREAM_001" WHERE "shares" > 0;
CREATE OR REPLACE STREAM "SALES" ("symbol" VARCHAR(8), "shares" INTEGER);
CREATE OR REPLACE PUMP "P2" AS INSERT INTO "SALES"
SELECT STREAM "symbol", -"shares" FROM "SOURCE_SQL_STREAM_001" WHERE "shares" < 0;
CREATE OR REPLACE STREAM "OUT" ("symbol" VARCHAR(8), "bought" INTEGER, "sold" INTEGER);
CREATE OR REPLACE PUMP "P3" AS INSERT INTO "OUT"
SELECT STREAM b."symbol", b."shares", s."shares"
FROM "BUYS" OVER (RANGE INTERVAL '2' SECOND PRECEDING) AS b LEFT JOIN "SALES" OVER w AS s ON b."symbol" = s."symbol"
WINDOW w AS (RANGE INTERVAL '30' SECOND PRECEDING);
"""


def make(analytics, streams, sql):
    name = f"app-{uuid.uuid4().hex[:8]}"
    analytics.create_application(ApplicationName=name, ApplicationCode=sql, Inputs=[source(streams[0])],
                                 Outputs=[sink(streams[1])] if sql else [])
    return name


def results(kinesis, stream, count):
    """What a stream of one shard holds, once that is as many rows."""
    shard = kinesis.list_shards(StreamName=stream)["Shards"][0]["ShardId"]
    at = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    rows, deadline = [], time.monotonic() + DEADLINE_SECONDS
    while len(rows) < count and time.monotonic() < deadline:
        read = kinesis.get_records(ShardIterator=at)
        at = read["NextShardIterator"]
        rows += [json.loads(record["Data"]) for record in read["Records"]]
        time.sleep(0.1)
    return rows


def test_in_application_streams_are_joined(analytics, kinesis, streams):
    name = make(analytics, streams, JOIN)
    trades = [("A", -5), ("A", 1), ("B", 7), ("A", 2)]
    put(kinesis, streams[0], *({"symbol": symbol, "shares": shares} for symbol, shares in trades))
    begin(analytics, name)
    rows = results(kinesis, streams[1], 3)
    found = sorted((row["symbol"], row["bought"], row["sold"]) for row in rows if row["symbol"] == "A")
    assert found == [("A", 1, 5), ("A", 2, 5)]
    assert [(row["bought"], row["sold"]) for row in rows if row["symbol"] == "B"] == [(7, None)]
    analytics.stop_application(ApplicationName=name)


def test_a_join_without_a_window_is_refused(analytics, streams):
    with pytest.raises(ClientError) as error:
        make(analytics, streams, JOIN.replace("OVER (RANGE INTERVAL '2' SECOND PRECEDING)", "").replace("OVER w", ""))
    assert code(error) == "CodeValidationException" and "OVER (RANGE INTERVAL '1' MINUTE PRECEDING)" in message(error)


NAMES = """
CREATE OR REPLACE STREAM "OUT" ("symbol" VARCHAR(8), "company" VARCHAR(20), "shares" INTEGER);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT"
SELECT STREAM s."symbol", c."Company", s."shares" FROM "SOURCE_SQL_STREAM_001" AS s
LEFT JOIN "CompanyName" AS c ON s."symbol" = c."Ticker";
"""


def companies(bucket, key):
    columns = [("Ticker", "VARCHAR(8)"), ("Company", "VARCHAR(20)")]
    return {"TableName": "CompanyName",
            "S3ReferenceDataSource": {"BucketARN": f"arn:aws:s3:::{bucket}", "FileKey": key, "ReferenceRoleARN": ROLE},
            "ReferenceSchema": {"RecordFormat": {"RecordFormatType": "CSV", "MappingParameters": {"CSVMappingParameters": {
                "RecordRowDelimiter": "\n", "RecordColumnDelimiter": ","}}}, "RecordEncoding": "UTF-8",
                "RecordColumns": [{"Name": name, "SqlType": sql_type} for name, sql_type in columns]}}


def test_rows_stand_beside_reference_data(server, analytics, kinesis, streams):
    # Objects are put as blobs: a bucket is a container.
    bucket = f"tables-{uuid.uuid4().hex[:8]}"
    container = BlobServiceClient.from_connection_string(blob_connection_string(server)).create_container(bucket)
    container.upload_blob("names.csv", b"A,Amazon\nB,Boeing\n")
    name = make(analytics, streams, "")

    def change(operation, **what):
        version = detail(analytics, name)["ApplicationVersionId"]
        return operation(ApplicationName=name, CurrentApplicationVersionId=version, **what)

    with pytest.raises(ClientError) as error:
        change(analytics.update_application, ApplicationUpdate={"ApplicationCodeUpdate": NAMES})
    assert code(error) == "CodeValidationException" and "CompanyName" in message(error)
    change(analytics.add_application_reference_data_source, ReferenceDataSource=companies(bucket, "names.csv"))
    with pytest.raises(ClientError) as error:
        change(analytics.add_application_reference_data_source, ReferenceDataSource=companies(bucket, "names.csv"))
    assert code(error) == "InvalidArgumentException" and "at most one" in message(error)
    (shown,) = detail(analytics, name)["ReferenceDataSourceDescriptions"]
    assert shown["TableName"] == "CompanyName" and shown["S3ReferenceDataSourceDescription"]["FileKey"] == "names.csv"
    assert shown["ReferenceSchema"]["RecordFormat"]["RecordFormatType"] == "CSV"

    change(analytics.update_application, ApplicationUpdate={"ApplicationCodeUpdate": NAMES})
    change(analytics.add_application_output, Output=sink(streams[1]))
    put(kinesis, streams[0], *({"symbol": symbol, "shares": n} for n, symbol in enumerate("BAC")))
    begin(analytics, name)
    rows = results(kinesis, streams[1], 3)
    assert [(row["symbol"], row["company"]) for row in rows] == [("B", "Boeing"), ("A", "Amazon"), ("C", None)]

    # An update makes the object read again: the documented way when its content has changed.
    container.upload_blob("names.csv", b"A,Alphabet\n", overwrite=True)
    same = {"ReferenceId": shown["ReferenceId"]}
    change(analytics.update_application, ApplicationUpdate={"ReferenceDataSourceUpdates": [same]})
    put(kinesis, streams[0], {"symbol": "A", "shares": 9})
    rows = results(kinesis, streams[1], 4)
    assert (rows[3]["symbol"], rows[3]["company"]) == ("A", "Alphabet")
    with pytest.raises(ClientError) as error:
        change(analytics.update_application, ApplicationUpdate={"ReferenceDataSourceUpdates": [{"ReferenceId": "7.7"}]})
    assert code(error) == "ResourceNotFoundException"
    other = {**same, "S3ReferenceDataSourceUpdate": {"FileKeyUpdate": "others.csv"}}
    change(analytics.update_application, ApplicationUpdate={"ReferenceDataSourceUpdates": [other]})
    (described,) = detail(analytics, name)["ReferenceDataSourceDescriptions"]
    assert described["S3ReferenceDataSourceDescription"]["FileKey"] == "others.csv"
    assert described["S3ReferenceDataSourceDescription"]["ReferenceRoleARN"] == ROLE
    assert described["TableName"] == "CompanyName"
    analytics.stop_application(ApplicationName=name)

    with pytest.raises(ClientError) as error:
        change(analytics.delete_application_reference_data_source, ReferenceId=shown["ReferenceId"])
    assert code(error) == "CodeValidationException"
    change(analytics.update_application, ApplicationUpdate={"ApplicationCodeUpdate": JOIN})
    change(analytics.delete_application_reference_data_source, ReferenceId=shown["ReferenceId"])
    assert detail(analytics, name)["ReferenceDataSourceDescriptions"] == []
