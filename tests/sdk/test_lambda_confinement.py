"""What functions may not do: each tries something harmful on a node of its own and is contained by it."""

import base64
import http.client
import io
import json
import os
import stat
import time
import urllib.request
import uuid
import zipfile

import pytest
from botocore.exceptions import ClientError
from conftest import Node, package

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
        told = json.load(answer)["function_confinement"]
    return {**told, "files": told["files"] == "whole"}


def create(node, code, runtime="python3.11", file="app.py", timeout=20, memory=256, environment=None):
    name = f"c-{uuid.uuid4().hex[:8]}"
    node.client("lambda").create_function(
        FunctionName=name, Runtime=runtime, Handler="app.handler", Role=ROLE, Timeout=timeout, MemorySize=memory,
        Code={"ZipFile": package({file: code})}, Environment={"Variables": environment or {}})
    return name


def invoke(node, name, event=None):
    answer = node.client("lambda", read_timeout=150).invoke(FunctionName=name, Payload=json.dumps(event or {}), LogType="Tail")
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
    namespaces = "in force" if confinement["namespaces"] else "not available"
    assert f"processes (namespaces): {namespaces}; limits: in force" in node.output()


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


def test_preloaded_libraries_do_not_come_before_the_confinement(node, confinement):
    name = create(node, READ, environment={"LD_PRELOAD": "/nowhere/evil.so"})
    found = invoke(node, name, {"path": "/etc/shadow"})[0][0]
    if confinement["files"]:
        assert found == "refused"


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
    deadline = time.monotonic() + 90
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
    document, error, log = invoke(node, create(node, code, timeout=120))
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


TALK = """
import http.client, os, socket
def handler(event, context):
    address = event.get("address") or os.environ["AWS_LAMBDA_RUNTIME_API"]
    def ask(method, path, body=None):
        connection = http.client.HTTPConnection(address, timeout=5)
        try:
            connection.request(method, "/2018-06-01/runtime/" + path, body)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
    if event.get("other"):
        return ask("GET", "invocation/next")
    if event.get("crowd"):
        host, port = address.split(":")
        crowd = [socket.create_connection((host, int(port)), timeout=5) for _ in range(40)]
        ended = 0
        for each in crowd:
            each.settimeout(0.5)
            try:
                ended += each.recv(1) == b""
            except TimeoutError:
                pass
            except OSError:
                ended += 1
        return ended
    own = f"invocation/{context.aws_request_id}/"
    return [address, ask("POST", "invocation/another/response", "x" * (1 << 20)), ask("POST", "invocation/another/error", "{"),
            ask("GET", "nonsense"), ask("DELETE", own + "response"), ask("POST", "../../etc/passwd", "x")]
"""


def test_nonsense_to_the_runtime_api_is_refused(node):
    (_, *answers), error, _ = invoke(node, create(node, TALK))
    assert error is None and all(status in (400, 404, "BrokenPipeError", "ConnectionResetError") for status in answers), answers
    assert answers[2:] == [404, 404, 404]


def test_nobody_takes_anothers_work(node):
    """The API of a function's process answers that process and what it started, and nobody else of this machine."""
    victim = create(node, TALK)
    address = invoke(node, victim)[0][0]
    assert invoke(node, create(node, TALK), {"other": True, "address": address})[0] in ("RemoteDisconnected", "ConnectionResetError")
    connection = http.client.HTTPConnection(address, timeout=5)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        connection.request("GET", "/2018-06-01/runtime/invocation/next")
        connection.getresponse()
    assert invoke(node, victim)[0][0] == address, "it is still warm, and got its event"


def test_connections_of_a_process_are_bounded(node):
    assert invoke(node, create(node, TALK), {"crowd": True})[0] >= 24


def test_the_console_refuses_functions(node, confinement):
    code = """
import http.client, socket
def handler(event, context):
    def asked(host, family):
        try:
            connection = http.client.HTTPConnection(host, event["port"], timeout=5)
            connection.sock = socket.socket(family)
            connection.sock.connect((host, event["port"]))
            connection.request("GET", "/api/status")
            return connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
    return [asked("127.0.0.1", socket.AF_INET), asked("::ffff:127.0.0.1", socket.AF_INET6)]
"""
    refused = {"RemoteDisconnected", "ConnectionResetError"}
    answers = invoke(node, create(node, code), {"port": node.console_port})[0]
    assert set(answers) <= refused, answers
    with urllib.request.urlopen(f"{node.console}/api/status", timeout=10) as answer:
        assert answer.status == 200


