"""What SDKs refuse to send: wrong signatures, broken bodies, half requests, many connections."""

import datetime
import json
import socket
import time

import boto3
import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from conftest import Node

TARGET = "Kinesis_20131202."


def send(endpoint, operation, body, key="test", secret="test", change=None, service="kinesis"):
    headers = {"X-Amz-Target": TARGET + operation, "Content-Type": "application/x-amz-json-1.1"}
    request = AWSRequest("POST", endpoint + "/", data=body, headers=headers)
    SigV4Auth(Credentials(key, secret), service, "us-east-1").add_auth(request)
    prepared = request.prepare()
    sent = dict(prepared.headers)
    if change:
        change(sent)
    answer = requests.post(endpoint + "/", data=body, headers=sent, timeout=30)
    return answer.status_code, answer.json() if answer.content else {}


def test_signatures_are_checked(endpoint):
    assert send(endpoint, "ListStreams", "{}")[0] == 200
    status, answer = send(endpoint, "ListStreams", "{}", secret="other")
    assert (status, answer["__type"]) == (400, "InvalidSignatureException")
    assert answer["message"].startswith("The request signature we calculated does not match")
    status, answer = send(endpoint, "ListStreams", "{}", key="nobody")
    assert (status, answer["__type"]) == (400, "UnrecognizedClientException")
    assert answer["message"] == "The security token included in the request is invalid."
    status, answer = send(endpoint, "ListStreams", "{}", change=lambda headers: headers.pop("Authorization"))
    assert (status, answer["__type"]) == (400, "MissingAuthenticationTokenException")
    status, answer = send(endpoint, "ListStreams", "{}", change=lambda headers: headers.update(Authorization="AWS4-HMAC-SHA256 nonsense"))
    assert (status, answer["__type"]) == (400, "IncompleteSignatureException")


def test_clocks_far_off_are_refused(endpoint):
    import botocore.auth
    real = botocore.auth.get_current_datetime if hasattr(botocore.auth, "get_current_datetime") else None
    if real is None:
        pytest.skip("this botocore takes its time from elsewhere")
    try:
        botocore.auth.get_current_datetime = lambda *a, **k: real(*a, **k) - datetime.timedelta(minutes=20)
        status, answer = send(endpoint, "ListStreams", "{}")
    finally:
        botocore.auth.get_current_datetime = real
    assert (status, answer["__type"]) == (400, "InvalidSignatureException")
    assert answer["message"].startswith("Signature expired:")


def test_broken_bodies_and_unknown_operations(endpoint):
    assert send(endpoint, "PutRecord", "{")[1]["__type"] == "SerializationException"
    assert send(endpoint, "PutRecord", '{"StreamName": 7}')[1]["__type"] == "SerializationException"
    body = json.dumps({"StreamName": "none", "PartitionKey": "k", "Data": "***"})
    assert send(endpoint, "PutRecord", body)[1]["__type"] == "SerializationException"
    assert send(endpoint, "PutRecords", json.dumps({"StreamName": "none", "Records": [{"Data": "!", "PartitionKey": "k"}]}))[1]["__type"] == "SerializationException"
    # An array of the members in their order is no structure.
    assert send(endpoint, "PutRecords", '["none", null, [["ZGF0YQ==", "k", null]]]')[1]["__type"] == "SerializationException"
    status, answer = send(endpoint, "Fly", "{}")
    assert (status, answer["__type"]) == (400, "UnknownOperationException") and "Fly" in answer["message"]
    # Members that the service does not know are passed over, as it does.
    assert send(endpoint, "ListStreams", '{"Unknown": [1, {"deep": null}]}')[0] == 200


@pytest.mark.parametrize("service, operation", [("events", "list_rules"), ("autoscaling", "describe_auto_scaling_groups"), ("batch", "list_jobs")])
def test_a_service_that_is_not_served_says_so(server, service, operation):
    client = server.client(service)
    with pytest.raises(ClientError) as raised:
        getattr(client, operation)(**({"jobQueue": "q"} if operation == "list_jobs" else {}))
    assert "not supported" in str(raised.value)
    assert raised.value.response["Error"]["Code"] == "UnknownOperationException"


def test_query_services_refuse_wrong_signatures_in_their_own_words(server):
    client = boto3.client("autoscaling", endpoint_url=server.endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="other")
    with pytest.raises(ClientError) as raised:
        client.describe_auto_scaling_groups()
    assert raised.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_bodies_over_the_limit_are_refused(endpoint):
    status, answer = send(endpoint, "PutRecords", "x" * (17 << 20))
    assert status == 413


def test_half_sent_requests_disturb_nobody(server, endpoint):
    sockets = []
    try:
        for half in (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc", b"POST / HT", b"\x00\xff\x00", b""):
            for _ in range(50):
                connection = socket.create_connection(("127.0.0.1", server.port))
                connection.sendall(half)
                sockets.append(connection)
        assert send(endpoint, "ListStreams", "{}")[0] == 200
    finally:
        for connection in sockets:
            connection.close()
    assert send(endpoint, "ListStreams", "{}")[0] == 200


def test_idle_connections_leave_descriptors_for_the_store():
    node = Node(descriptors=1024)
    sockets = []
    try:
        kinesis = node.start().client("kinesis")
        kinesis.create_stream(StreamName="kept", ShardCount=1)
        kinesis.put_record(StreamName="kept", PartitionKey="k", Data=b"before")
        for port in (node.console_port, node.amqp_port, node.port):
            for _ in range(1_100):
                try:
                    sockets.append(socket.create_connection(("127.0.0.1", port), timeout=0.2))
                except OSError:
                    break
        assert len(sockets) > 600
        # Longer than from one checkpoint, which opens files, to the next. The client has a connection already.
        for number in range(120):
            kinesis.put_record(StreamName="kept", PartitionKey="k", Data=b"%d" % number)
            time.sleep(0.1)
    finally:
        for connection in sockets:
            connection.close()
        output = node.output()
        node.remove()
    assert "the journal stops" not in output


def test_many_idle_connections_hold_little_memory(server, endpoint):
    def resident_kib():
        status = open(f"/proc/{server.process.pid}/status").read()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1 << 20 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    count = min(10_000, most - 500)
    before = resident_kib()
    sockets = []
    try:
        for _ in range(count):
            sockets.append(socket.create_connection(("127.0.0.1", server.port)))
        assert send(endpoint, "ListStreams", "{}")[0] == 200
        grown = resident_kib() - before
        assert grown < count * 40, f"{count} idle connections hold {grown} KiB"
    finally:
        for connection in sockets:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert send(endpoint, "ListStreams", "{}")[0] == 200
