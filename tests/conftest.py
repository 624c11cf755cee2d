"""What SDK and crash tests share: a node of their own, and clients of it that nobody here wrote.

`MILLSTREAM_BIN` names the binary; without it the debug build is taken. `MILLSTREAM_ENDPOINT` names a node that runs already.
"""

import io
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
import urllib.request
import zipfile

import boto3
import pytest
from botocore.config import Config

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = os.environ.get("MILLSTREAM_BIN", str(ROOT / "target" / "debug" / "millstream"))
# Where `./test` puts the packages of `tests/sdk/javascript`.
NODE_MODULES = ROOT / "tests" / "sdk" / ".deps" / "node" / "node_modules"
READY_SECONDS = 60
STOP_SECONDS = 60

# What a failed test shows of a node's log.
LOG_CHARACTERS = 20_000

# Of tests that run side by side, which this is of how many.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))

# Below those that systems give to outgoing connections, so that none takes a port while its node is killed and started again;
# each of those that run side by side has its own.
PORTS = range(15_000 + WORKER, 32_000, WORKERS)
PORTS = iter(random.SystemRandom().sample(PORTS, len(PORTS)))


def free_port():
    """A port on which nothing listens; no port is given twice."""
    for port in PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no port is free")


def let_topics(sqs, url, arn, condition={"StringEquals": {"aws:SourceAccount": "000000000000"}},
               principal={"Service": "sns.amazonaws.com"}):
    """Gives a queue the policy with which topics may send to it."""
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sqs:SendMessage", "Resource": arn, "Condition": condition}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={
        "Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})})


def until(look, seconds=90, every=0.1):
    """Looks again and again until there is something to see; gives it. The time is for machines that are slow or busy."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s; the last look gave {found!r}"
        time.sleep(every)
    return found


def needs(there, reason):
    """Marks tests of what `./test` installs: without it they are left out, but not in CI, where they fail."""
    return pytest.mark.skipif(not there and os.environ.get("CI") != "true", reason=reason)


needs_node = needs(shutil.which("node"), "node is not installed")


def needs_javascript(module):
    """Marks tests that run scripts with one of these packages."""
    there = shutil.which("node") and (NODE_MODULES / module).exists()
    return needs(there, f"node or {module} is not installed; ./test installs {module}")


def package(files):
    """A function's package: a zip of texts or bytes by their names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def dotnet():
    """Where `./test` has put .NET and a C# compiler, as variables of a node; nothing when they are not there."""
    folder = ROOT / "tests" / "sdk" / ".deps" / "dotnet"
    references = sorted(folder.glob("py/dotnetcore2/bin/shared/Microsoft.NETCore.App/*"))
    if not references or not (folder / "mcs").exists():
        return {}
    return {"MILLSTREAM_DOTNET": str(folder / "py" / "dnv" / "net" / "runtime" / ".net" / "dotnet"),
            "MILLSTREAM_CSHARP_COMPILER": str(folder / "mcs"),
            "MILLSTREAM_DOTNET_REFERENCES": str(references[0])}


