// Time, faults and kept runs of a workbench. Reduced motion keeps the run where the test put it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { open, with_page } from "../harness.mjs";
import { arrived, engine, kill_by_keyboard, leader, moved, opened, seek, SECOND } from "../workbench.mjs";

const SANDBOX = { path: "sandbox/", reducedMotion: "reduce" };

test("the leader is killed by keyboard, another takes over, and the deed can be undone", async () => {
  // A service worker would answer from its cache, where no route stands in the way.
  const options = { ...SANDBOX, path: null, expected: [/ERR_FAILED/], serviceWorkers: "block" };
  await with_page(options, async (page) => {
    // Without the editor, which draws only the lines in view, the script is a plain field.
    await page.route(/\/editor-[^/]*\.js/, (route) => route.abort());
    await open(page, SANDBOX.path);
    await opened(page);
    const before = await seek(page, 5 * SECOND);
    const first = await leader(page);
    await kill_by_keyboard(page, first);
    await page.waitForFunction((was) => window.strandline.digest() !== was, before.digest);
    const after = await seek(page, 25 * SECOND);
    const second = await leader(page, first);
    assert.notEqual(second, first);
    assert.ok(after.ledger.acknowledged > before.ledger.acknowledged, "the producer got on with the new leader");
    const shown = Number((await page.getByTestId("count-acknowledged").innerText()).replace(/\D/g, ""));
    assert.equal(shown, after.ledger.acknowledged, "the strip shows the engine's count");

    await page.getByTestId("tab-script").click();
    const script = page.getByTestId("script");
    await page.waitForFunction(() => /crash/.test(document.querySelector("[data-testid=script]")?.value ?? ""));
    assert.equal(await script.inputValue(), await page.evaluate(() => window.strandline.toml()));

    await page.getByTestId("tab-stage").click();
    await page.getByTestId("undo").click();
    await page.waitForFunction(() => !/crash/.test(window.strandline.toml()));
    const undone = await seek(page, 5 * SECOND);
    assert.equal(undone.digest, before.digest, "as if it had not been done");
  });
});

test("a moment has one digest, whichever way one comes to it", async () => {
  await with_page(SANDBOX, async (page) => {
    await opened(page);
    const first = await seek(page, 3 * SECOND);
    const later = await seek(page, 6 * SECOND);
    assert.notEqual(later.digest, first.digest);
    assert.deepEqual(await seek(page, 3 * SECOND), first);
    assert.deepEqual(await seek(page, 6 * SECOND), later);
    await page.getByTestId("rewind").click();
    await arrived(page, 0);
    assert.deepEqual(await seek(page, 3 * SECOND), first);
  });
});

test("a step back takes back a step", async () => {
  await with_page(SANDBOX, async (page) => {
    await opened(page);
    const start = await seek(page, 3 * SECOND);
    await page.getByTestId("step").click();
    const one = await moved(page, start.event);
    assert.equal(one.event, start.event + 1);
    await page.keyboard.press("ArrowRight");
    const two = await moved(page, one.event);
    assert.equal(two.event, start.event + 2);
    await page.getByTestId("step-back").click();
    const back = await moved(page, two.event);
    assert.deepEqual(back, one);
  });
});

test("the timeline is a slider for the keyboard", async () => {
  await with_page(SANDBOX, async (page) => {
    await opened(page);
    await seek(page, 3 * SECOND);
    const slider = page.getByTestId("timeline");
    const hundredth = (await page.evaluate(() => window.strandline.duration())) / 100;
    await slider.focus();
    await page.keyboard.press("Shift+ArrowRight");
    await arrived(page, 3 * SECOND + hundredth);
    const there = await engine(page);
    const told = String(Math.floor(there.now / 1_000_000));
    await page.waitForFunction((now) => document.querySelector("[data-testid=timeline]").ariaValueNow === now, told);
    await page.keyboard.press("Shift+ArrowLeft");
    await arrived(page, 3 * SECOND);
    await page.keyboard.press("Home");
    await arrived(page, 0);
    await page.keyboard.press("End");
    await page.waitForFunction((to) => window.strandline.now() >= to, there.now);
    assert.equal((await seek(page, there.now)).digest, there.digest);
  });
});

test("a fault in the past starts a run of its own, and the old one is kept", async () => {
  await with_page(SANDBOX, async (page) => {
    await opened(page);
    await seek(page, 5 * SECOND);
    const name = await leader(page);
    const old = await seek(page, 8 * SECOND);
    await seek(page, 5 * SECOND);
    await kill_by_keyboard(page, name);
    const other = await seek(page, 8 * SECOND);
    assert.notEqual(other.digest, old.digest);

    await page.getByTestId("branches").click();
    await page.locator("[data-testid^=select-run-]").click();
    await page.waitForFunction(() => !/crash/.test(window.strandline.toml()));
    assert.equal((await seek(page, 8 * SECOND)).digest, old.digest);
    await page.locator("[data-testid^=select-run-]").click();
    await page.waitForFunction(() => /crash/.test(window.strandline.toml()));
    assert.equal((await seek(page, 8 * SECOND)).digest, other.digest);
  });
});
