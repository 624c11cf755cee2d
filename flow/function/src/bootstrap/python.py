"""Runs a Python function: asks the runtime API for invocations and posts what the handler returns."""

import http.client
import importlib
import json
import os
import sys
import time
import traceback

PREFIX = "/2018-06-01/runtime"


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
        self.client_context = json.loads(headers.get("Lambda-Runtime-Client-Context") or "null")
        self.identity = None
        self._deadline_ms = int(headers.get("Lambda-Runtime-Deadline-Ms", "0"))

    def get_remaining_time_in_millis(self):
        return max(self._deadline_ms - int(time.time() * 1000), 0)

    def log(self, message):
        print(message)


class RuntimeApi:
    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address, timeout=None)

    def call(self, method, path, body=None, headers=None):
        self.connection.request(method, PREFIX + path, body=body, headers=headers or {})
        response = self.connection.getresponse()
        return response.headers, response.read()


def error_document(error, skip):
    frames = traceback.extract_tb(error.__traceback__)[skip:]
    return json.dumps({
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "stackTrace": traceback.format_list(frames),
    }).encode()


def load_handler():
    module_name, _, function_name = os.environ["_HANDLER"].rpartition(".")
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        error.msg = f"Unable to import module '{module_name}': {error}"
        error.args = (error.msg,)
        raise
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise AttributeError(f"Handler '{function_name}' missing on module '{module_name}'") from None


def run_one(api, handler):
    headers, event = api.call("GET", "/invocation/next")
    context = Context(headers)
    os.environ["_X_AMZN_TRACE_ID"] = headers.get("Lambda-Runtime-Trace-Id", "")
    path = f"/invocation/{context.aws_request_id}"
    try:
        answer = json.dumps(handler(json.loads(event), context)).encode()
    except SystemExit:
        raise
    except BaseException as error:
        traceback.print_exception(error)
        path, answer = path + "/error", error_document(error, 1)
    else:
        path += "/response"
    sys.stdout.flush()
    sys.stderr.flush()
    api.call("POST", path, answer, {"Content-Type": "application/json"})


def main():
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        handler = load_handler()
    except BaseException as error:
        traceback.print_exception(error)
        sys.stderr.flush()
        api.call("POST", "/init/error", error_document(error, 0))
        sys.exit(1)
    try:
        while True:
            run_one(api, handler)
    except (http.client.HTTPException, OSError):
        # The node is gone: so is what there was to do.
        os._exit(1)


main()
