"""What SDK and crash tests share: a node of their own, and clients of it that nobody here wrote.

`MILLSTREAM_BIN` names the binary; without it the debug build is taken. `MILLSTREAM_ENDPOINT` names a node that runs already.
"""

import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request

import boto3
import pytest
from botocore.config import Config

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = os.environ.get("MILLSTREAM_BIN", str(ROOT / "target" / "debug" / "millstream"))
READY_SECONDS = 60
STOP_SECONDS = 30


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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
    """A `millstream serve` on free ports and a folder of its own, with `--dev` unless it is said."""

    def __init__(self, *flags, development=True, descriptors=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="millstream-"))
        self.data = self.folder / "data"
        self.port, self.console_port = free_port(), free_port()
        self.amqp_port, self.kafka_port = free_port(), free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.console = f"http://127.0.0.1:{self.console_port}"
        self.flags = (*flags, "--dev") if development else flags
        self.descriptors = descriptors
        self.process = None
        self.context = None
        self.log = self.folder / "serve.log"

    def start(self):
        environment = dict(os.environ)
        # Functions import boto3 from where these tests have it; the cloud's own Python runtimes bring it along.
        environment["MILLSTREAM_PYTHON_PATH"] = sysconfig.get_paths()["purelib"]
        environment["MILLSTREAM_NODE_PATH"] = str(ROOT / "tests" / "sdk" / ".deps" / "node" / "node_modules")
        environment.update(dotnet())
        command = [BINARY, "serve", "--data", str(self.data), "--aws-listen", f"127.0.0.1:{self.port}",
                   "--console-listen", f"127.0.0.1:{self.console_port}",
                   "--eventhubs-listen", f"127.0.0.1:{self.amqp_port}",
                   "--kafka-listen", f"127.0.0.1:{self.kafka_port}", *self.flags]
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


@pytest.fixture(scope="module")
def node():
    node = Node()
    try:
        node.start()
        yield node
    except BaseException:
        print(node.output()[-20_000:], file=sys.stderr)
        raise
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
