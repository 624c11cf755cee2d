// The console in a real browser: live numbers, every page at a desktop's and a phone's width, a record's way.
//
// Runs against the console at MILLSTREAM_CONSOLE; without it, starts `millstream demo` from MILLSTREAM_BIN itself.
// Pictures of every page are kept in `out/`, to be looked at.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { freePort } from "../free_port.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const pictures = path.join(here, "out");
const WIDTHS = [1280, 390];
// How long the first records, results and invocations of a demo may take.
const PATIENCE_MS = 60_000;

const flags = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

// A little of everything that the demo itself has none of.
const PIPELINE = `
name = "appliances"

[[event_hub]]
name = "telemetry"
partitions = 2
consumer_groups = ["alerts"]

[[blob_container]]
name = "archive"

[[cosmos_database]]
name = "homes"

[[cosmos_database.container]]
name = "appliances"
partition_key = "/room"

[[event_grid_topic]]
name = "power"

[[event_grid_topic.subscription]]
name = "to-telemetry"
event_hub = "telemetry"
event_types = ["Power.On"]

[[api_management]]
name = "kitchen"

[[api_management.api]]
name = "tea"
path = "tea"

[[api_management.api.operation]]
name = "brew"
method = "POST"
template = "/brew/{kind}"
policy = """
<policies>
  <inbound>
    <return-response>
      <set-status code="418" reason="Teapot" />
      <set-body>{"tea": true}</set-body>
    </return-response>
  </inbound>
</policies>
"""

[[api_management.product]]
name = "drinks"
apis = ["tea"]
subscriptions = ["cook"]
`;

let base;
let wire;
let node;
let folder;
let browser;

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

const binary = process.env.MILLSTREAM_BIN ?? path.join(here, "../../target/debug/millstream");

const apply = async (pipeline) => {
  const file = path.join(folder, "more.toml");
  await writeFile(file, pipeline);
  const command = spawn(binary, ["apply", file, "--data", path.join(folder, "data")], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const output of [command.stdout, command.stderr]) output.on("data", (text) => { said += text; });
  const code = await new Promise((resolve) => command.once("exit", resolve));
  assert.equal(code, 0, said);
};

// A key of the topic, as its owner gets it.
const topicKey = async () => {
  const group = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/millstream/providers";
  const address = `${wire}${group}/Microsoft.EventGrid/topics/power/listKeys?api-version=2022-06-15`;
  const answer = await fetch(address, { method: "POST", headers: { authorization: "Bearer any" } });
  assert.ok(answer.ok, `${answer.status} ${await answer.clone().text()}`);
  return (await answer.json()).key1;
};

// Publishes an event to the topic.
const publish = async (id, eventType = "Power.On") => {
  const event = { id, eventType, subject: "home/kettle", eventTime: new Date().toISOString(), data: {}, dataVersion: "1" };
  const answer = await fetch(`${wire}/eventgrid/power/api/events`, {
    method: "POST",
    headers: { "content-type": "application/json", "aeg-sas-key": await topicKey() },
    body: JSON.stringify([event]),
  });
  assert.ok(answer.ok, `${answer.status} ${await answer.text()}`);
};

const startDemo = async () => {
  assert.ok(existsSync(binary), `no binary at ${binary}: build it, or set MILLSTREAM_BIN or MILLSTREAM_CONSOLE`);
  const [console, protocols] = [await freePort(), await freePort()];
  const [amqp, kafka] = [await freePort(), await freePort()];
  wire = `http://127.0.0.1:${protocols}`;
  const args = [
    "demo", "--data", path.join(folder, "data"),
    "--console-listen", `127.0.0.1:${console}`, "--aws-listen", `127.0.0.1:${protocols}`,
    "--eventhubs-listen", `127.0.0.1:${amqp}`, "--kafka-listen", `127.0.0.1:${kafka}`,
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
  if (node) await apply(PIPELINE);
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
    ["hubs", "/hubs"],
    ["topics", "/topics"],
    ["documents", "/documents"],
    ["buckets", "/buckets"],
    ["apis", "/apis"],
    ["new", "/new"],
    ["new-stream", "/new/stream"],
    ["new-query", "/new/query"],
    ["new-function", "/new/function"],
    ["new-topic", "/new/event-grid-topic"],
    ["new-managed-api", "/new/api-management"],
    ...(node ? ownAddresses : []),
  ];
};

