"""The Kinesis Analytics API of 2018 through boto3: SQL applications, which the API of 2015 shows too."""

import uuid

import botocore
import pytest
from azure.storage.blob import BlobServiceClient
from botocore.exceptions import ClientError

from peers import blob_connection_string
from test_kinesisanalytics import PASS_SQL, ROLE, STREAM, code, message, put, rows_until, streams
from test_kinesisanalytics_joins import NAMES, results
from test_kinesisanalytics_updates import processor

OTHER = ROLE + "-other"
LOGS = "arn:aws:logs:us-east-1:000000000000:log-group:g:log-stream:s"

# What is for Apache Flink alone, with what each has to name.
FLINK = {"AddApplicationVpcConfiguration", "DeleteApplicationVpcConfiguration", "CreateApplicationPresignedUrl",
         "CreateApplicationSnapshot", "DeleteApplicationSnapshot", "DescribeApplicationSnapshot", "ListApplicationSnapshots",
         "DescribeApplicationVersion", "ListApplicationVersions", "DescribeApplicationOperation", "ListApplicationOperations",
         "RollbackApplication", "UpdateApplicationMaintenanceConfiguration"}
ENHANCED = {"CreateSnapshot", "DeleteSnapshot", "DescribeSnapshot", "DescribeSnapshotOperation", "ExportSnapshot",
            "ImportSnapshot", "ListSnapshotOperations", "ListSnapshots"}


@pytest.fixture(scope="session")
def v2(server):
    return server.client("kinesisanalyticsv2")


def source(stream, **more):
    columns = [("symbol", "VARCHAR(8)"), ("shares", "INTEGER")]
    return {"NamePrefix": "SOURCE_SQL_STREAM", "KinesisStreamsInput": {"ResourceARN": STREAM + stream},
            "InputSchema": {"RecordFormat": {"RecordFormatType": "JSON"}, "RecordColumns": [
                {"Name": name, "SqlType": sql_type, "Mapping": f"$.{name}"} for name, sql_type in columns]}, **more}


def sink(stream, name="OUT"):
    return {"Name": name, "KinesisStreamsOutput": {"ResourceARN": STREAM + stream}, "DestinationSchema": {"RecordFormatType": "JSON"}}


def configuration(text, inputs=(), outputs=(), **more):
    return {"SqlApplicationConfiguration": {"Inputs": list(inputs), "Outputs": list(outputs), **more},
            "ApplicationCodeConfiguration": {"CodeContentType": "PLAINTEXT", "CodeContent": {"TextContent": text}}}


def make(v2, text=PASS_SQL, inputs=(), outputs=(), references=None, **more):
    name = f"app-{uuid.uuid4().hex[:8]}"
    tables = {"ReferenceDataSources": references} if references else {}
    made = v2.create_application(ApplicationName=name, RuntimeEnvironment="SQL-1_0", ServiceExecutionRole=ROLE,
                                 ApplicationConfiguration=configuration(text, inputs, outputs, **tables), **more)
    assert made["ApplicationDetail"]["ApplicationName"] == name
    return name


def detail(v2, name):
    return v2.describe_application(ApplicationName=name)["ApplicationDetail"]


def parts(v2, name):
    return detail(v2, name)["ApplicationConfigurationDescription"]["SqlApplicationConfigurationDescription"]


def begin(v2, name, position="TRIM_HORIZON"):
    v2.start_application(ApplicationName=name, RunConfiguration={"SqlRunConfigurations": [
        {"InputId": "1.1", "InputStartingPositionConfiguration": {"InputStartingPosition": position}}]})


def change(v2, name, operation, **what):
    return operation(ApplicationName=name, CurrentApplicationVersionId=detail(v2, name)["ApplicationVersionId"], **what)


def refused(call, *arguments, **what):
    with pytest.raises(ClientError) as error:
        call(*arguments, **what)
    return code(error), message(error)


@pytest.fixture
def application(v2, streams):
    return make(v2, inputs=[source(streams[0])], outputs=[sink(streams[1])], ApplicationDescription="trades",
                Tags=[{"Key": "team", "Value": "a"}], CloudWatchLoggingOptions=[{"LogStreamARN": LOGS}])


