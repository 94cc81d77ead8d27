// A prediction in a lesson: the run waits for the answer, and the engine grades it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { with_page } from "../harness.mjs";
import { engine, opened } from "../workbench.mjs";

test("a prediction is locked in, and graded by what the engine did", async () => {
  await with_page({ path: "lessons/what-acks-promise/", reducedMotion: "reduce" }, async (page) => {
    await opened(page);
    const block = page.getByTestId("predict").first();
    const lock = block.getByTestId("lock-in");
    assert.equal(await lock.isEnabled(), false, "nothing is chosen yet");
    await block.getByRole("radio").first().check();
    await lock.click();
    assert.equal(await block.getByTestId("prediction-outcome").count(), 0, "the moment has not come");
    await block.getByTestId("to-outcome").click();
    await block.getByTestId("prediction-outcome").waitFor();
    const { ledger } = await engine(page);
    assert.ok(ledger.lost > 0, "acks=1 loses records here");
    assert.match(await block.getByTestId("prediction-outcome").innerText(), /The engine did otherwise/);
    assert.equal(await block.locator(".answer.is-right").count(), 1);
  });
});

test("a prediction about a job is graded, and its twins stand side by side with their stores", async () => {
  await with_page({ path: "lessons/early-on-time-late/", reducedMotion: "reduce" }, async (page) => {
    await opened(page);
    const block = page.getByTestId("predict").first();
    await block.getByRole("radio").nth(2).check();
    await block.getByTestId("lock-in").click();
    await block.getByTestId("to-outcome").click();
    await block.getByTestId("prediction-outcome").waitFor();
    assert.match(await block.getByTestId("prediction-outcome").innerText(), /That is what the engine did/);
    await page.getByTestId("show-twins").first().click();
    const stores = page.getByTestId("compare-stores");
    await stores.nth(1).getByText("board-store").waitFor();
    assert.equal(await stores.count(), 2);
    const compared = page.getByTestId("compare");
    assert.match(await compared.getByTestId("parted").innerText(), /They part at/);
    assert.match(await compared.locator("table").innerText(), /Counters/);
  });
});
