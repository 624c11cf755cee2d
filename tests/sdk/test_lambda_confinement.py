"""What functions may not do: each tries something harmful on a node of its own and is contained by it."""

import base64
import io
import json
import os
import time
import urllib.request
import uuid
import zipfile

import pytest
from botocore.exceptions import ClientError
from conftest import Node

ROLE = "arn:aws:iam::000000000000:role/any"


@pytest.fixture(scope="module")
def node():
    node = Node()
    try:
        yield node.start()
    finally:
        node.remove()


@pytest.fixture(scope="module")
def confinement(node):
    with urllib.request.urlopen(f"{node.console}/api/status", timeout=10) as answer:
        return json.load(answer)["function_confinement"]


def package(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def create(node, code, runtime="python3.11", file="app.py", timeout=20, memory=256, environment=None):
    name = f"c-{uuid.uuid4().hex[:8]}"
    node.client("lambda").create_function(
        FunctionName=name, Runtime=runtime, Handler="app.handler", Role=ROLE, Timeout=timeout, MemorySize=memory,
        Code={"ZipFile": package({file: code})}, Environment={"Variables": environment or {}})
    return name


def invoke(node, name, event=None):
    answer = node.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event or {}), LogType="Tail")
    return json.load(answer["Payload"]), answer.get("FunctionError"), base64.b64decode(answer["LogResult"]).decode()


def still_serves(node):
    name = create(node, "def handler(event, context):\n    return 'well'\n")
    assert invoke(node, name)[0] == "well"


READ = """
import os
def handler(event, context):
    try:
        if os.path.isdir(event["path"]):
            return ["listed", sorted(os.listdir(event["path"]))]
        with open(event["path"], "rb") as file:
            return ["read", len(file.read())]
    except OSError as error:
        return ["refused", type(error).__name__]
"""


def test_it_is_in_force_and_said(node, confinement):
    assert confinement["limits"] is True
    assert "functions confinement=files (Landlock)" in node.output().replace("\x1b", "") or "confinement" in node.output()


def test_the_nodes_data_is_out_of_reach(node, confinement):
    if not confinement["files"]:
        pytest.skip("this kernel has no Landlock")
    secret = node.folder / "secret"
    secret.write_text("x")
    name = create(node, READ)
    paths = [node.data, *node.data.iterdir(), secret, "/root", "/etc/shadow", os.path.expanduser("~"),
             f"/proc/{node.process.pid}/environ", f"/proc/{node.process.pid}/mem", f"/proc/{node.process.pid}/cwd",
             f"/proc/{node.process.pid}/root/etc/shadow"]
    for path in map(str, paths):
        what, found = invoke(node, name, {"path": path})[0]
        # The data folder itself may be there as a place for the package, with nothing of the node in it.
        fine = what == "refused" or (what == "listed" and set(found) <= {"functions", "packages", "bootstrap"})
        assert fine, (path, what, found)


def test_files_and_variables_of_others_are_out_of_reach(node, confinement):
    if not confinement["files"]:
        pytest.skip("this kernel has no Landlock")
    slow = """
import os, time
def handler(event, context):
    return [os.environ["LAMBDA_TASK_ROOT"], os.getpid()]
"""
    other = create(node, slow, environment={"SECRET": "do not tell"})
    (folder, _), _, _ = invoke(node, other)
    assert invoke(node, create(node, READ), {"path": folder})[0][0] == "refused"
    look = """
import glob
def handler(event, context):
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as file:
                found.append(file.read().decode(errors="replace"))
        except OSError:
            pass
    return any("do not tell" in text for text in found)
"""
    assert invoke(node, create(node, look))[0] is False


def test_writing_is_for_its_own_tmp_only(node, confinement):
    code = """
import os
def handler(event, context):
    def tried(path):
        try:
            with open(path, "w") as file: file.write("x")
            return True
        except OSError:
            return False
    own = tried(os.path.join(os.environ["TMPDIR"], "mine"))
    return [own, tried(os.path.join(os.environ["LAMBDA_TASK_ROOT"], "x")), tried("/usr/x"), tried("/etc/x"), tried("/var/tmp/x")]
"""
    own, *others = invoke(node, create(node, code))[0]
    assert own is True
    if confinement["files"]:
        assert others == [False] * 4


def test_the_nodes_socket_is_out_of_reach(node, confinement):
    if not confinement["namespaces"]:
        pytest.skip("namespaces are not available here")
    code = """
import socket
def handler(event, context):
    try:
        with socket.socket(socket.AF_UNIX) as found: found.connect(event["path"])
        return "connected"
    except OSError as error:
        return type(error).__name__
"""
    assert invoke(node, create(node, code), {"path": str(node.data / "millstream.sock")})[0] != "connected"


def test_it_sees_and_signals_no_other_process(node, confinement):
    if not confinement["namespaces"]:
        pytest.skip("namespaces are not available here")
    code = """
import os, signal
def handler(event, context):
    try:
        os.kill(event["pid"], signal.SIGTERM)
        return "sent"
    except OSError as error:
        return len([entry for entry in os.listdir("/proc") if entry.isdigit()])
"""
    assert invoke(node, create(node, code), {"pid": node.process.pid})[0] <= 3
    assert node.process.poll() is None


def test_preloaded_libraries_do_not_come_before_the_confinement(node):
    name = create(node, READ, environment={"LD_PRELOAD": "/nowhere/evil.so"})
    assert invoke(node, name, {"path": "/etc/shadow"})[0][0] == "refused"


