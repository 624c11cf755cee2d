"""Kinesis Analytics through boto3: applications, their windows over real streams, and what is said of mistakes."""

import concurrent.futures
import datetime
import json
import time
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import package, until

ROLE = "arn:aws:iam::000000000000:role/any"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/"
DEADLINE_SECONDS = 60
SQL = """
CREATE OR REPLACE STREAM "OUT" ("symbol" VARCHAR(8), "total" INTEGER);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT"
SELECT STREAM "symbol", SUM("shares") AS "total" FROM "SOURCE_SQL_STREAM_001"
GROUP BY "symbol", STEP("SOURCE_SQL_STREAM_001".ROWTIME BY INTERVAL '2' SECOND);
"""


def code(error):
    return error.value.response["Error"]["Code"]


def message(error):
    return error.value.response["Error"]["Message"]


def source(stream):
    columns = [("symbol", "VARCHAR(8)"), ("shares", "INTEGER")]
    return {"NamePrefix": "SOURCE_SQL_STREAM", "KinesisStreamsInput": {"ResourceARN": STREAM + stream, "RoleARN": ROLE},
            "InputSchema": {"RecordFormat": {"RecordFormatType": "JSON"}, "RecordColumns": [
                {"Name": name, "SqlType": sql_type, "Mapping": f"$.{name}"} for name, sql_type in columns]}}


def sink(stream, name="OUT"):
    return {"Name": name, "KinesisStreamsOutput": {"ResourceARN": STREAM + stream, "RoleARN": ROLE},
            "DestinationSchema": {"RecordFormatType": "JSON"}}


def detail(analytics, name):
    return analytics.describe_application(ApplicationName=name)["ApplicationDetail"]


def begin(analytics, name, position="TRIM_HORIZON"):
    analytics.start_application(ApplicationName=name, InputConfigurations=[
        {"Id": "1.1", "InputStartingPositionConfiguration": {"InputStartingPosition": position}}])


@pytest.fixture
def streams(kinesis):
    names = [f"{kind}-{uuid.uuid4().hex[:8]}" for kind in ("in", "out")]
    for name in names:
        kinesis.create_stream(StreamName=name, ShardCount=1)
    return names


@pytest.fixture
def application(analytics, streams):
    name = f"app-{uuid.uuid4().hex[:8]}"
    analytics.create_application(ApplicationName=name, ApplicationCode=SQL, ApplicationDescription="sums",
                                 Inputs=[source(streams[0])], Outputs=[sink(streams[1])])
    return name


def put(kinesis, stream, *records):
    kinesis.put_records(StreamName=stream, Records=[
        {"Data": json.dumps(record).encode(), "PartitionKey": "k"} for record in records])


def test_an_application_is_described_as_it_was_given(analytics, application, streams):
    found = detail(analytics, application)
    assert found["ApplicationStatus"] == "READY" and found["ApplicationVersionId"] == 1
    assert found["ApplicationCode"] == SQL and found["ApplicationDescription"] == "sums"
    assert found["ApplicationARN"].endswith(f":application/{application}")
    (described,), (output,) = found["InputDescriptions"], found["OutputDescriptions"]
    assert described["InputId"] == output["OutputId"] == "1.1"
    assert described["NamePrefix"] == "SOURCE_SQL_STREAM" and described["InAppStreamNames"] == ["SOURCE_SQL_STREAM_001"]
    assert described["KinesisStreamsInputDescription"]["ResourceARN"] == STREAM + streams[0]
    assert [c["SqlType"] for c in described["InputSchema"]["RecordColumns"]] == ["VARCHAR(8)", "INTEGER"]
    assert output["KinesisStreamsOutputDescription"]["ResourceARN"] == STREAM + streams[1]


