"""Kinesis Analytics through boto3: inputs of several in-application streams, and records of which each holds several rows."""

import uuid

import pytest

from test_kinesisanalytics import begin, detail, put, sink, source, streams
from test_kinesisanalytics_joins import results
from test_kinesisanalytics_updates import change, refused, update

PUMP = 'CREATE OR REPLACE PUMP "P{0}" AS INSERT INTO "OUT" SELECT STREAM \'{0}\', "shares" FROM "{1}_{0}";\n'
DIVIDED = """CREATE OR REPLACE STREAM "OUT" ("stream" VARCHAR(3), "shares" INTEGER);\n""" + "".join(
    PUMP.format(number, "SOURCE_SQL_STREAM") for number in ("001", "002"))
ROWS = """CREATE OR REPLACE STREAM "OUT" ("symbol" VARCHAR(8), "shares" INTEGER);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM "symbol", "shares" FROM "SOURCE_SQL_STREAM_001";
"""


def made(analytics, sql, given, output):
    name = f"app-{uuid.uuid4().hex[:8]}"
    analytics.create_application(ApplicationName=name, ApplicationCode=sql, Inputs=[given], Outputs=[sink(output)])
    return name


def test_shards_are_divided_between_in_application_streams(analytics, kinesis, streams):
    many = f"in-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=many, ShardCount=4)
    starts = [int(shard["HashKeyRange"]["StartingHashKey"]) for shard in kinesis.list_shards(StreamName=many)["Shards"]]
    for shares, start in enumerate(starts):
        kinesis.put_record(StreamName=many, Data=f'{{"shares": {shares}}}', PartitionKey="k", ExplicitHashKey=str(start))
    name = made(analytics, DIVIDED, {**source(many), "InputParallelism": {"Count": 2}}, streams[1])
    (described,) = detail(analytics, name)["InputDescriptions"]
    assert described["InputParallelism"] == {"Count": 2} and described["NamePrefix"] == "SOURCE_SQL_STREAM"
    assert described["InAppStreamNames"] == ["SOURCE_SQL_STREAM_001", "SOURCE_SQL_STREAM_002"]
    begin(analytics, name)
    rows = results(kinesis, streams[1], 4)
    assert sorted((row["stream"], row["shares"]) for row in rows) == [("001", 0), ("001", 2), ("002", 1), ("002", 3)]
    # One that is read alone does not wait for the others, and an update divides anew.
    analytics.stop_application(ApplicationName=name)
    alone = DIVIDED.split("CREATE OR REPLACE PUMP")[0] + PUMP.format("003", "T")
    update(analytics, name, ApplicationCodeUpdate=alone, InputUpdates=[
        {"InputId": "1.1", "NamePrefixUpdate": "T", "InputParallelismUpdate": {"CountUpdate": 3}}])
    (described,) = detail(analytics, name)["InputDescriptions"]
    assert described["InAppStreamNames"] == ["T_001", "T_002", "T_003"]
    begin(analytics, name)
    assert [(row["stream"], row["shares"]) for row in results(kinesis, streams[1], 5)[4:]] == [("003", 2)]
    analytics.stop_application(ApplicationName=name)
    update(analytics, name, ApplicationCodeUpdate=alone.replace("003", "001"), InputUpdates=[
        {"InputId": "1.1", "InputParallelismUpdate": {"CountUpdate": 1}}])
    (described,) = detail(analytics, name)["InputDescriptions"]
    assert described["InAppStreamNames"] == ["T_001"] and described["InputParallelism"] == {"Count": 1}


def test_windows_of_divided_streams_end(analytics, kinesis, streams):
    """A window ends though one of the streams that its rows come from has no shard."""
    pumps = "".join(PUMP.format(number, "SOURCE_SQL_STREAM").replace('"OUT"', '"BOTH"') for number in ("001", "002"))
    sql = f"""CREATE OR REPLACE STREAM "BOTH" ("stream" VARCHAR(3), "shares" INTEGER);
{pumps}CREATE OR REPLACE STREAM "OUT" ("shares" INTEGER);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM SUM("shares") FROM "BOTH"
GROUP BY STEP("BOTH".ROWTIME BY INTERVAL '1' SECOND);"""
    name = made(analytics, sql, {**source(streams[0]), "InputParallelism": {"Count": 2}}, streams[1])
    put(kinesis, streams[0], {"shares": 1})
    begin(analytics, name)
    assert results(kinesis, streams[1], 1) == [{"shares": 1}]
    analytics.stop_application(ApplicationName=name)


