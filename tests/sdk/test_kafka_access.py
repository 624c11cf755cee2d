"""Who may do what by Kafka, how much of it, and under TLS."""

import json
import os
import struct
import subprocess

import boto3
import pytest
import requests
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import NewTopic
from conftest import Node, until
from kafka_clients import WAIT, admin, consume, joined, make, name, plain, poll, produce, Raw, sasl


def test_the_development_connection_string_is_let_in(node):
    topic = make(node, name())
    secret = "Endpoint=sb://localhost;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE"
    produce(node, topic, plain([b"a"]), **sasl("$ConnectionString", secret))
    assert consume(node, topic, 1, **sasl("test", "test"))[0].value() == b"a"
    errors = []
    client = admin(node, **sasl("test", "wrong", **{"error_cb": errors.append}))
    with pytest.raises(KafkaException):
        client.list_topics(timeout=5)
    until(lambda: client.poll(0.1) or KafkaError._AUTHENTICATION in [error.code() for error in errors])


def test_a_namespace_has_topics_and_groups_of_its_own(node):
    path = "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventHub/namespaces/shop"
    made = requests.put(node.endpoint + path, json={"location": "here"}, headers={"Authorization": "Bearer any"}, timeout=WAIT)
    assert made.ok, made.text
    secret = "Endpoint=sb://shop.localhost/;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE"
    shop, topic, group = sasl("$ConnectionString", secret), name("orders"), name("group")
    admin(node, **shop).create_topics([NewTopic(topic, 1, 1)])[topic].result(WAIT)
    assert set(admin(node, **shop).list_topics(timeout=WAIT).topics) == {topic}
    assert topic not in admin(node).list_topics(timeout=WAIT).topics
    produce(node, topic, plain([b"a"]), **shop)
    consumer = joined(node, group, [topic], **shop)
    assert poll(consumer, 1)[0].value() == b"a"
    consumer.commit(asynchronous=False)
    consumer.close()
    groups = [{listed.group_id for listed in admin(node, **settings).list_consumer_groups().result(WAIT).valid}
              for settings in (shop, {})]
    assert group in groups[0] and group not in groups[1]


def test_what_a_namespace_takes_and_gives_is_its_units(node):
    node.run("create", "event-hubs-namespace", "narrow", "throughput_units=1")
    secret = "Endpoint=sb://narrow.localhost/;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE"
    narrow, topic, held = sasl("$ConnectionString", secret), name("held"), []
    admin(node, **narrow).create_topics([NewTopic(topic, 1, 1)])[topic].result(WAIT)
    values = [os.urandom(100_000) for _ in range(15)]
    # Half a second more than a second's share: nothing is refused, the client is told to wait.
    reports = produce(node, topic, plain(values), throttle_cb=held.append, **{**narrow, "linger.ms": 100})
    assert all(error is None for error, _ in reports)
    assert held and held[0].throttle_time > 0
    assert [message.value() for message in consume(node, topic, 15, **narrow)] == values


def test_rights_are_checked_topic_by_topic():
    node = Node(development=False)
    try:
        node.start()
        lines = [line.split() for line in node.run("keys").splitlines()]
        key, secret = lines[lines.index(["access", "keys", "of", "the", "root"]) + 1]
        owner = sasl(key, secret)
        for topic in ["mine", "other"]:
            admin(node, **owner).create_topics([NewTopic(topic, 1, 1)])[topic].result(WAIT)
        string = node.run("keys", "default").splitlines()[1].strip()
        produce(node, "mine", plain([b"a"]), **sasl("$ConnectionString", string))
        only_mine = sasl("$ConnectionString", string + ";EntityPath=mine")
        assert set(admin(node, **only_mine).list_topics(timeout=WAIT).topics) == {"mine"}
        assert consume(node, "mine", 1, **only_mine)[0].value() == b"a"
        other = joined(node, "group", ["other"], **only_mine)
        with pytest.raises(KafkaException) as refused:
            poll(other, 1)
        other.close()
        assert refused.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
        reader = user(node, (key, secret), "reader", ["kinesis:GetRecords", "kinesis:GetShardIterator"], "mine")
        assert consume(node, "mine", 1, **reader)[0].value() == b"a"
        connected = admin(node, **reader)
        assert set(connected.list_topics(timeout=WAIT).topics) == {"mine"}
        reports = produce(node, "mine", plain([b"x"]), **reader)
        assert reports[0][0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
        with pytest.raises(KafkaException) as refused:
            admin(node, **reader).delete_topics(["mine"])["mine"].result(WAIT)
        assert refused.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
        iam = root_iam(node, key, secret)
        iam.delete_access_key(UserName="reader", AccessKeyId=reader["sasl.username"])
        with pytest.raises(KafkaException):
            connected.list_topics(timeout=3)
        with pytest.raises(KafkaException):
            admin(node).list_topics(timeout=3)
        raw = Raw(node)
        raw.send(3, 1, struct.pack(">i", -1))
        with pytest.raises((EOFError, ConnectionError)):
            raw.answer()
        raw.close()
    finally:
        node.remove()


def root_iam(node, key, secret):
    return boto3.client("iam", endpoint_url=node.endpoint, region_name="us-east-1", aws_access_key_id=key,
                        aws_secret_access_key=secret)


def user(node, root, user, actions, stream):
    """A user who may do something with one stream."""
    iam = root_iam(node, *root)
    iam.create_user(UserName=user)
    allowed = {"Effect": "Allow", "Action": actions, "Resource": f"arn:aws:kinesis:*:*:stream/{stream}"}
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": [allowed]}))
    made = iam.create_access_key(UserName=user)["AccessKey"]
    return sasl(made["AccessKeyId"], made["SecretAccessKey"])


def test_clients_come_under_tls(tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate], check=True,
                   capture_output=True, timeout=60)
    node = Node("--tls-cert", certificate, "--tls-key", key)
    port = node.kafka_tls_port
    try:
        node.start()
        topic = make(node, name())
        tls = {"bootstrap.servers": f"localhost:{port}", "security.protocol": "SASL_SSL", "ssl.ca.location": str(certificate),
               "sasl.mechanisms": "PLAIN", "sasl.username": "test", "sasl.password": "test"}
        # The broker is found under the name that the certificate has.
        reports = produce(node, topic, plain([b"a"]), **tls)
        assert reports[0][0] is None
        assert consume(node, topic, 1, **tls)[0].value() == b"a"
    finally:
        node.remove()
