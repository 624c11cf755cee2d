"""API Gateway through boto3 and plain HTTP: APIs that are made, deployed and called; what they answer when it goes wrong."""

import base64
import http.server
import io
import json
import threading
import time
import uuid
import zipfile

import pytest
import requests
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::000000000000:role/any"

CODE = """
import json
def proxy(event, context):
    if event["path"].endswith("/raise"):
        raise ValueError("no such trade")
    if event["path"].endswith("/shapeless"):
        return {"no": "status"}
    if event["path"].endswith("/bytes"):
        return {"statusCode": 200, "body": "AAH/", "isBase64Encoded": True}
    return {"statusCode": 201, "headers": {"X-One": "1"}, "multiValueHeaders": {"X-Two": ["a", "b"]},
            "body": json.dumps(event)}
def plain(event, context):
    if event.get("fail"):
        raise ValueError(event["fail"])
    return {"got": event}
"""


def package():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", CODE)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def functions(lambda_client):
    """The addresses that integrations have, by handler."""
    made = {}
    for handler in ("proxy", "plain"):
        name = f"{handler}-{uuid.uuid4().hex[:8]}"
        function = lambda_client.create_function(FunctionName=name, Runtime="python3.11", Handler=f"app.{handler}", Role=ROLE,
                                                 Code={"ZipFile": package()}, Timeout=20)
        lambda_client.get_waiter("function_active_v2").wait(FunctionName=name)
        # As the console does when it is told of an integration.
        lambda_client.add_permission(FunctionName=name, StatementId="gateway", Action="lambda:InvokeFunction",
                                     Principal="apigateway.amazonaws.com", SourceArn="arn:aws:execute-api:us-east-1:000000000000:*")
        made[handler] = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function['FunctionArn']}/invocations"
    return made


class Api:
    """An API of one test."""

    def __init__(self, client, endpoint):
        self.client, self.endpoint = client, endpoint
        made = client.create_rest_api(name=f"api-{uuid.uuid4().hex[:8]}", description="of a test")
        self.id, self.root = made["id"], made["rootResourceId"]

    def method(self, path_part, verb, uri=None, kind="AWS_PROXY", **integration):
        """Makes a method on a resource below the root; gives the resource's id."""
        items = self.client.get_resources(restApiId=self.id)["items"]
        known = [item["id"] for item in items if item.get("pathPart") == path_part]
        resource = known[0] if known else self.client.create_resource(
            restApiId=self.id, parentId=self.root, pathPart=path_part)["id"]
        place = {"restApiId": self.id, "resourceId": resource, "httpMethod": verb}
        self.client.put_method(**place, authorizationType="NONE")
        if uri:
            integration |= {"uri": uri, "integrationHttpMethod": "POST"}
        self.client.put_integration(**place, type=kind, **integration)
        return resource

    def response(self, resource, verb, status, pattern=""):
        place = {"restApiId": self.id, "resourceId": resource, "httpMethod": verb, "statusCode": status}
        self.client.put_method_response(**place)
        self.client.put_integration_response(**place, selectionPattern=pattern)

    def deploy(self):
        return self.client.create_deployment(restApiId=self.id, stageName="prod")["id"]

    def url(self, path):
        return f"{self.endpoint}/restapis/{self.id}/prod/_user_request_{path}"


@pytest.fixture
def api(apigateway, endpoint):
    api = Api(apigateway, endpoint)
    yield api
    apigateway.delete_rest_api(restApiId=api.id)


def error(call, **parameters):
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    answer = raised.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_an_api_is_made_listed_and_removed(apigateway):
    made = apigateway.create_rest_api(name="short-lived", description="said")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert len(made["id"]) == 10 and made["id"].isalnum() and made["id"] == made["id"].lower()
    known = apigateway.get_rest_api(restApiId=made["id"])
    assert (known["name"], known["description"], known["createdDate"]) == ("short-lived", "said", made["createdDate"])
    assert made["id"] in [item["id"] for item in apigateway.get_rest_apis()["items"]]
    [root] = apigateway.get_resources(restApiId=made["id"])["items"]
    assert (root["id"], root["path"]) == (made["rootResourceId"], "/")
    gone = apigateway.delete_rest_api(restApiId=made["id"])
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert error(apigateway.get_rest_api, restApiId=made["id"]) == ("NotFoundException", 404)


