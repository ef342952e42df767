// Opens a node's pages in a real Chromium: light and dark, in the width of a desktop and of a phone.
//
//   node pages.mjs MODULES SHOTS TASK
//
// MODULES is the output of scripts/browser, SHOTS a directory for pictures. TASK, a JSON file, names the
// gateway and the pages. Prints {"event":"watching"} when it has opened the first page and waits for a
// transfer to progress, and {"event":"done"} at the end. Each fault is printed to stderr, and the exit
// code is then 1.

import assert from "node:assert/strict";
import { readFileSync, rmSync, mkdtempSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [modules, shots, taskFile] = process.argv.slice(2);
const require = createRequire(join(modules, "node_modules/"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const task = JSON.parse(readFileSync(taskFile, "utf8"));

const SIZES = { desk: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };

/** How people look: each page in each way. */
const LOOKS = ["light", "dark"].flatMap((scheme) =>
  Object.entries(SIZES).map(([size, viewport]) => ({ name: `${scheme} ${size}`, scheme, viewport })));

/** Pages that are walked to from links, at most. */
const WALK_MAX = 30;

/** How long a page may take, and a transfer to move. */
const PATIENCE_MS = 30_000;

const faults = [];
const fault = (where, what) => {
  faults.push(`${where}: ${what}`);
  console.error(faults.at(-1));
};

/** A page that notes everything that must not happen on it. */
async function open(context, where) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const at = () => `${where} ${page.url()}`;
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") {
      fault(at(), `console: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => fault(at(), `script: ${error}`));
  page.on("dialog", (dialog) => { fault(at(), `dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.origin !== task.endpoint && url.protocol !== "about:") {
      fault(at(), `asked for ${request.url()}`);
    }
  });
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  return page;
}

/** Waits until the parts that come later are there. */
async function settled(page) {
  await page.waitForFunction(() => !document.querySelector("[aria-busy]"));
}

async function look(page, path) {
  const answer = await page.goto(task.endpoint + path, { waitUntil: "load" });
  const policy = answer.headers()["content-security-policy"] ?? "";
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe/);
  await settled(page);
  return answer.status();
}

/** Axe finds nothing that shuts people out. */
async function accessible(page, where) {
  if (!await page.evaluate(() => "axe" in globalThis)) await page.evaluate(axe);
  const { violations } = await page.evaluate(() =>
    globalThis.axe.run(document, { resultTypes: ["violations"] }));
  for (const { id, impact, help, nodes } of violations) {
    if (impact === "serious" || impact === "critical") {
      const targets = nodes.slice(0, 3).map((node) => node.target.join(" "));
      fault(where, `axe: ${impact} ${id}: ${help}: ${targets.join("; ")}`);
    }
  }
}

/** A page is never wider than its window: what is wide scrolls in its own box. */
async function fitting(page, where) {
  const [content, room] = await page.evaluate(() =>
    [document.documentElement.scrollWidth, window.innerWidth]);
  if (content > room) fault(where, `${content} px wide in ${room} px`);
}

/** The page that is open, in all colours and sizes. */
async function everyLook(page, where, picture) {
  for (const { name, scheme, viewport } of LOOKS) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize(viewport);
    await accessible(page, `${name} ${where}`);
    await fitting(page, `${name} ${where}`);
    if (picture) {
      const path = join(shots, `${picture}-${name.replace(" ", "-")}.png`);
      await page.screenshot({ path, fullPage: true });
    }
  }
}

/** Every named page. */
async function named(browser) {
  const context = await browser.newContext();
  const page = await open(context, "named");
  for (const [name, path] of Object.entries(task.pages)) {
    const status = await look(page, path);
    if (status !== 200) fault(path, `status ${status}`);
    await everyLook(page, path, name);
  }
  await context.close();
}

/** Pages that say what is not there; of these, the browser itself tells the console. */
async function missing(browser) {
  const context = await browser.newContext();
  const page = await context.newPage();
  for (const [name, path] of Object.entries(task.missing)) {
    assert.equal(await look(page, path), 404);
    await everyLook(page, path, name);
  }
  await context.close();
}

/** Every page that a link leads to, from the first one on. */
async function walk(browser) {
  const context = await browser.newContext();
  const page = await open(context, "walk");
  const [seen, next] = [new Set(["/"]), ["/"]];
  const looked = new Set(Object.values(task.pages));
  while (next.length > 0) {
    const path = next.shift();
    const status = await look(page, path);
    if (status !== 200) fault(`walk ${path}`, `status ${status}`);
    if (!looked.has(path)) await everyLook(page, `walk ${path}`);
    const links = await page.$$eval("a[href]:not([download])", (all) => all.map((a) => a.href));
    for (const link of links.map((link) => new URL(link))) {
      const to = link.pathname + link.search;
      const isPage = link.origin === task.endpoint;
      if (isPage && !seen.has(to) && seen.size < WALK_MAX) {
        seen.add(to);
        next.push(to);
      }
    }
  }
  await context.close();
  assert.ok(seen.size >= task.pagesMin, `only ${seen.size} pages: ${[...seen].join(" ")}`);
}

