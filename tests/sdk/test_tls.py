"""HTTP under TLS: the official clients with a certificate authority of their own, on the ports that take plain HTTP too."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import time
import types
import urllib.error
import urllib.parse
import urllib.request
import uuid

import boto3
import pytest
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError
from azure.cosmos import CosmosClient, PartitionKey
from azure.eventgrid import EventGridEvent, EventGridPublisherClient
from azure.storage.blob import AccountSasPermissions, BlobServiceClient, ResourceTypes, generate_account_sas
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from conftest import NODE_MODULES, Node, free_port, needs_javascript, needs_node, package, until
from java_clients import needs_java, run
from peers import BLOB_ACCOUNT, BLOB_KEY, COSMOS_KEY, hubs_connection_string
from test_cli import AWS, pytestmark as needs_cli
from test_eventhubs import make_hub

ROLE = "arn:aws:iam::000000000000:role/any"
SECONDS = 90


def openssl(*arguments):
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run([*new, *map(str, arguments)], check=True, capture_output=True, timeout=60)


def certify(folder, certificate, key):
    """Has the authority in a folder give `localhost` a certificate."""
    openssl("-subj", "/CN=localhost", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
            "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", key, "-out", certificate)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Files of an authority and of a certificate that it gave `localhost`."""
    folder = tmp_path_factory.mktemp("authority")
    ca, certificate, key = (folder / name for name in ("ca.pem", "cert.pem", "cert.key"))
    openssl("-subj", "/CN=tests", "-addext", "keyUsage=keyCertSign", "-keyout", folder / "ca.key", "-out", ca)
    certify(folder, certificate, key)
    return types.SimpleNamespace(folder=folder, ca=str(ca), certificate=str(certificate), key=str(key),
                                 context=ssl.create_default_context(cafile=str(ca)))


def secure_node(authority, *flags):
    node = Node("--tls-cert", authority.certificate, "--tls-key", authority.key, *flags)
    node.secure = f"https://localhost:{node.port}"
    return node


@pytest.fixture(scope="module")
def portal_port():
    return free_port()


@pytest.fixture(scope="module")
def node(authority, portal_port):
    node = secure_node(authority, "--portal-listen", f"127.0.0.1:{portal_port}")
    try:
        yield node.start()
    finally:
        node.remove()


def client(service, address, authority, key="test", secret="test"):
    return boto3.client(service, endpoint_url=address, region_name="us-east-1", aws_access_key_id=key,
                        aws_secret_access_key=secret, verify=authority.ca,
                        config=Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=SECONDS))


