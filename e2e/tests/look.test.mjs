// What a learner meets on the way: the wait for a failover, words that must stay readable, the
// focus that must not get lost, pages that must not scroll sideways.
import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, PHONE, with_page } from "../harness.mjs";
import { engine, kill_by_keyboard, leader, opened, seek, SECOND } from "../workbench.mjs";

const STILL = { reducedMotion: "reduce" };

test("the home page tells what a kill comes to, and leads there", async () => {
  await with_page(STILL, async (page) => {
    await opened(page);
    const first = await leader(page);
    const kill = page.getByTestId("kill-leader");
    await kill.focus();
    await page.keyboard.press("Enter");
    const told = page.getByTestId("home-told");
    await told.filter({ hasText: `${first} is down` }).waitFor();
    assert.equal(await kill.getAttribute("aria-disabled"), "true", "nobody leads who could be killed");
    const { digest } = await engine(page);
    await kill.click({ force: true });
    assert.equal((await engine(page)).digest, digest, "the dead are not killed again");
    assert.equal(await kill.evaluate((e) => e === document.activeElement), true, "the focus stays");

    await page.getByTestId("home-next").click();
    const second = await leader(page, first);
    await told.filter({ hasText: `${second} leads now. No acknowledged record is lost.` }).waitFor();
    assert.ok((await engine(page)).now > 9 * SECOND, "not before the session timeout");
    await accessible(page);
  });
});

test("one key leads to what happens next, and marks say who leads", async () => {
  await with_page({ path: "sandbox/", ...STILL }, async (page) => {
    await opened(page);
    await seek(page, 5 * SECOND);
    await kill_by_keyboard(page, await leader(page));
    const offer = page.getByTestId("notices").getByRole("button", { name: "What happens next" });
    await offer.waitFor();
    await page.keyboard.press("k");
    await page.waitForFunction((from) => window.strandline.now() > from, 5 * SECOND);
    const { now } = await engine(page);
    // Its last heartbeat was at most two seconds old, the session lasts nine.
    assert.ok(now > 11 * SECOND && now < 15 * SECOND, `the election comes after the session timeout: ${now}`);
    await page.getByTestId("marks").click();
    await page.locator(".mark-list").getByText(/b\d leads orders-0 in epoch 1/).waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("k");
    await page.getByTestId("notices").getByText("Nothing more happens until the end").waitFor();
  });
});

test("undo keeps the focus when there is nothing left to undo", async () => {
  await with_page({ path: "sandbox/", ...STILL }, async (page) => {
    await opened(page);
    await seek(page, 5 * SECOND);
    await kill_by_keyboard(page, await leader(page));
    const undo = page.getByTestId("undo");
    await undo.focus();
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => !/crash/.test(window.strandline.toml()));
    assert.equal(await undo.getAttribute("aria-disabled"), "true");
    assert.equal(await undo.evaluate((e) => e === document.activeElement), true);
  });
});

test("a prediction made by keyboard keeps the focus on its way to the answer", async () => {
  await with_page({ path: "lessons/the-leader-dies/", ...STILL }, async (page) => {
    await opened(page);
    const block = page.getByTestId("predict").first();
    const focused = (selector) => page.waitForFunction((s) => document.activeElement?.matches(s), selector);
    await block.getByRole("radio").first().focus();
    await page.keyboard.press("Space");
    await block.getByTestId("lock-in").focus();
    await page.keyboard.press("Enter");
    await focused("[data-testid=to-outcome]");
    await page.keyboard.press("Enter");
    await focused("[data-testid=prediction-outcome]");
    // acks=all: whatever the wait, nothing that was acknowledged is lost meanwhile.
    const { ledger, now } = await engine(page);
    assert.equal(ledger.lost, 0);
    assert.ok(ledger.committed >= ledger.delivered, "the strandline does not fall back");
    await page.getByTestId("caption").filter({ hasText: "A new leader in a new epoch" }).waitFor();
    await block.getByTestId("what-follows").click();
    await page.waitForFunction((from) => window.strandline.now() > from, now);
  });
});

test("a story opens shortly before its first fault", async () => {
  await with_page({ path: "scenarios/split-brain/", ...STILL }, async (page) => {
    await opened(page);
    const { now, ledger } = await engine(page);
    assert.equal(now, 9 * SECOND);
    assert.ok(ledger.delivered > 0, "the cluster is at work");
  });
});

for (const [name, viewport] of [["a phone", PHONE], ["a desktop", undefined]]) {
  test(`names of settings do not run into their values on ${name}`, async () => {
    await with_page({ path: "sandbox/", ...STILL, ...(viewport && { viewport }) }, async (page) => {
      await opened(page);
      await seek(page, 5 * SECOND);
      await page.locator('button[data-stop^="n:"][aria-label^="Broker 1"]').click();
      const facts = page.getByTestId("facts");
      await facts.waitFor();
      const over = await facts.evaluate((list) =>
        [...list.querySelectorAll("dt:not(.facts-group)")]
          .filter((dt) => dt.scrollWidth > dt.clientWidth + 1)
          .map((dt) => dt.textContent),
      );
      assert.deepEqual(over, [], "these names are wider than their column");
    });
  });
}

test("no page scrolls sideways on a phone, and no counter is cut off", async () => {
  const paths = ["", "course/", "sandbox/", "scenarios/", "scenarios/split-brain/", "lessons/the-leader-dies/", "reference/"];
  for (const path of paths) {
    await with_page({ path, viewport: PHONE, ...STILL }, async (page) => {
      await page.getByRole("heading", { level: 1 }).waitFor();
      const { width, cut } = await page.evaluate(() => ({
        width: document.documentElement.scrollWidth,
        cut: [...document.querySelectorAll(".count dt")].filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.textContent),
      }));
      assert.ok(width <= PHONE.width, `${path || "home"} is ${width} px wide`);
      assert.deepEqual(cut, [], `cut off on ${path || "home"}`);
    });
  }
});

for (const width of [1024, 1280, 1440, 1920]) {
  test(`a notice leaves the tabs free in a window of ${width} px`, async () => {
    await with_page({ path: "sandbox/", ...STILL, viewport: { width, height: 900 } }, async (page) => {
      await opened(page);
      await seek(page, 5 * SECOND);
      await page.getByTestId("fault-crash").click();
      const notice = page.getByTestId("notices").locator(".notice");
      const tabs = page.getByRole("tablist", { name: "Views of the run" });
      const [over, under] = [await notice.boundingBox(), await tabs.boundingBox()];
      const apart = over.x >= under.x + under.width || over.y >= under.y + under.height;
      await page.getByTestId("branches").click({ timeout: 5_000 });
      await page.keyboard.press("Escape");
      assert.ok(apart, `the notice begins at ${over.x}, ${over.y}, the tabs end at ${under.x + under.width}, ${under.y + under.height}`);
    });
  });
}
