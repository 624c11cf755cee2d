"""The AWS SDK for Java, second generation: the programs of `java/` say what they expect."""

import uuid

import pytest
from java_clients import needs_java, run

pytestmark = needs_java


@pytest.mark.parametrize("what", ["records", "positions", "errors", "pushed"])
def test_kinesis_in_cbor(endpoint, what):
    run("Kinesis", what, endpoint, f"java-{uuid.uuid4().hex[:8]}")


def test_dynamodb(endpoint):
    run("Tables", endpoint, f"java-{uuid.uuid4().hex[:8]}")


def test_cloudwatch(endpoint):
    run("Metrics", endpoint, f"java/{uuid.uuid4().hex[:8]}")