def test_boto3_and_the_addresses_that_it_is_told(node, authority):
    sqs = client("sqs", node.secure, authority)
    url = sqs.create_queue(QueueName="under-tls")["QueueUrl"]
    assert url.startswith(node.secure + "/")
    sqs.send_message(QueueUrl=url, MessageBody="a")
    assert sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"][0]["Body"] == "a"
    # Plain HTTP is taken on the same port, and told so.
    assert node.client("sqs").get_queue_url(QueueName="under-tls")["QueueUrl"].startswith(node.endpoint + "/")
    kinesis = client("kinesis", node.secure, authority)
    kinesis.create_stream(StreamName="under-tls", ShardCount=1)
    body = os.urandom(900_000)
    kinesis.put_record(StreamName="under-tls", PartitionKey="k", Data=body)
    shard = kinesis.list_shards(StreamName="under-tls")["Shards"][0]["ShardId"]
    iterator = kinesis.get_shard_iterator(StreamName="under-tls", ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    assert kinesis.get_records(ShardIterator=iterator["ShardIterator"])["Records"][0]["Data"] == body


def test_a_policy_may_ask_for_tls(node, authority):
    iam = node.client("iam")
    iam.create_user(UserName="careful")
    statement = {"Effect": "Allow", "Action": "kinesis:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}}
    iam.put_user_policy(UserName="careful", PolicyName="tls",
                        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    made = iam.create_access_key(UserName="careful")["AccessKey"]
    keys = made["AccessKeyId"], made["SecretAccessKey"]
    client("kinesis", node.secure, authority, *keys).list_streams()
    with pytest.raises(ClientError, match="AccessDenied"):
        client("kinesis", node.endpoint, authority, *keys).list_streams()


def test_blobs_and_signatures_for_tls_only(node, authority):
    address = f"{node.secure}/{BLOB_ACCOUNT}"
    service = BlobServiceClient(address, credential=BLOB_KEY, connection_verify=authority.ca, retry_total=0)
    container = service.create_container("under-tls")
    container.upload_blob("a", b"1")
    copied = container.get_blob_client("b")
    copied.start_copy_from_url(container.get_blob_client("a").url)
    assert sorted(blob.name for blob in container.list_blobs()) == ["a", "b"]
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))
    sas = generate_account_sas(BLOB_ACCOUNT, BLOB_KEY, ResourceTypes(object=True), AccountSasPermissions(read=True), until,
                               protocol="https")
    for begin, expected in ((address, b"1"), (f"{node.endpoint}/{BLOB_ACCOUNT}", None)):
        blob = BlobServiceClient(begin, credential=sas, connection_verify=authority.ca, retry_total=0).get_blob_client(
            "under-tls", "a")
        if expected:
            assert blob.download_blob().readall() == expected
        else:
            with pytest.raises(HttpResponseError) as refused:
                blob.download_blob()
            assert refused.value.error_code == "AuthorizationProtocolMismatch"


def test_documents(node, authority):
    with CosmosClient(node.secure + "/", credential=COSMOS_KEY, connection_verify=authority.ca) as cosmos:
        container = cosmos.create_database("tls").create_container("orders", partition_key=PartitionKey(path="/user"))
        container.create_item({"id": "1", "user": "ann"})
        assert container.read_item("1", "ann")["user"] == "ann"


def topic(node):
    """A topic and the key of one who publishes to it."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    base = f"{node.endpoint}/subscriptions/0/resourceGroups/r/providers/Microsoft.EventGrid/topics/{name}"
    for method, path, body in (("PUT", "", b'{"location":"local"}'), ("POST", "/listKeys", b"")):
        request = urllib.request.Request(f"{base}{path}?api-version=2022-06-15", body, method=method,
                                         headers={"Authorization": "Bearer any", "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            answered = json.load(answer)
    return f"{node.secure}/eventgrid/{name}/api/events", answered["key1"]


def test_event_grid_from_python(node, authority):
    address, key = topic(node)
    publisher = EventGridPublisherClient(address, AzureKeyCredential(key), retry_total=0)
    publisher.send(EventGridEvent(subject="s", event_type="T", data={"n": 1}, data_version="1"), connection_verify=authority.ca)


@needs_javascript("@azure/eventgrid")
def test_event_grid_from_javascript(node, authority, tmp_path):
    address, key = topic(node)
    # Without the option that lets this SDK go without TLS.
    script = tmp_path / "publish.js"
    script.write_text("""
const { EventGridPublisherClient, AzureKeyCredential } = require("@azure/eventgrid");
const [address, key] = process.argv.slice(2);
const client = new EventGridPublisherClient(address, "EventGrid", new AzureKeyCredential(key));
client.send([{ eventType: "T", subject: "s", dataVersion: "1", data: { n: 2 } }])
  .then(() => console.log("sent"), (error) => { console.error(error); process.exit(1); });
""")
    done = subprocess.run(["node", str(script), address, key], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "NODE_PATH": str(NODE_MODULES), "NODE_EXTRA_CA_CERTS": authority.ca})
    assert done.returncode == 0 and "sent" in done.stdout, done


def test_events_are_sent(node, authority):
    node.run("create", "event-hub", "secure", "partitions=1")
    resource = urllib.parse.quote_plus(f"{node.secure}/secure")
    expiry = int(time.time()) + 60
    signed = hmac.new(b"SAS_KEY_VALUE", f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
    token = (f"SharedAccessSignature sr={resource}&sig={urllib.parse.quote_plus(base64.b64encode(signed))}&se={expiry}"
             "&skn=RootManageSharedAccessKey")
    request = urllib.request.Request(f"{node.secure}/secure/messages", b"a", {"Authorization": token})
    with urllib.request.urlopen(request, timeout=SECONDS, context=authority.context) as answer:
        assert answer.status == 201


def test_pages(node, authority, portal_port):
    with urllib.request.urlopen(f"https://localhost:{portal_port}/login", timeout=SECONDS, context=authority.context) as page:
        cookie = page.headers["Set-Cookie"]
    assert cookie.startswith("__Host-portal=") and "; Secure" in cookie
    with urllib.request.urlopen(f"http://localhost:{portal_port}/login", timeout=SECONDS) as page:
        assert "Secure" not in page.headers["Set-Cookie"]
    console = f"https://localhost:{node.console_port}/"
    with urllib.request.urlopen(console, timeout=SECONDS, context=authority.context) as page:
        assert "millstream" in page.read().decode().lower()


def test_what_is_no_handshake_ends_alone(node, authority):
    with socket.create_connection(("127.0.0.1", node.port), timeout=SECONDS) as broken, \
            socket.create_connection(("127.0.0.1", node.port), timeout=SECONDS) as silent:
        silent.sendall(b"\x16\x03\x01")
        broken.sendall(b"\x16\x03\x01\x00\x05hello")
        # An alert, then the end.
        while broken.recv(1_000):
            pass
        connection = http.client.HTTPSConnection("localhost", node.port, context=authority.context, timeout=SECONDS)
        for _ in range(2):
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b"ok\n"
        connection.close()


def served(node, authority):
    """The certificate with which a new connection is answered."""
    with socket.create_connection(("127.0.0.1", node.port), timeout=SECONDS) as plain, \
            authority.context.wrap_socket(plain, server_hostname="localhost") as connection:
        return connection.getpeercert(binary_form=True)


def test_a_renewed_certificate_is_served_without_a_restart(node, authority):
    first = served(node, authority)
    kept = http.client.HTTPSConnection("localhost", node.port, context=authority.context, timeout=SECONDS)
    kept.connect()
    # A certificate that does not go with its key replaces nothing, and that is told.
    renewed, its_key = authority.folder / "new.pem", authority.folder / "new.key"
    certify(authority.folder, renewed, its_key)
    os.replace(renewed, authority.certificate)
    until(lambda: served(node, authority) == first and "the changed certificate is not served" in node.output())
    os.replace(its_key, authority.key)
    second = until(lambda: (now := served(node, authority)) != first and now)
    assert ssl.PEM_cert_to_DER_cert(pathlib.Path(authority.certificate).read_text()) == second
    kept.request("GET", "/healthz")
    assert kept.getresponse().read() == b"ok\n"
    kept.close()


@needs_node
def test_http2_is_agreed_on_or_known_before(node, authority, tmp_path):
    script = tmp_path / "ask.js"
    script.write_text("""
const http2 = require("http2");
const [address, how] = process.argv.slice(2);
const ca = require("fs").readFileSync(process.env.CA);
const { hostname, port } = new URL(address);
const session = http2.connect(address, {
  plain: {}, agreed: { ca }, unsaid: { createConnection: () => require("tls").connect(port, hostname, { ca }) } }[how]);
session.on("error", (error) => { console.error(error); process.exit(1); });
const body = JSON.stringify({ Limit: 1 });
const ask = () => new Promise((resolve) => {
  const stream = session.request({
    ":method": "POST", ":path": "/", "content-type": "application/x-amz-json-1.1", "x-amz-target": "Kinesis_20131202.ListStreams",
    "x-amz-date": process.env.DATE, authorization: process.env.AUTHORIZATION });
  let text = "", status = 0;
  stream.on("response", (headers) => { status = headers[":status"]; });
  stream.on("data", (data) => { text += data; });
  stream.on("end", () => resolve([status, text]));
  stream.end(body);
});
Promise.all(Array.from({ length: 20 }, ask)).then((answers) => {
  console.log(JSON.stringify({ protocol: session.alpnProtocol, answers }));
  session.close();
});
""")
    # Under TLS a client may also begin with it and not have said so, as the SDK for Java does.
    for address, how, told_protocol in ((node.secure, "agreed", "h2"), (node.endpoint, "plain", "h2c"), (node.secure, "unsaid", None)):
        # Signed over the host, which HTTP/2 names elsewhere than HTTP/1.1.
        request = AWSRequest("POST", f"{address}/", {"Content-Type": "application/x-amz-json-1.1",
                             "X-Amz-Target": "Kinesis_20131202.ListStreams"}, json.dumps({"Limit": 1}, separators=(",", ":")))
        SigV4Auth(Credentials("test", "test"), "kinesis", "us-east-1").add_auth(request)
        environment = {**os.environ, "CA": authority.ca, "DATE": request.headers["X-Amz-Date"],
                       "AUTHORIZATION": request.headers["Authorization"]}
        done = subprocess.run(["node", str(script), address, how], capture_output=True, text=True, timeout=60, env=environment)
        assert done.returncode == 0, done
        told = json.loads(done.stdout)
        assert not told_protocol or told["protocol"] == told_protocol
        assert len(told["answers"]) == 20
        assert all(status == 200 and "StreamNames" in text for status, text in told["answers"]), told


@pytest.fixture(scope="module")
def trusting(authority):
    """Options of a Java program that trusts the authority and nobody else."""
    store = authority.folder / "trust.p12"
    subprocess.run(["keytool", "-importcert", "-noprompt", "-file", authority.ca, "-keystore", store, "-storepass", "trusted"],
                   check=True, capture_output=True, timeout=60)
    return [f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword=trusted"]


@needs_java
@pytest.mark.parametrize("what", ["records", "pushed"])
def test_kinesis_with_the_java_sdk(node, trusting, what):
    """What is pushed comes by HTTP/2."""
    run("Kinesis", what, node.secure, f"java-{what}", options=trusting)


@needs_java
@pytest.mark.parametrize("program", ["Tables", "Metrics"])
def test_other_services_with_the_java_sdk(node, trusting, program):
    run(program, node.secure, f"java-{uuid.uuid4().hex[:8]}", options=trusting)


@needs_java
def test_the_java_sdk_refuses_an_authority_that_it_does_not_know(node):
    with pytest.raises(AssertionError, match="PKIX path building failed"):
        run("Tables", node.secure, "never")


@needs_java
@pytest.mark.parametrize("what", ["properties", "events"])
def test_event_hubs_with_azures_client_for_java(node, trusting, what):
    hub = f"java-{uuid.uuid4().hex[:8]}"
    make_hub(node, hub, 4)
    # Without the word for the emulator, whose connections would be plain.
    string = hubs_connection_string(node).replace("UseDevelopmentEmulator=true;", "")
    options = [*trusting, f"-Dhubs.endpoint=https://localhost:{node.amqp_tls_port}"]
    run("Hubs", what, string, hub, options=options)


@needs_cli
def test_the_command_line(node, authority, tmp_path):
    environment = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
                   "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1", "AWS_CONFIG_FILE": str(tmp_path / "config"),
                   "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}

    def aws(*arguments):
        command = [AWS, "--endpoint-url", node.secure, "--output", "json", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    url = json.loads(aws("--ca-bundle", authority.ca, "sqs", "create-queue", "--queue-name", "typed").stdout)["QueueUrl"]
    assert url.startswith(node.secure)
    sent = json.loads(aws("--ca-bundle", authority.ca, "sqs", "send-message", "--queue-url", url, "--message-body", "x").stdout)
    received = json.loads(aws("--ca-bundle", authority.ca, "sqs", "receive-message", "--queue-url", url).stdout)
    assert [message["MessageId"] for message in received["Messages"]] == [sent["MessageId"]]
    unknown = aws("sts", "get-caller-identity")
    assert unknown.returncode != 0 and "certificate" in unknown.stderr.lower()


def test_tls_can_be_required(authority):
    node = secure_node(authority, "--require-tls")
    node.endpoint, node.context = node.secure, authority.context
    plain = f"http://127.0.0.1:{node.port}"
    try:
        node.start()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{plain}/healthz", b"x" * 100_000, timeout=SECONDS)
        assert refused.value.code == 426 and b"expected TLS" in refused.value.read()
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{node.console_port}/", timeout=SECONDS)
        # A function reaches its node all the same.
        code = ("import boto3\n"
                "def handler(event, context):\n"
                "    return boto3.client('kinesis').list_streams()['StreamNames']\n")
        zipped = package({"index.py": code})
        functions = client("lambda", node.secure, authority)
        functions.create_function(FunctionName="f", Runtime="python3.12", Role=ROLE, Handler="index.handler", Timeout=30,
                                  Code={"ZipFile": zipped})
        answer = functions.invoke(FunctionName="f")
        assert json.load(answer["Payload"]) == [] and "FunctionError" not in answer
        address = functions.get_function(FunctionName="f")["Code"]["Location"]
        with urllib.request.urlopen(address, timeout=SECONDS, context=authority.context) as got:
            assert address.startswith(node.secure) and got.read() == zipped
        # What the node writes where no request says its address.
        assert f"BlobEndpoint=https://127.0.0.1:{node.port}/" in node.run("keys")
        assert re.search(r"^cosmos\n  https://", node.run("keys"), re.MULTILINE)
    finally:
        node.remove()
    done = Node("--require-tls")
    try:
        with pytest.raises(RuntimeError, match="--require-tls needs a certificate"):
            done.start()
    finally:
        done.remove()
