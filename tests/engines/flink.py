"""Apache Flink: the program of `flink/`, compiled once, with the libraries that `./test` puts into `tests/sdk/.deps/flink`."""

import json
import pathlib
import shutil
import subprocess
import tempfile

from conftest import ROOT, needs

HERE = pathlib.Path(__file__).parent / "flink"
LIBRARIES = ROOT / "tests" / "sdk" / ".deps" / "flink" / "lib"

needs_flink = needs(shutil.which("javac") and LIBRARIES.exists(),
                    "a JDK or the libraries of tests/engines/flink are not installed; ./test installs the libraries")

# What Flink reads of the JDK's own classes, as its scripts have it.
OPENED = ["java.base/java.lang", "java.base/java.util", "java.base/java.time", "java.base/java.nio", "java.base/sun.nio.ch",
          "java.base/java.util.concurrent"]


def run(folder, seconds=600, options=("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")):
    """Runs each case below a folder, one process for all; gives what the program printed."""
    with tempfile.TemporaryDirectory(prefix="millstream-flink-") as classes:
        compiler = ["javac", "-proc:none", "-cp", f"{LIBRARIES}/*", "-d", classes, *map(str, HERE.glob("*.java"))]
        subprocess.run(compiler, check=True, timeout=120)
        opened = [f"--add-opens={package}=ALL-UNNAMED" for package in OPENED]
        command = ["java", "-Xmx1g", *options, "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", *opened, "-cp",
                   f"{classes}:{LIBRARIES}/*", "Cases", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows(folder, output):
    """The rows that a case of a folder wrote into a table."""
    parts = sorted((folder / "out" / output).glob("part-*"))
    return [json.loads(line) for part in parts for line in part.read_text().splitlines()]
