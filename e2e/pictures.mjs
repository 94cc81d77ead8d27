// Takes the pictures of docs/pictures from the built site in dist/: `node pictures.mjs`. Each is of
// one fixed moment of one fixed run, so that a picture changes only if the page does.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { serve } from "./server.mjs";

const OUT = join(dirname(fileURLToPath(import.meta.url)), "..", "docs", "pictures");
const DESKTOP = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844 };
const CANDIDATES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome"];

const seek = (seconds) => (page) => page.evaluate((ns) => window.strandline.seek(ns), seconds * 1e9);

/** Kills the leader of the home page and goes to a moment after the failover. */
async function failover(page) {
  await seek(4)(page);
  await page.getByTestId("kill-leader").click();
  await page.getByTestId("home-next").click();
  await page.getByTestId("home-told").filter({ hasText: "leads now" }).waitFor();
  await page.evaluate(() => window.strandline.seek(window.strandline.now() + 1.215e9));
}

/** A lesson with its prediction graded, at the moment after. */
async function graded(page) {
  const block = page.getByTestId("predict").first();
  await block.getByRole("radio").nth(2).check();
  await block.getByTestId("lock-in").click();
  await block.getByTestId("to-outcome").click();
  await block.getByTestId("prediction-outcome").waitFor();
  await block.getByTestId("what-follows").click();
  await page.evaluate(() => document.activeElement?.blur());
}

/** The sandbox with the inspector's answer to one question. */
async function why(page) {
  await seek(5.012)(page);
  await page.locator('button[data-stop^="n:"][aria-label^="Broker 2"]').click();
  await page.getByTestId("why").nth(3).click();
  await page.getByTestId("why-chain").waitFor();
}

const PICTURES = [
  ["home-light", "", {}, seek(3.037)],
  ["failover-light", "", {}, failover],
  ["failover-dark", "", { colorScheme: "dark" }, failover],
  ["lesson-light", "lessons/the-leader-dies/", {}, graded],
  ["sandbox-dark", "sandbox/", { colorScheme: "dark" }, why],
  ["job-light", "scenarios/job-kafka-exactly-once/", {}, seek(22.3)],
  ["group-light", "lessons/more-consumers-than-partitions/", {}, seek(20)],
  ["phone-light", "lessons/the-leader-dies/", { viewport: PHONE, hasTouch: true }, (page) => page.getByTestId("stage").scrollIntoViewIfNeeded()],
];

const host = await serve({ base: "/strandline/" });
const executablePath = CANDIDATES.find((path) => path && existsSync(path));
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
const wanted = process.argv.slice(2);
try {
  for (const [name, path, options, act] of PICTURES) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    // Reduced motion: nothing plays by itself, so every picture is of the moment it names.
    const context = await browser.newContext({ viewport: DESKTOP, colorScheme: "light", reducedMotion: "reduce", ...options });
    const page = await context.newPage();
    await page.goto(new URL(path, host.url).href);
    await page.waitForFunction(() => window.strandline?.digest());
    await act(page);
    await page.mouse.move(0, 0);
    await page.waitForTimeout(700); // fonts, and what is published after a moment
    await page.screenshot({ path: join(OUT, `${name}.png`) });
    await context.close();
    console.log(`${name}.png`);
  }
} finally {
  await browser.close();
  await host.close();
}