class Node:
    """A `millstream serve` on free ports and a folder of its own, with `--dev` unless it is said, and a settings file if one
    is given."""

    # Those whose log may tell why the running test failed.
    known = []

    def __init__(self, *flags, development=True, descriptors=None, settings=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="millstream-"))
        self.data = self.folder / "data"
        self.port, self.console_port = free_port(), free_port()
        self.amqp_port, self.amqp_tls_port = free_port(), free_port()
        self.kafka_port, self.kafka_tls_port = free_port(), free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.console = f"http://127.0.0.1:{self.console_port}"
        self.flags = [*map(str, flags), *(["--dev"] if development else [])]
        if settings is not None:
            file = self.folder / "millstream.toml"
            file.write_text(settings)
            self.flags += ["--config", str(file)]
        self.descriptors = descriptors
        self.process = None
        self.context = None
        self.log = self.folder / "serve.log"
        self.last_words = None
        Node.known.append(self)

    def listen_flags(self):
        """Every listener on its free port, but those of which the flags say something else."""
        ports = {"--aws-listen": self.port, "--console-listen": self.console_port,
                 "--eventhubs-listen": self.amqp_port, "--eventhubs-tls-listen": self.amqp_tls_port,
                 "--kafka-listen": self.kafka_port, "--kafka-tls-listen": self.kafka_tls_port}
        free = [(flag, f"127.0.0.1:{port}") for flag, port in ports.items() if flag not in self.flags]
        return [part for pair in free for part in pair]

    def start(self):
        environment = dict(os.environ)
        # Functions import boto3 from where these tests have it; the cloud's own Python runtimes bring it along.
        environment["MILLSTREAM_PYTHON_PATH"] = sysconfig.get_paths()["purelib"]
        environment["MILLSTREAM_NODE_PATH"] = str(NODE_MODULES)
        environment.update(dotnet())
        command = [BINARY, "serve", "--data", str(self.data), *self.listen_flags(), *self.flags]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, preexec_fn=self.limit)
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the node ended with {self.process.returncode}:\n{self.output()}")
            try:
                with urllib.request.urlopen(f"{self.endpoint}/healthz", timeout=1, context=self.context):
                    return self
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"the node was not ready after {READY_SECONDS} s:\n{self.output()}")

    def limit(self):
        if self.descriptors:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors, self.descriptors))

    def output(self):
        """Its log; after its removal the end of it."""
        if self.last_words is not None:
            return self.last_words
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def kill(self):
        """SIGKILL: nothing is written, closed or answered any more."""
        self.process.kill()
        self.process.wait(timeout=STOP_SECONDS)

    def stop(self):
        """SIGTERM: the node drains and ends; gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=STOP_SECONDS)

    def remove(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=STOP_SECONDS)
        self.last_words = self.output()[-LOG_CHARACTERS:]
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self, service, **config):
        settings = {"retries": {"max_attempts": 0, "mode": "standard"}, "connect_timeout": 5, "read_timeout": 60, **config}
        return boto3.client(service, endpoint_url=self.endpoint, region_name="us-east-1", aws_access_key_id="test",
                            aws_secret_access_key="test", config=Config(**settings))

    def run(self, *arguments, check=True, timeout=60):
        """Runs a command of the binary over this node's folder; gives what it printed."""
        done = subprocess.run([BINARY, *map(str, arguments), "--data", str(self.data)], capture_output=True, text=True,
                              timeout=timeout)
        if check and done.returncode != 0:
            raise RuntimeError(f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout if check else done


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of its nodes' logs."""
    report = yield
    if report.failed:
        report.sections += [(f"log of {node.endpoint}", node.output()[-LOG_CHARACTERS:]) for node in Node.known]
    if report.when == "teardown":
        Node.known = [node for node in Node.known if node.last_words is None]
    return report


@pytest.fixture(scope="module")
def node():
    node = Node()
    try:
        yield node.start()
    finally:
        node.remove()


@pytest.fixture(scope="session")
def server():
    """One node for all tests that only need some node."""
    running = os.environ.get("MILLSTREAM_ENDPOINT")
    node = Node()
    try:
        if running:
            node.endpoint = running
        else:
            node.start()
        yield node
    finally:
        node.remove()


@pytest.fixture(scope="session")
def endpoint(server):
    return server.endpoint


@pytest.fixture(scope="session")
def kinesis(server):
    return server.client("kinesis")


@pytest.fixture(scope="session")
def firehose(server):
    return server.client("firehose")


@pytest.fixture(scope="session")
def dynamodb(server):
    return server.client("dynamodb")


@pytest.fixture(scope="session")
def lambda_client(server):
    return server.client("lambda")


@pytest.fixture(scope="session")
def logs(server):
    return server.client("logs")


@pytest.fixture(scope="session")
def analytics(server):
    return server.client("kinesisanalytics")


@pytest.fixture(scope="session")
def apigateway(server):
    return server.client("apigateway")
