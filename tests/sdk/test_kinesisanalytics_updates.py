"""Kinesis Analytics through boto3: all parts of an update, and records that go through a function before they are rows."""

import html
import json
import uuid

import boto3
import botocore
import pytest
import requests
from botocore.exceptions import ClientError
from conftest import package, until

from test_kinesisanalytics import PASS_SQL, ROLE, STREAM, application, begin, code, detail, message, put, rows_until, sink, source, streams

TWO = PASS_SQL.replace('"SOURCE_SQL_STREAM_001"', '"TRADES_001"') + """
CREATE OR REPLACE STREAM "MORE" ("symbol" VARCHAR(8));
CREATE OR REPLACE PUMP "Q" AS INSERT INTO "MORE" SELECT STREAM "symbol" FROM "TRADES_001";
"""

# Symbols that begin with a D are dropped, those that begin with an F are none; of the others a letter becomes large.
PROCESSOR = """
import base64, json
def handler(event, context):
    answers = []
    for record in event["records"]:
        if "kinesisStreamRecordMetadata" not in record or not event["streamArn"] or not event["applicationArn"]:
            raise ValueError("not the documented event")
        trade = json.loads(base64.b64decode(record["data"]))
        kind = {"d": "Dropped", "f": "ProcessingFailed"}.get(trade["symbol"][0], "Ok")
        data = json.dumps({**trade, "symbol": trade["symbol"].upper()}).encode()
        answers.append({"recordId": record["recordId"], "result": kind, "data": base64.b64encode(data).decode()})
    return {"records": answers}
"""


def change(analytics, name, operation, **what):
    return operation(ApplicationName=name, CurrentApplicationVersionId=detail(analytics, name)["ApplicationVersionId"], **what)


def update(analytics, name, **what):
    return change(analytics, name, analytics.update_application, ApplicationUpdate=what)


def refused(call, *arguments, **what):
    with pytest.raises(ClientError) as error:
        call(*arguments, **what)
    return code(error), message(error)


def parts(analytics, name):
    """An application's only input, and its outputs by their names."""
    found = detail(analytics, name)
    return found["InputDescriptions"][0], {output["Name"]: output for output in found["OutputDescriptions"]}


