"""API Management over plain HTTP: an API in front of an event topic, with products, keys, policies and limits."""

import concurrent.futures
import http.server
import json
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
import uuid

import pytest

from conftest import Node

KEY = "Ocp-Apim-Subscription-Key"
TOPIC_KEY = "topic-key"
EVENTS = [{"id": "1", "eventType": "user.created", "subject": "users/1", "eventTime": "2026-01-01T00:00:00Z", "data": {}, "dataVersion": "1"}]


class Topic(http.server.BaseHTTPRequestHandler):
    """An event topic: takes events at `/api/events` with its key. Other paths say what they got; `/slow` late."""

    protocol_version = "HTTP/1.1"
    taken = []
    documents = {}

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urllib.parse.urlsplit(self.path)
        if path.path == "/api/events":
            status = 200 if self.headers.get("aeg-sas-key") == TOPIC_KEY else 401
            made = b"" if status == 200 else b'{"error":{"code":"Unauthorized"}}'
            if status == 200:
                self.taken.append(json.loads(body))
        elif path.path in self.documents:
            status, made = 200, self.documents[path.path].encode()
        elif path.path.endswith("/slow"):
            threading.Event().wait(3)
            status, made = 200, b"late"
        else:
            status, made = 200, json.dumps({
                "method": self.command, "path": self.path, "body": body.decode(),
                "headers": {name.lower(): value for name, value in self.headers.items()}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(made)))
        self.send_header("X-Backend", "b")
        self.end_headers()
        try:
            self.wfile.write(made)
        except OSError:
            pass  # whoever asked for the slow path has gone

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def topic():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Topic)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.text = status, headers, body.decode()

    def json(self):
        return json.loads(self.text)


def send(method, url, body=None, headers=None):
    data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


