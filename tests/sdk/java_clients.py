"""Clients in Java: the programs of `java/`, compiled once, with the libraries that `./test` puts into `.deps/java`."""

import atexit
import functools
import pathlib
import shutil
import subprocess
import tempfile

from conftest import needs

HERE = pathlib.Path(__file__).parent
LIBRARIES = HERE / ".deps" / "java" / "lib"

needs_java = needs(shutil.which("javac") and LIBRARIES.exists(),
                   "a JDK or the libraries of tests/sdk/java are not installed; ./test installs the libraries")


@functools.cache
def classes():
    """The folder of the programs' classes."""
    folder = tempfile.mkdtemp(prefix="millstream-java-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = ["javac", "-proc:none", "-cp", f"{LIBRARIES}/*", "-d", folder, *map(str, HERE.glob("java/*.java"))]
    subprocess.run(command, check=True, timeout=120)
    return folder


def program(name, *arguments, options=()):
    """The command that runs a program: begun quickly, small, quiet."""
    return ["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", *options, "-cp",
            f"{classes()}:{LIBRARIES}/*", name, *map(str, arguments)]


def run(name, *arguments, options=()):
    """Runs a program that ends by itself; it fails when something is not as it expects."""
    done = subprocess.run(program(name, *arguments, options=options), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
