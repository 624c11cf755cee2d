"""The stock-trades story through real clients: API → function → delivery stream → SQL → function → table, and its trail."""

import json
import pathlib
import subprocess

import pytest
import requests
from botocore.exceptions import ClientError
from conftest import BINARY, package, until

ROLE = "arn:aws:iam::000000000000:role/any"
EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples" / "stock-trades"
SQL = """
CREATE OR REPLACE STREAM "OUTPUT_STREAM" ("time" TIMESTAMP, "symbol" VARCHAR(8), "shareChange" INTEGER);
CREATE OR REPLACE PUMP "STREAM_PUMP" AS INSERT INTO "OUTPUT_STREAM"
SELECT STREAM STEP("SOURCE_SQL_STREAM_001".ROWTIME BY INTERVAL '2' SECOND) AS "time", "symbol", SUM("shares") AS "shareChange"
FROM "SOURCE_SQL_STREAM_001"
GROUP BY "symbol", STEP("SOURCE_SQL_STREAM_001".ROWTIME BY INTERVAL '2' SECOND);
"""
COLUMNS = [("symbol", "VARCHAR(8)"), ("price", "DOUBLE"), ("shares", "INTEGER")]


def example(name):
    return package({f"{name}.py": (EXAMPLE / "functions" / "python" / f"{name}.py").read_text()})


def input_of(arn_member, arn, columns=COLUMNS):
    return {
        "NamePrefix": "SOURCE_SQL_STREAM", arn_member: {"ResourceARN": arn, "RoleARN": ROLE},
        "InputSchema": {
            "RecordFormat": {"RecordFormatType": "JSON", "MappingParameters": {"JSONMappingParameters": {"RecordRowPath": "$"}}},
            "RecordColumns": [{"Name": n, "SqlType": t, "Mapping": f"$.{n}"} for n, t in columns]}}


def let_apis(functions, name):
    """What the console adds when an API is told to run a function."""
    functions.add_permission(FunctionName=name, StatementId="gateway", Action="lambda:InvokeFunction",
                             Principal="apigateway.amazonaws.com", SourceArn="arn:aws:execute-api:us-east-1:000000000000:*")


def start(analytics, name, position="TRIM_HORIZON"):
    (described,) = analytics.describe_application(ApplicationName=name)["ApplicationDetail"]["InputDescriptions"]
    analytics.start_application(ApplicationName=name, InputConfigurations=[
        {"Id": described["InputId"], "InputStartingPositionConfiguration": {"InputStartingPosition": position}}])


