// What every browser test starts from: Chromium, a page that keeps an account of everything that
// went wrong in it, and an accessibility check.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after } from "node:test";
import { chromium } from "playwright-core";
import { serve } from "./server.mjs";

const CANDIDATES = [
  process.env.CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
// A name must hold the words in sight, whether or not axe counts that among its standard rules.
const RULES = { "label-content-name-mismatch": { enabled: true } };
// Nothing here waits for long; a machine under load may.
const PATIENCE_MS = 30_000;

/** A common desktop, and a common phone. */
export const DESKTOP = { width: 1280, height: 900 };
export const PHONE = { width: 390, height: 844 };

let browser;
let host;

/** The one browser of this test file. */
export async function open_browser() {
  const executablePath = CANDIDATES.find((path) => path && existsSync(path));
  assert.ok(executablePath, "no Chromium found: `cargo xtask setup` installs it");
  browser ??= await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  return browser;
}

/** The address of the built site, below a sub-path. The runner shares one host among all files. */
export async function site() {
  if (process.env.STRANDLINE_SITE) return process.env.STRANDLINE_SITE;
  host ??= await serve({ base: "/strandline/" });
  return host.url;
}

after(async () => {
  await browser?.close();
  await host?.close();
});

/**
 * Opens a fresh page and hands it to `use`, then fails if anything went wrong in it: an error in
 * the console, an exception, a request that failed, a breach of the content security policy.
 *
 * @param {object} options `viewport`, `colorScheme`, `reducedMotion` … as Playwright takes them,
 *   `path` relative to the site (`null` opens nothing), `expected`: patterns of troubles that
 *   belong to the test.
 * @param {(page: import("playwright-core").Page, context) => Promise<void>} use
 */
export async function with_page(options, use) {
  const { path = "", expected = [], ...context_options } = options;
  const context = await (await open_browser()).newContext({ viewport: DESKTOP, ...context_options });
  context.setDefaultTimeout(PATIENCE_MS);
  const troubles = [];
  try {
    const page = await context.newPage();
    await account_for(page, troubles);
    if (path !== null) await open(page, path);
    await use(page, context);
  } finally {
    await context.close();
  }
  const unexpected = troubles.filter((text) => !expected.some((pattern) => pattern.test(text)));
  assert.deepEqual(unexpected, [], "something went wrong in the page");
}

async function account_for(page, troubles) {
  page.on("console", (message) => {
    if (message.type() === "error") troubles.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => troubles.push(`exception: ${error.stack ?? error}`));
  page.on("response", (response) => {
    if (response.status() >= 400) troubles.push(`${response.status()}: ${response.url()}`);
  });
  page.on("requestfailed", (request) => {
    // A navigation away cancels what is still loading; that is not a fault.
    const reason = request.failure()?.errorText ?? "failed";
    if (reason !== "net::ERR_ABORTED") troubles.push(`${reason}: ${request.url()}`);
  });
  await page.exposeFunction("__policy_breach", (text) => troubles.push(`policy: ${text}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      window.__policy_breach(`${event.violatedDirective} refused ${event.blockedURI || "inline code"}`);
    });
  });
}

/** Goes to an address of the site and waits until the application runs. */
export async function open(page, path = "") {
  await page.goto(new URL(path, await site()).href);
  await running(page);
}

/** Waits until the application has taken over the page. */
export async function running(page) {
  await page.waitForFunction(() => document.documentElement?.classList.contains("running"));
}

/**
 * Checks the page with axe. Everything of serious or critical impact is a failure; the message
 * names the rule, what it asks for, and each element.
 */
export async function accessible(page) {
  // Evaluated through the debugger, so that the page's own policy stays in force.
  await page.evaluate(await readFile(AXE, "utf8"));
  const { violations } = await page.evaluate((rules) => window.axe.run(document, { rules }), RULES);
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const told = grave.map(({ id, help, nodes }) => {
    const places = nodes.map((node) => `    ${node.target.join(" ")}: ${node.failureSummary?.split("\n").slice(1).join("; ").trim()}`);
    return [`${id}: ${help}`, ...places].join("\n");
  });
  assert.equal(told.join("\n"), "", "axe found barriers");
}
