"""Runs a Python function: asks the runtime API for invocations and posts what the handler returns.

What goes through `logging` becomes one event of the log a call, however many lines it has; what is printed becomes an
event a line.
"""

import http.client
import importlib
import itertools
import json
import logging
import os
import sys
import time
import traceback

PREFIX = "/2018-06-01/runtime"

# How an event of several lines is told to the node: it begins with the first of these, and its line breaks are the second.
EVENT, LINE_BREAK = "\x1e", "\x1f"

# What stands around the digits of a Decimal until its text is a number: nothing that a handler returns by chance.
DECIMAL = os.urandom(16).hex()


class Fault(Exception):
    """What is wrong with the function itself rather than in it, under the service's name for it."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind = kind
        self.trace = list(trace)


class Record:
    """Named values, `None` where there is none."""

    def __init__(self, names, values):
        for name in names:
            setattr(self, name, (values or {}).get(name))

    def __repr__(self):
        return f"{type(self).__name__}({vars(self)})"


class CognitoIdentity(Record):
    def __init__(self):
        super().__init__(("cognito_identity_id", "cognito_identity_pool_id"), None)


class Client(Record):
    NAMES = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")

    def __init__(self, values):
        super().__init__(self.NAMES, values)


class ClientContext(Record):
    """What a caller says of itself."""

    def __init__(self, values):
        super().__init__(("custom", "env"), values)
        self.client = Client(values["client"]) if values.get("client") else None


class Context:
    """What a handler may know about its invocation."""

    def __init__(self, headers):
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers.get("Lambda-Runtime-Invoked-Function-Arn")
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.client_context = client_context(headers.get("Lambda-Runtime-Client-Context"))
        self.identity = CognitoIdentity()
        self._deadline_ms = int(headers.get("Lambda-Runtime-Deadline-Ms", "0"))

    def get_remaining_time_in_millis(self):
        return max(self._deadline_ms - int(time.time() * 1000), 0)

    def log(self, message):
        print(message)


def client_context(text):
    try:
        values = json.loads(text or "null")
        return None if values is None else ClientContext(values)
    except (AttributeError, TypeError, ValueError) as error:
        message = f"Unable to parse Client Context: {error}"
        raise Fault("Runtime.LambdaContextUnmarshalError", message) from None


class LogHandler(logging.Handler):
    """Writes each record as one event, with the level, the time and the invocation in front."""

    LAYOUT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"

    def __init__(self):
        super().__init__()
        self.request_id = ""
        self.out = open(1, "wb", closefd=False)
        formatter = logging.Formatter(self.LAYOUT, "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)
        self.addFilter(self.name_invocation)

    def name_invocation(self, record):
        record.aws_request_id = self.request_id
        return True

    def emit(self, record):
        try:
            self.write(self.format(record))
        except Exception:
            self.handleError(record)

    def write(self, text):
        line = EVENT + text.rstrip("\n").replace("\n", LINE_BREAK) + "\n"
        self.out.write(line.encode("utf-8", "backslashreplace"))
        self.out.flush()


class RuntimeApi:
    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address, timeout=None)

    def call(self, method, path, body=None, headers=None):
        self.connection.request(method, PREFIX + path, body=body, headers=headers or {})
        response = self.connection.getresponse()
        return response.headers, response.read()


def is_outside(frame):
    """Whether a frame stands between the runtime and the function."""
    return frame.filename == __file__ or "importlib" in frame.filename


def error_document(error, request_id):
    if isinstance(error, Fault):
        kind, trace = error.kind, error.trace
    else:
        kind = type(error).__name__
        frames = itertools.dropwhile(is_outside, traceback.extract_tb(error.__traceback__))
        trace = [f'  File "{at.filename}", line {at.lineno}, in {at.name}\n    {at.line}\n' for at in frames]
    return {"errorMessage": str(error), "errorType": kind, "requestId": request_id, "stackTrace": trace}


def tell(log, document):
    """Writes an error into the function's log."""
    head = f"[ERROR] {document['errorType']}: {document['errorMessage']}\nTraceback (most recent call last):\n"
    log.write(head + "".join(document["stackTrace"]))


def load_handler():
    name = os.environ["_HANDLER"]
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        message = f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)"
        raise Fault("Runtime.MalformedHandlerName", message)
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    if module_name.split(".")[0] in sys.builtin_module_names:
        message = f"Cannot use built-in module {module_name} as a handler module"
        raise Fault("Runtime.BuiltInModuleConflict", message)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from None
    except SyntaxError as error:
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        message = f"Syntax error in module '{module_name}': {error}"
        raise Fault("Runtime.UserCodeSyntaxError", message, trace) from None
    try:
        return getattr(module, function_name)
    except AttributeError:
        message = f"Handler '{function_name}' missing on module '{module_name}'"
        raise Fault("Runtime.HandlerNotFound", message) from None


def mark_decimal(value):
    """What tables answer with are Decimals: written digit by digit, which floats would not be."""
    decimal = sys.modules.get("decimal")
    if decimal and isinstance(value, decimal.Decimal) and value.is_finite():
        return f"{DECIMAL}{value}{DECIMAL}"
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def marshal(answer):
    try:
        text = json.dumps(answer, ensure_ascii=False, default=mark_decimal)
        return text.replace(f'"{DECIMAL}', "").replace(f'{DECIMAL}"', "").encode()
    except Exception as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from None


def unmarshal(event):
    try:
        return json.loads(event)
    except ValueError as error:
        raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from None


def run_one(api, log, handler):
    headers, event = api.call("GET", "/invocation/next")
    request_id = log.request_id = headers["Lambda-Runtime-Aws-Request-Id"]
    os.environ["_X_AMZN_TRACE_ID"] = headers.get("Lambda-Runtime-Trace-Id", "")
    path = f"/invocation/{request_id}"
    try:
        answer = marshal(handler(unmarshal(event), Context(headers)))
    except SystemExit:
        raise
    except BaseException as error:
        document = error_document(error, request_id)
        tell(log, document)
        path, answer = path + "/error", json.dumps(document).encode()
    else:
        path += "/response"
    sys.stdout.flush()
    sys.stderr.flush()
    api.call("POST", path, answer, {"Content-Type": "application/json"})


def main():
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    log = LogHandler()
    logging.getLogger().addHandler(log)
    try:
        handler = load_handler()
    except BaseException as error:
        document = error_document(error, "")
        tell(log, document)
        sys.stderr.flush()
        api.call("POST", "/init/error", json.dumps(document).encode())
        sys.exit(1)
    try:
        while True:
            run_one(api, log, handler)
    except (http.client.HTTPException, OSError):
        # The node is gone: so is what there was to do.
        os._exit(1)


main()