def test_what_would_close_an_api_is_not_ignored(apigateway):
    for asked in ({"policy": "{}"}, {"disableExecuteApiEndpoint": True}, {"endpointConfiguration": {"types": ["PRIVATE"]}},
                  {"binaryMediaTypes": ["image/png"]}, {"minimumCompressionSize": 0}, {"cloneFrom": "zzz"}):
        with pytest.raises(ClientError) as refused:
            apigateway.create_rest_api(name="closed", **asked)
        assert refused.value.response["Error"]["Code"] == "BadRequestException"
        assert next(iter(asked)) in refused.value.response["Error"]["Message"]
    made = apigateway.create_rest_api(name="open", endpointConfiguration={"types": ["REGIONAL"]}, disableExecuteApiEndpoint=False)
    apigateway.delete_rest_api(restApiId=made["id"])


def test_control_errors_are_the_services(apigateway, api):
    assert error(apigateway.create_deployment, restApiId=api.id, stageName="prod") == ("BadRequestException", 400)
    assert error(apigateway.create_resource, restApiId=api.id, parentId="nothing", pathPart="a") == ("NotFoundException", 404)
    assert error(apigateway.create_resource, restApiId=api.id, parentId=api.root, pathPart="a b") == ("BadRequestException", 400)
    apigateway.create_resource(restApiId=api.id, parentId=api.root, pathPart="a")
    assert error(apigateway.create_resource, restApiId=api.id, parentId=api.root, pathPart="a") == ("ConflictException", 409)
    assert error(apigateway.delete_resource, restApiId=api.id, resourceId=api.root) == ("BadRequestException", 400)
    code, status = error(apigateway.get_domain_names)
    assert status in (400, 404), f"an operation that is not there answers {code}"


def test_a_function_gets_the_whole_request(api, functions):
    api.method("{proxy+}", "ANY", functions["proxy"])
    api.deploy()
    answer = requests.put(api.url("/orders/a%20b?n=1&n=2&m=x"), data="text", headers={"X-Mine": "m"}, timeout=30)
    assert (answer.status_code, answer.headers["X-One"], answer.headers["X-Two"]) == (201, "1", "a, b")
    assert answer.headers["x-amzn-RequestId"] and answer.headers["x-amz-apigw-id"]
    event = answer.json()
    assert (event["resource"], event["httpMethod"], event["body"]) == ("/{proxy+}", "PUT", "text")
    assert event["pathParameters"] == {"proxy": "orders/a b"} and event["isBase64Encoded"] is False
    assert event["queryStringParameters"] == {"n": "2", "m": "x"}
    assert event["multiValueQueryStringParameters"] == {"n": ["1", "2"], "m": ["x"]}
    assert {name.lower(): value for name, value in event["headers"].items()}["x-mine"] == "m"
    context = event["requestContext"]
    assert (context["stage"], context["apiId"], context["resourcePath"]) == ("prod", api.id, "/{proxy+}")
    assert context["path"].startswith("/prod/orders/") and context["requestId"] == answer.headers["x-amzn-RequestId"]
    event = requests.post(api.url("/x"), data=b"\x00\xff", timeout=30).json()
    assert event["isBase64Encoded"] is True and base64.b64decode(event["body"]) == b"\x00\xff"
    assert event["queryStringParameters"] is None and event["multiValueQueryStringParameters"] is None
    assert requests.get(api.url("/bytes"), timeout=30).content == b"\x00\x01\xff"


