"""Usage plans through boto3 and plain HTTP: keys, throttles, quotas, and what was used."""

import collections
import concurrent.futures
import csv
import datetime
import io
import json
import uuid

import pytest
import requests
from botocore.exceptions import ClientError

THREADS = 16


@pytest.fixture(scope="module")
def gateway(node):
    return node.client("apigateway", max_pool_connections=THREADS)


class Api:
    """A deployed API with `GET /open`, `GET /paid` and `POST /paid`; the paid ones need a key."""

    def __init__(self, client, endpoint, stages=("prod",)):
        self.client = client
        api = client.create_rest_api(name=f"api-{uuid.uuid4().hex[:8]}", apiKeySource="HEADER")
        self.id = api["id"]
        self.resources = {}
        for path, verb, key in [("open", "GET", False), ("paid", "GET", True), ("paid", "POST", True)]:
            if path not in self.resources:
                made = client.create_resource(restApiId=self.id, parentId=api["rootResourceId"], pathPart=path)
                self.resources[path] = made["id"]
            place = {"restApiId": self.id, "resourceId": self.resources[path], "httpMethod": verb}
            method = client.put_method(**place, authorizationType="NONE", apiKeyRequired=key)
            assert method["apiKeyRequired"] == key
            client.put_integration(**place, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
            client.put_method_response(**place, statusCode="200")
            client.put_integration_response(**place, statusCode="200", responseTemplates={
                "application/json": '{"key": "$context.identity.apiKeyId"}'})
        for stage in stages:
            client.create_deployment(restApiId=self.id, stageName=stage)
        self.base = f"{endpoint}/_aws/execute-api/{self.id}"

    def call(self, path="paid", key=None, verb="GET", stage="prod", session=requests):
        headers = {"x-api-key": key} if key else {}
        return session.request(verb, f"{self.base}/{stage}/{path}", headers=headers, timeout=30)

    def flood(self, calls, key, **arguments):
        """Calls at once, from many threads; how often each status came."""
        def some(share):
            with requests.Session() as session:
                return [self.call(key=key, session=session, **arguments).status_code for _ in range(share)]
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            shares = [calls // THREADS + (index < calls % THREADS) for index in range(THREADS)]
            return collections.Counter(status for statuses in pool.map(some, shares) for status in statuses)

    def plan(self, stages=("prod",), **settings):
        return self.client.create_usage_plan(name=f"plan-{uuid.uuid4().hex[:8]}", **settings,
                                             apiStages=[{"apiId": self.id, "stage": stage} for stage in stages])["id"]

    def key(self, *plans, **settings):
        made = self.client.create_api_key(name=f"key-{uuid.uuid4().hex[:8]}", enabled=True, **settings)
        for plan in plans:
            self.client.create_usage_plan_key(usagePlanId=plan, keyId=made["id"], keyType="API_KEY")
        return made


@pytest.fixture(scope="module")
def api(gateway, node):
    return Api(gateway, node.endpoint)


def refused(response, status, kind, message):
    assert (response.status_code, response.json()) == (status, {"message": message})
    assert response.headers["x-amzn-ErrorType"] == kind


def error(code, call, *arguments, **keywords):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **keywords)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value.response["Error"]["Message"]


def today(days=0):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)).strftime("%Y-%m-%d")


def used(gateway, plan, key):
    """[used, remaining] of today; a test that runs over midnight counts both days."""
    usage = gateway.get_usage(usagePlanId=plan, keyId=key, startDate=today(-1), endDate=today())
    days = usage["items"][key]
    assert len(days) == 2
    return [sum(day[0] for day in days), days[-1][1]]


def test_only_a_key_of_a_plan_of_the_stage_opens_a_method(api, gateway):
    plan = api.plan()
    key, other = api.key(plan), api.key()
    assert api.call("open").status_code == 200
    for value in [None, "nobody-has-this-key-value", other["value"]]:
        refused(api.call(key=value), 403, "ForbiddenException", "Forbidden")
    answer = api.call(key=key["value"])
    assert (answer.status_code, answer.json()) == (200, {"key": key["id"]})
    gateway.update_api_key(apiKey=key["id"], patchOperations=[{"op": "replace", "path": "/enabled", "value": "false"}])
    refused(api.call(key=key["value"]), 403, "ForbiddenException", "Forbidden")
    gateway.update_api_key(apiKey=key["id"], patchOperations=[{"op": "replace", "path": "/enabled", "value": "true"}])
    assert api.call(key=key["value"]).status_code == 200
    gateway.delete_usage_plan_key(usagePlanId=plan, keyId=key["id"])
    refused(api.call(key=key["value"]), 403, "ForbiddenException", "Forbidden")


