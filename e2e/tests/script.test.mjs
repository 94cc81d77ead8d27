// The scenario under the hand: what is wrong is told at its place, and work outlives a visit.
import assert from "node:assert/strict";
import { test } from "node:test";
import { open, running, with_page } from "../harness.mjs";
import { engine, kill_by_keyboard, leader, opened, seek, SECOND } from "../workbench.mjs";

const SANDBOX = { path: "sandbox/", reducedMotion: "reduce" };

/** Replaces the text of the script tab by keyboard. */
async function write(page, text) {
  await page.locator(".cm-content").click();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.insertText(text);
  await page.waitForFunction((text) => window.strandline.draft() === text, text);
}

test("a mistake in the script is told with line and nearest name, and the run stays", async () => {
  await with_page(SANDBOX, async (page) => {
    await opened(page);
    const before = await seek(page, 3 * SECOND);
    await page.getByTestId("tab-script").click();
    const good = await page.evaluate(() => window.strandline.toml());
    const line = good.split("\n").findIndex((text) => text.startsWith("brokers =")) + 1;
    await write(page, good.replace("brokers =", "brokrs ="));
    await page.locator(".cm-lintRange-error").first().waitFor();
    const problems = page.getByTestId("script-problems");
    const named = problems.getByRole("button").filter({ hasText: `${line}:` });
    await named.first().waitFor();
    assert.match(await problems.innerText(), /brokrs/);
    assert.match(await problems.innerText(), /\bbrokers\b/, "it names what was meant");
    await page.getByTestId("run-script").click();
    await named.first().waitFor();
    assert.deepEqual(await engine(page), before, "the run on stage is untouched");
  });
});

test("a reload keeps the run and what was done to it", async () => {
  await with_page(SANDBOX, async (page) => {
    await opened(page);
    await seek(page, 5 * SECOND);
    await kill_by_keyboard(page, await leader(page));
    const before = await seek(page, 6 * SECOND);
    await page.reload();
    await running(page);
    await opened(page);
    await page.waitForFunction(() => /crash/.test(window.strandline.toml()));
    assert.equal((await seek(page, 6 * SECOND)).digest, before.digest);
  });
});

test("text that was not run yet outlives a reload, and can be put away and brought back", async () => {
  await with_page(SANDBOX, async (page) => {
    await opened(page);
    await page.getByTestId("tab-script").click();
    const text = "strandline = 1\ntitle = \"Half a thought\"\n";
    await write(page, text);
    await page.reload();
    await running(page);
    await opened(page);
    await page.getByTestId("tab-script").click();
    const content = page.locator(".cm-content");
    await content.filter({ hasText: "Half a thought" }).waitFor();
    await page.getByRole("button", { name: "Back to the run" }).click();
    await content.filter({ hasText: "brokers" }).waitFor();
    await page.getByRole("button", { name: "Bring your text back" }).click();
    await content.filter({ hasText: "Half a thought" }).waitFor();
    assert.equal(await page.evaluate(() => window.strandline.draft()), text);
  });
});

test("the editor offers what may stand at the cursor", async () => {
  await with_page(SANDBOX, async (page) => {
    await opened(page);
    await page.getByTestId("tab-script").click();
    await write(page, "strandline = 1\n[kafka]\nbro");
    await page.keyboard.press("Control+Space");
    const offer = page.getByRole("option", { name: /^brokers/ });
    await offer.waitFor();
    await page.waitForTimeout(200); // a completion is not taken in the first moment, by design
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => window.strandline.draft().includes("\nbrokers"));
  });
});

test("where the editor cannot be fetched, a plain field does its work", async () => {
  const expected = [/ERR_FAILED/];
  await with_page({ path: null, reducedMotion: "reduce", expected }, async (page) => {
    await page.route(/\/editor-[^/]*\.js/, (route) => route.abort());
    await open(page, "sandbox/");
    await opened(page);
    await page.getByTestId("tab-script").click();
    await page.getByTestId("script").fill("strandline = 1\ntitel = \"T\"\n");
    const problems = page.getByTestId("script-problems");
    await problems.getByRole("button").filter({ hasText: "2:" }).first().waitFor();
    assert.match(await problems.innerText(), /\btitle\b/, "it names what was meant");
  });
});