def test_an_application_is_described_by_both_apis(v2, analytics, application, streams):
    found = detail(v2, application)
    assert (found["RuntimeEnvironment"], found["ServiceExecutionRole"], found["ApplicationStatus"]) == ("SQL-1_0", ROLE, "READY")
    assert found["ApplicationVersionId"] == 1 and found["ApplicationDescription"] == "trades" and found["ConditionalToken"]
    described = found["ApplicationConfigurationDescription"]
    assert described["ApplicationCodeConfigurationDescription"] == {
        "CodeContentType": "PLAINTEXT", "CodeContentDescription": {"TextContent": PASS_SQL}}
    (given,), (output,) = parts(v2, application)["InputDescriptions"], parts(v2, application)["OutputDescriptions"]
    assert given["KinesisStreamsInputDescription"] == {"ResourceARN": STREAM + streams[0]}
    assert output["KinesisStreamsOutputDescription"] == {"ResourceARN": STREAM + streams[1]}
    assert found["CloudWatchLoggingOptionDescriptions"] == [{"CloudWatchLoggingOptionId": "1.1", "LogStreamARN": LOGS}]
    older = analytics.describe_application(ApplicationName=application)["ApplicationDetail"]
    assert older["ApplicationCode"] == PASS_SQL and older["ApplicationARN"] == found["ApplicationARN"]
    assert older["InputDescriptions"][0]["KinesisStreamsInputDescription"] == {"ResourceARN": STREAM + streams[0], "RoleARN": ROLE}


def test_an_application_runs_is_updated_and_goes_on_where_it_stopped(v2, kinesis, application, streams):
    put(kinesis, streams[0], {"symbol": "A", "shares": 1})
    begin(v2, application)
    assert rows_until(kinesis, streams[1], "A") == ["A"]
    assert refused(begin, v2, application)[0] == "ResourceInUseException"
    token = detail(v2, application)["ConditionalToken"]
    text = PASS_SQL.replace('SELECT STREAM "symbol"', """SELECT STREAM "symbol" || '!'""")
    code_update = {"ApplicationCodeConfigurationUpdate": {
        "CodeContentTypeUpdate": "PLAINTEXT", "CodeContentUpdate": {"TextContentUpdate": text}}}
    changed = v2.update_application(ApplicationName=application, ConditionalToken=token, ApplicationConfigurationUpdate=code_update)
    assert changed["ApplicationDetail"]["ApplicationVersionId"] == 2 and changed["ApplicationDetail"]["ConditionalToken"] != token
    put(kinesis, streams[0], {"symbol": "B", "shares": 1})
    assert rows_until(kinesis, streams[1], "B!") == ["A", "B!"]
    v2.stop_application(ApplicationName=application)
    assert detail(v2, application)["ApplicationStatus"] == "READY"
    assert refused(v2.stop_application, ApplicationName=application)[0] == "ResourceInUseException"
    put(kinesis, streams[0], {"symbol": "C", "shares": 1})
    begin(v2, application, "LAST_STOPPED_POINT")
    assert rows_until(kinesis, streams[1], "C!") == ["A", "B!", "C!"]
    assert refused(v2.stop_application, ApplicationName=application, Force=True)[0] == "InvalidArgumentException"
    v2.stop_application(ApplicationName=application)
    created = detail(v2, application)["CreateTimestamp"]
    v2.delete_application(ApplicationName=application, CreateTimestamp=created)
    assert refused(detail, v2, application)[0] == "ResourceNotFoundException"


def test_versions_and_tokens_are_held_to(v2, application):
    stale = "ConcurrentModificationException"
    assert refused(v2.update_application, ApplicationName=application, CurrentApplicationVersionId=7)[0] == stale
    assert refused(v2.update_application, ApplicationName=application, ConditionalToken="old")[0] == stale
    neither = refused(v2.update_application, ApplicationName=application)
    assert neither[0] == "ValidationException" and "currentApplicationVersionId" in neither[1]
    assert detail(v2, application)["ApplicationVersionId"] == 1