@pytest.fixture(scope="module")
def story(node):
    """Everything that the story sets up, as its author did, with boto3."""
    functions, gateway = node.client("lambda"), node.client("apigateway")
    node.client("firehose").create_delivery_stream(
        DeliveryStreamName="input_transactions", DeliveryStreamType="DirectPut",
        S3DestinationConfiguration={"BucketARN": "arn:aws:s3:::trades-archive", "RoleARN": ROLE,
                                    "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 2}})
    node.client("dynamodb").create_table(
        TableName="share_changes", BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "timestamp", "KeyType": "HASH"}, {"AttributeName": "symbol", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("timestamp", "symbol")])
    functions.create_function(
        FunctionName="PostTransaction", Runtime="python3.11", Handler="post_transaction.handler", Role=ROLE, Timeout=30,
        Code={"ZipFile": example("post_transaction")}, Environment={"Variables": {"DELIVERY_STREAM": "input_transactions"}})
    save = functions.create_function(
        FunctionName="SaveShareChange", Runtime="python3.11", Handler="save_share_change.handler", Role=ROLE, Timeout=30,
        Code={"ZipFile": example("save_share_change")}, Environment={"Variables": {"TABLE": "share_changes"}})
    analytics = node.client("kinesisanalytics")
    analytics.create_application(
        ApplicationName="share-changes", ApplicationCode=SQL,
        Inputs=[input_of("KinesisFirehoseInput", "arn:aws:firehose:us-east-1:000000000000:deliverystream/input_transactions")],
        Outputs=[{"Name": "OUTPUT_STREAM", "LambdaOutput": {"ResourceARN": save["FunctionArn"], "RoleARN": ROLE},
                  "DestinationSchema": {"RecordFormatType": "JSON"}}])
    start(analytics, "share-changes")
    api = gateway.create_rest_api(name="trades")["id"]
    (root,) = gateway.get_resources(restApiId=api)["items"]
    method = dict(restApiId=api, resourceId=root["id"], httpMethod="POST")
    gateway.put_method(**method, authorizationType="NONE")
    gateway.put_integration(
        **method, type="AWS", integrationHttpMethod="POST",
        uri="arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
            "arn:aws:lambda:us-east-1:000000000000:function:PostTransaction/invocations")
    let_apis(functions, "PostTransaction")
    gateway.put_integration_response(**method, statusCode="200", responseTemplates={"application/json": ""})
    gateway.put_integration_response(**method, statusCode="400", selectionPattern=".*Trade.*")
    tested = gateway.test_invoke_method(**method, body=json.dumps({"symbol": "TEST", "price": 1.0, "shares": 0}))
    assert tested["status"] == 200 and "Method completed with status: 200" in tested["log"]
    url = f"{node.endpoint}/restapis/{api}/Production/_user_request_/"
    # Not live before it is deployed.
    assert requests.post(url, json={}, timeout=10).status_code == 403
    gateway.create_deployment(restApiId=api, stageName="Production")
    return url


def test_posted_trades_become_sums_in_the_table(node, story):
    expected = {}
    for number in range(60):
        trade = {"symbol": ["MSFT", "AMZN", "GOOG"][number % 3], "price": 100.0 + number, "shares": number - 20}
        answer = requests.post(story, json=trade, timeout=30)
        assert answer.status_code == 200 and len(answer.json()["recordId"]) == 56, answer.text
        expected[trade["symbol"]] = expected.get(trade["symbol"], 0) + trade["shares"]
    table = node.client("dynamodb")

    def all_there():
        sums = {}
        for item in table.scan(TableName="share_changes")["Items"]:
            symbol = item["symbol"]["S"]
            sums[symbol] = sums.get(symbol, 0) + int(item["shareChange"]["N"])
        sums.pop("TEST", None)
        return sums == expected

    until(all_there)


def test_the_archive_holds_each_trade_once(node, story):
    folder = node.data / "objects" / "trades-archive"

    def archived():
        lines = [line for path in folder.rglob("input_transactions-*") for line in path.read_text().splitlines()]
        return lines if len(lines) >= 61 else None

    prices = [json.loads(line)["price"] for line in until(archived)]
    assert sorted(prices) == sorted([1.0] + [100.0 + number for number in range(60)])


def test_a_trades_way_is_told(node, story):
    record_id = requests.post(story, json={"symbol": "WAY", "price": 5.5, "shares": 7}, timeout=30).json()["recordId"]

    def trace():
        told = node.run("trace", record_id)
        return told if "share_changes" in told else None

    told = until(trace)
    for part in ("delivery/input_transactions", "share-changes", "SaveShareChange", "share_changes"):
        assert part in told, told


def test_commands_show_what_flows(node, story):
    assert "input_transactions" in node.run("status")
    lines = node.run("tail", "delivery/input_transactions", "--from-start", "--limit", "3").splitlines()
    assert len(lines) == 3 and "symbol" in lines[1]
    assert "START RequestId" in node.run("logs", "PostTransaction")
    wrong = node.run("tail", "nothing", check=False)
    assert wrong.returncode != 0 and "nothing" in wrong.stderr


def test_both_dialects_give_the_same_sums(node):
    pipeline = node.folder / "both.toml"
    columns = '[{ name = "symbol", type = "VARCHAR(8)" }, { name = "shares", type = "BIGINT" }]'
    azure = "SELECT System.Timestamp() AS time, symbol, SUM(shares) AS shareChange INTO out FROM src GROUP BY symbol, TumblingWindow(second, 2)"
    pipeline.write_text(f'''
name = "both"
[[stream]]
name = "both"
[[query]]
name = "kinesis-form"
dialect = "kinesis"
sql = """{SQL}"""
[[query.input]]
name = "SOURCE_SQL_STREAM_001"
stream = "both"
columns = {columns}
[[query]]
name = "azure-form"
dialect = "stream-analytics"
sql = "{azure}"
[[query.input]]
name = "src"
stream = "both"
columns = {columns}
''')
    assert "created" in node.run("apply", pipeline)
    assert "unchanged" in node.run("apply", pipeline)
    kinesis = node.client("kinesis")
    trades = [{"symbol": "ABC"[n % 3], "shares": n} for n in range(300)]
    # In one call, so that no window ends between them.
    kinesis.put_records(StreamName="both", Records=[
        {"Data": json.dumps(trade), "PartitionKey": trade["symbol"]} for trade in trades])
    expected = {symbol: sum(t["shares"] for t in trades if t["symbol"] == symbol) for symbol in "ABC"}

    def sums(stream):
        found = {}
        for line in node.run("tail", stream, "--from-start", "--limit", "3", timeout=90).splitlines():
            row = json.loads(line)
            row = json.loads(row["data"]) if isinstance(row.get("data"), str) else row.get("data", row)
            found[row["symbol"]] = found.get(row["symbol"], 0) + row["shareChange"]
        return found

    assert sums("query/kinesis-form/OUTPUT_STREAM") == sums("query/azure-form/out") == expected


def test_queries_start_stop_and_are_refused_with_reasons(node):
    analytics, kinesis = node.client("kinesisanalytics"), node.client("kinesis")
    kinesis.create_stream(StreamName="in", ShardCount=1)
    kinesis.create_stream(StreamName="out", ShardCount=1)
    source = input_of("KinesisStreamsInput", "arn:aws:kinesis:us-east-1:000000000000:stream/in")
    target = [{"Name": "OUTPUT_STREAM", "DestinationSchema": {"RecordFormatType": "JSON"}, "KinesisStreamsOutput": {
        "ResourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/out", "RoleARN": ROLE}}]

    def refused(code):
        with pytest.raises(ClientError) as raised:
            analytics.create_application(ApplicationName="bad", ApplicationCode=code, Inputs=[source])
        return raised.value.response["Error"]["Code"], raised.value.response["Error"]["Message"]

    code, message = refused(SQL.replace('SUM("shares")', 'SUM("sharse")'))
    assert code == "CodeValidationException" and '"sharse"' in message.replace("`", '"') and "shares" in message
    code, message = refused(SQL.replace(', STEP("SOURCE_SQL_STREAM_001".ROWTIME BY INTERVAL \'2\' SECOND);', ";"))
    assert code == "CodeValidationException" and "STEP" in message
    analytics.create_application(ApplicationName="app", ApplicationCode=SQL, Inputs=[source], Outputs=target)
    kinesis.put_records(StreamName="in", Records=[
        {"Data": json.dumps({"symbol": "A", "price": 1, "shares": n}), "PartitionKey": "k"} for n in range(10)])
    start(analytics, "app")
    shard = kinesis.list_shards(StreamName="out")["Shards"][0]["ShardId"]
    iterator = kinesis.get_shard_iterator(StreamName="out", ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    # The records came in one call, so they are one window's.
    (record,) = until(lambda: kinesis.get_records(ShardIterator=iterator)["Records"])
    assert json.loads(record["Data"])["shareChange"] == 45
    detail = analytics.describe_application(ApplicationName="app")["ApplicationDetail"]
    assert detail["ApplicationStatus"] == "RUNNING" and detail["OutputDescriptions"][0]["Name"] == "OUTPUT_STREAM"
    analytics.stop_application(ApplicationName="app")
    assert analytics.describe_application(ApplicationName="app")["ApplicationDetail"]["ApplicationStatus"] == "READY"
    found = analytics.discover_input_schema(
        ResourceARN="arn:aws:kinesis:us-east-1:000000000000:stream/in", RoleARN=ROLE,
        InputStartingPositionConfiguration={"InputStartingPosition": "TRIM_HORIZON"})["InputSchema"]["RecordColumns"]
    assert [column["Name"] for column in found] == ["symbol", "price", "shares"]
    analytics.delete_application(ApplicationName="app", CreateTimestamp=detail["CreateTimestamp"])
    with pytest.raises(ClientError) as raised:
        analytics.describe_application(ApplicationName="app")
    assert raised.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_proxy_integrations_get_the_whole_request(node, story):
    code = "import json\ndef handler(event, context):\n    return {'statusCode': 201, 'headers': {'X-Made': 'yes'}, 'body': json.dumps(event)}\n"
    made = node.client("lambda").create_function(FunctionName="proxy", Runtime="python3.11", Handler="app.handler", Role=ROLE,
                                                 Code={"ZipFile": package({"app.py": code})}, Timeout=20)
    gateway = node.client("apigateway")
    api = gateway.create_rest_api(name="proxy")
    resource = gateway.create_resource(restApiId=api["id"], parentId=api["rootResourceId"], pathPart="{proxy+}")
    method = dict(restApiId=api["id"], resourceId=resource["id"], httpMethod="ANY")
    gateway.put_method(**method, authorizationType="NONE")
    gateway.put_integration(**method, type="AWS_PROXY", integrationHttpMethod="POST",
                            uri=f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{made['FunctionArn']}/invocations")
    let_apis(node.client("lambda"), "proxy")
    gateway.create_deployment(restApiId=api["id"], stageName="prod")
    base = f"{node.endpoint}/restapis/{api['id']}/prod/_user_request_"
    answer = requests.put(f"{base}/orders/7?a=1&a=2", data="body", headers={"X-Mine": "m"}, timeout=30)
    assert (answer.status_code, answer.headers["X-Made"]) == (201, "yes")
    event = answer.json()
    assert (event["httpMethod"], event["path"], event["pathParameters"]) == ("PUT", "/orders/7", {"proxy": "orders/7"})
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"]} and event["queryStringParameters"] == {"a": "2"}
    assert event["headers"]["x-mine"] == "m" and event["body"] == "body" and event["requestContext"]["stage"] == "prod"
    missing = requests.get(f"{node.endpoint}/restapis/{api['id']}/prod/_user_request_/", timeout=10)
    assert (missing.status_code, missing.json()) == (403, {"message": "Missing Authentication Token"})
    node.client("lambda").update_function_code(FunctionName="proxy", ZipFile=example("save_share_change"))
    broken = requests.get(f"{base}/x", timeout=30)
    assert (broken.status_code, broken.json()) == (502, {"message": "Internal server error"})


TARGETS = """
name = "targets"
[[queue]]
name = "letters"
[[sns_topic]]
name = "news"
[[function]]
name = "Told"
runtime = "python3.11"
handler = "post_transaction.handler"
code = "python"
dead_letter = "news"
retries = 1
maximum_age_seconds = 600
on_failure = "letters"
on_success = "Hear"
[[function]]
name = "Hear"
runtime = "python3.11"
handler = "post_transaction.handler"
code = "python"
[[mapping]]
queue = "letters"
function = "Hear"
"""


def test_ends_of_asynchronous_invocations_are_described(node, tmp_path):
    file = tmp_path / "targets.toml"
    file.write_text(TARGETS)
    (tmp_path / "python").symlink_to(EXAMPLE / "functions" / "python")
    checked = subprocess.run([BINARY, "check", file], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0 and "2 functions, 1 queues, 1 mappings, 1 topics" in checked.stdout, checked
    assert "created" in node.run("apply", file)
    again = node.run("apply", file)
    assert "created" not in again and "updated" not in again, again
    functions = node.client("lambda")
    arn = "arn:aws:{}:us-east-1:000000000000:{}".format
    assert functions.get_function_configuration(FunctionName="Told")["DeadLetterConfig"] == {"TargetArn": arn("sns", "news")}
    policy = functions.get_function_event_invoke_config(FunctionName="Told")
    assert (policy["MaximumRetryAttempts"], policy["MaximumEventAgeInSeconds"]) == (1, 600)
    assert policy["DestinationConfig"] == {"OnSuccess": {"Destination": arn("lambda", "function:Hear")},
                                           "OnFailure": {"Destination": arn("sqs", "letters")}}

    file.write_text(TARGETS.replace('dead_letter = "news"\nretries = 1\n', 'retries = 0\n'))
    assert "updated   function        Told" in node.run("apply", file)
    told = functions.get_function_configuration(FunctionName="Told")
    assert told["DeadLetterConfig"] == {"TargetArn": arn("sns", "news")}, "what the file does not name stays"
    assert functions.get_function_event_invoke_config(FunctionName="Told")["MaximumRetryAttempts"] == 0

    file.write_text(TARGETS.replace('dead_letter = "news"', 'dead_letter = "Hear"').replace('"letters"\non_s', '"leters"\non_s'))
    wrong = subprocess.run([BINARY, "check", file], capture_output=True, text=True, timeout=30)
    assert wrong.returncode == 1
    assert "targets.toml:12: there is no queue or topic `Hear` in this file" in wrong.stderr, wrong
    assert "targets.toml:15: there is no queue, topic or function `leters` in this file" in wrong.stderr, wrong
    assert "did you mean `letters`?" in wrong.stderr