/** A card that tries everything does nothing. */
async function harmless(browser) {
  const context = await browser.newContext();
  const page = await open(context, "hostile");
  for (const path of task.hostile) {
    assert.equal(await look(page, path), 200);
    await page.waitForTimeout(300); // a hostile script would run by itself
    const found = await page.evaluate(() => {
      const all = [...document.querySelectorAll("*")];
      const attributes = all.flatMap((element) => [...element.attributes]);
      const urls = attributes.filter(({ name }) => ["href", "src", "action"].includes(name));
      return {
        done: window.pwned,
        scripts: document.scripts.length,
        handlers: attributes.filter(({ name }) => name.startsWith("on") || name === "style").length,
        schemes: [...new Set(urls.map(({ ownerElement, name }) => new URL(ownerElement[name]).protocol))],
        elements: document.querySelectorAll("iframe, object, embed, base, style, article form, article input, meta[http-equiv]").length,
        footer: document.body.lastElementChild.localName,
        text: document.querySelector("main").textContent,
        depth: all.reduce((most, element) => {
          let depth = 0;
          for (let at = element; at; at = at.parentElement) depth += 1;
          return Math.max(most, depth);
        }, 0),
      };
    });
    assert.equal(found.done, undefined);
    assert.equal(found.scripts, 1, "the page's own script alone");
    assert.equal(found.handlers, 0, "no handlers and no styles in the text");
    assert.equal(found.elements, 0);
    assert.equal(found.footer, "footer", "unclosed elements end with the card");
    assert.ok(found.depth < 120, `${found.depth} elements in each other`);
    assert.match(found.text, /what is honest is shown/i);
    for (const scheme of found.schemes) assert.ok(["http:", "https:", "mailto:"].includes(scheme), scheme);
  }
  await context.close();
}

/** An image of the repo is shown, tables scroll by keyboard, and search finds the repo. */
async function useful(browser) {
  const context = await browser.newContext();
  const page = await open(context, "useful");
  await look(page, task.image);
  const width = () => page.$eval("article img", (image) => image.complete && image.naturalWidth);
  await page.waitForFunction(() => document.querySelector("article img").complete);
  assert.ok(await width() > 0, "the image of the repo is shown");

  await page.getByRole("searchbox").fill(task.search.words);
  await page.getByRole("searchbox").press("Enter");
  await page.waitForURL(/\/search\?/);
  await page.getByRole("link", { name: task.search.finds, exact: true }).click();
  await page.waitForURL(`**/${task.search.finds}`);
  await context.close();
}

/** The moving parts of the first page move while it is open. */
async function moving(browser) {
  const context = await browser.newContext();
  const page = await open(context, "moving");
  await page.goto(`${task.endpoint}/`, { waitUntil: "load" });
  console.log(JSON.stringify({ event: "watching" }));
  const bar = page.locator("#transfers progress[value]").first();
  await bar.waitFor();
  const values = new Set();
  const end = Date.now() + PATIENCE_MS;
  while (values.size < 3 && Date.now() < end) {
    const value = await bar.getAttribute("value", { timeout: 2000 }).catch(() => null);
    if (value !== null) values.add(Number(value));
    await page.waitForTimeout(200);
  }
  const moved = [...values];
  assert.ok(moved.length >= 3, `the transfer moved: ${moved}`);
  assert.deepEqual(moved, moved.toSorted((a, b) => a - b), "and only forwards");
  await everyLook(page, "moving", "moving");
  await page.getByText("Nothing is being fetched now.").waitFor();
  await context.close();
}

/** A gateway with a token asks for it, and its pages then work, live parts included. */
async function guarded(browser) {
  const { endpoint, token, repo } = task.guarded;
  const stranger = await browser.newContext();
  const refused = await stranger.request.get(`${endpoint}/`);
  assert.equal(refused.status(), 401);
  assert.match(refused.headers()["www-authenticate"], /^Basic/);
  await stranger.close();
  const context = await browser.newContext({ httpCredentials: { username: "me", password: token } });
  const page = await context.newPage();
  const events = page.waitForResponse((answer) => answer.url() === `${endpoint}/events`);
  const answer = await page.goto(`${endpoint}/`);
  assert.equal(answer.status(), 200);
  assert.equal((await events).status(), 200);
  await page.getByRole("link", { name: repo, exact: true }).click();
  await page.waitForURL(`**/${repo}`);
  await context.close();
}

const profile = mkdtempSync(join(tmpdir(), "hubless-browser-"));
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  env: { ...process.env, HOME: profile },
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
try {
  for (const step of [moving, named, missing, walk, harmless, useful, guarded]) {
    try {
      await step(browser);
    } catch (error) {
      fault(step.name, error.stack ?? String(error));
    }
  }
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
if (faults.length > 0) {
  process.exit(1);
}
console.log(JSON.stringify({ event: "done" }));