def test_keys_are_made_listed_changed_and_removed(gateway):
    prefix = uuid.uuid4().hex[:8]
    value = uuid.uuid4().hex
    made = gateway.create_api_key(name=f"{prefix}-a", description="of a test", value=value, customerId="c-1",
                                  generateDistinctId=True, tags={"team": "one"})
    assert (made["value"], made["enabled"], made["customerId"], made["tags"]) == (value, False, "c-1", {"team": "one"})
    assert len(gateway.create_api_key(name=f"{prefix}-b")["value"]) >= 20
    assert error("ConflictException", gateway.create_api_key, value=value) == "API Key already exists"
    error("BadRequestException", gateway.create_api_key, value="too-short")
    error("BadRequestException", gateway.create_api_key, stageKeys=[{"restApiId": "a", "stageName": "b"}])
    listed = gateway.get_api_keys(nameQuery=prefix)["items"]
    assert sorted(key["name"] for key in listed) == [f"{prefix}-a", f"{prefix}-b"]
    assert all("value" not in key for key in listed)
    assert {key["value"] for key in gateway.get_api_keys(nameQuery=prefix, includeValues=True)["items"]} >= {value}
    pages = gateway.get_paginator("get_api_keys").paginate(nameQuery=prefix, PaginationConfig={"PageSize": 1})
    assert [len(page["items"]) for page in pages] == [1, 1]
    assert "value" not in gateway.get_api_key(apiKey=made["id"])
    assert gateway.get_api_key(apiKey=made["id"], includeValue=True)["value"] == value
    changed = gateway.update_api_key(apiKey=made["id"], patchOperations=[
        {"op": "replace", "path": "/name", "value": "new"}, {"op": "replace", "path": "/customerId", "value": "c-2"}])
    assert (changed["name"], changed["customerId"], changed["description"]) == ("new", "c-2", "of a test")
    for operation in [{"op": "replace", "path": "/value", "value": "x" * 30}, {"op": "remove", "path": "/name"},
                      {"op": "replace", "path": "/enabled", "value": "perhaps"}, {"op": "replace", "path": "/name"}]:
        error("BadRequestException", gateway.update_api_key, apiKey=made["id"], patchOperations=[operation])
    gateway.delete_api_key(apiKey=made["id"])
    error("NotFoundException", gateway.get_api_key, apiKey=made["id"])
    assert gateway.create_api_key(value=value)["value"] == value, "the value is free again"


def test_keys_are_imported(api, gateway):
    plan, prefix = api.plan(), uuid.uuid4().hex[:8]
    values = [uuid.uuid4().hex for _ in range(3)]
    lines = ["Name,key,description,Enabled,usageplanIds", f"{prefix}-1,{values[0]},first,TRUE,{plan}",
             f"{prefix}-2,{values[1]},second,false,", f"{prefix}-3,short,third,true,", f"{prefix}-4,{values[2]},x,true,none"]
    strict = {"format": "csv", "failOnWarnings": True, "body": "\n".join(lines).encode()}
    error("BadRequestException", gateway.import_api_keys, **strict)
    assert gateway.get_api_keys(nameQuery=prefix)["items"] == []
    imported = gateway.import_api_keys(**strict | {"failOnWarnings": False})
    assert (len(imported["ids"]), len(imported["warnings"])) == (2, 2)
    assert api.call(key=values[0]).status_code == 200
    error("BadRequestException", gateway.import_api_keys, format="csv", body=b"\xff\xfe,,,\n1")


