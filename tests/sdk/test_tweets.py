"""The tweets example as people start it, in one command and piece by piece: with the flaw dead letters arrive, with the fix the
table fills, in Node.js, in C# and as it is built into the binary."""

import json
import os
import re
import subprocess
import sys

import pytest
from conftest import BINARY, ROOT, Node, dotnet, needs, needs_javascript, until
from demo import DEADLINE_SECONDS, WITHOUT_WAITS, Demo

EXAMPLE = ROOT / "examples" / "tweets"
needs_sdk = needs_javascript("aws-sdk")
needs_dotnet = needs(dotnet(), "no .NET runtime and C# compiler in tests/sdk/.deps/dotnet; ./test installs them")
LANGUAGES = ["native", pytest.param("nodejs", marks=needs_sdk), pytest.param("csharp", marks=[needs_sdk, needs_dotnet])]


@pytest.fixture
def demo():
    started = []

    def start(*flags):
        started.append(Demo("--tweets", *flags))
        return started[-1].start()

    yield start
    for each in started:
        each.remove()


@pytest.fixture
def node():
    node = Node(settings=WITHOUT_WAITS)
    try:
        yield node.start()
    finally:
        node.remove()


def produce(node):
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    subprocess.run([sys.executable, EXAMPLE / "produce.py", node.endpoint], check=True, env=environment, timeout=90)


def letters(node):
    sqs = node.client("sqs")
    try:
        url = sqs.get_queue_url(QueueName="dead-tweets")["QueueUrl"]
        return sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MessageAttributeNames=["All"]).get("Messages")
    except Exception:  # the demo has not got so far
        return None


def saved(node):
    found = node.client("dynamodb").scan(TableName="tweets")["Items"]
    return sorted(item["TwitterID"]["S"] for item in found)


def tweets():
    return sorted(json.loads(line)["id"] for line in (EXAMPLE / "tweets.jsonl").read_text().splitlines())


def is_dead_letter(letter):
    attributes = letter["MessageAttributes"]
    assert set(attributes) == {"RequestID", "ErrorCode", "ErrorMessage"}
    assert "1 validation error detected" in attributes["ErrorMessage"]["StringValue"]  # its end is cut
    assert len(json.loads(letter["Body"])["items"]) > 25


REPLAY = ["--replay", EXAMPLE / "tweets.jsonl", "--speed", "100000"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_command_with_the_flaw(demo, language):
    started = demo("--language", language, *REPLAY)
    is_dead_letter(started.wait_for(lambda: letters(started), "no dead letter came")[0])
    # How many depends on how the tweets fell into batches.
    says = re.compile(r"[1-9]\d* dead letters")
    started.wait_for(lambda: says.search(started.output()), "the summary says nothing of the dead letter")
    if language != "nodejs":
        assert re.search(r"Beginning to process \d+ records\.\.\.", started.run("logs", "DecodeTweets"))
    assert started.stop() == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_command_with_the_fix(demo, language):
    started = demo("--fixed", "--language", language, *REPLAY)
    whole = f"{len(tweets())} tweets sent, {len(tweets())} in the table, 0 dead letters"
    started.wait_for(lambda: whole in started.output(), "the table does not fill")
    assert saved(started) == tweets()


def test_tweets_are_made_up_from_a_seed(demo):
    started = demo("--fixed", "--rate", "200", "--seed", "7")
    started.wait_for(lambda: re.search(r"[1-9]\d* in the table", started.output()), "the table does not fill")
    assert all(name.startswith("7-") for name in saved(started))


def test_a_language_that_is_not_there_is_told():
    environment = {name: value for name, value in os.environ.items() if name != "MILLSTREAM_NODE_PATH"}
    done = subprocess.run([BINARY, "demo", "--tweets", "--language", "nodejs", "--data", "/nowhere"], env=environment,
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "npm install" in done.stderr and "--language native" in done.stderr


@needs_sdk
def test_piece_by_piece(node):
    node.run("apply", EXAMPLE / "pipeline.toml")
    produce(node)
    is_dead_letter(until(lambda: letters(node))[0])

    node.run("apply", EXAMPLE / "fixed.toml")
    produce(node)
    until(lambda: saved(node) == tweets(), DEADLINE_SECONDS)


@needs_sdk
@needs_dotnet
def test_piece_by_piece_in_csharp(node, tmp_path):
    """What `build` compiles is what a pipeline file takes."""
    subprocess.run([EXAMPLE / "functions" / "decode-csharp" / "build", tmp_path / "publish"], check=True, timeout=120,
                   env={**os.environ, **dotnet()})
    node.run("apply", EXAMPLE / "pipeline.toml")
    text = (EXAMPLE / "csharp.toml").read_text()
    (tmp_path / "csharp.toml").write_text(text.replace("functions/decode-csharp/publish", "publish"))
    node.run("apply", tmp_path / "csharp.toml")
    node.run("apply", EXAMPLE / "fixed.toml")
    produce(node)
    until(lambda: saved(node) == tweets(), DEADLINE_SECONDS)