// Pages of what only a node of our own has for certain.
const ownAddresses = [
  ["hub", "/hubs/default/telemetry"],
  ["hub-keys", "/hubs/default/telemetry/keys"],
  ["topic", "/topics/power"],
  ["subscription", "/topics/power/to-telemetry"],
  ["container", "/documents/homes/appliances?sql=SELECT+1+AS+one"],
  ["bucket", "/buckets/archive"],
  ["service", "/apis/kitchen"],
  ["api", "/apis/kitchen/tea"],
  ["operation", "/apis/kitchen/tea/brew"],
];

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

for (const width of WIDTHS) {
  test(`a form makes a query over a hub that a form made, ${width} pixels, without scripts`, async (t) => {
    if (!node) return t.skip("needs a node of its own");
    const { context, page, complaints } = await open(width, { javaScriptEnabled: false });
    const hub = `meters-${width}`;
    await page.goto(`${base}/hubs`);
    await page.click("text=New event hub");
    await page.fill('[name="name"]', hub);
    await page.fill('[name="partitions"]', "two");
    await page.click("text=Make it");
    assert.match(await page.textContent('[id="partitions-wrong"]'), /expected a whole number, found `two`/);
    assert.equal(await page.inputValue('[name="name"]'), hub, "what was typed stays");
    await page.screenshot({ path: path.join(pictures, `form-mistake-${width}.png`), fullPage: true });
    await page.fill('[name="partitions"]', "2");
    await page.press('[name="partitions"]', "Enter");
    await page.waitForSelector("[role=status]");
    assert.match(await page.textContent("[role=status]"), /created/);
    assert.match(await page.textContent(".section"), /\[\[event_hub\]\]/);
    await page.click("text=Look at it");
    assert.equal(await page.textContent("h1"), hub);

    await page.goto(`${base}/new/query`);
    await page.fill('[name="name"]', `totals-${width}`);
    await page.fill('[name="sql"]', "SELECT room, SUM(watts) AS watts INTO totals FROM meters\nGROUP BY room, TumblingWindow(second, 5)");
    await page.fill('[name="input.1.name"]', "meters");
    await page.fill('[name="input.1.event_hub"]', hub);
    await page.fill('[name="input.1.columns"]', "room nvarchar(max)\nwats bigint");
    await page.fill('[name="output.1.name"]', "totals");
    await page.click('button[name="more"][value="output"]');
    assert.equal(await page.locator('[name="output.2.name"]').count(), 1, "one output more");
    await page.click("text=Make it");
    assert.match(await page.textContent('[id="sql-wrong"]'), /watts/);
    await page.fill('[name="input.1.columns"]', "room nvarchar(max)\nwatts bigint");
    await page.fill('[name="output.1.blob.container"]', "archive");
    await page.click("text=Only show the section");
    assert.match(await page.textContent(".section"), /blob = \{ container = "archive" \}/);
    await page.click("text=Make it");
    assert.match(await page.textContent("[role=status]"), /created/);
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(beyond <= 0, `the page is ${beyond} pixels too wide`);
    await page.screenshot({ path: path.join(pictures, `form-made-${width}.png`), fullPage: true });
    await page.click("text=Look at it");
    assert.equal(await page.textContent("h1"), `totals-${width}`);

    await page.click("text=Stop it");
    await page.waitForSelector("text=Start it");
    await page.click("text=Change its text, inputs and outputs");
    assert.equal(await page.inputValue('[name="output.1.blob.container"]'), "archive");
    await page.fill('[name="output.1.blob.path"]', "{dat");
    await page.click("text=Change it");
    assert.match(await page.textContent("[role=alert]"), /`\{` without `\}`/);
    await page.fill('[name="output.1.blob.path"]', "sums/{date}");
    await page.click('button[name="more"][value="output"]');
    await page.fill('[name="output.2.name"]', "more");
    await page.fill('[name="sql"]', "SELECT room, SUM(watts) AS watts INTO totals FROM meters\nGROUP BY room, TumblingWindow(second, 9)");
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(wide <= 0, `the page is ${wide} pixels too wide`);
    await page.screenshot({ path: path.join(pictures, `form-change-${width}.png`), fullPage: true });
    await page.click("text=Change it");
    await page.waitForSelector("text=Start it");
    assert.match(await page.textContent("pre.code"), /second, 9/);
    await page.click("text=Change its text, inputs and outputs");
    await page.check('[name="remove"][value="output.2"]');
    await page.click("text=Change it");
    await page.waitForSelector("text=Start it");
    await page.selectOption('[name="from"]', "last-output");
    await page.click("text=Start it");
    await page.waitForSelector("text=Stop it");
    await page.screenshot({ path: path.join(pictures, `query-run-${width}.png`), fullPage: true });
    await context.close();
    assert.deepEqual(complaints, []);
  });
}

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