def test_a_function_is_run_only_for_methods_that_it_lets_in(apigateway, api, lambda_client):
    name = f"guarded-{uuid.uuid4().hex[:8]}"
    function = lambda_client.create_function(FunctionName=name, Runtime="python3.11", Handler="app.proxy", Role=ROLE,
                                             Code={"ZipFile": package()}, Timeout=20)["FunctionArn"]
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"
    resource = api.method("orders", "GET", uri)
    api.method("orders", "POST", uri)
    api.deploy()
    status = lambda verb="GET": requests.request(verb, api.url("/orders"), timeout=30).status_code
    assert status() == 500
    tried = apigateway.test_invoke_method(restApiId=api.id, resourceId=resource, httpMethod="GET")
    assert tried["status"] == 500 and "no resource-based policy allows" in tried["log"]
    let = lambda id, source: lambda_client.add_permission(
        FunctionName=name, StatementId=id, Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:us-east-1:000000000000:{source}")
    let("other", "another/*")
    let("staging", f"{api.id}/staging/GET/orders")
    assert status() == 500
    let("get", f"{api.id}/*/GET/orders")
    assert (status(), status("POST")) == (201, 500)
    lambda_client.remove_permission(FunctionName=name, StatementId="get")
    assert status() == 500
    lambda_client.delete_function(FunctionName=name)


@pytest.mark.parametrize("path", ["/raise", "/shapeless"])
def test_a_function_without_a_proper_answer_is_502(api, functions, path):
    api.method("{proxy+}", "ANY", functions["proxy"])
    api.deploy()
    answer = requests.get(api.url(path), timeout=30)
    assert (answer.status_code, answer.json()) == (502, {"message": "Internal server error"})


def test_an_api_has_three_addresses(api, endpoint, functions):
    api.method("orders", "GET", functions["proxy"])
    api.deploy()
    port = endpoint.rsplit(":", 1)[1]
    for url, headers in [(api.url("/orders"), {}), (f"{endpoint}/_aws/execute-api/{api.id}/prod/orders", {}),
                         (f"{endpoint}/prod/orders", {"Host": f"{api.id}.execute-api.localhost:{port}"})]:
        assert requests.get(url, headers=headers, timeout=30).json()["path"] == "/orders", url


def test_a_path_or_method_that_is_not_there_is_403(api, functions):
    api.method("orders", "GET", functions["proxy"])
    api.deploy()
    for verb, path in [("GET", "/nothing"), ("DELETE", "/orders"), ("GET", "/")]:
        answer = requests.request(verb, api.url(path), timeout=30)
        assert (answer.status_code, answer.json()) == (403, {"message": "Missing Authentication Token"}), (verb, path)
        assert answer.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"


def test_a_plain_integration_hands_on_the_body_and_picks_the_answer_by_the_error(api, functions):
    resource = api.method("trades", "POST", functions["plain"], kind="AWS",
                          requestTemplates={"application/json": "$input.json('$')"})
    api.response(resource, "POST", "200")
    api.response(resource, "POST", "422", "Bad.*")
    api.deploy()
    call = lambda **body: requests.post(api.url("/trades"), json=body, timeout=30)
    assert (call(n=1).status_code, call(n=1).json()) == (200, {"got": {"n": 1}})
    bad = call(fail="Bad trade")
    assert (bad.status_code, bad.json()["errorMessage"]) == (422, "Bad trade")
    other = call(fail="something else")
    assert (other.status_code, other.json()["errorMessage"]) == (200, "something else")
    broken = requests.post(api.url("/trades"), data="{", headers={"Content-Type": "application/json"}, timeout=30)
    assert broken.status_code == 400


def test_a_plain_integration_without_a_fitting_answer_is_500(api, functions):
    resource = api.method("trades", "POST", functions["plain"], kind="AWS")
    api.response(resource, "POST", "422", "Bad.*")
    api.deploy()
    answer = requests.post(api.url("/trades"), json={}, timeout=30)
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal server error"})
    bad = requests.post(api.url("/trades"), json={"fail": "Bad trade"}, timeout=30)
    assert bad.status_code == 422


def test_patterns_are_regular_expressions_over_the_whole_message(apigateway, api, functions):
    resource = api.method("trades", "POST", functions["plain"], kind="AWS")
    api.response(resource, "POST", "200")
    api.response(resource, "POST", "404", r"no (trade|order) \d+")
    api.deploy()
    call = lambda message: requests.post(api.url("/trades"), json={"fail": message}, timeout=30).status_code
    assert [call("no trade 7"), call("no order 12"), call("no trade 7!"), call("no trade")] == [404, 404, 200, 200]
    place = {"restApiId": api.id, "resourceId": resource, "httpMethod": "POST", "statusCode": "400"}
    assert error(apigateway.put_integration_response, **place, selectionPattern="(") == ("BadRequestException", 400)


TEMPLATE = r"""#set($root = $input.path('$'))
{
  "who": "$util.escapeJavaScript($root.name).replaceAll("\\'", "'")", "id": "$input.params('id')", "agent": "$input.params().header.get('x-mine')",
  "q": "$util.urlEncode($input.params('q'))", "stage": "$context.stage", "method": "$context.httpMethod",
  "path": "$context.resourcePath", "ip": "$context.identity.sourceIp", "api": "$context.apiId", "table": "$stageVariables.table",
  "size": $root.items.size(),
  "items": [#foreach($item in $root.items)
    {"n": $foreach.index, "v": $input.json("$.items[$foreach.index]")}#if($foreach.hasNext),#end
  #end],
  #if($root.big && $root.big > 10 || $root.name.contains('x'))"big": true #elseif(!$root.big)"big": null #else"big": false #end
}"""


def test_templates_make_the_request_and_the_answer(apigateway, api, functions):
    resource = api.method("{id}", "POST", functions["plain"], kind="AWS", requestTemplates={"application/json": TEMPLATE})
    place = {"restApiId": api.id, "resourceId": resource, "httpMethod": "POST", "statusCode": "200"}
    apigateway.put_method_response(**place, responseParameters={"method.response.header.X-Who": True})
    apigateway.put_integration_response(
        **place, responseTemplates={"application/json": "{\"answer\": $input.json('$.got')}"},
        responseParameters={"method.response.header.X-Who": "integration.response.body.got.who",
                            "method.response.header.X-Fixed": "'yes'"})
    deployment = apigateway.create_deployment(restApiId=api.id)["id"]
    apigateway.create_stage(restApiId=api.id, stageName="prod", deploymentId=deployment, variables={"table": "trades"})
    body = {"name": 'O\'Neil "x"', "items": [{"a": 1}, "two"], "big": 11}
    answer = requests.post(api.url("/seven?q=a b"), json=body, headers={"X-Mine": "m"}, timeout=30)
    assert answer.status_code == 200, answer.text
    got = answer.json()["answer"]
    assert got == {"who": 'O\'Neil "x"', "id": "seven", "agent": "m", "q": "a+b", "stage": "prod", "method": "POST",
                   "path": "/{id}", "ip": "127.0.0.1", "api": api.id, "table": "trades", "size": 2,
                   "items": [{"n": 0, "v": {"a": 1}}, {"n": 1, "v": "two"}], "big": True}
    assert answer.headers["X-Who"] == 'O\'Neil "x"' and answer.headers["X-Fixed"] == "yes"
    got = requests.post(api.url("/x"), json={"name": "n", "items": []}, timeout=30).json()["answer"]
    assert got["big"] is None and got["items"] == []


def test_templates_that_are_not_understood_are_refused_with_their_line(apigateway, api, functions):
    resource = api.method("a", "POST", functions["plain"], kind="AWS")
    place = {"restApiId": api.id, "resourceId": resource, "httpMethod": "POST"}
    for template, said in [("{\n#if(true)\n}", "line 2: `#if` without `#end`"), ("\n$util.sha('x')", "line 2: `$util` has no method `sha`")]:
        with pytest.raises(ClientError) as raised:
            apigateway.put_integration(**place, type="AWS", integrationHttpMethod="POST", uri=functions["plain"],
                                       requestTemplates={"application/json": template})
        assert raised.value.response["Error"]["Code"] == "BadRequestException"
        assert said in raised.value.response["Error"]["Message"]
        with pytest.raises(ClientError, match="line 2"):
            apigateway.put_integration_response(**place, statusCode="200", responseTemplates={"text/plain": template})


@pytest.mark.parametrize("passthrough, templates, media, status", [
    ("WHEN_NO_MATCH", True, "text/plain", 400), ("WHEN_NO_TEMPLATES", True, "text/plain", 415),
    ("NEVER", False, "application/json", 415), ("NEVER", True, "application/json", 200)])
def test_bodies_pass_as_the_integration_says(api, functions, passthrough, templates, media, status):
    given = {"requestTemplates": {"application/json": "{}"}} if templates else {}
    resource = api.method("a", "POST", functions["plain"], kind="AWS", passthroughBehavior=passthrough, **given)
    api.response(resource, "POST", "200")
    api.deploy()
    answer = requests.post(api.url("/a"), data="no json", headers={"Content-Type": media}, timeout=30)
    assert answer.status_code == status
    if status == 415:
        assert answer.json() == {"message": "Unsupported Media Type"}


def test_required_parameters_are_asked_for_by_a_validator(apigateway, api, functions):
    validator = apigateway.create_request_validator(restApiId=api.id, name="params", validateRequestParameters=True)["id"]
    assert [item["id"] for item in apigateway.get_request_validators(restApiId=api.id)["items"]] == [validator]
    resource = apigateway.create_resource(restApiId=api.id, parentId=api.root, pathPart="a")["id"]
    place = {"restApiId": api.id, "resourceId": resource, "httpMethod": "GET"}
    apigateway.put_method(**place, authorizationType="NONE", requestValidatorId=validator, requestParameters={
        "method.request.querystring.n": True, "method.request.header.X-Key": True, "method.request.querystring.m": False})
    apigateway.put_integration(**place, type="AWS_PROXY", integrationHttpMethod="POST", uri=functions["proxy"])
    api.deploy()
    answer = requests.get(api.url("/a"), timeout=30)
    assert (answer.status_code, answer.json()) == (400, {"message": "Missing required request parameters: [X-Key, n]"})
    assert requests.get(api.url("/a?n=1"), timeout=30).json() == {"message": "Missing required request parameters: [X-Key]"}
    assert requests.get(api.url("/a?n=1"), headers={"x-key": "k"}, timeout=30).status_code == 201


class Backend(http.server.BaseHTTPRequestHandler):
    """Says what it got; `/status/N` answers N, `/slow` late, `/large` too much."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, made = 200, json.dumps({"method": self.command, "path": self.path, "body": body.decode(),
                                        "headers": {name.lower(): value for name, value in self.headers.items()}}).encode()
        if self.path.startswith("/status/"):
            status = int(self.path.rsplit("/", 1)[1])
        if self.path.startswith("/slow"):
            time.sleep(1)
        if self.path.startswith("/large"):
            made = b"x" * (11 << 20)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(made)))
        self.send_header("X-Backend", "b")
        self.send_header("Connection", "keep-alive, X-Hop")
        self.send_header("X-Hop", "1")
        self.end_headers()
        try:
            self.wfile.write(made)
        except OSError:
            pass

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def backend():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


def test_an_http_proxy_hands_everything_on(apigateway, api, backend):
    resource = apigateway.create_resource(restApiId=api.id, parentId=api.root, pathPart="{proxy+}")["id"]
    place = {"restApiId": api.id, "resourceId": resource, "httpMethod": "ANY"}
    apigateway.put_method(**place, authorizationType="NONE", requestParameters={"method.request.path.proxy": True})
    apigateway.put_integration(**place, type="HTTP_PROXY", integrationHttpMethod="ANY",
                               uri="http://${stageVariables.backend}/base/{proxy}",
                               requestParameters={"integration.request.path.proxy": "method.request.path.proxy",
                                                  "integration.request.header.X-Ip": "context.identity.sourceIp",
                                                  "integration.request.querystring.z": "'last'"})
    deployment = apigateway.create_deployment(restApiId=api.id)["id"]
    apigateway.create_stage(restApiId=api.id, stageName="prod", deploymentId=deployment, variables={"backend": backend})
    answer = requests.put(api.url("/a/b%20c?n=1"), data="text", headers={"X-Mine": "m", "Connection": "close, X-Gone", "X-Gone": "1"},
                          timeout=30)
    got = answer.json()
    assert (answer.status_code, got["method"], got["path"], got["body"]) == (200, "PUT", "/base/a/b%20c?n=1&z=last", "text")
    assert (got["headers"]["x-mine"], got["headers"]["x-ip"], got["headers"]["host"]) == ("m", "127.0.0.1", backend)
    assert "x-gone" not in got["headers"] and answer.headers["X-Backend"] == "b" and "X-Hop" not in answer.headers


def test_an_http_integration_is_mapped_both_ways(apigateway, api, backend):
    for name, path, timeout in [("ok", "/status/200", 29000), ("missing", "/status/404", 29000), ("teapot", "/status/418", 29000),
                                ("slow", "/slow", 50), ("large", "/large", 29000)]:
        resource = api.method(name, "POST", f"http://{backend}{path}", kind="HTTP", timeoutInMillis=timeout,
                              requestTemplates={"application/json": '{"wrapped": $input.json("$")}'})
        place = {"restApiId": api.id, "resourceId": resource, "httpMethod": "POST"}
        apigateway.put_integration_response(**place, statusCode="200", selectionPattern="200", responseTemplates={
            "application/json": "$input.path('$.body')"})
        apigateway.put_integration_response(**place, statusCode="410", selectionPattern="40.", responseTemplates={
            "text/plain": "gone"})
    api.deploy()
    call = lambda name: requests.post(api.url(f"/{name}"), json={"n": 1}, timeout=30)
    assert call("ok").json() == {"wrapped": {"n": 1}}
    missing = call("missing")
    assert (missing.status_code, missing.text, missing.headers["Content-Type"]) == (410, "gone", "text/plain")
    assert (call("teapot").status_code, call("teapot").json()) == (500, {"message": "Internal server error"})
    assert (call("slow").status_code, call("slow").json()) == (504, {"message": "Endpoint request timed out"})
    assert call("large").status_code == 504
    place = {"restApiId": api.id, "resourceId": api.root, "httpMethod": "POST"}
    apigateway.put_method(**place, authorizationType="NONE")
    for wrong in [{"timeoutInMillis": 49}, {"timeoutInMillis": 29001}, {"uri": "ftp://x/"}]:
        assert error(apigateway.put_integration, **{**place, "type": "HTTP", "integrationHttpMethod": "GET",
                                                    "uri": f"http://{backend}/", **wrong})[0] == "BadRequestException", wrong


def test_a_mock_answers_its_status(api):
    resource = api.method("ping", "GET", kind="MOCK", requestTemplates={"application/json": '{"statusCode": 204}'})
    api.response(resource, "GET", "204")
    api.deploy()
    assert requests.get(api.url("/ping"), timeout=30).status_code == 204


def test_a_mock_picks_its_answer_by_its_template(apigateway, api):
    resource = api.method("ping", "GET", kind="MOCK", requestTemplates={
        "application/json": '{"statusCode": #if($input.params("bad") == "1")400#{else}200#end}'})
    place = {"restApiId": api.id, "resourceId": resource, "httpMethod": "GET"}
    apigateway.put_integration_response(**place, statusCode="200", responseTemplates={"application/json": '{"pong": "$context.requestId"}'})
    apigateway.put_integration_response(**place, statusCode="400", selectionPattern="4..", responseTemplates={"application/json": "{}"})
    empty = api.method("empty", "GET", kind="MOCK")
    apigateway.put_integration_response(**{**place, "resourceId": empty}, statusCode="200")
    api.deploy()
    answer = requests.get(api.url("/ping"), timeout=30)
    assert answer.json() == {"pong": answer.headers["x-amzn-RequestId"]}
    assert requests.get(api.url("/ping?bad=1"), timeout=30).status_code == 400
    assert requests.get(api.url("/empty"), timeout=30).status_code == 500


def test_what_is_edited_is_live_once_it_is_deployed(apigateway, api, functions):
    api.method("orders", "GET", functions["proxy"])
    first = api.deploy()
    api.method("orders", "PUT", functions["proxy"])
    assert requests.put(api.url("/orders"), timeout=30).status_code == 403
    assert requests.get(api.url("/orders"), timeout=30).status_code == 201
    second = api.deploy()
    assert requests.put(api.url("/orders"), timeout=30).status_code == 201
    assert {item["id"] for item in apigateway.get_deployments(restApiId=api.id)["items"]} == {first, second}
    assert apigateway.get_stage(restApiId=api.id, stageName="prod")["deploymentId"] == second
    apigateway.create_stage(restApiId=api.id, stageName="old", deploymentId=first)
    assert [stage["stageName"] for stage in apigateway.get_stages(restApiId=api.id)["item"]] == ["old", "prod"]
    old = f"{api.endpoint}/restapis/{api.id}/old/_user_request_/orders"
    assert requests.put(old, timeout=30).status_code == 403
    assert requests.get(old, timeout=30).status_code == 201


def test_a_method_is_tried_before_it_is_deployed(apigateway, api, functions):
    resource = api.method("orders", "POST", functions["proxy"])
    answer = apigateway.test_invoke_method(restApiId=api.id, resourceId=resource, httpMethod="POST",
                                           pathWithQueryString="/orders?n=1", body="text", headers={"X-Mine": "m"})
    assert answer["status"] == 201 and answer["headers"]["x-one"] == "1" and answer["latency"] >= 0
    event = json.loads(answer["body"])
    assert (event["body"], event["queryStringParameters"]) == ("text", {"n": "1"})
    assert answer["log"].startswith("Execution log for request ") and "Method completed with status: 201" in answer["log"]


def test_trying_a_method_tells_the_whole_way(apigateway, api, functions):
    resource = api.method("{id}", "POST", functions["plain"], kind="AWS", requestTemplates={
        "application/json": """{"id": "$input.params('id')", "v": "$stageVariables.v"}"""})
    tried = lambda: apigateway.test_invoke_method(restApiId=api.id, resourceId=resource, httpMethod="POST",
                                                  pathWithQueryString="/a%20b?n=1", body="{}", stageVariables={"v": "w"})
    missing = tried()
    assert missing["status"] == 500 and "no integration response fits" in missing["log"]
    api.response(resource, "POST", "200")
    answer = tried()
    assert json.loads(answer["body"]) == {"got": {"id": "a b", "v": "w"}} and answer["multiValueHeaders"]["content-type"]
    for line in ["HTTP Method: POST, Resource Path: /a%20b", "Method request path: {id=a b}", "Method request query string: {n=1}",
                 'Endpoint request body after transformations: {"id": "a b", "v": "w"}', "Received response. Status: 200",
                 "Successfully completed execution", "Method completed with status: 200"]:
        assert line in answer["log"], answer["log"]


def test_stages_are_changed_and_removed_and_deployments_too(apigateway, api, functions):
    api.method("orders", "GET", functions["proxy"])
    first = api.deploy()
    api.method("orders", "PUT", functions["proxy"])
    second = api.deploy()
    patch = lambda *operations: apigateway.update_stage(restApiId=api.id, stageName="prod", patchOperations=list(operations))
    changed = patch({"op": "replace", "path": "/deploymentId", "value": first}, {"op": "replace", "path": "/variables/a", "value": "1"},
                    {"op": "replace", "path": "/variables/b", "value": "2"}, {"op": "replace", "path": "/description", "value": "d"})
    assert (changed["deploymentId"], changed["variables"], changed["description"]) == (first, {"a": "1", "b": "2"}, "d")
    assert patch({"op": "remove", "path": "/variables/a"})["variables"] == {"b": "2"}
    assert requests.put(api.url("/orders"), timeout=30).status_code == 403
    assert requests.get(api.url("/orders"), timeout=30).json()["stageVariables"] == {"b": "2"}
    place = {"restApiId": api.id, "stageName": "prod"}
    assert error(apigateway.update_stage, **place, patchOperations=[{"op": "replace", "path": "/deploymentId", "value": "none"}])[1] == 404
    assert error(apigateway.update_stage, **place, patchOperations=[{"op": "replace", "path": "/cacheClusterEnabled", "value": "true"}]) == (
        "BadRequestException", 400)
    assert error(apigateway.delete_deployment, restApiId=api.id, deploymentId=first) == ("BadRequestException", 400)
    apigateway.delete_deployment(restApiId=api.id, deploymentId=second)
    assert [item["id"] for item in apigateway.get_deployments(restApiId=api.id)["items"]] == [first]
    apigateway.delete_stage(restApiId=api.id, stageName="prod")
    assert requests.get(api.url("/orders"), timeout=30).json() == {"message": "Forbidden"}
    apigateway.delete_deployment(restApiId=api.id, deploymentId=first)
    assert error(apigateway.get_deployment, restApiId=api.id, deploymentId=first) == ("NotFoundException", 404)


def test_lists_come_in_pages(apigateway, api):
    for n in range(7):
        apigateway.create_resource(restApiId=api.id, parentId=api.root, pathPart=f"r{n}")
    first = apigateway.get_resources(restApiId=api.id, limit=3)
    assert len(first["items"]) == 3 and first["position"]
    paths, pages = [], apigateway.get_paginator("get_resources").paginate(restApiId=api.id, PaginationConfig={"PageSize": 3})
    for page in pages:
        paths += [item["path"] for item in page["items"]]
    assert sorted(paths) == ["/"] + [f"/r{n}" for n in range(7)]
    assert error(apigateway.get_resources, restApiId=api.id, limit=501) == ("BadRequestException", 400)


def test_the_event_says_who_called_and_where(api, functions):
    api.method("orders", "GET", functions["proxy"])
    api.deploy()
    context = requests.get(api.url("/orders"), timeout=30).json()["requestContext"]
    assert context["identity"]["sourceIp"] == "127.0.0.1" and context["domainName"] == "127.0.0.1"
    url, host = f"{api.endpoint}/prod/orders", f"{api.id}.execute-api.localhost"
    context = requests.get(url, headers={"Host": host}, timeout=30).json()["requestContext"]
    assert (context["domainName"], context["domainPrefix"]) == (host, api.id)


def message(call, **parameters):
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    assert raised.value.response["Error"]["Code"] == "BadRequestException", raised.value
    return raised.value.response["Error"]["Message"]


def test_what_methods_and_integrations_cannot_be_is_refused_by_name(apigateway, api, functions):
    resource = apigateway.create_resource(restApiId=api.id, parentId=api.root, pathPart="a")["id"]
    place = {"restApiId": api.id, "resourceId": resource, "httpMethod": "POST"}
    method = {**place, "authorizationType": "NONE"}
    assert "FLY" in message(apigateway.put_method, **{**method, "httpMethod": "FLY"})
    assert "authorizerId" in message(apigateway.put_method, **method, authorizerId="abc123")
    assert "authorizationScopes" in message(apigateway.put_method, **method, authorizationScopes=["a/b"])
    apigateway.put_method(**method)
    integration = {**place, "type": "AWS_PROXY", "uri": functions["proxy"]}
    assert message(apigateway.put_integration, **integration) == "Enumeration value for HttpMethod must be non-empty"
    integration["integrationHttpMethod"] = "POST"
    for member, value in (("tlsConfig", {"insecureSkipVerification": True}), ("cacheNamespace", "n"),
                          ("cacheKeyParameters", ["method.request.path.id"]), ("connectionType", "VPC_LINK")):
        assert member in message(apigateway.put_integration, **integration, **{member: value})
    assert "Timeout" in message(apigateway.put_integration, **integration, timeoutInMillis=10)
    assert "FLY" in message(apigateway.put_integration, **{**integration, "integrationHttpMethod": "FLY"})
    apigateway.put_integration(**integration, timeoutInMillis=5_000)
    assert "status code" in message(apigateway.put_method_response, **place, statusCode="999")


def test_integrations_and_answers_are_read_changed_and_removed(apigateway, api):
    resource = api.method("quote", "GET", kind="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    place = {"restApiId": api.id, "resourceId": resource, "httpMethod": "GET"}
    status = {**place, "statusCode": "200"}
    apigateway.put_method_response(**status, responseModels={"application/json": "Empty"})
    apigateway.put_integration_response(**status, responseTemplates={"application/json": "1"})
    got = apigateway.get_method_response(**status)
    assert (got["statusCode"], got["responseModels"]) == ("200", {"application/json": "Empty"})
    assert apigateway.get_integration_response(**status)["responseTemplates"] == {"application/json": "1"}

    def patch(call, place, *operations):
        return call(**place, patchOperations=[dict(zip(("op", "path", "value"), operation)) for operation in operations])

    changed = patch(apigateway.update_integration_response, status,
                    ("replace", "/responseTemplates/application~1json", "12345"), ("replace", "/selectionPattern", ""))
    assert changed["responseTemplates"] == {"application/json": "12345"}
    patch(apigateway.update_method_response, status, ("add", "/responseParameters/method.response.header.X-A", "false"))
    assert apigateway.get_method_response(**status)["responseParameters"] == {"method.response.header.X-A": False}
    patch(apigateway.update_integration, place, ("replace", "/timeoutInMillis", "1000"),
          ("replace", "/requestTemplates/application~1json", '{"statusCode": 200, "x": 1}'))
    assert apigateway.get_integration(**place)["timeoutInMillis"] == 1_000
    patch(apigateway.update_method, place, ("add", "/requestParameters/method.request.querystring.q", "false"))
    assert apigateway.get_method(**place)["requestParameters"] == {"method.request.querystring.q": False}
    api.deploy()
    assert requests.get(api.url("/quote"), timeout=30).text == "12345"
    for call, operations in ((apigateway.update_integration, ("replace", "/cacheNamespace", "n")),
                             (apigateway.update_integration, ("replace", "/timeoutInMillis", "soon")),
                             (apigateway.update_method, ("replace", "/authorizationType", "AWS_IAM"))):
        with pytest.raises(ClientError) as raised:
            patch(call, place, operations)
        assert raised.value.response["Error"]["Code"] == "BadRequestException"
    apigateway.delete_integration_response(**status)
    assert error(apigateway.get_integration_response, **status) == ("NotFoundException", 404)
    apigateway.delete_method_response(**status)
    assert error(apigateway.get_method_response, **status) == ("NotFoundException", 404)
    apigateway.delete_integration(**place)
    assert error(apigateway.get_integration, **place) == ("NotFoundException", 404)
    renamed = patch(apigateway.update_rest_api, {"restApiId": api.id}, ("replace", "/name", "renamed"), ("replace", "/description", "d"))
    assert (renamed["name"], renamed["description"]) == ("renamed", "d")
    assert apigateway.get_rest_api(restApiId=api.id)["name"] == "renamed"
    assert "ImportRestApi" in message(apigateway.import_rest_api, body=b'{"openapi": "3.0.1"}')
