// The developer portal in a real browser: from signing up to a bill, with scripts on and off, at a desktop's and a phone's
// width, and with a visitor who writes scripts into every field.
//
// Starts `millstream demo --paid-api` from MILLSTREAM_BIN itself. Pictures of the pages are kept in `out/`, to be looked at.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { freePort } from "../free_port.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const pictures = path.join(here, "out");
const binary = process.env.MILLSTREAM_BIN ?? path.join(here, "../../target/debug/millstream");
const WIDTHS = [1280, 390];
// How long the node may take to be ready.
const PATIENCE_MS = 60_000;
const PASSWORD = "correct horse battery";
const OWNER = ["owner@example.com", "millstream-owner"];
const SCRIPT = `<script>document.title="owned"</script>"'><img src=x onerror="document.title='owned'"><b>`;

const flags = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

let base;
let node;
let folder;
let browser;

before(async () => {
  assert.ok(existsSync(binary), `no binary at ${binary}: build it, or set MILLSTREAM_BIN`);
  await mkdir(pictures, { recursive: true });
  folder = await mkdtemp(path.join(tmpdir(), "millstream-portal-"));
  const [portal, console, protocols] = [await freePort(), await freePort(), await freePort()];
  const [amqp, kafka] = [await freePort(), await freePort()];
  base = `http://127.0.0.1:${portal}`;
  const args = [
    "demo", "--paid-api", "--data", path.join(folder, "data"), "--portal-listen", `127.0.0.1:${portal}`,
    "--console-listen", `127.0.0.1:${console}`, "--aws-listen", `127.0.0.1:${protocols}`,
    "--eventhubs-listen", `127.0.0.1:${amqp}`, "--kafka-listen", `127.0.0.1:${kafka}`,
  ];
  node = spawn(binary, args, { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  node.stdout.on("data", (text) => { said += text; });
  const end = Date.now() + PATIENCE_MS;
  while (!said.includes("the developer portal is at")) {
    assert.ok(Date.now() < end && node.exitCode === null, `the node is not ready:\n${said}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: flags,
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

const submit = (page, words) => Promise.all([page.waitForEvent("load"), page.click(`button:text-is("${words}")`)]);

const logIn = async (page, [email, password]) => {
  await page.goto(`${base}/login`);
  await page.fill("#email", email);
  await page.fill("#password", password);
  await Promise.all([page.waitForURL("**/account"), page.click('main button[type="submit"]')]);
};

const signUp = async (page, email, name = "Ada") => {
  await page.goto(`${base}/signup`);
  await page.fill("#name", name);
  await page.fill("#email", email);
  await page.fill("#password", PASSWORD);
  await Promise.all([page.waitForURL("**/login**"), page.click('main button[type="submit"]')]);
  await logIn(page, [email, PASSWORD]);
};

const subscribe = async (page, words) => {
  await page.goto(`${base}/plans`);
  await Promise.all([page.waitForURL("**/subscriptions/**"), page.click(`button:text-is("${words}")`)]);
};

const fits = async (page, what) => {
  const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(beyond <= 0, `${what} is ${beyond} pixels too wide`);
};

const picture = (page, name) => page.screenshot({ path: path.join(pictures, `${name}.png`), fullPage: true });

// What a page lacks for those who do not see it: names of fields, buttons and pictures, one heading, a language.
const lacking = (page) => page.evaluate(() => {
  const found = [];
  if (!document.documentElement.lang) found.push("no language");
  if (document.querySelectorAll("h1").length !== 1) found.push("not one first heading");
  for (const field of document.querySelectorAll("input:not([type=hidden]), textarea, select, meter")) {
    if (!field.labels?.length) found.push(`no label at ${field.id || field.name}`);
  }
  for (const button of document.querySelectorAll("button, a, summary")) {
    if (!button.textContent.trim() && !button.getAttribute("aria-label")) found.push(`no name at ${button.outerHTML}`);
  }
  for (const drawing of document.querySelectorAll("main svg")) {
    if (!drawing.getAttribute("aria-label")) found.push("a drawing without a name");
  }
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`two of ${id}`);
  return found;
});

// How far texts stand out from what is behind them: at least 4.5 to 1, as WCAG asks for.
const pale = (page) => page.evaluate(() => {
  const channels = (text) => text.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const linear = [r, g, b].map((value) => {
      const share = value / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const over = ([r, g, b, a = 1], behind) => [r, g, b].map((value, at) => value * a + behind[at] * (1 - a));
  const background = (element) => {
    if (!element) return [255, 255, 255];
    const own = channels(getComputedStyle(element).backgroundColor);
    return (own[3] ?? 1) === 1 ? own : over(own, background(element.parentElement));
  };
  const found = new Set();
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!text || !element.getClientRects().length) continue;
    const behind = background(element);
    const [light, dark] = [luminance(channels(getComputedStyle(element).color)), luminance(behind)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) found.add(`${element.tagName}.${element.className}: ${ratio.toFixed(2)}`);
  }
  return [...found];
});

for (const javaScriptEnabled of [true, false]) {
  test(`from signing up to the first call, scripts ${javaScriptEnabled ? "on" : "off"}`, async () => {
    const { context, page, complaints } = await open(1280, { javaScriptEnabled });
    await page.goto(`${base}/`);
    await page.click("text=Quotes");
    await page.click("text=The price of a share");
    assert.match(await page.textContent(".try"), /Log in to call this operation/);
    await signUp(page, `first-${javaScriptEnabled}@example.org`);
    await subscribe(page, "Subscribe to free");
    assert.match(await page.textContent(".notice"), /You are subscribed/);
    const key = (await page.textContent(".keys pre")).trim();
    assert.match(key, /^[A-Za-z0-9]{40}$/);

    await page.goto(`${base}/apis/quotes/getQuote`);
    await page.fill("#value-0", "amzn");
    await submit(page, "Call");
    assert.match(await page.textContent(".answer h3"), /200 OK/);
    assert.match(await page.textContent(".answer"), /"price": 186.2/);
    assert.match(await page.textContent(".answer"), new RegExp(`x-api-key: ${key}`));
    if (javaScriptEnabled) await picture(page, "tried-1280");

    await page.goto(`${base}/apis/quotes/valuate`);
    await submit(page, "Call");
    assert.match(await page.textContent(".answer"), /"value": 1237.5/);
    await page.fill("#body", "{}");
    await submit(page, "Call");
    assert.match(await page.textContent(".answer h3"), /400 Bad Request/);
    await page.selectOption("#subscription", "");
    await submit(page, "Call");
    assert.match(await page.textContent(".answer h3"), /403 Forbidden/);
    await context.close();
    assert.deepEqual(complaints, []);
  });
}

test("a key is rotated, and what is used is shown", async () => {
  const { context, page, complaints } = await open(1280);
  await signUp(page, "rotate@example.org");
  await subscribe(page, "Subscribe to free");
  const subscription = page.url().split("?")[0];
  const old = (await page.textContent(".keys pre")).trim();
  await submit(page, "Make a new key");
  const both = await page.$$eval(".keys pre", (all) => all.map((value) => value.textContent.trim()));
  assert.equal(both.length, 2);
  assert.equal(both[1], old);
  await page.goto(`${base}/apis/quotes/listSymbols`);
  for (let call = 0; call < 3; call += 1) await submit(page, "Call");
  await page.goto(subscription);
  assert.match(await page.textContent(".quota"), /997 calls left of 1,000 calls a month/);
  assert.match(await page.getAttribute("svg.chart", "aria-label"), /^3 calls in 30 days/);
  await picture(page, "subscription-1280");
  await submit(page, "Revoke the old key");
  assert.equal(await page.locator(".keys pre").count(), 1);
  await page.click("summary:text-is('End it …')");
  await submit(page, "End the subscription");
  assert.match(await page.textContent("h1"), /ended/);
  await context.close();
  assert.deepEqual(complaints, []);
});

test("the owner agrees, sets prices, and sees what comes in", async () => {
  const visitor = await open(390, { javaScriptEnabled: false });
  await signUp(visitor.page, "grace@example.org", "Grace");
  await subscribe(visitor.page, "Ask for pro");
  const subscription = visitor.page.url().split("?")[0];
  assert.match(await visitor.page.textContent("main"), /The owner has to agree/);

  const { context, page, complaints } = await open(1280);
  await logIn(page, OWNER);
  await page.goto(`${base}/owner`);
  await picture(page, "owner-waiting-1280");
  const request = page.locator(".requests li", { hasText: "grace@example.org" });
  await Promise.all([page.waitForEvent("load"), request.locator("button:text-is('Agree')").click()]);
  assert.match(await page.textContent(".notice"), /the subscription is active/);

  await visitor.page.goto(subscription);
  assert.match(await visitor.page.textContent(".keys"), /[A-Za-z0-9]{40}/);
  await page.reload();
  assert.match(await page.textContent(".figures"), /29\.00 EUR/);
  await picture(page, "owner-1280");

  await page.goto(`${base}/owner/plans`);
  const pro = page.locator(".card", { hasText: "Save pro" });
  await pro.locator("input[name=month]").fill("1e3");
  await submit(page, "Save pro");
  assert.match(await page.textContent("[role=alert]"), /Price a month: expected an amount like 29\.90/);
  await page.locator(".card", { hasText: "Save pro" }).locator("input[name=month]").fill("39.50");
  await submit(page, "Save pro");
  await page.goto(`${base}/plans`);
  assert.match(await page.textContent("main"), /39\.50 EUR a month/);
  await visitor.page.reload();
  assert.match(await visitor.page.textContent("main"), /29\.00 EUR a month/, "subscriptions keep their price");

  await page.goto(`${base}/owner/accounts?search=grace`);
  await page.click("text=Grace");
  await submit(page, "Block the account");
  await visitor.page.reload();
  assert.match(visitor.page.url(), /\/login/);
  await submit(page, "Let the account in again");
  await context.close();
  await visitor.context.close();
  // Chromium tells of the form that was refused.
  assert.deepEqual(complaints.filter((complaint) => !complaint.includes("400 (Bad Request)")), []);
});

test("an API is published, hidden and taken out", async () => {
  const { context, page, complaints } = await open(1280);
  await logIn(page, OWNER);
  await page.goto(`${base}/owner/apis`);
  await page.fill("#name", "own-words");
  await submit(page, "Publish");
  await page.click("a[href='/owner/apis/own-words']");
  await page.click("text=As visitors see it");
  assert.equal(await page.locator(".operations li").count(), 3);
  await page.goto(`${base}/owner/apis/own-words`);
  await submit(page, "Hide it from visitors");
  const { context: other, page: stranger } = await open(1280);
  assert.equal((await stranger.goto(`${base}/apis/own-words`)).status(), 404);
  await other.close();
  await submit(page, "Take it out of the portal");
  assert.doesNotMatch(await page.textContent("main"), /own-words/);
  await context.close();
  assert.deepEqual(complaints, []);
});

test("a visitor with scripts in every field runs none", async () => {
  const { context, page } = await open(390);
  const run = [];
  page.on("dialog", (dialog) => { run.push(dialog.message()); return dialog.dismiss(); });
  const shown = async (where) => {
    assert.notEqual(await page.title(), "owned", where);
    assert.equal(await page.locator("main script, main img, main b b").count(), 0, where);
    await fits(page, where);
  };
  await signUp(page, "scripts@example.org", SCRIPT);
  await shown("account");
  await page.fill("#name", `${SCRIPT} again`.slice(0, 100));
  await Promise.all([page.waitForEvent("load"), page.click("form[action='/account/name'] button")]);
  await shown("renamed");
  await subscribe(page, "Ask for pro");
  await page.goto(`${base}/apis/quotes/getQuote`);
  await page.fill("#value-0", SCRIPT);
  await submit(page, "Call");
  await shown("tried");
  await page.goto(`${base}/apis/quotes/valuate`);
  await page.fill("#body", SCRIPT);
  await submit(page, "Call");
  await shown("tried a body");
  for (const address of [
    "/login?next=", "/login?said=", "/apis/", "/apis/quotes/", "/subscriptions/", "/invitation?link=", "/",
  ]) {
    await page.goto(base + address + encodeURIComponent(SCRIPT));
    await shown(address);
  }
  await context.clearCookies();
  await logIn(page, OWNER);
  await page.goto(`${base}/owner/settings`);
  await page.fill("#title", SCRIPT.slice(0, 80));
  await page.fill("#introduction", SCRIPT);
  await submit(page, "Save");
  await page.goto(`${base}/owner/accounts?search=${encodeURIComponent(SCRIPT)}`);
  await shown("search");
  for (const address of ["/owner", "/owner/accounts", "/", "/plans"]) {
    await page.goto(base + address);
    await shown(address);
  }
  await page.goto(`${base}/owner/settings`);
  await page.fill("#title", "Share prices");
  await page.fill("#introduction", "Prices of shares over HTTP.");
  await submit(page, "Save");
  await context.close();
  assert.deepEqual(run, []);
});

test("every page fits, has names for everything and can be read", async () => {
  const { context: owners, page: owner } = await open(1280);
  await logIn(owner, OWNER);
  await subscribe(owner, "Subscribe to free");
  const subscription = new URL(owner.url()).pathname;
  await owner.goto(`${base}/owner/accounts`);
  const account = await owner.locator(".list a").first().getAttribute("href");
  const cookies = await owners.cookies();
  await owners.close();
  const open_ = ["/", "/apis/quotes", "/apis/quotes/getQuote", "/apis/quotes/valuate", "/plans", "/login", "/signup", "/nothing"];
  const own = ["/account", subscription, "/apis/quotes/valuate", "/owner", "/owner/apis", "/owner/apis/quotes", "/owner/plans",
    "/owner/accounts", account, "/owner/settings"];
  for (const width of WIDTHS) {
    for (const colorScheme of ["light", "dark"]) {
      for (const [who, addresses] of [["anybody", open_], ["owner", own]]) {
        const { context, page } = await open(width, { colorScheme });
        if (who === "owner") await context.addCookies(cookies);
        for (const address of addresses) {
          await page.goto(base + address);
          const name = `${who}${address.replace(/[0-9a-f]{12}/g, "id").replaceAll("/", "-")}-${width}-${colorScheme}`;
          await picture(page, name);
          await fits(page, name);
          assert.deepEqual(await lacking(page), [], name);
          assert.deepEqual(await pale(page), [], name);
        }
        await context.close();
      }
    }
  }
});

test("with the keyboard alone somebody gets in", async () => {
  const { context, page } = await open(1280);
  await page.goto(`${base}/signup`);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  await page.focus("#name");
  for (const text of ["Keys", "keyboard@example.org", PASSWORD]) {
    await page.keyboard.type(text);
    await page.keyboard.press("Tab");
  }
  await Promise.all([page.waitForURL("**/login**"), page.keyboard.press("Enter")]);
  await context.close();
});