def test_start_stop_delete(analytics, application):
    begin(analytics, application)
    assert detail(analytics, application)["ApplicationStatus"] in ("STARTING", "RUNNING")
    with pytest.raises(ClientError) as error:
        begin(analytics, application)
    assert code(error) == "ResourceInUseException"
    analytics.stop_application(ApplicationName=application)
    assert detail(analytics, application)["ApplicationStatus"] == "READY"
    created = detail(analytics, application)["CreateTimestamp"]
    with pytest.raises(ClientError) as error:
        analytics.delete_application(ApplicationName=application, CreateTimestamp=created - datetime.timedelta(days=1))
    assert code(error) == "InvalidArgumentException"
    analytics.delete_application(ApplicationName=application, CreateTimestamp=created)
    with pytest.raises(ClientError) as error:
        detail(analytics, application)
    assert code(error) == "ResourceNotFoundException" and "No such application" in message(error)


def test_windows_over_a_stream_add_up(analytics, kinesis, application, streams):
    put(kinesis, streams[0], *({"symbol": s, "shares": n} for s, n in [("A", 1), ("B", 5), ("A", 2), ("B", -3)] * 10))
    begin(analytics, application)
    shard = kinesis.list_shards(StreamName=streams[1])["Shards"][0]["ShardId"]
    at = kinesis.get_shard_iterator(StreamName=streams[1], ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    sums, deadline = {}, time.monotonic() + DEADLINE_SECONDS
    while sums != {"A": 30, "B": 20} and time.monotonic() < deadline:
        read = kinesis.get_records(ShardIterator=at)
        at = read["NextShardIterator"]
        for record in read["Records"]:
            row = json.loads(record["Data"])
            sums[row["symbol"]] = sums.get(row["symbol"], 0) + row["total"]
        time.sleep(0.1)
    assert sums == {"A": 30, "B": 20}
    analytics.stop_application(ApplicationName=application)


def test_windows_before_each_row_are_kept_while_an_application_stands(analytics, kinesis, streams):
    name, pairs = f"app-{uuid.uuid4().hex[:8]}", """
        CREATE OR REPLACE STREAM "OUT" ("symbol" VARCHAR(8), "total" INTEGER);
        CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT"
        SELECT STREAM "symbol", SUM("shares") OVER W1 AS "total" FROM "SOURCE_SQL_STREAM_001"
        WINDOW W1 AS (PARTITION BY "symbol" ROWS 1 PRECEDING);"""
    analytics.create_application(ApplicationName=name, ApplicationCode=pairs,
                                 Inputs=[source(streams[0])], Outputs=[sink(streams[1])])
    shard = kinesis.list_shards(StreamName=streams[1])["Shards"][0]["ShardId"]
    at = kinesis.get_shard_iterator(StreamName=streams[1], ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    rows, position = [], "TRIM_HORIZON"
    for sent, expected in [([("A", 1), ("B", 5), ("A", 2)], [("A", 1), ("B", 5), ("A", 3)]), ([("A", 10)], [("A", 12)])]:
        put(kinesis, streams[0], *({"symbol": symbol, "shares": shares} for symbol, shares in sent))
        begin(analytics, name, position)
        deadline, wanted = time.monotonic() + DEADLINE_SECONDS, rows + expected
        while len(rows) < len(wanted) and time.monotonic() < deadline:
            read = kinesis.get_records(ShardIterator=at)
            at = read["NextShardIterator"]
            rows += [(row["symbol"], row["total"]) for row in (json.loads(record["Data"]) for record in read["Records"])]
            time.sleep(0.1)
        assert rows == wanted
        analytics.stop_application(ApplicationName=name)
        position = "LAST_STOPPED_POINT"


@pytest.mark.parametrize("sql, said", [
    (SQL.replace("SELECT STREAM", "SELEKT STREAM"), "SELEKT"),
    (SQL.replace('SUM("shares")', 'SUM("sharez")'), "sharez"),
    (SQL.replace(""", STEP("SOURCE_SQL_STREAM_001".ROWTIME BY INTERVAL '2' SECOND)""", ""), "STEP"),
])
def test_mistakes_in_sql_are_named(analytics, streams, sql, said):
    with pytest.raises(ClientError) as error:
        analytics.create_application(ApplicationName=f"bad-{uuid.uuid4().hex[:8]}", ApplicationCode=sql,
                                     Inputs=[source(streams[0])], Outputs=[sink(streams[1])])
    assert code(error) == "CodeValidationException" and said in message(error)


def test_mistakes_in_definitions_are_named(analytics, application, streams):
    def refused(name, **changes):
        with pytest.raises(ClientError) as error:
            analytics.create_application(**{"ApplicationName": name, "ApplicationCode": SQL,
                                            "Inputs": [source(streams[0])], "Outputs": [sink(streams[1])], **changes})
        return code(error)

    assert refused(application) == "ResourceInUseException"
    assert refused("bad name") == "ValidationException"
    odd = source(streams[0])
    odd["InputSchema"]["RecordColumns"][0]["SqlType"] = "GEOMETRY"
    assert refused("odd-type", Inputs=[odd]) == "InvalidArgumentException"
    assert refused("odd-output", Outputs=[sink(streams[1], "NOT_THERE")]) == "InvalidArgumentException"
    processed = {"InputLambdaProcessor": {"ResourceARN": STREAM + "no-function", "RoleARN": ROLE}}
    with_processing = {**source(streams[0]), "InputProcessingConfiguration": processed}
    assert refused("processed", Inputs=[with_processing]) == "InvalidArgumentException"


def test_changes_raise_the_version(analytics, application):
    def change(version, **update):
        analytics.update_application(ApplicationName=application, CurrentApplicationVersionId=version,
                                     ApplicationUpdate=update)

    changed = SQL.replace("SUM(", "MAX(")
    change(1, ApplicationCodeUpdate=changed)
    found = detail(analytics, application)
    assert found["ApplicationCode"] == changed and found["ApplicationVersionId"] == 2
    with pytest.raises(ClientError) as error:
        change(1, ApplicationCodeUpdate=SQL)
    assert code(error) == "ConcurrentModificationException"
    with pytest.raises(ClientError) as error:
        change(2, ApplicationCodeUpdate="SELEKT")
    assert code(error) == "CodeValidationException"
    with pytest.raises(ClientError) as error:
        change(2, InputUpdates=[{"InputId": "1.1", "NamePrefixUpdate": "OTHER"}])
    assert code(error) == "CodeValidationException"
    assert detail(analytics, application)["ApplicationVersionId"] == 2


def test_inputs_and_outputs_can_be_added(analytics, kinesis, application, streams):
    more = SQL + 'CREATE OR REPLACE STREAM "SECOND" ("symbol" VARCHAR(8));\n' \
        'CREATE OR REPLACE PUMP "Q" AS INSERT INTO "SECOND" SELECT STREAM "symbol" FROM "SOURCE_SQL_STREAM_001";'
    analytics.update_application(ApplicationName=application, CurrentApplicationVersionId=1,
                                 ApplicationUpdate={"ApplicationCodeUpdate": more})
    analytics.add_application_output(ApplicationName=application, CurrentApplicationVersionId=2, Output=sink(streams[0], "SECOND"))
    found = detail(analytics, application)
    assert [output["Name"] for output in found["OutputDescriptions"]] == ["OUT", "SECOND"]
    for again in ({"Output": sink(streams[0], "SECOND")}, {"Output": sink(streams[0], "NOT_THERE")}):
        with pytest.raises(ClientError) as error:
            analytics.add_application_output(ApplicationName=application, CurrentApplicationVersionId=3, **again)
        assert code(error) == "InvalidArgumentException"
    for prefix in ("OTHER", "SOURCE_SQL_STREAM"):
        with pytest.raises(ClientError) as error:
            analytics.add_application_input(ApplicationName=application, CurrentApplicationVersionId=3,
                                            Input={**source(streams[1]), "NamePrefix": prefix})
        assert code(error) == "InvalidArgumentException" and "at most 1 input" in message(error)
    later = f"app-{uuid.uuid4().hex[:8]}"
    analytics.create_application(ApplicationName=later)
    analytics.add_application_input(ApplicationName=later, CurrentApplicationVersionId=1, Input=source(streams[0]))
    assert [i["NamePrefix"] for i in detail(analytics, later)["InputDescriptions"]] == ["SOURCE_SQL_STREAM"]


def test_applications_are_listed_in_pages(analytics, application):
    page = analytics.list_applications(Limit=1)
    assert len(page["ApplicationSummaries"]) == 1
    seen = []
    while True:
        seen += [summary["ApplicationName"] for summary in page["ApplicationSummaries"]]
        if not page["HasMoreApplications"]:
            break
        page = analytics.list_applications(Limit=1, ExclusiveStartApplicationName=seen[-1])
    assert application in seen and len(seen) == len(set(seen))


def test_a_schema_is_discovered(analytics, kinesis, streams):
    def discover():
        return analytics.discover_input_schema(ResourceARN=STREAM + streams[0], RoleARN=ROLE,
                                               InputStartingPositionConfiguration={"InputStartingPosition": "TRIM_HORIZON"})

    with pytest.raises(ClientError) as error:
        discover()
    assert code(error) == "UnableToDetectSchemaException"
    put(kinesis, streams[0], {"symbol": "A", "shares": 7, "price": 1.5})
    found = discover()
    columns = {c["Name"]: (c["SqlType"].split("(")[0], c["Mapping"]) for c in found["InputSchema"]["RecordColumns"]}
    assert columns == {"symbol": ("VARCHAR", "$.symbol"), "shares": ("BIGINT", "$.shares"), "price": ("DOUBLE", "$.price")}
    assert sorted(found["ParsedInputRecords"][0]) == ["1.5", "7", "A"]
    assert json.loads(found["RawInputRecords"][0])["shares"] == 7


PASS_SQL = """
CREATE OR REPLACE STREAM "OUT" ("symbol" VARCHAR(8), "shares" INTEGER);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM "symbol", "shares" FROM "SOURCE_SQL_STREAM_001";
"""


def rows_until(kinesis, stream, symbol):
    """All rows of a stream, once one with that symbol is there."""
    shard = kinesis.list_shards(StreamName=stream)["Shards"][0]["ShardId"]
    at = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    rows, deadline = [], time.monotonic() + DEADLINE_SECONDS
    while symbol not in rows and time.monotonic() < deadline:
        read = kinesis.get_records(ShardIterator=at)
        at = read["NextShardIterator"]
        rows += [json.loads(record["Data"])["symbol"] for record in read["Records"]]
        time.sleep(0.05)
    return rows


def running(analytics, name):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while detail(analytics, name)["ApplicationStatus"] != "RUNNING" and time.monotonic() < deadline:
        time.sleep(0.02)


def test_a_start_says_where_it_begins(analytics, kinesis, streams):
    name = f"app-{uuid.uuid4().hex[:8]}"
    analytics.create_application(ApplicationName=name, Inputs=[source(streams[0])])
    with pytest.raises(ClientError) as error:
        begin(analytics, name)
    assert code(error) == "CodeValidationException"
    analytics.update_application(ApplicationName=name, CurrentApplicationVersionId=1,
                                 ApplicationUpdate={"ApplicationCodeUpdate": PASS_SQL})
    analytics.add_application_output(ApplicationName=name, CurrentApplicationVersionId=2, Output=sink(streams[1]))
    put(kinesis, streams[0], {"symbol": "OLD", "shares": 1})
    begin(analytics, name, "TRIM_HORIZON")
    assert rows_until(kinesis, streams[1], "OLD") == ["OLD"]
    analytics.stop_application(ApplicationName=name)
    put(kinesis, streams[0], {"symbol": "GAP", "shares": 1})
    begin(analytics, name, "NOW")
    running(analytics, name)
    put(kinesis, streams[0], {"symbol": "NEW", "shares": 1})
    assert rows_until(kinesis, streams[1], "NEW") == ["OLD", "NEW"]
    analytics.stop_application(ApplicationName=name)
    put(kinesis, streams[0], {"symbol": "KEPT", "shares": 1})
    begin(analytics, name, "LAST_STOPPED_POINT")
    assert rows_until(kinesis, streams[1], "KEPT") == ["OLD", "NEW", "KEPT"]
    analytics.stop_application(ApplicationName=name)
    begin(analytics, name, "TRIM_HORIZON")
    put(kinesis, streams[0], {"symbol": "END", "shares": 1})
    assert rows_until(kinesis, streams[1], "END") == ["OLD", "NEW", "KEPT", "OLD", "GAP", "NEW", "KEPT", "END"]
    described = detail(analytics, name)
    assert described["InputDescriptions"][0]["KinesisStreamsInputDescription"]["RoleARN"] == ROLE
    position = described["InputDescriptions"][0]["InputStartingPositionConfiguration"]
    assert position == {"InputStartingPosition": "TRIM_HORIZON"}
    analytics.stop_application(ApplicationName=name)


def test_what_an_input_cannot_have_is_refused_by_name(analytics, streams):
    def refused(**changes):
        given = {"ApplicationName": f"bad-{uuid.uuid4().hex[:8]}", "Inputs": [source(streams[0])], **changes}
        with pytest.raises(ClientError) as error:
            analytics.create_application(**given)
        return code(error), message(error)

    def schema(encoding="UTF-8", **mapping):
        given = source(streams[0])
        given["InputSchema"].update(RecordEncoding=encoding, RecordFormat={
            "RecordFormatType": "CSV", "MappingParameters": {"CSVMappingParameters": mapping}} if mapping else {"RecordFormatType": "JSON"})
        return [given]

    parallel = {**source(streams[0]), "InputParallelism": {"Count": 65}}
    for inputs, said in ((schema("UTF-16"), "RecordEncoding UTF-16"),
                         (schema(RecordRowDelimiter="|", RecordColumnDelimiter=","), "RecordRowDelimiter"),
                         (schema(RecordRowDelimiter="\n", RecordColumnDelimiter="::"), "RecordColumnDelimiter"),
                         (schema() * 2, "at most 1 input")):
        found = refused(Inputs=inputs)
        assert found[0] == "InvalidArgumentException" and said in found[1], found
    assert refused(Inputs=[parallel])[0] == "ValidationException"
    many = [sink(streams[1], f"OUT{n}") for n in range(4)]
    assert "at most 3 outputs" in refused(Outputs=many)[1]
    assert "already" in refused(Outputs=[sink(streams[1])] * 2)[1]
    name = f"app-{uuid.uuid4().hex[:8]}"
    analytics.create_application(ApplicationName=name, Inputs=schema(RecordRowDelimiter="\n", RecordColumnDelimiter=";"))
    described = detail(analytics, name)["InputDescriptions"][0]["InputSchema"]["RecordFormat"]["MappingParameters"]
    assert described["CSVMappingParameters"] == {"RecordRowDelimiter": "\n", "RecordColumnDelimiter": ";"}


def test_a_start_names_an_input_of_the_application(analytics, application):
    with pytest.raises(ClientError) as error:
        analytics.start_application(ApplicationName=application, InputConfigurations=[
            {"Id": "9.9", "InputStartingPositionConfiguration": {"InputStartingPosition": "NOW"}}])
    assert code(error) == "InvalidArgumentException" and "9.9" in message(error)
    assert detail(analytics, application)["ApplicationStatus"] == "READY"


def test_tags_are_kept_with_an_application(analytics, application, streams):
    arn = detail(analytics, application)["ApplicationARN"]

    def tags():
        return {tag["Key"]: tag["Value"] for tag in analytics.list_tags_for_resource(ResourceARN=arn)["Tags"]}

    assert tags() == {}
    analytics.tag_resource(ResourceARN=arn, Tags=[{"Key": "team", "Value": "a"}, {"Key": "stage", "Value": "b"}])
    analytics.tag_resource(ResourceARN=arn, Tags=[{"Key": "team", "Value": "c"}])
    analytics.untag_resource(ResourceARN=arn, TagKeys=["stage"])
    assert tags() == {"team": "c"} and detail(analytics, application)["ApplicationVersionId"] == 1
    with pytest.raises(ClientError) as error:
        analytics.tag_resource(ResourceARN=arn, Tags=[{"Key": f"k{n}", "Value": ""} for n in range(50)])
    assert code(error) == "TooManyTagsException"
    with pytest.raises(ClientError) as error:
        analytics.list_tags_for_resource(ResourceARN=arn + "-none")
    assert code(error) == "ResourceNotFoundException"
    tagged = f"app-{uuid.uuid4().hex[:8]}"
    created = analytics.create_application(ApplicationName=tagged, Tags=[{"Key": "team", "Value": "d"}])
    arn = created["ApplicationSummary"]["ApplicationARN"]
    assert tags() == {"team": "d"}


def test_errors_are_told_in_the_log_stream_of_the_logging_option(analytics, kinesis, logs, application, streams):
    group = f"/aws/kinesis-analytics/{application}"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="errors")
    option = {"LogStreamARN": f"arn:aws:logs:us-east-1:000000000000:log-group:{group}:log-stream:errors", "RoleARN": ROLE}
    analytics.add_application_cloud_watch_logging_option(
        ApplicationName=application, CurrentApplicationVersionId=1, CloudWatchLoggingOption=option)
    found = detail(analytics, application)
    assert found["ApplicationVersionId"] == 2
    assert found["CloudWatchLoggingOptionDescriptions"] == [{"CloudWatchLoggingOptionId": "1.1", **option}]
    with pytest.raises(ClientError) as error:
        analytics.add_application_cloud_watch_logging_option(
            ApplicationName=application, CurrentApplicationVersionId=2, CloudWatchLoggingOption=option)
    assert code(error) == "InvalidArgumentException"
    begin(analytics, application)
    put(kinesis, streams[0], {"symbol": "A", "shares": "many"})
    told, deadline = [], time.monotonic() + DEADLINE_SECONDS
    while not told and time.monotonic() < deadline:
        told = [e["message"] for e in logs.get_log_events(logGroupName=group, logStreamName="errors")["events"]]
        time.sleep(0.05)
    assert len(told) == 1 and "shares" in told[0], told
    analytics.stop_application(ApplicationName=application)
    for option_id, expected in (("7.7", "ResourceNotFoundException"), ("1.1", None)):
        delete = {"ApplicationName": application, "CurrentApplicationVersionId": 2, "CloudWatchLoggingOptionId": option_id}
        if expected:
            with pytest.raises(ClientError) as error:
                analytics.delete_application_cloud_watch_logging_option(**delete)
            assert code(error) == expected
        else:
            analytics.delete_application_cloud_watch_logging_option(**delete)
    assert detail(analytics, application)["CloudWatchLoggingOptionDescriptions"] == []


def test_delimited_text_and_records_to_come_are_discovered(analytics, kinesis, streams):
    def discover(position):
        return analytics.discover_input_schema(ResourceARN=STREAM + streams[0], RoleARN=ROLE,
                                               InputStartingPositionConfiguration={"InputStartingPosition": position})

    put(kinesis, streams[0], {"old": 1})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        coming = pool.submit(discover, "NOW")
        while not coming.done():
            kinesis.put_record(StreamName=streams[0], Data=b"A|1|1.5\nB|2|2", PartitionKey="k")
            time.sleep(0.05)
        found = coming.result()
    schema = found["InputSchema"]
    assert schema["RecordFormat"] == {"RecordFormatType": "CSV", "MappingParameters": {
        "CSVMappingParameters": {"RecordRowDelimiter": "\n", "RecordColumnDelimiter": "|"}}}
    assert [c["SqlType"].split("(")[0] for c in schema["RecordColumns"]] == ["VARCHAR", "BIGINT", "DOUBLE"]
    assert found["ParsedInputRecords"][0] == ["A", "1", "1.5"]
    assert [c["Name"] for c in discover("TRIM_HORIZON")["InputSchema"]["RecordColumns"]] == ["old"]
    with pytest.raises(ClientError) as error:
        discover("LAST_STOPPED_POINT")
    assert code(error) == "ValidationException"


def test_a_stream_that_is_removed_and_made_again_is_read_on(analytics, kinesis, streams):
    name = f"app-{uuid.uuid4().hex[:8]}"
    analytics.create_application(ApplicationName=name, ApplicationCode=PASS_SQL, Inputs=[source(streams[0])],
                                 Outputs=[sink(streams[1])])
    begin(analytics, name, "NOW")
    running(analytics, name)
    put(kinesis, streams[0], {"symbol": "FIRST", "shares": 1})
    assert rows_until(kinesis, streams[1], "FIRST") == ["FIRST"]
    kinesis.delete_stream(StreamName=streams[0])
    kinesis.create_stream(StreamName=streams[0], ShardCount=2)
    put(kinesis, streams[0], {"symbol": "SECOND", "shares": 1})
    assert rows_until(kinesis, streams[1], "SECOND") == ["FIRST", "SECOND"]
    analytics.stop_application(ApplicationName=name)
    kinesis.delete_stream(StreamName=streams[0])
    with pytest.raises(ClientError) as error:
        begin(analytics, name, "NOW")
    assert code(error) == "InvalidApplicationConfigurationException" and streams[0] in message(error)
    assert detail(analytics, name)["ApplicationStatus"] == "READY"


HEARD = """
import boto3, os
def handler(event, context):
    said = [context.function_version, context.invoked_function_arn]
    boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody=" ".join(said))
    return {"records": [{"recordId": record["recordId"], "result": "Ok"} for record in event["records"]]}
"""


def test_rows_go_to_the_version_of_an_alias(server, analytics, kinesis, streams):
    functions, sqs = server.client("lambda"), server.client("sqs")
    name = f"heard-{uuid.uuid4().hex[:8]}"
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    functions.create_function(FunctionName=name, Runtime="python3.11", Handler="app.handler", Role=ROLE, Timeout=20,
                              Code={"ZipFile": package({"app.py": HEARD})}, Environment={"Variables": {"QUEUE": queue}}, Publish=True)
    functions.update_function_code(FunctionName=name, ZipFile=package({"app.py": "def handler(event, context): return 1"}))
    alias = functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")["AliasArn"]
    sql = 'CREATE OR REPLACE STREAM "OUT" ("symbol" VARCHAR(8)); CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" ' \
          'SELECT STREAM "symbol" FROM "SOURCE_SQL_STREAM_001"'
    output = {"Name": "OUT", "LambdaOutput": {"ResourceARN": alias, "RoleARN": ROLE}, "DestinationSchema": {"RecordFormatType": "JSON"}}
    analytics.create_application(ApplicationName=name, ApplicationCode=sql, Inputs=[source(streams[0])], Outputs=[output])
    (shown,) = detail(analytics, name)["OutputDescriptions"]
    assert shown["LambdaOutputDescription"]["ResourceARN"] == alias
    begin(analytics, name)
    put(kinesis, streams[0], {"symbol": "MSFT", "shares": 1})
    (message,) = until(lambda: sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages"))
    assert message["Body"] == f"1 {alias}"
    analytics.stop_application(ApplicationName=name)
    functions.delete_function(FunctionName=name)
    sqs.delete_queue(QueueUrl=queue)
