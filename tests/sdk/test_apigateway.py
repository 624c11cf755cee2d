"""API Gateway through boto3 and plain HTTP: APIs that are made, deployed and called; what they answer when it goes wrong."""

import base64
import io
import json
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


def test_control_errors_are_the_services(apigateway, api):
    assert error(apigateway.create_deployment, restApiId=api.id, stageName="prod") == ("BadRequestException", 400)
    assert error(apigateway.create_resource, restApiId=api.id, parentId="nothing", pathPart="a") == ("NotFoundException", 404)
    assert error(apigateway.create_resource, restApiId=api.id, parentId=api.root, pathPart="a b") == ("BadRequestException", 400)
    apigateway.create_resource(restApiId=api.id, parentId=api.root, pathPart="a")
    assert error(apigateway.create_resource, restApiId=api.id, parentId=api.root, pathPart="a") == ("ConflictException", 409)
    assert error(apigateway.delete_resource, restApiId=api.id, resourceId=api.root) == ("BadRequestException", 400)
    code, status = error(apigateway.create_api_key, name="any")
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


def test_a_mock_answers_its_status(api):
    resource = api.method("ping", "GET", kind="MOCK", requestTemplates={"application/json": '{"statusCode": 204}'})
    api.response(resource, "GET", "204")
    api.deploy()
    assert requests.get(api.url("/ping"), timeout=30).status_code == 204


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
