// Runs a Node.js function: asks the runtime API for invocations and posts what the handler answers.
import { existsSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1, noDelay: true });

function call(method, at, body) {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
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
  const error = new Error(`Error: Cannot find module '${path.basename(file)}'`);
  error.name = "Runtime.ImportModuleError";
  throw error;
}

async function loadHandler() {
  const [, folder, file, names] = /^(.*\/)?([^./]+)\.(.+)$/.exec(process.env._HANDLER) ?? [];
  if (!file) throw Object.assign(new Error(`Bad handler ${process.env._HANDLER}`), { name: "Runtime.MalformedHandlerName" });
  const module = await loadModule(path.join(process.env.LAMBDA_TASK_ROOT, folder ?? "", file));
  const find = (from) => names.split(".").reduce((value, name) => value?.[name], from);
  const handler = find(module) ?? find(module.default);
  if (typeof handler !== "function") {
    throw Object.assign(new Error(`${process.env._HANDLER} is undefined or not exported`), { name: "Runtime.HandlerNotFound" });
  }
  return handler;
}

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
    const answer = handler(event, context, done);
    if (typeof answer?.then === "function") answer.then(resolve, reject);
    // A handler that takes no callback and returns no promise has answered by returning.
    else if (handler.length < 3 && answer !== undefined) resolve(answer);
  });
}

async function runOne(handler) {
  const { headers, body } = await call("GET", "/invocation/next");
  const id = headers["lambda-runtime-aws-request-id"];
  process.env._X_AMZN_TRACE_ID = headers["lambda-runtime-trace-id"] ?? "";
  try {
    const answer = await run(handler, JSON.parse(body), headers);
    await call("POST", `/invocation/${id}/response`, JSON.stringify(answer ?? null));
  } catch (error) {
    console.error(error);
    await call("POST", `/invocation/${id}/error`, errorDocument(error));
  }
}

process.on("unhandledRejection", (error) => {
  console.error("Unhandled rejection:", error);
  process.exit(128);
});

let handler;
try {
  handler = await loadHandler();
} catch (error) {
  console.error(error);
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