def test_all_parts_of_an_application_are_updated(analytics, kinesis, application, streams):
    other = f"other-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=other, ShardCount=1)
    columns = [{"Name": "symbol", "SqlType": "VARCHAR(8)"}, {"Name": "shares", "SqlType": "INTEGER"}]
    csv = {"RecordFormatType": "CSV", "MappingParameters": {
        "CSVMappingParameters": {"RecordRowDelimiter": "\n", "RecordColumnDelimiter": ";"}}}
    update(analytics, application, ApplicationCodeUpdate=TWO,
           InputUpdates=[{"InputId": "1.1", "NamePrefixUpdate": "TRADES", "InputParallelismUpdate": {"CountUpdate": 1},
                          "KinesisStreamsInputUpdate": {"ResourceARNUpdate": STREAM + other},
                          "InputSchemaUpdate": {"RecordFormatUpdate": csv, "RecordColumnUpdates": columns}}],
           OutputUpdates=[{"OutputId": "1.1", "NameUpdate": "MORE", "DestinationSchemaUpdate": {"RecordFormatType": "CSV"}}])
    given, outputs = parts(analytics, application)
    assert (given["NamePrefix"], given["KinesisStreamsInputDescription"]["ResourceARN"]) == ("TRADES", STREAM + other)
    assert given["KinesisStreamsInputDescription"]["RoleARN"] == ROLE
    assert given["InputSchema"]["RecordFormat"] == csv and given["InputSchema"]["RecordEncoding"] == "UTF-8"
    assert outputs["MORE"]["DestinationSchema"]["RecordFormatType"] == "CSV"
    assert detail(analytics, application)["ApplicationVersionId"] == 2

    begin(analytics, application)
    kinesis.put_record(StreamName=other, PartitionKey="k", Data=b"A;1\nB;2\n")
    shard = kinesis.list_shards(StreamName=streams[1])["Shards"][0]["ShardId"]
    at = kinesis.get_shard_iterator(StreamName=streams[1], ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    rows = until(lambda: kinesis.get_records(ShardIterator=at)["Records"])
    assert b"".join(row["Data"] for row in rows).startswith(b"A\n")
    # An application that runs goes on with what it is changed to.
    update(analytics, application, OutputUpdates=[{"OutputId": "1.1", "DestinationSchemaUpdate": {"RecordFormatType": "JSON"}}])
    kinesis.put_record(StreamName=other, PartitionKey="k", Data=b"C;3\n")
    until(lambda: any(record["Data"] == b'{"symbol":"C"}' for record in kinesis.get_records(ShardIterator=at)["Records"]))
    analytics.stop_application(ApplicationName=application)


def test_updates_of_what_is_not_there_are_refused(analytics, application):
    missing = "ResourceNotFoundException"
    for updates in ({"InputUpdates": [{"InputId": "2.1"}]}, {"OutputUpdates": [{"OutputId": "7.7"}]},
                    {"CloudWatchLoggingOptionUpdates": [{"CloudWatchLoggingOptionId": "1.1"}]}):
        assert refused(update, analytics, application, **updates)[0] == missing
    lambda_update = {"LambdaOutputUpdate": {"RoleARNUpdate": ROLE}}
    assert refused(update, analytics, application, OutputUpdates=[{"OutputId": "1.1", **lambda_update}])[0] == "InvalidArgumentException"
    processing = {"InputLambdaProcessorUpdate": {"RoleARNUpdate": ROLE}}
    wrong = {"InputId": "1.1", "InputProcessingConfigurationUpdate": processing}
    assert refused(update, analytics, application, InputUpdates=[wrong])[0] == "InvalidArgumentException"
    parallel = {"InputId": "1.1", "InputParallelismUpdate": {"CountUpdate": 65}}
    assert refused(update, analytics, application, InputUpdates=[parallel])[0] == "ValidationException"
    remove = analytics.delete_application_output
    assert refused(change, analytics, application, remove, OutputId="3.1")[0] == missing
    assert refused(change, analytics, application, analytics.delete_application_input_processing_configuration, InputId="1.1")[0] == missing
    assert detail(analytics, application)["ApplicationVersionId"] == 1


def test_outputs_come_and_go_and_logging_options_change(analytics, application, streams):
    update(analytics, application, ApplicationCodeUpdate=TWO, InputUpdates=[{"InputId": "1.1", "NamePrefixUpdate": "TRADES"}])
    change(analytics, application, analytics.add_application_output, Output=sink(streams[0], "MORE"))
    assert {name: output["OutputId"] for name, output in parts(analytics, application)[1].items()} == {"OUT": "1.1", "MORE": "2.1"}
    same = [{"OutputId": "2.1", "NameUpdate": "OUT"}]
    assert refused(update, analytics, application, OutputUpdates=same)[0] == "InvalidArgumentException"
    change(analytics, application, analytics.delete_application_output, OutputId="1.1")
    assert list(parts(analytics, application)[1]) == ["MORE"]
    arn = "arn:aws:logs:us-east-1:000000000000:log-group:g:log-stream:"
    change(analytics, application, analytics.add_application_cloud_watch_logging_option,
           CloudWatchLoggingOption={"LogStreamARN": arn + "a", "RoleARN": ROLE})
    update(analytics, application,
           CloudWatchLoggingOptionUpdates=[{"CloudWatchLoggingOptionId": "1.1", "LogStreamARNUpdate": arn + "b"}])
    (option,) = detail(analytics, application)["CloudWatchLoggingOptionDescriptions"]
    assert (option["LogStreamARN"], option["RoleARN"]) == (arn + "b", ROLE)


@pytest.fixture
def processor(lambda_client):
    name = f"processor-{uuid.uuid4().hex[:8]}"
    arn = lambda_client.create_function(FunctionName=name, Runtime="python3.11", Handler="app.handler", Role=ROLE, Timeout=20,
                                        Code={"ZipFile": package({"app.py": PROCESSOR})})["FunctionArn"]
    yield arn
    lambda_client.delete_function(FunctionName=name)


def test_records_go_through_a_function_first(server, analytics, kinesis, lambda_client, streams, processor):
    name = f"app-{uuid.uuid4().hex[:8]}"
    processing = {"InputLambdaProcessor": {"ResourceARN": processor, "RoleARN": ROLE}}
    found = analytics.create_application(ApplicationName=name, ApplicationCode=PASS_SQL, Outputs=[sink(streams[1])],
                                         Inputs=[{**source(streams[0]), "InputProcessingConfiguration": processing}])
    assert found["ApplicationSummary"]["ApplicationStatus"] == "READY"
    shown = parts(analytics, name)[0]["InputProcessingConfigurationDescription"]["InputLambdaProcessorDescription"]
    assert shown == {"ResourceARN": processor, "RoleARN": ROLE}
    put(kinesis, streams[0], *({"symbol": symbol, "shares": 1} for symbol in ("a", "dropped", "failed", "b")))
    begin(analytics, name)
    assert rows_until(kinesis, streams[1], "B") == ["A", "B"]
    # The newest records to try a text with are what the function makes of them, too.
    form = {"as": "live", "sql": PASS_SQL}
    tried = requests.post(f"{server.console}/queries/{name}/test", data=form, headers={"Origin": server.console}, timeout=30)
    assert tried.status_code == 200, tried.text
    samples = html.unescape(tried.text)
    assert '"symbol":"A"' in samples.replace(" ", "") and '"dropped"' not in samples and '"failed"' not in samples

    # A function that fails gets the same records again: nothing is lost.
    lambda_client.update_function_code(FunctionName=processor, ZipFile=package({"app.py": "def handler(event, context): return 1"}))
    put(kinesis, streams[0], {"symbol": "c", "shares": 1})
    analytics.stop_application(ApplicationName=name)
    begin(analytics, name, "LAST_STOPPED_POINT")
    lambda_client.update_function_code(FunctionName=processor, ZipFile=package({"app.py": PROCESSOR}))
    assert rows_until(kinesis, streams[1], "C") == ["A", "B", "C"]

    change(analytics, name, analytics.delete_application_input_processing_configuration, InputId="1.1")
    assert "InputProcessingConfigurationDescription" not in parts(analytics, name)[0]
    put(kinesis, streams[0], {"symbol": "d", "shares": 1})
    assert rows_until(kinesis, streams[1], "d") == ["A", "B", "C", "d"]
    change(analytics, name, analytics.add_application_input_processing_configuration, InputId="1.1",
           InputProcessingConfiguration=processing)
    again = {"InputId": "1.1", "InputProcessingConfiguration": processing}
    assert refused(change, analytics, name, analytics.add_application_input_processing_configuration, **again)[0] == "InvalidArgumentException"
    put(kinesis, streams[0], {"symbol": "e", "shares": 1})
    assert rows_until(kinesis, streams[1], "E") == ["A", "B", "C", "d", "E"]
    analytics.stop_application(ApplicationName=name)


def test_schemas_are_discovered_behind_a_function(analytics, kinesis, streams, processor):
    put(kinesis, streams[0], {"symbol": "a", "shares": 1}, {"symbol": "dropped", "shares": 2})
    found = analytics.discover_input_schema(
        ResourceARN=STREAM + streams[0], RoleARN=ROLE, InputStartingPositionConfiguration={"InputStartingPosition": "TRIM_HORIZON"},
        InputProcessingConfiguration={"InputLambdaProcessor": {"ResourceARN": processor, "RoleARN": ROLE}})
    assert [json.loads(record)["symbol"] for record in found["RawInputRecords"]] == ["a", "dropped"]
    assert [json.loads(record)["symbol"] for record in found["ProcessedInputRecords"]] == ["A"]
    assert found["ParsedInputRecords"] == [["A", "1"]]


def test_every_operation_of_the_service_is_served(server):
    """As the SDK knows the service; what is served tells which members it has to have."""
    analytics = server.client("kinesisanalytics", parameter_validation=False)
    model = boto3.session.Session().client("kinesisanalytics", region_name="us-east-1").meta.service_model
    for operation in model.operation_names:
        required = model.operation_model(operation).input_shape.required_members
        call = getattr(analytics, botocore.xform_name(operation))
        # It takes what the service insists on though it may be empty.
        required = [member for member in required if member not in ("InputConfigurations",)]
        if required:
            told = refused(call)
            assert told[0] in ("ValidationException", "InvalidArgumentException"), (operation, told)
            members = [f"'{name[0].lower()}{name[1:]}'" for name in required]
            assert all(member in told[1] for member in members) or told[0] == "InvalidArgumentException", (operation, told)
        elif operation != "DiscoverInputSchema":
            call()


def test_what_goes_wrong_goes_to_an_output_of_the_error_stream(analytics, kinesis, streams):
    code = """CREATE OR REPLACE STREAM "OUT" ("n" INTEGER);
        CREATE OR REPLACE PUMP "divides" AS INSERT INTO "OUT" SELECT STREAM 12 / "shares" FROM "SOURCE_SQL_STREAM_001";"""
    name = f"app-{uuid.uuid4().hex[:8]}"
    analytics.create_application(ApplicationName=name, ApplicationCode=code, Inputs=[source(streams[0])],
                                 Outputs=[sink(streams[1], "error_stream")])
    kinesis.put_record(StreamName=streams[0], Data=b'{"symbol":"A","shares":0}', PartitionKey="k")
    kinesis.put_record(StreamName=streams[0], Data=b"no record", PartitionKey="k")
    begin(analytics, name)
    shard = kinesis.list_shards(StreamName=streams[1])["Shards"][0]["ShardId"]

    def told():
        at = kinesis.get_shard_iterator(StreamName=streams[1], ShardId=shard, ShardIteratorType="TRIM_HORIZON")
        read = kinesis.get_records(ShardIterator=at["ShardIterator"])["Records"]
        return [json.loads(record["Data"]) for record in read]

    rows = until(lambda: told() if len(told()) >= 2 else None)
    by_name = {row["ERROR_NAME"]: row for row in rows}
    assert len(rows) == 2 and set(by_name) == {"Parse error", "Runtime error"}
    assert bytes.fromhex(by_name["Parse error"]["DATA_ROW"]) == b"no record" and by_name["Parse error"]["PUMP_NAME"] is None
    failed = by_name["Runtime error"]
    assert failed["PUMP_NAME"] == "divides" and failed["ERROR_LEVEL"] == "ERROR" and "zero" in failed["MESSAGE"].lower()
    assert json.loads(bytes.fromhex(failed["DATA_ROW"])) == {"shares": 0}
    assert failed["ERROR_TIME"] == failed["DATA_ROWTIME"]
    analytics.stop_application(ApplicationName=name)