def test_parts_come_and_go_with_answers_that_show_them(v2, lambda_client, processor, streams):
    name = make(v2, text="")
    added = change(v2, name, v2.add_application_input, Input=source(streams[0]))
    assert added["ApplicationVersionId"] == 2 and [given["InputId"] for given in added["InputDescriptions"]] == ["1.1"]
    lambda_processor = {"InputLambdaProcessor": {"ResourceARN": processor}}
    added = change(v2, name, v2.add_application_input_processing_configuration, InputId="1.1",
                   InputProcessingConfiguration=lambda_processor)
    assert added["InputId"] == "1.1"
    assert added["InputProcessingConfigurationDescription"] == {"InputLambdaProcessorDescription": {"ResourceARN": processor}}
    sql = {"ApplicationCodeConfigurationUpdate": {"CodeContentUpdate": {"TextContentUpdate": PASS_SQL}}}
    change(v2, name, v2.update_application, ApplicationConfigurationUpdate=sql)
    added = change(v2, name, v2.add_application_output, Output=sink(streams[1]))
    assert [output["Name"] for output in added["OutputDescriptions"]] == ["OUT"]
    assert refused(change, v2, name, v2.add_application_output, Output=sink(streams[1]))[0] == "InvalidArgumentException"
    added = change(v2, name, v2.add_application_cloud_watch_logging_option, CloudWatchLoggingOption={"LogStreamARN": LOGS})
    assert [option["LogStreamARN"] for option in added["CloudWatchLoggingOptionDescriptions"]] == [LOGS]

    gone = change(v2, name, v2.delete_application_cloud_watch_logging_option, CloudWatchLoggingOptionId="1.1")
    assert gone["CloudWatchLoggingOptionDescriptions"] == []
    change(v2, name, v2.delete_application_input_processing_configuration, InputId="1.1")
    change(v2, name, v2.delete_application_output, OutputId="1.1")
    found = parts(v2, name)
    assert found["OutputDescriptions"] == [] and "InputProcessingConfigurationDescription" not in found["InputDescriptions"][0]
    assert refused(change, v2, name, v2.delete_application_output, OutputId="1.1")[0] == "ResourceNotFoundException"


def test_a_role_is_for_all_parts_of_an_application(v2, analytics, application):
    changed = change(v2, application, v2.update_application, ServiceExecutionRoleUpdate=OTHER)
    assert changed["ApplicationDetail"]["ServiceExecutionRole"] == OTHER
    older = analytics.describe_application(ApplicationName=application)["ApplicationDetail"]
    roles = [older["InputDescriptions"][0]["KinesisStreamsInputDescription"]["RoleARN"],
             older["OutputDescriptions"][0]["KinesisStreamsOutputDescription"]["RoleARN"],
             older["CloudWatchLoggingOptionDescriptions"][0]["RoleARN"]]
    assert roles == [OTHER] * 3


def test_rows_stand_beside_reference_data_and_go_through_a_function(server, v2, kinesis, streams, processor):
    bucket = f"tables-{uuid.uuid4().hex[:8]}"
    container = BlobServiceClient.from_connection_string(blob_connection_string(server)).create_container(bucket)
    container.upload_blob("names.csv", b"A,Amazon\nB,Boeing\n")
    columns = [("Ticker", "VARCHAR(8)"), ("Company", "VARCHAR(20)")]
    schema = {"RecordFormat": {"RecordFormatType": "CSV", "MappingParameters": {"CSVMappingParameters": {
        "RecordRowDelimiter": "\n", "RecordColumnDelimiter": ","}}},
        "RecordColumns": [{"Name": name, "SqlType": sql_type} for name, sql_type in columns]}
    s3 = {"BucketARN": f"arn:aws:s3:::{bucket}", "FileKey": "names.csv"}
    table = {"TableName": "CompanyName", "S3ReferenceDataSource": s3, "ReferenceSchema": schema}
    processing = {"InputProcessingConfiguration": {"InputLambdaProcessor": {"ResourceARN": processor}}}
    name = make(v2, NAMES, [source(streams[0], **processing)], [sink(streams[1])], [table])
    (shown,) = parts(v2, name)["ReferenceDataSourceDescriptions"]
    assert shown["S3ReferenceDataSourceDescription"] == s3 and shown["ReferenceId"] == "1.1"
    put(kinesis, streams[0], *({"symbol": symbol, "shares": n} for n, symbol in enumerate("bda")))
    begin(v2, name)
    assert [(row["symbol"], row["company"]) for row in results(kinesis, streams[1], 2)] == [("B", "Boeing"), ("A", "Amazon")]
    v2.stop_application(ApplicationName=name)
    found = v2.discover_input_schema(ServiceExecutionRole=ROLE, S3Configuration=s3)
    assert [column["SqlType"].split("(")[0] for column in found["InputSchema"]["RecordColumns"]] == ["VARCHAR", "VARCHAR"]
    assert found["ParsedInputRecords"] == [["A", "Amazon"], ["B", "Boeing"]]
    assert refused(change, v2, name, v2.delete_application_reference_data_source, ReferenceId="1.1")[0] == "CodeValidationException"


