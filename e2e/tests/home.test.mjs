// The home page begins to run before the application is loaded, and goes on through its arrival:
// the same run, at the same moment, with what the visitor has done to it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, open, PHONE, with_page } from "../harness.mjs";
import { engine, moved, opened } from "../workbench.mjs";

const SECOND_HALF = /\/later-[^/]*\.wasm$/;
const ALONE = { path: null, serviceWorkers: "block" };

/** Holds the second half back until the returned function is called, and opens the home page. */
async function hold(page) {
  let release;
  const released = new Promise((resolve) => (release = resolve));
  await page.route(SECOND_HALF, async (route) => {
    await released;
    await route.continue();
  });
  await open(page);
  await opened(page);
  assert.equal(await page.locator(".home-place").count(), 0, "the application is not there yet");
  // What is the same element after the application's arrival was not made anew by it.
  await page.getByTestId("home").evaluate((home) => (home.isTheFirst = true));
  return async () => {
    release();
    await page.locator(".home-place").waitFor({ state: "attached" });
    assert.ok(await page.getByTestId("home").evaluate((home) => home.isTheFirst), "it was made anew");
    assert.equal(await page.locator(".site").count(), 1, "one frame stands");
  };
}

test("the cluster runs and breaks before the application is there, and is taken over as it is", async () => {
  await with_page(ALONE, async (page) => {
    const release = await hold(page);
    const first = await engine(page);
    await moved(page, first.event);
    assert.equal(await page.getByRole("heading", { level: 1 }).count(), 1);
    assert.ok((await page.locator(".st-cell:visible").count()) > 10, "the log is drawn");
    await page.getByRole("button", { name: /^Kill Broker \d, the leader$/ }).click();
    await page.getByTestId("home-told").filter({ hasText: "is down" }).waitFor();
    const killed = await engine(page);
    await release();
    const after = await engine(page);
    assert.ok(after.now >= killed.now, "time goes on");
    assert.ok(after.now < killed.now + 60e9, "and does not leap");
    assert.equal(after.playing, true);
    await page.getByTestId("undo-home").waitFor();
    await page.getByTestId("home-told").filter({ hasText: "leads now" }).waitFor();
    await page.getByTestId("undo-home").click();
    await page.getByTestId("notices").filter({ hasText: "Undone" }).waitFor();
    await page.getByRole("button", { name: /^Kill Broker/ }).waitFor();
  });
});

test("a run that stands still goes through the arrival unchanged, with the focus where it was", async () => {
  await with_page(ALONE, async (page) => {
    const release = await hold(page);
    await page.getByTestId("play").click();
    const before = await engine(page);
    assert.equal(before.playing, false);
    const place = await page.getByTestId("stage").boundingBox();
    await release();
    assert.deepEqual(await engine(page), before);
    assert.deepEqual(await page.getByTestId("stage").boundingBox(), place, "nothing jumps");
    const focused = await page.evaluate(() => document.activeElement.dataset.testid);
    assert.equal(focused, "play");
    await page.keyboard.press("Enter");
    await moved(page, before.event);
  });
});

test("nothing plays by itself before the arrival either, and no barrier stands there", async () => {
  for (const viewport of [undefined, PHONE]) {
    const options = { ...ALONE, reducedMotion: "reduce", ...(viewport && { viewport }) };
    await with_page(options, async (page) => {
      const release = await hold(page);
      const before = await engine(page);
      assert.equal(before.playing, false);
      await accessible(page);
      await page.getByTestId("step").click();
      const stepped = await moved(page, before.event);
      await release();
      assert.deepEqual(await engine(page), stepped);
    });
  }
});

test("the timeline and the stage answer to the keyboard before the arrival", async () => {
  await with_page({ ...ALONE, reducedMotion: "reduce" }, async (page) => {
    await hold(page);
    const before = await engine(page);
    await page.getByTestId("timeline").focus();
    await page.keyboard.press("ArrowRight");
    await moved(page, before.event);
    const title = page.locator('button[data-stop^="n:"]').first();
    await title.focus();
    await page.keyboard.press("ArrowRight");
    const stop = await page.evaluate(() => document.activeElement.dataset.stop);
    assert.notEqual(stop, await title.getAttribute("data-stop"));
    await page.keyboard.press("Enter");
    await page.locator('[data-stop][aria-pressed="true"]').first().waitFor();
  });
});

test("if the application does not come the cluster runs on, and a link says so", async () => {
  await with_page({ ...ALONE, expected: [/\b503\b/] }, async (page) => {
    await page.route(SECOND_HALF, (route) => route.fulfill({ status: 503 }));
    const failed = page.waitForResponse(SECOND_HALF);
    await open(page);
    await failed;
    await page.getByTestId("stage-words").locator("summary").click();
    await page.getByTestId("stage-words").getByText("could not be loaded").waitFor();
    await page.getByRole("link", { name: "Course", exact: true }).click();
    const problem = page.getByTestId("load-problem");
    await problem.waitFor();
    const { event } = await engine(page);
    await moved(page, event);
    await page.getByTestId("theme").click();
    await page.locator("html[data-theme]").waitFor();
    await page.unroute(SECOND_HALF);
    await problem.getByRole("button", { name: "Try again" }).click();
    await page.getByTestId("course").waitFor();
  });
});

test("one can leave for another page and come back to a cluster that runs", async () => {
  await with_page({}, async (page) => {
    await opened(page);
    await page.locator(".home-place").waitFor({ state: "attached" });
    await page.getByTestId("stage-words").locator("summary").click();
    await page.getByTestId("stage-words").getByRole("table").first().waitFor();
    await page.getByRole("link", { name: "Course", exact: true }).click();
    await page.getByTestId("course").waitFor();
    assert.equal(await page.evaluate(() => "strandline" in window), false);
    await page.getByRole("link", { name: "Strandline, home" }).click();
    await opened(page);
    const { event } = await engine(page);
    await moved(page, event);
    assert.equal(await page.getByTestId("home").count(), 1);
  });
});
