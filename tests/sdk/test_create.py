"""Making resources without a file: `millstream create`, the console's forms, and sections of a file that refer to what is there."""

import json
import urllib.error
import urllib.request
import uuid

import pytest

from conftest import Node

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
    request = urllib.request.Request(f"{node.console}/new/stream", b"", {"Origin": "http://evil.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 403