def test_memory_is_limited(node):
    code = """
def handler(event, context):
    hog = []
    while True: hog.append(bytearray(8 << 20))
"""
    document, error, _ = invoke(node, create(node, code, memory=128))
    assert error == "Unhandled"
    assert "signal: killed" in document["errorMessage"] or document["errorType"] == "MemoryError"
    still_serves(node)


def test_memory_of_children_counts(node):
    code = """
import subprocess, sys
def handler(event, context):
    children = [subprocess.Popen([sys.executable, "-c", "x = bytearray(60 << 20); input()"], stdin=subprocess.PIPE) for _ in range(6)]
    for child in children: child.wait()
    return "never"
"""
    document, error, log = invoke(node, create(node, code, memory=128))
    assert error == "Unhandled" and "signal: killed" in document["errorMessage"], document
    assert "more memory than it has" in log
    still_serves(node)


def test_fork_bombs_end(node):
    code = """
import os, time
def handler(event, context):
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.01)
"""
    name = create(node, code, timeout=3)
    _, error, _ = invoke(node, name)
    assert error == "Unhandled"
    still_serves(node)


def test_what_it_leaves_running_ends_with_it(node, confinement):
    if not confinement["namespaces"]:
        pytest.skip("namespaces are not available here")
    mark = f"left-{uuid.uuid4().hex}"
    code = f"""
import os, signal, subprocess, sys
def handler(event, context):
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)  # {mark}"
    subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    os._exit(3)
"""
    document, error, _ = invoke(node, create(node, code))
    assert error == "Unhandled" and "exit status 3" in document["errorMessage"]
    assert not running(mark)


def running(mark):
    """Whether a process with this in its command line is still there a moment later."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = False
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    found = found or mark.encode() in file.read()
            except OSError:
                pass
        if not found:
            return False
        time.sleep(0.05)
    return True


def test_a_process_that_ignores_sigterm_ends_at_its_time(node):
    code = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def handler(event, context):
    while True: time.sleep(1)
"""
    document, error, _ = invoke(node, create(node, code, timeout=1))
    assert error == "Unhandled" and "Task timed out after 1.00 seconds" in document["errorMessage"]
    still_serves(node)


def test_the_disk_is_limited(node):
    code = """
import os, time
def handler(event, context):
    for n in range(10):
        with open(os.path.join(os.environ["TMPDIR"], str(n)), "wb") as file:
            for _ in range(100): file.write(bytes(1 << 20))
    time.sleep(10)
    return "never"
"""
    document, error, log = invoke(node, create(node, code))
    assert error == "Unhandled" and "signal: killed" in document["errorMessage"], document
    assert "temporary folder" in log
    still_serves(node)


def test_one_file_is_limited_too(node):
    code = """
import os
def handler(event, context):
    try:
        with open(os.path.join(os.environ["TMPDIR"], "big"), "wb") as file:
            file.seek(600 << 20)
            file.write(b"x")
        return "written"
    except OSError as error:
        return type(error).__name__
"""
    assert invoke(node, create(node, code))[0] == "OSError"


def test_a_hundred_megabytes_of_lines_are_borne(node):
    code = """
import sys
def handler(event, context):
    line = "x" * 999 + "\\n"
    for _ in range(100_000): sys.stdout.write(line)
    return "said"
"""
    answer, error, log = invoke(node, create(node, code, timeout=60))
    assert (answer, error) == ("said", None) and len(log) <= 4096
    still_serves(node)


def test_answers_that_are_none(node):
    nothing = "#!/bin/sh\nexit 0\n"
    document, error, _ = invoke(node, create(node, nothing, "provided.al2023", "bootstrap"))
    assert (error, document["errorType"]) == ("Unhandled", "Runtime.ExitError")
    too_large = "def handler(event, context):\n    return 'x' * (7 << 20)\n"
    document, error, _ = invoke(node, create(node, too_large))
    assert (error, document["errorType"]) == ("Unhandled", "Function.ResponseSizeTooLarge")
    no_json = "def handler(event, context):\n    return object()\n"
    assert invoke(node, create(node, no_json))[1] == "Unhandled"
    segfault = "import ctypes\ndef handler(event, context):\n    ctypes.string_at(0)\n"
    document, error, _ = invoke(node, create(node, segfault))
    assert error == "Unhandled" and "segmentation fault" in document["errorMessage"]
    still_serves(node)


def test_harmful_packages_are_refused(node):
    functions = node.client("lambda")
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(64):
            archive.writestr(str(n), bytes(4 << 20))
    for code in [package({"../evil.py": "x"}), package({"/etc/evil": "x"}), b"PK no zip", bomb.getvalue()]:
        with pytest.raises(ClientError) as raised:
            functions.create_function(FunctionName="x", Runtime="python3.11", Handler="app.handler", Role=ROLE,
                                      Code={"ZipFile": code})
        assert raised.value.response["Error"]["Code"] == "InvalidParameterValueException"


def test_a_node_may_demand_it(confinement, tmp_path):
    settings = tmp_path / "millstream.toml"
    settings.write_text('confine_functions = "required"\n')
    node = Node("--config", str(settings))
    try:
        if all(confinement.values()):
            node.start()
            still_serves(node)
        else:
            with pytest.raises(RuntimeError, match="confined"):
                node.start()
    finally:
        node.remove()
