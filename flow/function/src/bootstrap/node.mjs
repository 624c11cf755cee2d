// Runs a Node.js function: asks the runtime API for invocations and posts what the handler answers.
//
// What goes through `console` becomes one event of the log a call, however many lines it has; what is written to stdout and
// stderr becomes an event a line.
import { existsSync } from "node:fs";
import http from "node:http";
import Module, { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { format } from "node:util";

// How an event of several lines is told to the node: it begins with the first of these, and its line breaks are the second.
const EVENT = "\x1e";
const LINE_BREAK = "\x1f";

let current;

function log(level, ...parts) {
  const text = format(...parts).replaceAll("\n", LINE_BREAK);
  process.stdout.write(`${EVENT}${new Date().toISOString()}\t${current}\t${level}\t${text}\n`);
}

Object.assign(console, {
  log: (...parts) => log("INFO", ...parts),
  info: (...parts) => log("INFO", ...parts),
  debug: (...parts) => log("DEBUG", ...parts),
  warn: (...parts) => log("WARN", ...parts),
  error: (...parts) => log("ERROR", ...parts),
  trace: (...parts) => log("TRACE", ...parts),
  fatal: (...parts) => log("FATAL", ...parts),
});

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1, noDelay: true });

function call(method, at, body, errorType) {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    if (errorType) headers["lambda-runtime-function-error-type"] = errorType;
    const request = http.request({ host, port, agent, method, path: `/2018-06-01/runtime${at}`, headers }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(parts).toString() }));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

function errorDocument(error) {
  const known = error instanceof Error;
  return JSON.stringify({
    errorType: known ? error.name : typeof error,
    errorMessage: known ? error.message : String(error),
    trace: known && error.stack ? error.stack.split("\n") : [],
  });
}

// What stands behind an error's name in the log: one line, in the form of the answer.
function logged(name, error) {
  const { trace, ...document } = JSON.parse(errorDocument(error));
  console.error(`${name} \t${JSON.stringify({ ...document, stack: trace })}`);
}

function named(name, message) {
  return Object.assign(new Error(message), { name });
}

// The SDK's second version knows no AWS_ENDPOINT_URL, so it is told when a function first requires it. A function that
// talks to somewhere else too switches this off with MILLSTREAM_AWS_SDK_V2_ENDPOINT=off.
function tellOldSdkItsEndpoint() {
  const endpoint = process.env.AWS_ENDPOINT_URL;
  if (!endpoint || process.env.MILLSTREAM_AWS_SDK_V2_ENDPOINT === "off") return;
  process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE ??= "1";
  const load = Module._load;
  Module._load = function (request, parent, ...rest) {
    if (!/^aws-sdk($|\/)/.test(request)) return load.call(this, request, parent, ...rest);
    const { config } = load.call(this, "aws-sdk/global", parent, false);
    if (config && !config.endpoint) config.update({ endpoint, s3ForcePathStyle: true });
    return load.call(this, request, parent, ...rest);
  };
}

async function loadModule(file) {
  for (const extension of ["", ".js", ".mjs", ".cjs"]) {
    if (extension === "" ? !/\.[cm]?js$/.test(file) : !existsSync(file + extension)) continue;
    const whole = file + extension;
    try {
      if (!whole.endsWith(".mjs")) return createRequire(pathToFileURL(whole))(whole);
    } catch (error) {
      if (error.code !== "ERR_REQUIRE_ESM" && !/Cannot use import statement|Unexpected token 'export'/.test(error.message)) throw error;
    }
    return import(pathToFileURL(whole));
  }
  throw named("Runtime.ImportModuleError", `Error: Cannot find module '${path.basename(file)}'`);
}

async function loadHandler() {
  const [, folder, file, names] = /^(.*\/)?([^./]+)\.(.+)$/.exec(process.env._HANDLER) ?? [];
  if (!file) throw named("Runtime.MalformedHandlerName", `Bad handler ${process.env._HANDLER}`);
  const module = await loadModule(path.join(process.env.LAMBDA_TASK_ROOT, folder ?? "", file));
  const find = (from) => names.split(".").reduce((value, name) => value?.[name], from);
  const handler = find(module) ?? find(module.default);
  if (typeof handler !== "function") {
    throw named("Runtime.HandlerNotFound", `${process.env._HANDLER} is undefined or not exported`);
  }
  return handler;
}

// What to do when the event loop has nothing left: the end of handlers that wait for that, or never say anything.
let whenIdle = null;
process.on("beforeExit", () => {
  const todo = whenIdle;
  whenIdle = null;
  todo?.();
});

// Runs the handler in whichever style it is written: it returns a promise, calls back, or uses the context's old methods.
function run(handler, event, headers) {
  return new Promise((resolve, reject) => {
    const deadline = Number(headers["lambda-runtime-deadline-ms"]);
    const done = (error, result) => (error == null ? resolve(result) : reject(error));
    const context = {
      awsRequestId: headers["lambda-runtime-aws-request-id"],
      invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
      functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
      functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
      memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
      logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
      logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
      clientContext: JSON.parse(headers["lambda-runtime-client-context"] ?? "null") ?? undefined,
      callbackWaitsForEmptyEventLoop: true,
      getRemainingTimeInMillis: () => Math.max(deadline - Date.now(), 0),
      done,
      succeed: resolve,
      fail: (error) => reject(error ?? null),
    };
    const callback = (error, result) => {
      if (error != null) reject(error);
      else if (context.callbackWaitsForEmptyEventLoop) whenIdle = () => resolve(result);
      else setImmediate(() => resolve(result));
    };
    whenIdle = () => resolve(null);
    const answer = handler(event, context, callback);
    if (typeof answer?.then === "function") {
      const never = named("Runtime.NodeJsExit", "the handler's promise was never settled and there is nothing left to wait for");
      whenIdle = () => reject(never);
      answer.then(resolve, reject);
    }
  });
}

async function runOne(handler) {
  const { headers, body } = await call("GET", "/invocation/next");
  current = headers["lambda-runtime-aws-request-id"];
  const at = `/invocation/${current}`;
  process.env._X_AMZN_TRACE_ID = headers["lambda-runtime-trace-id"] ?? "";
  let answer;
  try {
    answer = JSON.stringify((await run(handler, JSON.parse(body), headers)) ?? null) ?? "null";
  } catch (error) {
    whenIdle = null;
    logged("Invoke Error", error);
    await call("POST", `${at}/error`, errorDocument(error));
    return;
  }
  whenIdle = null;
  await call("POST", `${at}/response`, answer);
}

// What nobody caught ends the process: its state is not known any more.
async function fatal(name, error) {
  logged(name === "Runtime.UncaughtException" ? "Uncaught Exception" : "Unhandled Promise Rejection", error);
  const document = JSON.parse(errorDocument(error));
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const told = JSON.stringify({ ...document, errorType: name, errorMessage: message });
  if (current) await call("POST", `/invocation/${current}/error`, told, name).catch(() => {});
  process.exit(128);
}

process.on("unhandledRejection", (error) => fatal("Runtime.UnhandledPromiseRejection", error));
process.on("uncaughtException", (error) => fatal("Runtime.UncaughtException", error));

let handler;
try {
  tellOldSdkItsEndpoint();
  handler = await loadHandler();
} catch (error) {
  logged("Uncaught Exception", error);
  await call("POST", "/init/error", errorDocument(error));
  process.exit(1);
}
for (;;) {
  try {
    await runOne(handler);
  } catch {
    // The node is gone: so is what there was to do.
    process.exit(1);
  }
}