test("a subscription's log shows deliveries as they happen", async (t) => {
  if (!node) return t.skip("needs a node of its own");
  const { context, page, complaints } = await open(1280);
  await page.goto(`${base}/topics/power/to-telemetry`);
  await until("it is live", async () => (await page.getAttribute(".pulse", "data-state")) === "live");
  await publish("kettle-on-1");
  await publish("kettle-off-1", "Power.Off");
  await page.waitForSelector('[data-live="deliveries"] td:text("kettle-on-1")', { timeout: PATIENCE_MS });
  const log = await page.textContent('[data-live="deliveries"]');
  assert.match(log, /Delivered/);
  assert.doesNotMatch(log, /kettle-off-1/);
  await page.screenshot({ path: path.join(pictures, "subscription-log-1280.png"), fullPage: true });
  await context.close();
  assert.deepEqual(complaints, []);
});

for (const width of WIDTHS) {
  test(`a test call shows its answer and its trace, ${width} pixels`, async (t) => {
    if (!node) return t.skip("needs a node of its own");
    const { context, page, complaints } = await open(width);
    await page.goto(`${base}/apis/kitchen/tea/brew`);
    await page.fill("#path", "/brew/green");
    await page.fill("#headers", "Content-Type: application/json");
    await page.fill("#body", '{"cups": 2}');
    await page.selectOption("#subscription", "cook");
    await page.click('.trial button[type="submit"]');
    await page.waitForSelector("h2:text('Answer: 418')");
    const shown = await page.textContent("main");
    for (const expected of ["return-response", "cook opens the API", '"tea": true']) assert.ok(shown.includes(expected), shown);
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(beyond <= 0, `${beyond} pixels too wide`);
    await page.screenshot({ path: path.join(pictures, `test-call-${width}.png`), fullPage: true });
    await context.close();
    assert.deepEqual(complaints, []);
  });
}

test("a sample is downloaded, and a query over it shows rows", async (t) => {
  if (!node) return t.skip("needs a node of its own");
  const { context, page, complaints } = await open(1280, { acceptDownloads: true });
  const { name } = (await json("/api/status")).queries[0];
  await page.goto(`${base}/queries/${encodeURIComponent(name)}`);
  await page.click(".facts a");
  await page.waitForURL("**/streams/**");
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("a[download]")]);
  const sample = await readFile(await download.path(), "utf8");
  const events = sample.trim().split("\n").map((line) => JSON.parse(line));
  assert.ok(events.length > 0);

  await page.goto(`${base}/queries/${encodeURIComponent(name)}`);
  await page.fill("#sample-1", sample);
  await page.click('.trial button:text-is("Test")');
  await page.waitForSelector(".kind:text('test of a query')");
  assert.match(await page.textContent("main"), /[1-9]\d* rows/);
  await page.fill("#sample-1", "");
  await page.setInputFiles("#sample-file-1", { name: "sample.jsonl", mimeType: "application/x-ndjson", buffer: Buffer.from(sample) });
  await page.click('.trial button:text-is("Test")');
  await page.waitForSelector(".kind:text('test of a query')");
  assert.match(await page.textContent("main"), /[1-9]\d* rows/, "of the file");
  const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(beyond <= 0, `${beyond} pixels too wide`);
  await context.close();
  assert.deepEqual(complaints, []);
});