def test_plans_are_made_changed_and_removed(api, gateway):
    made = gateway.create_usage_plan(
        name="gold", description="d", quota={"limit": 10, "offset": 1, "period": "WEEK"}, tags={"a": "b"},
        throttle={"rateLimit": 2.5, "burstLimit": 5},
        apiStages=[{"apiId": api.id, "stage": "prod", "throttle": {"/paid/GET": {"rateLimit": 1, "burstLimit": 2}}}])
    plan = made["id"]
    assert made["throttle"] == {"rateLimit": 2.5, "burstLimit": 5}
    assert made["quota"] == {"limit": 10, "offset": 1, "period": "WEEK"}
    assert made["apiStages"][0]["throttle"] == {"/paid/GET": {"rateLimit": 1.0, "burstLimit": 2}}
    assert gateway.get_usage_plan(usagePlanId=plan)["tags"] == {"a": "b"}

    def patch(*operations):
        return gateway.update_usage_plan(usagePlanId=plan, patchOperations=[
            dict(zip(("op", "path", "value"), operation)) for operation in operations])

    changed = patch(("replace", "/name", "silver"), ("replace", "/throttle/rateLimit", "7"), ("replace", "/quota/limit", "3"),
                    ("replace", "/quota/period", "DAY"), ("replace", "/quota/offset", "0"), ("add", "/productCode", "prod-1"))
    assert (changed["name"], changed["throttle"]["rateLimit"], changed["productCode"]) == ("silver", 7.0, "prod-1")
    assert changed["quota"] == {"limit": 3, "offset": 0, "period": "DAY"}
    changed = patch(("remove", "/quota"), ("remove", "/throttle"), ("remove", "/productCode"))
    assert not {"quota", "throttle", "productCode"} & set(changed)
    method = f"/apiStages/{api.id}:prod/throttle/~1paid/POST"
    changed = patch(("replace", f"{method}/rateLimit", "4"), ("replace", f"{method}/burstLimit", "6"))
    assert changed["apiStages"][0]["throttle"]["/paid/POST"] == {"rateLimit": 4.0, "burstLimit": 6}
    for nonsense in [("replace", "/throttle/rateLimit", "-1"), ("replace", "/throttle/burstLimit", "1.5"),
                     ("replace", "/quota/limit", "-1"), ("add", "/apiStages", f"{api.id}:prod"), ("copy", "/name", "x"),
                     ("replace", "/quota/offset", "4000"), ("replace", "/../name", "x"), ("replace", "", "x")]:
        with pytest.raises(ClientError) as caught:
            patch(nonsense)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 409), nonsense
    error("NotFoundException", patch, ("add", "/apiStages", f"{api.id}:nowhere"))
    key = api.key(plan)
    assert [found["id"] for found in gateway.get_usage_plans(keyId=key["id"])["items"]] == [plan]
    assert gateway.get_usage_plan_keys(usagePlanId=plan)["items"] == [
        {"id": key["id"], "type": "API_KEY", "value": key["value"], "name": key["name"]}]
    assert gateway.get_usage_plan_key(usagePlanId=plan, keyId=key["id"])["name"] == key["name"]
    error("ConflictException", gateway.create_usage_plan_key, usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
    error("BadRequestException", gateway.create_usage_plan_key, usagePlanId=plan, keyId=key["id"], keyType="OTHER")
    error("BadRequestException", gateway.delete_usage_plan, usagePlanId=plan)
    patch(("remove", "/apiStages", f"{api.id}:prod"))
    gateway.delete_usage_plan(usagePlanId=plan)
    error("NotFoundException", gateway.get_usage_plan, usagePlanId=plan)
    assert gateway.get_usage_plans(keyId=key["id"])["items"] == []


@pytest.mark.parametrize("settings", [
    {"throttle": {"rateLimit": -1.0, "burstLimit": 1}}, {"throttle": {"rateLimit": 1.0, "burstLimit": -1}},
    {"throttle": {"burstLimit": 1}}, {"quota": {"limit": -1, "period": "DAY"}}, {"quota": {"limit": 1}},
    {"quota": {"limit": 1, "period": "DAY", "offset": 1}}, {"quota": {"limit": 1, "period": "WEEK", "offset": 7}},
    {"quota": {"limit": 1, "period": "MONTH", "offset": 28}}])
def test_limits_that_make_no_sense_are_refused(gateway, settings):
    error("BadRequestException", gateway.create_usage_plan, name="x", **settings)


def test_a_key_has_one_plan_of_a_stage(gateway, node):
    api = Api(gateway, node.endpoint, stages=("prod", "beta"))
    slow = api.plan(stages=["prod"], throttle={"rateLimit": 0.001, "burstLimit": 2})
    wide = api.plan(stages=["beta"])
    key = api.key(slow, wide)
    both = api.plan(stages=["prod", "beta"])
    error("ConflictException", gateway.create_usage_plan_key, usagePlanId=both, keyId=key["id"], keyType="API_KEY")
    stage = [{"op": "add", "path": "/apiStages", "value": f"{api.id}:prod"}]
    error("ConflictException", gateway.update_usage_plan, usagePlanId=wide, patchOperations=stage)
    assert [api.call(key=key["value"]).status_code for _ in range(3)] == [200, 200, 429]
    assert [api.call(key=key["value"], stage="beta").status_code for _ in range(3)] == [200] * 3


def test_bursts_are_exact_under_concurrency(api, gateway):
    plan = api.plan(throttle={"rateLimit": 0.001, "burstLimit": 37})
    key, other = api.key(plan), api.key(plan)
    assert api.flood(200, key["value"]) == {200: 37, 429: 163}
    refused(api.call(key=key["value"]), 429, "TooManyRequestsException", "Too Many Requests")
    assert api.call(key=other["value"]).status_code == 200, "each key has its own"
    assert used(gateway, plan, key["id"])[0] == 37, "what a throttle refuses is not counted"


def test_methods_have_throttles_of_their_own(api, gateway):
    plan = api.plan(throttle={"rateLimit": 0.001, "burstLimit": 10})
    path = f"/apiStages/{api.id}:prod/throttle//paid/POST"
    gateway.update_usage_plan(usagePlanId=plan, patchOperations=[
        {"op": "replace", "path": f"{path}/rateLimit", "value": "0.001"},
        {"op": "replace", "path": f"{path}/burstLimit", "value": "2"}])
    key = api.key(plan)["value"]
    assert api.flood(20, key, verb="POST") == {200: 2, 429: 18}
    assert api.flood(20, key) == {200: 8, 429: 12}, "a refused call takes nothing from the plan's throttle"


def test_stages_have_throttles_for_everybody(gateway, node):
    api = Api(gateway, node.endpoint)
    patch = [{"op": "replace", "path": "/*/*/throttling/rateLimit", "value": "0.001"},
             {"op": "replace", "path": "/*/*/throttling/burstLimit", "value": "4"},
             {"op": "replace", "path": "/~1paid/GET/throttling/rateLimit", "value": "0.001"},
             {"op": "replace", "path": "/~1paid/GET/throttling/burstLimit", "value": "1"}]
    stage = gateway.update_stage(restApiId=api.id, stageName="prod", patchOperations=patch)
    assert stage["methodSettings"]["*/*"]["throttlingBurstLimit"] == 4
    assert stage["methodSettings"]["~1paid/GET"]["throttlingBurstLimit"] == 1
    assert api.flood(20, None, path="open") == {200: 4, 429: 16}
    plan = api.plan()
    keys = [api.key(plan)["value"] for _ in range(2)]
    assert [api.call(key=key).status_code for key in keys] == [200, 429]
    assert api.flood(20, keys[1], verb="POST") == {200: 4, 429: 16}
    patch = [{"op": "remove", "path": "/~1paid/GET"}]
    stage = gateway.update_stage(restApiId=api.id, stageName="prod", patchOperations=patch)
    assert list(stage["methodSettings"]) == ["*/*"]
    for path, value in [("/*/*/caching/enabled", "true"), ("/*/*/throttling/burstLimit", "-7")]:
        patch = [{"op": "replace", "path": path, "value": value}]
        error("BadRequestException", gateway.update_stage, restApiId=api.id, stageName="prod", patchOperations=patch)
    assert gateway.get_account()["throttleSettings"] == {"burstLimit": 5000, "rateLimit": 10000.0}


@pytest.mark.parametrize("period", ["DAY", "WEEK", "MONTH"])
def test_quotas_are_exact_under_concurrency(api, gateway, period):
    plan = api.plan(quota={"limit": 100, "period": period})
    key, other = api.key(plan), api.key(plan)
    assert api.flood(250, key["value"]) == {200: 100, 429: 150}
    refused(api.call(key=key["value"]), 429, "LimitExceededException", "Limit Exceeded")
    assert api.call(key=other["value"]).status_code == 200
    assert used(gateway, plan, key["id"]) == [100, 0]
    assert used(gateway, plan, other["id"]) == [1, 99]
    update = [{"op": "replace", "path": "/remaining", "value": "5"}]
    answer = gateway.update_usage(usagePlanId=plan, keyId=key["id"], patchOperations=update)
    assert answer["items"][key["id"]][-1][1] == 5
    assert api.flood(20, key["value"]) == {200: 5, 429: 15}
    for value in ["-1", "many"]:
        update = [{"op": "replace", "path": "/remaining", "value": value}]
        error("BadRequestException", gateway.update_usage, usagePlanId=plan, keyId=key["id"], patchOperations=update)


def test_quotas_and_usage_survive_restarts(api, gateway, node):
    plan = api.plan(quota={"limit": 10, "period": "MONTH"}, throttle={"rateLimit": 1000, "burstLimit": 1000})
    key = api.key(plan)
    assert api.flood(6, key["value"]) == {200: 6}
    node.stop()
    node.start()
    assert used(gateway, plan, key["id"]) == [6, 4]
    assert api.flood(20, key["value"]) == {200: 4, 429: 16}
    assert used(gateway, plan, key["id"]) == [10, 0]


def test_usage_is_told_by_key_and_day(api, gateway):
    plan = api.plan(quota={"limit": 50, "period": "DAY"})
    keys = [api.key(plan) for _ in range(3)]
    for calls, key in enumerate(keys):
        for _ in range(calls):
            assert api.call(key=key["value"]).status_code == 200
    usage = gateway.get_usage(usagePlanId=plan, startDate=today(-2), endDate=today())
    assert {key["id"]: sum(day[0] for day in usage["items"][key["id"]]) for key in keys} == {
        keys[0]["id"]: 0, keys[1]["id"]: 1, keys[2]["id"]: 2}
    assert usage["items"][keys[0]["id"]] == [[0, 50]] * 3
    pages = list(gateway.get_paginator("get_usage").paginate(usagePlanId=plan, startDate=today(), endDate=today(),
                                                             PaginationConfig={"PageSize": 2}))
    assert [len(page["items"]) for page in pages] == [2, 1]
    gateway.delete_api_key(apiKey=keys[2]["id"])
    usage = gateway.get_usage(usagePlanId=plan, startDate=today(-1), endDate=today())
    assert sum(day[0] for day in usage["items"][keys[2]["id"]]) == 2, "what was used stays known"
    for start, end in [("yesterday", today()), (today(), today(-1)), ("2000-01-01", today())]:
        error("BadRequestException", gateway.get_usage, usagePlanId=plan, startDate=start, endDate=end)
    error("NotFoundException", gateway.get_usage, usagePlanId="none", startDate=today(), endDate=today())


PIPELINE = """
name = "paid"
[[function]]
name = "{name}"
runtime = "python3.11"
handler = "app.handle"
code = "code"
[[api]]
name = "{name}"
[[api.route]]
method = "GET"
path = "/"
function = "{name}"
integration = "proxy"
key_required = true
[plans.{name}]
rate = 100.0
quota = {quota}
quota_period = "day"
apis = ["{name}"]
[keys.{name}]
value = "{value}"
plans = ["{name}"]
"""

CODE = """
def handle(event, context):
    return {"statusCode": 200, "body": event["requestContext"]["identity"]["apiKeyId"]}
"""


def test_a_pipeline_file_defines_plans_and_keys(gateway, node, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text(CODE)
    file, name, value = tmp_path / "p.toml", f"paid-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex

    def apply(quota):
        file.write_text(PIPELINE.replace("{name}", name).replace("{quota}", str(quota)).replace("{value}", value))
        return {line.split()[1] + " " + line.split()[2]: line.split()[0] for line in node.run("apply", file).splitlines()}

    first = apply(2)
    assert (first["usage plan"], first["api key"]) == ("created", "created")
    assert (apply(2)["usage plan"], apply(2)["api key"]) == ("unchanged", "unchanged")
    api = next(api for api in gateway.get_rest_apis(limit=500)["items"] if api["name"] == name)
    url = f"{node.endpoint}/_aws/execute-api/{api['id']}/prod/"
    key = gateway.get_api_keys(nameQuery=name)["items"][0]["id"]
    assert requests.get(url, timeout=10).status_code == 403
    answers = [requests.get(url, headers={"x-api-key": value}, timeout=30) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].text == key
    assert apply(3)["usage plan"] == "updated"
    assert requests.get(url, headers={"x-api-key": value}, timeout=30).status_code == 200
    page = requests.get(f"{node.console}/plans", timeout=10)
    plan = next(plan["id"] for plan in gateway.get_usage_plans(limit=500)["items"] if plan["name"] == name)
    assert page.status_code == 200 and plan in page.text
    page = requests.get(f"{node.console}/plans/{plan}", timeout=10)
    assert page.status_code == 200 and key in page.text and value not in page.text


def test_usage_is_what_the_access_log_says(api, gateway, node):
    plan = api.plan(quota={"limit": 25, "period": "DAY"})
    keys = [api.key(plan) for _ in range(2)]
    for key, calls in zip(keys, [40, 7]):
        api.flood(calls, key["value"])
    api.call(key="nobody's key, nobody's key")
    gateway.delete_api_key(apiKey=keys[1]["id"])
    usage = gateway.get_usage(usagePlanId=plan, startDate=today(-1), endDate=today())["items"]
    counted = {key["id"]: sum(day[0] for day in usage[key["id"]]) for key in keys}
    assert list(counted.values()) == [25, 7], "a key that is gone is told too"
    exported = csv.DictReader(io.StringIO(node.run("usage", "export", "--open")))
    total = sum(int(row["quantity"]) for row in exported if row["dimension"] == "requests")
    logged, lines = collections.Counter(), node.run("tail", "gateway/access", "--from-start", "--limit", total)
    for line in map(json.loads, lines.splitlines()):
        entry = json.loads(line["data"]) if isinstance(line.get("data"), str) else line
        if entry["plan"] == plan:
            logged[entry["key"]] += 1
    assert dict(logged) == counted


def test_the_service_says_what_it_does_not_support(gateway):
    assert "AUTHORIZER" in error("BadRequestException", gateway.create_rest_api, name="x", apiKeySource="AUTHORIZER")
    assert "generateDistinctId" in error("BadRequestException", gateway.create_api_key, generateDistinctId=False)


def test_ten_thousand_keys(node):
    """The last test of the file: it uses up the quota of keys."""
    gateway = node.client("apigateway", max_pool_connections=THREADS)
    api = Api(gateway, node.endpoint)
    plan = api.plan()
    there = sum(len(page["items"]) for page in gateway.get_paginator("get_api_keys").paginate(
        PaginationConfig={"PageSize": 500}))
    values = [uuid.uuid4().hex for _ in range(10_000 - there)]
    lines = [f"many-{index},{value},,true,{plan}" for index, value in enumerate(values)]
    for start in range(0, len(lines), 2_500):
        body = "\n".join(["name,key,description,enabled,usageplanIds", *lines[start:start + 2_500]])
        imported = gateway.import_api_keys(format="csv", body=body.encode())
        assert (len(imported["ids"]), imported["warnings"]) == (len(lines[start:start + 2_500]), [])
    error("LimitExceededException", gateway.create_api_key, name="one more")
    # Keys beyond the quota and lines that make no sense are warnings each, and none of them is taken.
    bad = [f"bad-{index},{value},,true,{plan}" for index, value in enumerate(
        [uuid.uuid4().hex, "short", "x" * 129, "white space in a long value", values[0], ""] * 500)]
    refused_all = gateway.import_api_keys(format="csv", failOnWarnings=False, body="\n".join(
        ["name,key,description,enabled,usageplanIds", *bad, 'bad,"unclosed', "\x00\x01", ",,,,,,,,,,"]).encode())
    assert refused_all["ids"] == [] and len(refused_all["warnings"]) >= len(bad)
    for wrong in [values[0][:-1], values[0] + "0", values[0].upper() + "X", "x" * 1_000, "' OR 1=1 --", "*", "%00"]:
        assert api.call(key=wrong).status_code == 403, wrong
    for value in (values[0], values[-1], values[len(values) // 2]):
        assert api.call(key=value).status_code == 200
    pages = gateway.get_paginator("get_usage_plan_keys").paginate(usagePlanId=plan, PaginationConfig={"PageSize": 500})
    assert sum(len(page["items"]) for page in pages) == len(values)