def test_memory_without_a_name_counts(node):
    code = """
import os, time
def handler(event, context):
    file = os.memfd_create("hoard")
    for _ in range(50): os.write(file, bytes(8 << 20))
    time.sleep(10)
    return "never"
"""
    document, error, log = invoke(node, create(node, code, memory=128))
    assert error == "Unhandled" and "signal: killed" in document["errorMessage"], document
    assert "more memory than it has" in log
    still_serves(node)


def test_files_without_a_name_count(node):
    code = """
import os, time
def handler(event, context):
    held = []
    for n in range(6):
        path = os.path.join(os.environ["TMPDIR"], str(n))
        held.append(open(path, "wb"))
        os.unlink(path)
        for _ in range(100): held[-1].write(bytes(1 << 20))
        held[-1].flush()
    time.sleep(10)
    return "never"
"""
    # Where the folder lies in memory they are memory.
    document, error, log = invoke(node, create(node, code, memory=256, timeout=120))
    assert error == "Unhandled" and "signal: killed" in document["errorMessage"], document
    assert "temporary folder" in log or "more memory than it has" in log
    still_serves(node)


def test_there_is_no_shared_memory_that_outlives_its_maker(node, confinement):
    if not confinement["namespaces"]:
        pytest.skip("namespaces are not available here")
    code = """
import ctypes
def handler(event, context):
    return ctypes.CDLL(None).shmget(0, 1 << 20, 0o1600)
"""
    assert invoke(node, create(node, code))[0] == -1


@pytest.mark.parametrize("runtime, file, code, handler, kind", [
    ("python3.11", "app.py", "x = 1", "app.handler", "Runtime.HandlerNotFound"),
    ("python3.11", "app.py", "x = 1", "nowhere.handler", "Runtime.ImportModuleError"),
    ("python3.11", "app.py", "import nothing_of_that_name", "app.handler", "Runtime.ImportModuleError"),
    ("python3.11", "app.py", "def handler(:", "app.handler", "Runtime.UserCodeSyntaxError"),
    ("python3.11", "app.py", "x = 1", "nonsense", "Runtime.MalformedHandlerName"),
    ("nodejs20.x", "app.js", "exports.x = 1", "app.handler", "Runtime.HandlerNotFound"),
    ("nodejs20.x", "app.js", "exports.x = 1", "nowhere.handler", "Runtime.ImportModuleError"),
    ("nodejs20.x", "app.js", "exports.x = 1", "nonsense", "Runtime.MalformedHandlerName"),
    ("provided.al2023", "other", "x", "app.handler", "Runtime.ExitError"),
    ("provided.al2023", "bootstrap", "no program", "app.handler", "Runtime.ExitError"),
])
def test_wrong_handlers_are_told(node, runtime, file, code, handler, kind):
    name = create(node, code, runtime, file)
    node.client("lambda").update_function_configuration(FunctionName=name, Handler=handler)
    document, error, _ = invoke(node, name)
    assert (error, document["errorType"]) == ("Unhandled", kind), document


def test_harmful_packages_are_refused(node):
    functions = node.client("lambda")
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(64):
            archive.writestr(str(n), bytes(4 << 20))
    link = io.BytesIO()
    with zipfile.ZipFile(link, "w") as archive:
        out = zipfile.ZipInfo("out")
        out.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(out, "/etc")
    swarm = package({str(n): "" for n in range(20_001)})
    for code in [package({"../evil.py": "x"}), package({"/etc/evil": "x"}), package({"a/../../evil": "x"}), b"PK no zip", b"",
                 bomb.getvalue(), link.getvalue(), swarm]:
        with pytest.raises(ClientError) as raised:
            functions.create_function(FunctionName="x", Runtime="python3.11", Handler="app.handler", Role=ROLE,
                                      Code={"ZipFile": code})
        assert raised.value.response["Error"]["Code"] == "InvalidParameterValueException"


def test_a_node_may_demand_it(confinement):
    node = Node(settings='confine_functions = "required"\n')
    try:
        if all(confinement.values()):
            node.start()
            still_serves(node)
        else:
            with pytest.raises(RuntimeError, match="confined"):
                node.start()
    finally:
        node.remove()