def test_applications_are_listed_and_tagged(v2, application):
    arn = detail(v2, application)["ApplicationARN"]
    v2.tag_resource(ResourceARN=arn, Tags=[{"Key": "stage", "Value": "b"}])
    v2.untag_resource(ResourceARN=arn, TagKeys=["team"])
    assert v2.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "stage", "Value": "b"}]
    seen, token = {}, None
    while True:
        page = v2.list_applications(Limit=1, **({"NextToken": token} if token else {}))
        seen |= {summary["ApplicationName"]: summary for summary in page["ApplicationSummaries"]}
        if not (token := page.get("NextToken")):
            break
    assert seen[application]["RuntimeEnvironment"] == "SQL-1_0" and seen[application]["ApplicationVersionId"] == 1


def test_what_is_not_for_sql_is_refused_by_name(v2, streams):
    def create(runtime="SQL-1_0", **given):
        return refused(v2.create_application, ApplicationName="none", RuntimeEnvironment=runtime, ServiceExecutionRole=ROLE,
                       **({"ApplicationConfiguration": given} if given else {}))

    kind, said = create("FLINK-1_20")
    assert kind == "UnsupportedOperationException" and "FLINK-1_20" in said
    assert create("SQL-2_0")[0] == "ValidationException"
    zipped = {"CodeContentType": "ZIPFILE", "CodeContent": {"ZipFileContent": b"PK"}}
    kind, said = create(ApplicationCodeConfiguration=zipped)
    assert kind == "InvalidArgumentException" and "ZIPFILE" in said
    stored = {"S3ContentLocation": {"BucketARN": "arn:aws:s3:::b", "FileKey": "k"}}
    kind, said = create(ApplicationCodeConfiguration={"CodeContentType": "PLAINTEXT", "CodeContent": stored})
    assert kind == "InvalidArgumentException" and "S3ContentLocation" in said
    kind, said = create(ApplicationSnapshotConfiguration={"SnapshotsEnabled": True})
    assert kind == "InvalidArgumentException" and "ApplicationSnapshotConfiguration" in said
    kind, said = create(SqlApplicationConfiguration={"Inputs": [source(streams[0])] * 2})
    assert kind == "InvalidArgumentException" and "at most 1 input" in said
    assert create(**configuration("SELEKT"))[0] == "CodeValidationException"


def test_every_operation_of_the_service_is_served_or_refused_by_name(server, application):
    """As the SDK knows the service; what is served tells which members it has to have."""
    v2 = server.client("kinesisanalyticsv2", parameter_validation=False)
    model = v2.meta.service_model
    for operation in model.operation_names:
        call = getattr(v2, botocore.xform_name(operation))
        required = model.operation_model(operation).input_shape.required_members
        if operation in FLINK:
            kind, said = refused(call, ApplicationName=application)
            assert kind == "UnsupportedOperationException" and operation in said, operation
            assert refused(call, ApplicationName="not-there")[0] == "ResourceNotFoundException", operation
        elif operation in ENHANCED:
            kind, said = refused(call)
            assert kind == "UnsupportedOperationException" and operation in said, operation
        elif required:
            kind, said = refused(call)
            assert kind in ("ValidationException", "InvalidArgumentException"), (operation, kind, said)
            members = [f"'{name[0].lower()}{name[1:]}'" for name in required]
            assert all(member in said for member in members) or kind == "InvalidArgumentException", (operation, said)
        else:
            call()