const EDITED = "share-change-stream-analytics";

// The text of the query that is edited, as its page shows it.
const ownText = async (page) => {
  await page.goto(`${base}/queries/${EDITED}`);
  return page.inputValue("#trial-sql");
};

test("a query's text is edited: mistakes in place, rows of the newest records, then it is saved", async (t) => {
  if (!node) return t.skip("needs a node of its own");
  const { context, page, complaints } = await open(1280);
  const sql = await ownText(page);
  await page.waitForSelector('[data-live="steps"] th:text("tumbling windows of 1 min")', { timeout: PATIENCE_MS });
  await page.fill("#trial-sql", sql.replace("SUM(shares)", "SUM(sharse)"));
  await page.waitForSelector("#sql-mistakes mark");
  assert.equal(await page.textContent("#sql-mistakes mark"), "sharse");
  assert.match(await page.textContent("#sql-mistakes"), /line 4, column 9: error\[Q104\].*try: shares/s);
  await page.screenshot({ path: path.join(pictures, "editor-mistake-1280.png"), fullPage: true });
  await page.click("#sql-mistakes a");
  const chosen = await page.evaluate(() => {
    const text = document.activeElement;
    return text.value.slice(text.selectionStart, text.selectionStart + 6);
  });
  assert.equal(chosen, "sharse", "a mistake leads to its place");
  await page.fill("#trial-sql", sql.replace("FROM", "/* edited */ FROM"));
  await page.waitForSelector("#sql-mistakes [role=status]");
  assert.equal((await page.textContent("#sql-mistakes")).trim(), "No mistakes.");
  await page.click('button:text-is("Test with the newest records")');
  await page.waitForSelector("h2:text('ShareChanges: ')");
  assert.match(await page.textContent("main"), /ShareChanges: [1-9]\d* rows/);
  assert.ok((await page.locator("table.rows tbody tr").count()) > 0, "rows as a table");
  assert.equal(await page.locator("figure.small svg.chart").count(), 1, "and as a line");
  assert.match(await page.inputValue("#sample-1"), /EventEnqueuedUtcTime/, "the sample stays, to be tried again");
  await page.screenshot({ path: path.join(pictures, "editor-rows-1280.png"), fullPage: true });
  await page.click('button:text-is("Save")');
  await page.waitForSelector("h2:text('Run and change')");
  assert.match(await page.textContent("pre.code"), /edited/);
  await context.close();
  assert.deepEqual(complaints, []);
});

for (const width of WIDTHS) {
  test(`without scripts buttons check and save a query's text, ${width} pixels`, async (t) => {
    if (!node) return t.skip("needs a node of its own");
    const { context, page, complaints } = await open(width, { javaScriptEnabled: false });
    const sql = await ownText(page);
    await page.fill("#trial-sql", sql.replace("SUM(shares)", "SUM(sharse)"));
    await page.click('button:text-is("Check")');
    assert.equal(await page.textContent("#sql-mistakes mark"), "sharse");
    await page.click('button:text-is("Save")');
    assert.equal(await page.textContent("#sql-mistakes mark"), "sharse", "what is wrong is not saved");
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(beyond <= 0, `the page is ${beyond} pixels too wide`);
    await page.screenshot({ path: path.join(pictures, `editor-check-${width}.png`), fullPage: true });
    await page.fill("#trial-sql", `${sql}\n-- ${width}`);
    await page.click('button:text-is("Check")');
    assert.equal((await page.textContent("#sql-mistakes")).trim(), "No mistakes.");
    await page.click('button:text-is("Save")');
    assert.match(await page.textContent("pre.code"), new RegExp(`-- ${width}`));
    await context.close();
    assert.deepEqual(complaints, []);
  });
}
