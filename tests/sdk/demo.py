"""`millstream demo` in the place of `millstream serve`: a node that brings its pipeline and its producer along."""

import os
import subprocess
import time

from conftest import BINARY, ROOT, Node, dotnet

MODULES = ROOT / "tests" / "sdk" / ".deps" / "node" / "node_modules"
DEADLINE_SECONDS = 60


class Demo(Node):
    """A demo on free ports and a folder of its own, without waits between attempts of functions."""

    def __init__(self, *flags):
        super().__init__()
        settings = self.folder / "millstream.toml"
        settings.write_text("invoke_retry_seconds = [0, 0]\n")
        self.command = [BINARY, "demo", "--data", self.data, "--config", settings,
                        "--aws-listen", f"127.0.0.1:{self.port}", "--console-listen", f"127.0.0.1:{self.console_port}",
                        "--eventhubs-listen", f"127.0.0.1:{self.amqp_port}", "--kafka-listen", f"127.0.0.1:{self.kafka_port}",
                        *flags]

    def start(self):
        environment = {**os.environ, "MILLSTREAM_NODE_PATH": str(MODULES), **dotnet()}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(list(map(str, self.command)), stdout=log, stderr=log, env=environment)
        return self

    def wait_for(self, seen, what):
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the demo ended with {self.process.returncode}:\n{self.output()}")
            found = seen()
            if found:
                return found
            time.sleep(0.2)
        raise AssertionError(f"{what}:\n{self.output()}")
