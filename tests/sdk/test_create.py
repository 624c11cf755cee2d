"""Making resources without a file: `millstream create`, the console's forms, and sections of a file that refer to what is there."""

import json
import subprocess
import urllib.error
import urllib.request
import uuid

import pytest

from conftest import BINARY, Node, until

SQL = "SELECT symbol, COUNT(*) AS trades INTO perMinute FROM trades GROUP BY symbol, TumblingWindow(minute, 1)"
HANDLER = "def handler(event, context):\n    return {'got': event}\n"


def form(node, kind, **fields):
    """Sends a filled-in form as a browser does; gives the page. Names have two underscores for a dot."""
    boundary = uuid.uuid4().hex
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name.replace("__", ".")}"\r\n\r\n{value}\r\n'
             for name, value in fields.items()]
    request = urllib.request.Request(f"{node.console}/new/{kind}", "".join([*parts, f"--{boundary}--\r\n"]).encode(),
                                     {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def test_one_command_makes_one_resource(node, tmp_path):
    assert "event-hub" in node.run("create")
    assert "partitions" in node.run("create", "event-hub")
    assert node.run("create", "stream", "clicks", "shards=2").split()[:3] == ["created", "stream", "clicks"]
    kinesis = node.client("kinesis")
    assert len(kinesis.list_shards(StreamName="clicks")["Shards"]) == 2
    node.run("create", "event-hub", "trades", "partitions=3", "consumer_groups=one,two")
    node.run("create", "blob-container", "results")
    node.run("create", "cosmos-database", "shop", "container.name=orders", "container.partition_key=/id")
    node.run("create", "queue", "jobs")
    (tmp_path / "q.sql").write_text(SQL)
    node.run("create", "query", "per-minute", "dialect=stream-analytics", f"sql=@{tmp_path / 'q.sql'}", "input.name=trades",
             "input.event_hub=trades", "output.name=perMinute", "output.blob.container=results", "output.blob.path=x/{date}")
    code = tmp_path / "code"
    code.mkdir()
    (code / "index.py").write_text(HANDLER)
    node.run("create", "function", "echo", "runtime=python3.12", "handler=index.handler", f"code={code}")
    answer = node.client("lambda").invoke(FunctionName="echo", Payload=b"1")
    assert json.load(answer["Payload"]) == {"got": 1}
    node.run("create", "event-grid-topic", "orders", "subscription.name=to-echo", "subscription.function=echo")
    node.run("create", "api", "front", "route.method=POST", "route.path=/", "route.function=echo")
    status = node.run("status")
    for name in ("per-minute", "echo", "trades"):
        assert name in status


def test_what_surrounds_functions_is_made(node, tmp_path):
    node.run("create", "stream", "tweets")
    node.run("create", "queue", "dead")
    node.run("create", "role", "decoder", "allow=sqs:SendMessage on arn:aws:sqs:*:*:dead\nlogs:*",
             "attach=AWSLambdaKinesisExecutionRole")
    role = node.client("iam").get_role_policy(RoleName="decoder", PolicyName="pipeline")
    assert role["PolicyDocument"]["Statement"][0]["Resource"] == ["arn:aws:sqs:*:*:dead"]
    node.run("create", "user", "anna", "deny=s3:*")
    assert node.client("iam").list_access_keys(UserName="anna")["AccessKeyMetadata"]
    code = tmp_path / "decode"
    code.mkdir()
    (code / "index.py").write_text(HANDLER)
    node.run("create", "function", "decode", "runtime=python3.12", "handler=index.handler", f"code={code}", "role=decoder")
    assert node.client("lambda").get_function_configuration(FunctionName="decode")["Role"].endswith("role/decoder")
    node.run("create", "mapping", "decode", "stream=tweets", "batch_size=50", "bisect=true", "max_retries=1",
             "on_failure=dead", 'filters={"data": {"a": [1]}}')
    [mapping] = node.client("lambda").list_event_source_mappings(FunctionName="decode")["EventSourceMappings"]
    assert (mapping["BatchSize"], mapping["BisectBatchOnFunctionError"], mapping["MaximumRetryAttempts"]) == (50, True, 1)
    assert mapping["FilterCriteria"]["Filters"] == [{"Pattern": '{"data": {"a": [1]}}'}]
    again = node.run("create", "mapping", "decode", "stream=tweets", check=False)
    assert "there is a mapping `tweets -> decode` already" in again.stderr, again
    node.run("create", "sns-topic", "news", "subscription.queue=dead", "subscription.raw=true", "subscription.2.function=decode")
    [topic] = node.client("sns").list_topics()["Topics"]
    assert len(node.client("sns").list_subscriptions_by_topic(TopicArn=topic["TopicArn"])["Subscriptions"]) == 2


def test_what_apis_are_sold_with_is_made(node, tmp_path):
    form(node, "function", name="pay", runtime="python3.12", handler="index.handler", code=HANDLER)
    node.run("create", "api", "shop", "route.method=GET", "route.path=/", "route.function=pay", "route.key_required=true")
    page = form(node, "marketplace-product", code="shop-1", dimensions="calls, rows")
    assert "created" in page, page
    page = form(node, "usage-plan", name="gold \"1\"", apis="shop", rate="2.5", quota="1000", quota_period="day",
                product_code="shop-1")
    assert "created" in page, page
    gateway = node.client("apigateway")
    [plan] = [plan for plan in gateway.get_usage_plans()["items"] if plan["name"] == 'gold "1"']
    assert (plan["throttle"]["rateLimit"], plan["quota"]["period"], plan["productCode"]) == (2.5, "DAY", "shop-1")
    assert plan["apiStages"][0]["stage"] == "prod"
    node.run("create", "usage-plan", "silver", "apis=shop")
    made = node.run("create", "api-key", "anna", "plans=silver")
    assert made.split()[:3] == ["created", "api", "key"]
    url = next(word for word in node.run("apply", section(node, tmp_path)).split() if word.startswith("http"))
    with pytest.raises(urllib.error.HTTPError) as without:
        urllib.request.urlopen(url, timeout=30)
    assert without.value.code == 403
    with urllib.request.urlopen(urllib.request.Request(url, headers={"x-api-key": made.split()[-1]}), timeout=30) as answer:
        assert answer.status == 200
    page = form(node, "portal", title="Shop", api__1__name="shop", plan__1__name="silver", plan__1__price_a_month="2.50")
    assert "portal" in page and 'role="status"' in page, page
    page = form(node, "portal", title="Shop", plan__1__name="iron")
    assert "there is no plan `iron`" in page, page
    assert "already" in form(node, "usage-plan", name="silver")


def section(node, folder):
    """A file with the API as it is there."""
    text = node.run("create", "api", "shop", "route.method=GET", "route.path=/", "route.function=pay",
                    "route.key_required=true", "--print")
    (folder / "shop.toml").write_text(text)
    return folder / "shop.toml"


def test_an_event_subscription_is_made_with_all_that_it_can_say(node):
    node.run("create", "queue", "picked")
    form(node, "function", name="sink", runtime="python3.12", handler="index.handler", code=HANDLER)
    page = form(node, "event-grid-topic", name="power", subscription__1__name="much", subscription__1__function="sink",
                subscription__1__filters="data.watts NumberGreaterThan 5\r\ndata.room StringIn kitchen, bath\r\n"
                                         "data.share NumberInRange [1, 5], [7, 9.5]\r\ndata.user IsNotNull",
                subscription__1__delivery_schema="cloud-events", subscription__1__max_events="10",
                subscription__1__preferred_kib="128", subscription__1__case_sensitive="true", subscription__1__max_attempts="3")
    assert "created" in page, page
    path = "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid/topics/power/eventSubscriptions/much"
    request = urllib.request.Request(f"{node.endpoint}{path}?api-version=2022-06-15", headers={"Authorization": "Bearer any"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        properties = json.load(answer)["properties"]
    told = [(found["operatorType"], found.get("value", found.get("values"))) for found in properties["filter"]["advancedFilters"]]
    assert told == [("NumberGreaterThan", 5), ("StringIn", ["kitchen", "bath"]), ("NumberInRange", [[1, 5], [7, 9.5]]),
                    ("IsNotNull", None)]
    assert properties["filter"]["isSubjectCaseSensitive"] and properties["eventDeliverySchema"] == "CloudEventSchemaV1_0"
    batch = properties["destination"]["properties"]
    assert (batch["maxEventsPerBatch"], batch["preferredBatchSizeInKilobytes"]) == (10, 128)
    page = form(node, "event-grid-topic", name="power", subscription__1__name="more", subscription__1__queue="picked",
                subscription__1__filters="data.watts NumberGreaterThen 5")
    assert 'id="subscription.1.filters-wrong"' in page and "did you mean `NumberGreaterThan`?" in page, page


def test_a_table_is_made_with_its_indexes(node, tmp_path):
    made = node.run("create", "table", "orders", "hash_key.name=id", "hash_key.type=string", "sort_key.name=line",
                    "sort_key.type=number", "index.name=by-user", "index.hash_key.name=user", "index.hash_key.type=string",
                    "index.attributes=total,at", "index.2.name=by-total", "index.2.hash_key.name=id",
                    "index.2.hash_key.type=string", "index.2.sort_key.name=total", "index.2.sort_key.type=number",
                    "index.2.local=true", "index.2.keys_only=true")
    assert made.split()[:3] == ["created", "table", "orders"]
    dynamodb = node.client("dynamodb")
    dynamodb.put_item(TableName="orders", Item={"id": {"S": "1"}, "line": {"N": "1"}, "user": {"S": "ann"}, "total": {"N": "5"},
                                                "note": {"S": "n"}})
    [item] = dynamodb.query(TableName="orders", IndexName="by-user", KeyConditionExpression="#u = :u",
                            ExpressionAttributeNames={"#u": "user"}, ExpressionAttributeValues={":u": {"S": "ann"}})["Items"]
    assert sorted(item) == ["id", "line", "total", "user"]
    table = dynamodb.describe_table(TableName="orders")["Table"]
    assert [index["IndexName"] for index in table["LocalSecondaryIndexes"]] == ["by-total"]
    path = tmp_path / "tables.toml"
    text = """[[table]]
name = "orders"
hash_key = { name = "id", type = "string" }
sort_key = { name = "line", type = "number" }

[[table.index]]
name = "by-total"
hash_key = { name = "id", type = "string" }
sort_key = { name = "total", type = "number" }
keys_only = true
local = true

[[table.index]]
name = "by-user"
hash_key = { name = "user", type = "string" }
attributes = ["at", "total"]
"""
    path.write_text(text)
    assert "unchanged" in node.run("apply", path)
    for was, now, words in [
        ('["at", "total"]', '["at"]', "other indexes"),
        ('"by-user"', '"by-total"', "a second index `by-total`"),
        ('{ name = "user", type = "string" }', '{ name = "total", type = "string" }', "another type elsewhere"),
        ('sort_key = { name = "total", type = "number" }\n', "", "a local index needs a sort key"),
        ("keys_only = true", 'keys_only = true\nattributes = ["a"]', "found both"),
        ('attributes = ["at", "total"]', "local = true", "a local index has its table's hash key"),
    ]:
        assert was in text
        path.write_text(text.replace(was, now, 1) if "type" not in now else text.replace(was, now))
        done = node.run("apply", path, check=False)
        assert done.returncode != 0 and words in done.stdout + done.stderr, (was, now, done)
    # Indexes that the table does not have yet are made, several at once; local ones are made with their table only.
    index = '\n[[table.index]]\nname = "{0}"\nhash_key = {{ name = "{1}", type = "string" }}\n'
    local = index.format("by-note", "id") + 'sort_key = { name = "note", type = "string" }\nlocal = true\n'
    path.write_text(text + local)
    done = node.run("apply", path, check=False)
    assert done.returncode != 0 and "no local index `by-note`" in done.stdout + done.stderr, done
    path.write_text(text + index.format("of-note", "note") + index.format("of-shop", "shop"))
    assert "updated   table           orders" in node.run("apply", path)
    assert "unchanged" in node.run("apply", path)
    states = lambda: {index["IndexName"]: index["IndexStatus"] for index in
                      dynamodb.describe_table(TableName="orders")["Table"]["GlobalSecondaryIndexes"]}
    until(lambda: states() == dict.fromkeys(["by-user", "of-note", "of-shop"], "ACTIVE"))
    found = dynamodb.query(TableName="orders", IndexName="of-note", KeyConditionExpression="note = :n",
                           ExpressionAttributeValues={":n": {"S": "n"}})
    assert [item["id"]["S"] for item in found["Items"]] == ["1"]


def test_a_managed_service_is_made_with_what_its_policies_name(node, tmp_path):
    node.run("create", "api-management", "named", "named_value.name=greeting", "named_value.value=hello",
             "named_value.2.name=code", "named_value.2.value=s3cret", "named_value.2.secret=true", "backend.name=self",
             "backend.url=${endpoint}", "api.name=front", "api.path=front",
             'api.policy=<policies><inbound><base /><set-backend-service backend-id="self" /><set-header name="X-Greeting">'
             "<value>{{greeting}} {{code}}</value></set-header></inbound><backend><base /></backend></policies>",
             "operation.name=get", "operation.method=GET", "operation.template=/healthz", "product.name=all",
             "product.apis=front", "product.subscriptions=one")
    base = f"{node.endpoint}/subscriptions/s/resourceGroups/g/providers/Microsoft.ApiManagement/service/named"

    def manage(path, method="GET"):
        request = urllib.request.Request(f"{base}{path}?api-version=2024-05-01", b"" if method == "POST" else None,
                                         {"Authorization": "Bearer any"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    assert manage("/backends/self")["properties"]["url"] == node.endpoint
    assert manage("/namedValues/greeting")["properties"]["value"] == "hello"
    assert "value" not in manage("/namedValues/code")["properties"]
    key = manage("/subscriptions/one/listSecrets", "POST")["primaryKey"]
    request = urllib.request.Request(f"{node.endpoint}/apim/front/healthz", headers={"Ocp-Apim-Subscription-Key": key})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.read() == b"ok\n"
    again = node.run("create", "api-management", "named", "named_value.name=greeting", "named_value.value=x", "api.name=b",
                     "api.path=b", check=False)
    assert "there is a named value `greeting` already" in again.stderr, again
    path = tmp_path / "apis.toml"
    text = """[[api_management]]
name = "second"
policy = '<policies><inbound><set-header name="A"><value>{{word}}</value></set-header></inbound></policies>'

[[api_management.named_value]]
name = "word"
value = "a"

[[api_management.backend]]
name = "store"
url = "http://127.0.0.1:1"

[[api_management.api]]
name = "a"
path = "a"
policy = '<policies><inbound><set-backend-service backend-id="store" /></inbound></policies>'
"""
    path.write_text(text)
    checked = subprocess.run([BINARY, "check", str(path)], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked
    node.run("apply", path)
    assert "unchanged" in node.run("apply", path)
    path.write_text(text.replace('value = "a"', 'value = "b"'))
    assert "updated" in node.run("apply", path)
    for was, now, words in [
        ("<value>{{word}}", "<valu>{{word}}", "the policies of `second`"),
        ("http://127", "ftp://127", "the backend `store`"),
        ("{{word}}", "{{words}}", "Cannot find a property"),
    ]:
        path.write_text(text.replace(was, now, 1))
        done = node.run("apply", path, check=False)
        assert done.returncode != 0 and words in done.stdout + done.stderr, (was, done)


def test_the_command_says_what_is_wrong(node):
    for arguments, words in [
        (("castle", "x"), "there is no kind `castle`"),
        (("stream", "x", "shard=2"), "did you mean `shards`?"),
        (("stream", "x", "shards"), "expected KEY=VALUE"),
        (("stream", "x", "shards=900"), "expected shards from 1 to 500"),
        (("query", "x", "dialect=kinesis", "sql=SELECT", "input.name=i", "input.stream=nowhere"), "no stream `nowhere`"),
        (("function", "x", "runtime=python3.12", "handler=a.b", "code=/nowhere"), "cannot read the code"),
    ]:
        done = node.run("create", *arguments, check=False)
        assert done.returncode != 0 and words in done.stdout + done.stderr, (arguments, done)
    node.run("create", "stream", "once")
    done = node.run("create", "stream", "once", "shards=2", check=False)
    assert done.returncode != 0 and "there is a stream `once` already" in done.stderr, done
    assert node.run("create", "stream", "never", "--print") == '[[stream]]\nname = "never"\n'
    assert "never" not in node.run("status")


def test_a_file_of_one_section_refers_to_what_is_there(node, tmp_path):
    node.run("create", "event-hub", "sensors")
    path = tmp_path / "one.toml"
    section = node.run("create", "query", "warm", "dialect=stream-analytics", "input.name=s", "input.event_hub=sensors",
                       "sql=SELECT * INTO o FROM s", "--print")
    path.write_text(section)
    assert node.run("apply", path).split()[:3] == ["created", "query", "warm"]
    assert "unchanged" in node.run("apply", path)
    path.write_text(section.replace('"sensors"', '"censors"'))
    done = node.run("apply", path, check=False)
    assert "did you mean `sensors`?" in done.stderr + done.stdout, done


def test_a_form_makes_one_resource(node):
    page = form(node, "stream", name="taps", shards="2")
    assert "created" in page and 'href="/streams/taps"' in page
    assert len(node.client("kinesis").list_shards(StreamName="taps")["Shards"]) == 2
    page = form(node, "function", name="greet", runtime="python3.12", handler="index.handler", code=HANDLER)
    assert "created" in page, page
    answer = node.client("lambda").invoke(FunctionName="greet", Payload=b'"x"')
    assert json.load(answer["Payload"]) == {"got": "x"}
    page = form(node, "query", name="broken", dialect="stream-analytics", sql="SELECT\r\nsymbl INTO o FROM t",
                input__1__name="t", input__1__stream="taps", input__1__columns="symbol bigint", output__1__name="o")
    assert 'id="sql-wrong"' in page and "symbl" in page, page
    page = form(node, "stream", name="taps")
    assert 'id="name-wrong"' in page and "already" in page
    page = form(node, "api-management", name="shop", api__name="a", api__path="a", operation__1__name="o",
                operation__1__method="GET", operation__1__template="/", product__1__name="p", product__1__apis="a",
                product__1__subscriptions="dev")
    assert "created" in page, page
    page = form(node, "api-management", name="shop", api__name="b", api__path="b")
    assert "updated" in page, page
    page = form(node, "api-management", name="shop", api__name="a", api__path="c")
    assert "already" in page, page


def test_a_form_needs_the_nodes_token():
    node = Node(development=False)
    try:
        node.start()
        token = node.run("keys").split("management, bearer token")[1].split()[0]
        assert "not the node" in form(node, "stream", name="locked") and "locked" not in node.run("status")
        assert "not the node" in form(node, "stream", name="locked", token=token[:-1])
        assert "created" in form(node, "stream", name="locked", token=token)
        node.stop()
        node.start()
        assert node.run("keys").split("management, bearer token")[1].split()[0] == token
    finally:
        node.remove()


def test_other_sites_cannot_send_forms(node):
    request = urllib.request.Request(f"{node.console}/new/stream", b"x" * (4 << 20), {"Origin": "http://evil.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 403