def with_rows(stream, path, *mappings):
    given = source(stream)
    given["InputSchema"]["RecordFormat"]["MappingParameters"] = {"JSONMappingParameters": {"RecordRowPath": path}}
    for column, mapping in zip(given["InputSchema"]["RecordColumns"], mappings):
        column["Mapping"] = mapping
    return given


@pytest.mark.parametrize("path", ["$.data.records", "$.data.records[0:]", "$.data.records[*]"])
def test_rows_are_read_within_records(analytics, kinesis, streams, path):
    name = made(analytics, ROWS, with_rows(streams[0], path, "$.symbol", "$.trade.shares"), streams[1])
    (described,) = detail(analytics, name)["InputDescriptions"]
    schema = described["InputSchema"]
    assert schema["RecordFormat"]["MappingParameters"]["JSONMappingParameters"] == {"RecordRowPath": path}
    assert [column["Mapping"] for column in schema["RecordColumns"]] == ["$.symbol", "$.trade.shares"]
    trade = lambda symbol, shares: {"symbol": symbol, "trade": {"shares": shares}}
    put(kinesis, streams[0], {"data": {"records": [trade("A", 1), trade("B", 2)]}}, {"data": {"records": []}},
        {"data": 7}, {"data": {"records": [trade("C", 3), {"symbol": "D"}]}})
    begin(analytics, name)
    rows = results(kinesis, streams[1], 4)
    assert [(row["symbol"], row["shares"]) for row in rows] == [("A", 1), ("B", 2), ("C", 3), ("D", None)]
    analytics.stop_application(ApplicationName=name)


def test_elements_of_an_array_are_rows_beside_what_surrounds_them(analytics, kinesis, streams):
    """The developer guide's example: a customer and its orders."""
    name = made(analytics, ROWS, with_rows(streams[0], "$", "$.customer", "$.orders[0:].id"), streams[1])
    put(kinesis, streams[0], {"customer": "John", "orders": [{"id": 23284}, {"id": 63122}, {"name": "Gadget"}]}, {"customer": "Ann"})
    begin(analytics, name)
    rows = results(kinesis, streams[1], 4)
    assert [(row["symbol"], row["shares"]) for row in rows] == [("John", 23284), ("John", 63122), ("John", None), ("Ann", None)]
    analytics.stop_application(ApplicationName=name)


def test_where_rows_cannot_be_is_said(analytics, application_of_rows, streams):
    schema = lambda path: {"RecordFormatUpdate": with_rows(streams[0], path)["InputSchema"]["RecordFormat"]}
    for path in ("orders", "$.a[1]", "$.a[0:].b", "$..a", "$."):
        found = refused(update, analytics, application_of_rows, InputUpdates=[{"InputId": "1.1", "InputSchemaUpdate": schema(path)}])
        assert found[0] == "InvalidArgumentException" and f"RecordRowPath {path}" in found[1], found
    two = with_rows(streams[0], "$", "$.a[0:].x", "$.b[0:].x")["InputSchema"]["RecordColumns"]
    found = refused(update, analytics, application_of_rows, InputUpdates=[
        {"InputId": "1.1", "InputSchemaUpdate": {**schema("$"), "RecordColumnUpdates": two}}])
    assert found[0] == "CodeValidationException" and "one array of an input's records gives rows" in found[1]
    table = {"TableName": "T", "S3ReferenceDataSource": {"BucketARN": "arn:aws:s3:::b", "FileKey": "k", "ReferenceRoleARN": "r"},
             "ReferenceSchema": with_rows(streams[0], "$.rows")["InputSchema"]}
    add = analytics.add_application_reference_data_source
    assert "RecordRowPath $.rows of reference data" in refused(change, analytics, application_of_rows, add, ReferenceDataSource=table)[1]


@pytest.fixture
def application_of_rows(analytics, streams):
    return made(analytics, ROWS, with_rows(streams[0], "$.rows"), streams[1])
