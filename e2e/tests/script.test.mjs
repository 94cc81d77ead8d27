// The scenario under the hand: what is wrong is told at its place, and work outlives a visit.
import assert from "node:assert/strict";
import { test } from "node:test";
import { running, with_page } from "../harness.mjs";
import { engine, kill_by_keyboard, leader, opened, seek, SECOND } from "../workbench.mjs";

const SANDBOX = { path: "sandbox/", reducedMotion: "reduce" };

test("a mistake in the script is told with line and nearest name, and the run stays", async () => {
  await with_page(SANDBOX, async (page) => {
    await opened(page);
    const before = await seek(page, 3 * SECOND);
    await page.getByTestId("tab-script").click();
    const script = page.getByTestId("script");
    await page.waitForFunction(() => document.querySelector("[data-testid=script]").value.includes("brokers ="));
    const good = await script.inputValue();
    const line = good.split("\n").findIndex((text) => text.startsWith("brokers =")) + 1;
    await script.fill(good.replace("brokers =", "brokrs ="));
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