class Service:
    """A service of one test, and its management."""

    def __init__(self, endpoint, name=None):
        self.endpoint, self.name = endpoint, name or f"s{uuid.uuid4().hex[:8]}"
        self.root = f"/subscriptions/sub/resourceGroups/group/providers/Microsoft.ApiManagement/service/{self.name}"
        self.gateway = f"{self.name}.azure-api.net"

    def manage(self, method, path, /, properties=None, expect=(200, 201), **body):
        body = {"properties": properties} if properties is not None else body or None
        answer = send(method, f"{self.endpoint}{self.root}{path}?api-version=2024-05-01", body, {"Authorization": "Bearer any"})
        assert answer.status in expect, f"{method} {path}: {answer.status} {answer.text}"
        return answer.json() if answer.text else None

    def api(self, name, backend, path=None, operations=(("GET", "/*"),), policy=None, **properties):
        properties = {"displayName": name, "path": path or name, "serviceUrl": backend, "protocols": ["https"], **properties}
        self.manage("PUT", f"/apis/{name}", properties)
        for number, (method, template) in enumerate(operations):
            self.manage("PUT", f"/apis/{name}/operations/op{number}",
                        {"displayName": template, "method": method, "urlTemplate": template})
        if policy:
            self.policy(f"/apis/{name}", policy)

    def policy(self, scope, inbound="", outbound="<base />", backend="<base />", on_error="<base />", expect=(200, 201)):
        text = (f"<policies>\n<inbound>\n{inbound}\n</inbound><backend>{backend}</backend>"
                f"<outbound>{outbound}</outbound><on-error>{on_error}</on-error></policies>")
        return self.manage("PUT", f"{scope}/policies/policy", {"format": "rawxml", "value": text}, expect)

    def subscribe(self, name, scope, **properties):
        self.manage("PUT", f"/subscriptions/{name}", {"displayName": name, "scope": scope, **properties})
        return self.manage("POST", f"/subscriptions/{name}/listSecrets")["primaryKey"]

    def call(self, method, path, body=None, key=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return send(method, f"{self.endpoint}{path}", body, {"Host": self.gateway, **({KEY: key} if key else {}), **headers})


@pytest.fixture
def service(endpoint):
    service = Service(endpoint)
    service.manage("PUT", "")
    yield service
    service.manage("DELETE", "")


def message(answer):
    return answer.json()["statusCode"], answer.json()["message"]


def test_an_api_in_front_of_an_event_topic(service, topic):
    service.api("events", f"{topic}/api", operations=[("POST", "/")])
    service.policy("/apis/events/operations/op0", """<base />
        <check-header name="aeg-sas-key" failed-check-httpcode="401" failed-check-error-message="The topic's key is missing"
                      ignore-case="false" />
        <rewrite-uri template="/events" />""")
    service.manage("PUT", "/products/publishers", {"displayName": "Publishers", "subscriptionRequired": True, "state": "published"})
    service.manage("PUT", "/products/publishers/apis/events")
    service.policy("/products/publishers", '<base /><rate-limit calls="3" renewal-period="300" /><quota calls="4" renewal-period="3600" />')
    key = service.subscribe("first", "/products/publishers")
    publish = lambda **headers: service.call("POST", "/events", EVENTS, **headers)

    missing = publish()
    assert (missing.status, message(missing)) == (401, (401, "Access denied due to missing subscription key. Make sure to include "
                                                             "subscription key when making requests to an API."))
    wrong = publish(key="0" * 32)
    assert message(wrong) == (401, "Access denied due to invalid subscription key. Make sure to provide a valid key for an active "
                                   "subscription.")
    unheard = publish(key=key)
    assert (unheard.status, message(unheard)) == (401, (401, "The topic's key is missing"))
    before = len(Topic.taken)
    taken = publish(key=key, aeg_sas_key=TOPIC_KEY)
    assert taken.status == 200 and taken.headers["X-Backend"] == "b"
    assert Topic.taken[before:] == [EVENTS]
    refused = publish(key=key, aeg_sas_key="wrong")
    assert refused.status == 401 and refused.json() == {"error": {"code": "Unauthorized"}}, "the topic decides about its key"
    limited = publish(key=key, aeg_sas_key=TOPIC_KEY)
    assert limited.status == 429 and message(limited)[1].startswith("Rate limit is exceeded. Try again in ")
    assert 0 < int(limited.headers["Retry-After"]) <= 300

    second = service.subscribe("second", f"{service.root}/products/publishers")
    assert publish(key=second, aeg_sas_key=TOPIC_KEY).status == 200, "each subscription has counters of its own"
    by_query = service.call("POST", f"/events?subscription-key={second}", EVENTS, aeg_sas_key=TOPIC_KEY)
    assert by_query.status == 200
    nothing = service.call("GET", "/events", key=second)
    assert (nothing.status, nothing.text) == (404, '{ "statusCode": 404, "message": "Resource not found" }')
    assert service.call("POST", "/nowhere", key=second).status == 404
    assert send("POST", f"{service.endpoint}/apim/events", EVENTS, {KEY: second, "aeg-sas-key": TOPIC_KEY}).status == 200


def test_what_policies_make_of_requests_and_answers(service, topic):
    service.api("shop", f"{topic}/base", path="shop/v1", operations=[("GET", "/orders/{id}"), ("PUT", "/raw/*"), ("GET", "/orders/latest")],
                subscriptionRequired=False)
    service.policy("", '<set-header name="X-Scopes" exists-action="append"><value>global</value></set-header>', backend="<forward-request timeout=\"1\" />",
                   outbound='<set-header name="X-Backend" exists-action="delete" />')
    service.policy("/apis/shop", """<base /><set-header name="X-Scopes" exists-action="append"><value>api</value></set-header>
        <set-query-parameter name="v" exists-action="override"><value>@(context.Request.Headers.GetValueOrDefault("X-V","none"))</value>
        </set-query-parameter>""", outbound='<set-header name="X-Api"><value>1</value></set-header><base />')
    service.policy("/apis/shop/operations/op0", """<base /><rewrite-uri template="/o/{id}?fixed=1" />
        <set-header name="X-Ip"><value>@(context.Request.IpAddress)</value></set-header><set-method>POST</set-method>""")
    answer = service.call("GET", "/shop/v1/orders/a%20b?n=1", X_V="7")
    got = answer.json()
    assert (got["method"], got["path"]) == ("POST", "/base/o/a%20b?fixed=1&n=1&v=7"), got
    assert (got["headers"]["x-ip"], got["headers"]["x-scopes"]) == ("127.0.0.1", "api"), "urllib's server keeps the last value"
    assert answer.headers["X-Api"] == "1" and "X-Backend" not in answer.headers
    assert service.call("GET", "/shop/v1/orders/latest").json()["path"] == "/base/orders/latest?v=none"
    raw = service.call("PUT", "/shop/v1/raw/a/b%2Fc", "text")
    assert (raw.json()["path"], raw.json()["body"]) == ("/base/raw/a/b%2Fc?v=none", "text")
    service.policy("/apis/shop/operations/op0", '<base /><return-response><set-status code="202" reason="Taken" />'
                   '<set-header name="X-A"><value>a</value></set-header><set-body>done</set-body></return-response>')
    answer = service.call("GET", "/shop/v1/orders/1")
    assert (answer.status, answer.text, answer.headers["X-A"]) == (202, "done", "a")
    service.policy("/apis/shop/operations/op0", '<base /><rewrite-uri template="/slow" />')
    late = service.call("GET", "/shop/v1/orders/1")
    assert (late.status, message(late)) == (500, (500, "Internal server error"))
    service.policy("/apis/shop/operations/op0", '<set-backend-service base-url="http://127.0.0.1:1" /><base />',
                   on_error='<set-header name="X-Error"><value>@(context.RequestId)</value></set-header>')
    down = service.call("GET", "/shop/v1/orders/1")
    assert down.status == 500 and down.headers["X-Error"] == down.headers["x-ms-request-id"]


def test_policies_under_conditions(service, topic):
    service.api("shop", topic, operations=[("GET", "/*"), ("POST", "/*")], subscriptionRequired=False, policy="""<base /><choose>
        <when condition='@(context.Request.Method == "POST" &amp;&amp; !context.Request.Headers.ContainsKey("X-Let"))'>
            <return-response><set-status code="403" /><set-body>no</set-body></return-response></when>
        <when condition='@(context.Request.Url.Query.GetValueOrDefault("way","") == "other")'>
            <rewrite-uri template="/other" copy-unmatched-params="false" /></when>
        <otherwise><set-header name="X-Way"><value>usual</value></set-header></otherwise></choose>""")
    refused = service.call("POST", "/shop/a", "body")
    assert (refused.status, refused.text) == (403, "no")
    assert service.call("POST", "/shop/a", "body", X_Let="1").json()["headers"]["x-way"] == "usual"
    other = service.call("GET", "/shop/a?way=other").json()
    assert other["path"] == "/other" and "x-way" not in other["headers"]
    for inbound, said in [
        ("<choose><when condition='@(context.Deployment.Region == 1)' /></choose>", "not supported by this node from `context.Deployment"),
        ("<choose><when condition='true'><base /></when></choose>", "not supported by this node in 'choose'"),
    ]:
        error = service.policy("/apis/shop", inbound, expect=(400,))["error"]
        assert said in error["details"][0]["message"], error


def test_pages_of_other_origins_may_call_when_they_are_allowed(service, topic):
    service.api("shop", topic, policy="""<cors><allowed-origins><origin>http://page</origin></allowed-origins>
        <allowed-methods preflight-result-max-age="60"><method>GET</method></allowed-methods>
        <allowed-headers><header>X-A</header></allowed-headers></cors><base />""")
    ask = lambda origin: service.call("OPTIONS", "/shop/a", Origin=origin, Access_Control_Request_Method="GET")
    allowed, other = ask("http://page"), ask("http://other")
    assert (allowed.status, allowed.headers["Access-Control-Allow-Origin"]) == (200, "http://page")
    assert allowed.headers["Access-Control-Allow-Methods"] == "GET" and allowed.headers["Access-Control-Max-Age"] == "60"
    assert other.status == 200 and "Access-Control-Allow-Origin" not in other.headers
    refused = service.call("GET", "/shop/a", Origin="http://page")
    assert refused.status == 401


def test_policies_that_are_not_understood_are_refused_with_their_place(service, topic):
    service.api("shop", topic)
    for inbound, said in [
        ("<jsonp />", "Error in element 'jsonp' on line 3, column 1: The policy is not supported by this node"),
        ('<rate-limit calls="x" renewal-period="1" />', "on line 3, column 1: the attribute 'calls' must be a whole number"),
        ('<set-header name="a"><value>@(context.Deployment.Region)</value></set-header>', "from `context.Deployment.Region` on"),
        ("<forward-request />", "Policy is not allowed in the section 'inbound'"),
        ("<base>", "on line 4, column 1: expected its end, found the end of 'inbound'"),
    ]:
        error = service.policy("/apis/shop", inbound, expect=(400,))["error"]
        assert error["code"] == error["details"][0]["code"] == "ValidationError", error
        assert said in error["details"][0]["message"], error
    service.manage("GET", "/apis/shop/policies/policy", expect=(404,))
    service.policy("/apis/shop", "<base />")
    assert "<base />" in service.manage("GET", "/apis/shop/policies/policy")["properties"]["value"]
    service.manage("DELETE", "/apis/shop/policies/policy")
    service.manage("DELETE", "/apis/shop/policies/policy", expect=(204,))


def test_limits_are_exact_when_many_call_at_once(service, topic):
    service.api("shop", topic, subscriptionRequired=False, policy="""<base /><rate-limit-by-key calls="20" renewal-period="300"
        counter-key="@(context.Request.Headers.GetValueOrDefault("X-Who",""))" /><mock-response status-code="204" />""")
    call = lambda who: service.call("GET", "/shop/a", X_Who=who).status
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        first = list(pool.map(call, ["a"] * 60))
        other = list(pool.map(call, ["b"] * 10))
    assert (first.count(204), first.count(429)) == (20, 40) and other == [204] * 10
    service.policy("/apis/shop", '<base /><quota calls="25" renewal-period="3600" /><mock-response />')
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        quota = list(pool.map(call, ["a"] * 60))
    assert (quota.count(200), quota.count(403)) == (25, 35)
    service.policy("/apis/shop", """<base /><quota-by-key calls="7" renewal-period="3600"
        counter-key="@(context.Request.Headers.GetValueOrDefault("X-Who",""))" /><mock-response />""")
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        first, other = list(pool.map(call, ["a"] * 20)), list(pool.map(call, ["b"] * 5))
    assert (first.count(200), first.count(403)) == (7, 13) and other == [200] * 5


def test_an_api_is_imported_from_its_description(service, topic):
    described = {"openapi": "3.0.1", "info": {"title": "Orders"}, "servers": [{"url": topic}], "paths": {
        "/orders/{id}": {"get": {"operationId": "getOrder", "summary": "Get an order"}, "delete": {}},
        "/orders": {"post": {"operationId": "place"}}}}
    imported = {"path": "shop", "format": "openapi+json", "value": json.dumps(described), "subscriptionRequired": False}
    made = service.manage("PUT", "/apis/shop", imported)["properties"]
    assert (made["displayName"], made["serviceUrl"]) == ("Orders", topic)
    operations = service.manage("GET", "/apis/shop/operations")["value"]
    assert [one["name"] for one in operations] == ["delete-orders-id", "getOrder", "place"]
    assert service.call("GET", "/shop/orders/7").json()["path"] == "/orders/7"
    assert service.call("GET", "/shop/orders").status == 404
    service.policy("/apis/shop/operations/getOrder", '<base /><mock-response status-code="204" />')
    del described["paths"]["/orders"]
    service.manage("PUT", "/apis/shop", {**imported, "value": json.dumps(described)})
    assert [one["name"] for one in service.manage("GET", "/apis/shop/operations")["value"]] == ["delete-orders-id", "getOrder"]
    assert service.call("GET", "/shop/orders/7").status == 204, "an operation that stays keeps its policy"
    for change, said in [({"value": "{"}, "Parsing error"), ({"format": "openapi", "value": "a: [b"}, "Parsing error"),
                         ({"format": "wsdl"}, "wsdl")]:
        error = service.manage("PUT", "/apis/shop", {**imported, **change}, expect=(400, 501))["error"]
        assert said in json.dumps(error), error


def test_an_api_is_imported_from_yaml_and_by_link(service, topic, tmp_path):
    yaml = f"""
openapi: 3.0.1
info: {{title: Orders, version: "1"}}
servers:
  - url: {topic}
paths:
  /orders/{{id}}:
    get: {{operationId: getOrder}}
"""
    imported = {"path": "shop", "format": "openapi", "value": yaml, "subscriptionRequired": False}
    assert service.manage("PUT", "/apis/shop", imported)["properties"]["displayName"] == "Orders"
    assert service.call("GET", "/shop/orders/7").json()["path"] == "/orders/7"
    Topic.documents["/openapi.yaml"] = yaml.replace("getOrder", "linked")
    Topic.documents["/large.yaml"] = "a" * (3 << 20)
    link = {**imported, "format": "openapi-link", "value": f"{topic}/openapi.yaml"}
    service.manage("PUT", "/apis/shop", link)
    assert [one["name"] for one in service.manage("GET", "/apis/shop/operations")["value"]] == ["linked"]
    for value, said in [(f"{topic}/large.yaml", "Parsing error"), ("http://127.0.0.1:1/x", "gave nothing"), ("file:///etc/passwd", "gave nothing")]:
        error = service.manage("PUT", "/apis/shop", {**link, "value": value}, expect=(400,))["error"]
        assert said in json.dumps(error), error
    settings = tmp_path / "millstream.toml"
    settings.write_text("private_backends = false\n")
    node = Node("--config", str(settings))
    try:
        node.start()
        closed = Service(node.endpoint, "closed")
        closed.manage("PUT", "")
        error = closed.manage("PUT", "/apis/shop", link, expect=(400,))["error"]
        assert "not a public address" in json.dumps(error), error
    finally:
        node.remove()


def test_limits_tell_and_count_as_they_say(service, topic):
    told = """<rate-limit calls="3" renewal-period="60" remaining-calls-variable-name="left" remaining-calls-header-name="X-Left"
        total-calls-header-name="X-Total" retry-after-header-name="X-Wait" retry-after-variable-name="wait">
        <api name="shop" calls="2" renewal-period="60"><operation name="op1" calls="1" renewal-period="60" /></api></rate-limit>"""
    service.api("shop", topic, operations=[("GET", "/a"), ("GET", "/b")])
    service.api("other", topic)
    service.manage("PUT", "/products/all", {"displayName": "All", "state": "published"})
    for api in ("shop", "other"):
        service.manage("PUT", f"/products/all/apis/{api}")
    service.policy("/products/all", f"<base />{told}", outbound="""<base /><set-header name="X-Variable">
        <value>@(context.Variables.GetValueOrDefault<int>("left") + "")</value></set-header>""",
                   on_error='<set-header name="X-Why"><value>@("wait " + context.Variables["wait"])</value></set-header>')
    key = service.subscribe("mine", "/products/all")
    first = service.call("GET", "/other/x", key=key)
    assert (first.status, first.headers["X-Left"], first.headers["X-Total"], first.headers["X-Variable"]) == (200, "2", "3", "2")
    assert service.call("GET", "/shop/b", key=key).status == 200
    limited = service.call("GET", "/shop/b", key=key)
    assert limited.status == 429, "the operation has one call"
    assert limited.headers["X-Why"] == f"wait {limited.headers['X-Wait']}" and 0 < int(limited.headers["X-Wait"]) <= 60
    service.api("shop", topic, subscriptionRequired=False, policy="""<base /><rate-limit-by-key calls="2" renewal-period="60"
        counter-key="@(context.Request.IpAddress)" increment-condition="@(context.Response.StatusCode == 200)" />
        <quota-by-key calls="10" renewal-period="3600" counter-key="all" increment-count="4" first-period-start="2026-01-01T00:00:00Z"
            increment-condition="@(context.Request.Headers.ContainsKey("X-Count"))" />
        <choose><when condition="@(context.Request.Headers.ContainsKey("X-Fail"))"><return-response><set-status code="418" />
        </return-response></when></choose>""")
    status = lambda **headers: service.call("GET", "/shop/a", **headers).status
    assert [status(X_Fail="1") for _ in range(4)] == [418] * 4, "what fails does not count"
    assert [status(), status(), status()] == [200, 200, 429]
    service.policy("/apis/shop", """<base /><quota-by-key calls="10" renewal-period="3600" counter-key="some" increment-count="4"
        first-period-start="2026-01-01T00:00:00Z" increment-condition="@(context.Request.Headers.ContainsKey("X-Count"))" />
        <mock-response status-code="204" />""")
    assert [status() for _ in range(5)] == [204] * 5
    assert [status(X_Count="1") for _ in range(4)] == [204, 204, 204, 403]


def test_what_the_answer_says_is_what_a_call_counts_as(service, topic):
    service.api("shop", topic, subscriptionRequired=False, policy="""<base /><rate-limit-by-key calls="1000" renewal-period="60"
        counter-key="one" increment-count="@(context.Response.StatusCode)" />
        <choose><when condition="@(context.Request.Headers.ContainsKey("X-Fail"))"><return-response><set-status code="418" />
        </return-response></when></choose>""")
    status = lambda **headers: service.call("GET", "/shop/a", **headers).status
    assert [status(), status(X_Fail="1"), status(X_Fail="1"), status()] == [200, 418, 418, 429], "200 + 418 + 418 calls"
    # What a condition on the request leaves out is not counted, whatever the answer is.
    service.policy("/apis/shop", """<base /><quota-by-key calls="500" renewal-period="3600" counter-key="two"
        increment-count="@(context.Response.StatusCode)" increment-condition="@(!context.Request.Headers.ContainsKey("X-Free"))" />
        <mock-response status-code="204" />""")
    assert [status(X_Free="1") for _ in range(4)] == [204] * 4
    assert [status() for _ in range(4)] == [204, 204, 204, 403]


def test_variables_subscriptions_and_named_values(service, topic):
    service.manage("PUT", "/namedValues/greet", {"displayName": "greeting", "value": "hello & <you>", "tags": ["t"]})
    service.manage("PUT", "/namedValues/hidden", {"displayName": "key-of-backend", "value": "s3cret", "secret": True})
    service.manage("PUT", "/backends/store", {"url": f"{topic}/named", "protocol": "http", "title": "Store"})
    service.api("shop", "http://127.0.0.1:1", policy="""<base /><set-backend-service backend-id="store" />
        <set-variable name="who" value="@(context.Subscription?.Key + "/" + context.Subscription.Id)" />
        <set-header name="X-Who"><value>@((string)context.Variables["who"])</value></set-header>
        <set-header name="X-User"><value>@("u" + context.User?.Id)</value></set-header>
        <set-header name="X-Greeting"><value>{{greeting}}</value></set-header>
        <set-header name="X-Key"><value>{{key-of-backend}}</value></set-header>""")
    key = service.subscribe("mine", "/apis")
    got = service.call("GET", "/shop/a", key=key).json()
    found = {name: got["headers"].get(name) for name in ("x-who", "x-user", "x-greeting", "x-key")}
    assert found == {"x-who": f"{key}/mine", "x-user": "u", "x-greeting": "hello & <you>", "x-key": "s3cret"}
    assert got["path"] == "/named/a"
    shown = service.manage("GET", "/namedValues/hidden")["properties"]
    assert "value" not in shown and shown["secret"] and shown["displayName"] == "key-of-backend"
    assert service.manage("POST", "/namedValues/hidden/listValue") == {"value": "s3cret"}
    assert [one["name"] for one in service.manage("GET", "/namedValues")["value"]] == ["greet", "hidden"]
    service.manage("PATCH", "/namedValues/greet", {"value": "bye"})
    service.manage("PATCH", "/backends/store", {"url": f"{topic}/moved"})
    moved = service.call("GET", "/shop/a", key=key).json()
    assert (moved["headers"]["x-greeting"], moved["path"]) == ("bye", "/moved/a")
    for method, path, properties, said in [
        ("DELETE", "/namedValues/greet", None, "Cannot find a property 'greeting'"),
        ("PATCH", "/namedValues/greet", {"displayName": "other"}, "Cannot find a property 'greeting'"),
        ("PUT", "/namedValues/twice", {"displayName": "greeting", "value": "x"}, "already"),
        ("PUT", "/namedValues/bad", {"displayName": "a b", "value": "x"}, "display name"),
        ("PUT", "/namedValues/bad", {"displayName": "a", "value": " "}, "blanks"),
        ("PUT", "/namedValues/bad", {"displayName": "a", "keyVault": {"secretIdentifier": "x"}}, "keyVault"),
        ("DELETE", "/backends/store", None, "Backend with id 'store' could not be found"),
        ("PUT", "/backends/bad", {"url": "ftp://x", "protocol": "http"}, "http://"),
        ("PUT", "/backends/bad", {"url": "http://x", "protocol": "soap"}, "soap"),
        ("PUT", "/backends/bad", {"url": "http://x", "protocol": "http", "circuitBreaker": {}}, "circuitBreaker"),
    ]:
        error = service.manage(method, path, properties, expect=(400,))["error"]
        assert said in json.dumps(error), (path, error)
    for inbound, said in [("{{none}}", "line 3, column 1: Cannot find a property 'none'"),
                          ('<set-backend-service backend-id="none" />', "Backend with id 'none' could not be found")]:
        error = service.policy("/apis/shop", inbound, expect=(400,))["error"]
        assert said in error["details"][0]["message"], error
    service.manage("DELETE", "/apis/shop")
    service.manage("DELETE", "/namedValues/greet")
    service.manage("GET", "/namedValues/greet", expect=(404,))
    service.manage("DELETE", "/backends/store")


def test_subscriptions_have_two_keys_and_a_state(service, topic):
    service.api("one", topic)
    service.api("two", topic)
    everything, one = service.subscribe("all", "/apis"), service.subscribe("one", "/apis/one", primaryKey="chosen-key")
    assert one == "chosen-key"
    status = lambda api, key: service.call("GET", f"/{api}/x", key=key).status
    assert [status("one", everything), status("two", everything), status("one", one), status("two", one)] == [200, 200, 200, 401]
    secrets = service.manage("POST", "/subscriptions/one/listSecrets")
    assert status("one", secrets["secondaryKey"]) == 200
    service.manage("POST", "/subscriptions/one/regeneratePrimaryKey", expect=(204,))
    assert status("one", one) == 401 and status("one", secrets["secondaryKey"]) == 200
    service.manage("PUT", "/subscriptions/one", {"displayName": "one", "scope": "/apis/one", "state": "suspended"})
    assert status("one", secrets["secondaryKey"]) == 401
    shown = service.manage("GET", "/subscriptions/one")["properties"]
    assert shown["state"] == "suspended" and "primaryKey" not in shown
    service.manage("PUT", "/subscriptions/other", {"displayName": "o", "scope": "/apis", "primaryKey": everything}, expect=(400,))
    service.manage("PUT", "/subscriptions/other", {"displayName": "o", "scope": "/products/none"}, expect=(404,))
    service.manage("PUT", "/products/open", {"displayName": "Open", "subscriptionRequired": False, "state": "published"})
    service.manage("PUT", "/products/open/apis/two")
    assert service.call("GET", "/two/x").status == 200, "an open product lets anybody call"


def test_a_test_call_tells_every_step(service, topic):
    service.api("shop", topic, operations=[("POST", "/orders/{id}")],
                policy='<base /><set-header name="X-A"><value>secret</value></set-header><rate-limit calls="1" renewal-period="60" />')
    service.subscribe("all", "/apis")
    call = lambda: service.manage("POST", "/apis/shop/operations/op0/testCall", path="/orders/7", body="text", query="n=1",
                                  headers={"X-Mine": "m"}, subscription="all")
    told = call()
    assert told["status"] == 200 and json.loads(told["body"])["path"] == "/orders/7?n=1"
    steps = [(step["section"], step["policy"]) for step in told["trace"]]
    assert steps == [("gateway", "operation"), ("gateway", "subscription"), ("inbound", "set-header"), ("inbound", "rate-limit"),
                     ("backend", "forward-request")]
    assert told["trace"][2]["scope"] == "api shop" and "secret" not in told["trace"][2]["message"]
    assert told["trace"][4]["message"] == f"POST {topic}/orders/7?n=1 answered 200" and all(step["elapsedMs"] >= 0 for step in told["trace"])
    limited = call()
    assert limited["status"] == 429 and limited["trace"][-1]["policy"] == "failure"


def test_a_backend_that_is_its_own_gateway_is_a_loop_that_ends(service):
    service.api("loop", f"{service.endpoint}/apim/loop", path=f"loop-{service.name}", subscriptionRequired=False)
    service.manage("PUT", "/apis/loop", {"path": f"loop-{service.name}", "subscriptionRequired": False,
                                         "serviceUrl": f"{service.endpoint}/apim/loop-{service.name}"})
    told = service.manage("POST", "/apis/loop/operations/op0/testCall", path="/a")
    assert told["status"] == 500


def test_a_subscription_has_an_owner(service, topic):
    ada = {"email": "ada@example.org", "firstName": "Ada", "lastName": "Lovelace"}
    service.manage("PUT", "/users/ada", ada)
    service.manage("PUT", "/users/eve", {**ada, "email": "eve@example.org"})
    service.manage("PUT", "/users/eva", ada, expect=(400,))
    service.manage("PUT", "/users/bob", {**ada, "email": "nowhere"}, expect=(400,))
    service.manage("PUT", "/users/bob", {**ada, "email": "bob@example.org", "password": "x"}, expect=(400,))
    service.api("shop", topic, policy="""<base /><choose><when condition="@(context.User == null)">
            <set-header name="X-User"><value>nobody</value></set-header></when>
        <otherwise><set-header name="X-User"><value>@(context.User.Id + " " + context.User.Email + " " + context.User?.FirstName)</value>
        </set-header></otherwise></choose>""")
    key = service.subscribe("hers", "/apis", ownerId="/users/ada")
    alone = service.subscribe("nobodys", "/apis")
    service.manage("PUT", "/subscriptions/x", {"displayName": "x", "scope": "/apis", "ownerId": "/users/none"}, expect=(404,))
    user = lambda key: service.call("GET", "/shop/a", key=key).json()["headers"]["x-user"]
    assert (user(key), user(alone)) == ("ada ada@example.org Ada", "nobody")
    assert service.manage("GET", "/subscriptions/hers")["properties"]["ownerId"] == f"{service.root}/users/ada"
    assert [one["name"] for one in service.manage("GET", "/users/ada/subscriptions")["value"]] == ["hers"]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for number in range(20):
            changes = [{"note": f"note {number}"}, {"lastName": f"Name {number}"}]
            list(pool.map(lambda change: service.manage("PATCH", "/users/ada", change), changes))
            found = service.manage("GET", "/users/ada")["properties"]
            assert (found["note"], found["lastName"]) == (f"note {number}", f"Name {number}"), "neither undoes the other"
    service.manage("PATCH", "/users/ada", {"state": "blocked"})
    assert service.call("GET", "/shop/a", key=key).status == 401
    service.manage("DELETE", "/users/ada", expect=(400,))
    service.manage("DELETE", "/users/eve")
    assert service.manage("GET", "/users")["count"] == 1


def test_management_errors_are_the_resource_managers(service, endpoint):
    url = f"{endpoint}{service.root}/apis"
    assert send("GET", url, headers={"Authorization": "Bearer x"}).json()["error"]["code"] == "MissingApiVersionParameter"
    assert send("GET", f"{url}?api-version=1").status == 401
    assert service.manage("GET", "/apis/none", expect=(404,))["error"]["code"] == "ResourceNotFound"
    assert service.manage("GET", "/loggers", expect=(400,))["error"]["code"] == "NotSupported"
    for properties in [{"displayName": "no path"}, {"path": "a b"}, {"path": "a", "serviceUrl": "ftp://x"}, {"path": "a", "format": "openapi"}]:
        service.manage("PUT", "/apis/a", properties, expect=(400,))
    service.manage("PUT", "/apis/a", {"path": "same"})
    service.manage("PUT", "/apis/b", {"path": "same"}, expect=(400,))
    for template in ["orders", "/a{b}", "/a//{", "/a?x={y}"]:
        service.manage("PUT", "/apis/a/operations/o", {"method": "GET", "urlTemplate": template}, expect=(400,))
    broken = send("PUT", f"{url}/a?api-version=1", "{", {"Authorization": "Bearer x"})
    assert broken.status == 400
    assert service.manage("GET", "/apis")["count"] == 1


def test_quotas_are_counted_over_restarts():
    node = Node()
    try:
        node.start()
        service = Service(node.endpoint, "kept")
        service.manage("PUT", "")
        service.api("shop", "http://127.0.0.1:1", policy='<base /><quota calls="3" renewal-period="3600" /><mock-response />')
        key = service.subscribe("all", "/apis")
        call = lambda: service.call("GET", "/shop/a", key=key)
        assert [call().status, call().status] == [200, 200]
        node.kill()
        node.start()
        assert [call().status, call().status] == [200, 403]
        used = call()
        assert re.fullmatch(r"Out of call volume quota\. Quota will be replenished in (00:5\d:\d\d|01:00:00)\.", message(used)[1])
        assert int(used.headers["Retry-After"]) > 3000
    finally:
        node.remove()
