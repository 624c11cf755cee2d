"""`millstream demo` in the place of `millstream serve`: a node that brings its pipeline and its producer along."""

import os
import subprocess

from conftest import BINARY, NODE_MODULES, Node, dotnet, until

DEADLINE_SECONDS = 120
WITHOUT_WAITS = "invoke_retry_seconds = [0, 0]\n"


class Demo(Node):
    """A demo on free ports and a folder of its own, without waits between attempts of functions."""

    def __init__(self, *flags):
        super().__init__(*flags, development=False, settings=WITHOUT_WAITS)
        self.command = [BINARY, "demo", "--data", str(self.data), *self.listen_flags(), *self.flags]

    def start(self):
        environment = {**os.environ, "MILLSTREAM_NODE_PATH": str(NODE_MODULES), **dotnet()}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=environment)
        return self

    def wait_for(self, seen, what):
        def look():
            assert self.process.poll() is None, f"the demo ended with {self.process.returncode}:\n{self.output()}"
            return seen()

        try:
            return until(look, DEADLINE_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}\n{self.output()}") from None
