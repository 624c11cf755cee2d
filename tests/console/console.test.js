// The console in a real browser: live numbers, every page at a desktop's and a phone's width, a record's way.
//
// Runs against the console at MILLSTREAM_CONSOLE; without it, starts `millstream demo` from MILLSTREAM_BIN itself.
// Pictures of every page are kept in `out/`, to be looked at.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

const here = path.dirname(fileURLToPath(import.meta.url));
const pictures = path.join(here, "out");
const WIDTHS = [1280, 390];
// How long the first records, results and invocations of a demo may take.
const PATIENCE_MS = 60_000;

const flags = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

let base;
let node;
let folder;
let browser;

const freePort = () => new Promise((resolve, reject) => {
  const server = createServer();
  server.on("error", reject);
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

// Asks again until `ask` gives something; fails with `what` after the patience is over.
const until = async (what, ask) => {
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    const answer = await ask();
    if (answer) return answer;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`${what}, within ${PATIENCE_MS / 1000} s`);
};

const json = async (address) => {
  const answer = await fetch(base + address).catch(() => null);
  return answer?.ok ? answer.json() : null;
};

const startDemo = async () => {
  const binary = process.env.MILLSTREAM_BIN ?? path.join(here, "../../target/debug/millstream");
  assert.ok(existsSync(binary), `no binary at ${binary}: build it, or set MILLSTREAM_BIN or MILLSTREAM_CONSOLE`);
  const [console, wire, amqp] = [await freePort(), await freePort(), await freePort()];
  const args = [
    "demo", "--data", path.join(folder, "data"),
    "--console-listen", `127.0.0.1:${console}`, "--aws-listen", `127.0.0.1:${wire}`,
    "--eventhubs-listen", `127.0.0.1:${amqp}`,
  ];
  node = spawn(binary, args, { stdio: "ignore", cwd: path.join(here, "../..") });
  return `http://127.0.0.1:${console}`;
};

before(async () => {
  await mkdir(pictures, { recursive: true });
  folder = await mkdtemp(path.join(tmpdir(), "millstream-console-"));
  base = process.env.MILLSTREAM_CONSOLE?.replace(/\/$/, "") ?? (await startDemo());
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: flags,
  });
  await until("records flow", async () => {
    const status = await json("/api/status");
    return status?.delivery_streams.some((stream) => stream.records_per_second > 0);
  });
});

after(async () => {
  await browser?.close();
  if (node && node.exitCode === null) {
    const gone = new Promise((resolve) => node.once("exit", resolve));
    node.kill("SIGTERM");
    await gone;
  }
  if (folder) await rm(folder, { recursive: true, force: true });
});

// A page of its own, with everything that the browser complained about.
const open = async (width, options = {}) => {
  const context = await browser.newContext({ viewport: { width, height: 800 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${base}/`)) complaints.push(`a request to ${request.url()}`);
  });
  return { context, page, complaints };
};

// One page of each kind, by what the node has.
const addresses = async () => {
  const status = await json("/api/status");
  const name = (kind) => encodeURIComponent(status[kind][0].name);
  return [
    ["overview", "/"],
    ["streams", "/streams"],
    ["stream", `/streams/${name("streams")}`],
    ["delivery", `/delivery/${name("delivery_streams")}`],
    ["queries", "/queries"],
    ["query", `/queries/${name("queries")}`],
    ["functions", "/functions"],
    ["function", `/functions/${name("functions")}`],
    ["tables", "/tables"],
    ["table", `/tables/${name("tables")}`],
    ["trace", "/trace"],
  ];
};

test("the overview's numbers change while it is open", async () => {
  const { context, page, complaints } = await open(1280);
  await page.goto(`${base}/`);
  await page.waitForSelector(".pipeline.across .stage");
  const lines = () => page.$$eval(".pipeline.across .stage .line", (all) => all.map((line) => line.getAttribute("points")).join());
  const first = await lines();
  await until("the graph moves", async () => (await lines()) !== first);
  assert.equal(await page.getAttribute(".pulse", "data-state"), "live");
  await context.close();
  assert.deepEqual(complaints, []);
});

test("a stage leads to its page", async () => {
  const { context, page } = await open(1280);
  await page.goto(`${base}/`);
  await page.click(".pipeline.across a:has(.delivery)");
  await page.waitForURL("**/delivery/**");
  assert.match(await page.textContent(".kind"), /delivery stream/);
  await context.close();
});

for (const width of WIDTHS) {
  for (const colorScheme of ["light", "dark"]) {
    test(`every page fits ${width} pixels, ${colorScheme}`, async () => {
      const { context, page, complaints } = await open(width, { colorScheme });
      for (const [name, address] of await addresses()) {
        const answer = await page.goto(base + address);
        assert.equal(answer.status(), 200, address);
        const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(beyond <= 0, `${address} is ${beyond} pixels too wide`);
        await page.screenshot({ path: path.join(pictures, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      }
      await context.close();
      assert.deepEqual(complaints, []);
    });
  }
}

test("a record's way is found from the list of its stream", async () => {
  const { context, page, complaints } = await open(1280);
  const delivery = (await json("/api/status")).delivery_streams[0].name;
  await page.goto(`${base}/delivery/${encodeURIComponent(delivery)}`);
  const link = page.locator(".records .sequence a").last();
  await page.goto(base + (await link.getAttribute("href")));
  await until("its steps are shown", async () => (await page.locator(".story li").count()) > 1);
  assert.match(await page.textContent(".story"), /appended to/);
  await page.screenshot({ path: path.join(pictures, "trace-record-1280.png"), fullPage: true });

  const id = await page.inputValue(".search input");
  assert.match(id, /^49\d{54}$/);
  await page.fill(".search input", "not an id");
  await page.press(".search input", "Enter");
  await page.waitForSelector(".empty");
  assert.match(await page.textContent(".empty"), /expected a sequence number/);
  await context.close();
  assert.deepEqual(complaints, []);
});

test("without scripts the pages show the same", async () => {
  const { context, page } = await open(390, { javaScriptEnabled: false });
  for (const [, address] of await addresses()) {
    await page.goto(base + address);
    assert.ok((await page.textContent("main")).trim().length > 0, address);
  }
  assert.ok(await page.locator(".pulse").isHidden());
  await context.close();
});

test("a page that is held still asks for nothing until it goes on", async () => {
  const { context, page } = await open(1280);
  const asked = [];
  page.on("request", (request) => { if (request.url().includes("/events")) asked.push(request); });
  await page.goto(`${base}/streams`);
  await until("it is live", async () => asked.length === 1);
  await page.click(".pulse");
  assert.equal(await page.textContent(".pulse b"), "paused");
  await page.click(".pulse");
  await until("it is live again", async () => asked.length === 2);
  await context.close();
});
