// The job of a stream processor on the stage: what the board shows is what the engine says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PHONE, accessible, with_page } from "../harness.mjs";
import { SECOND, opened, seek } from "../workbench.mjs";

const STORY = `
strandline = 1
title = "Counts of ten seconds"
seed = 7
duration = "45s"

[stream]
task-managers = 2
slots = 1
config = { "execution.checkpointing.interval" = "10 s" }

[[stream.source]]
name = "clicks"
watermark = { kind = "bounded", bound = "2s" }
records = [
    { at = "1s", ts = "0.5s", key = "a", value = 1 },
    { at = "2s", ts = "3s", key = "b" },
    { at = "5s", ts = "8s", key = "a" },
    { at = "12s", ts = "15s", key = "a" },
    { at = "13s", ts = "4s", key = "a" },
    { at = "40s", ts = "40s", key = "b" },
]

[[stream.window]]
name = "count"
input = "clicks"
window = { kind = "tumbling", size = "10s" }
aggregate = "count"
parallelism = 2

[[stream.sink]]
name = "out"
input = "count"
guarantee = "exactly-once"
`;

/** Opens the story where the page has a run already. */
async function story(page) {
  await opened(page);
  assert.equal(await page.evaluate((toml) => window.strandline.open(toml, 1), STORY), true);
  await page.getByTestId("job-stage").waitFor();
}

const job_of = (page) => page.evaluate(() => window.strandline.job());

test("subtasks, windows, checkpoints and rows on the stage are the engine's", async () => {
  await with_page({ path: "scenarios/quickstart/", reducedMotion: "reduce" }, async (page) => {
    await story(page);
    await seek(page, 6 * SECOND);
    const job = await job_of(page);
    assert.equal(job.status, "RUNNING");
    assert.deepEqual(job.vertices.map((it) => [it.kind, it.depth, it.parallelism]), [["source", 0, 1], ["window", 1, 2], ["sink", 2, 1]]);
    const windows = job.vertices.flatMap((it) => it.subtasks).flatMap((it) => it.windows);
    assert.deepEqual(windows.map((it) => [it.key, it.value]).sort(), [["a", "2"], ["b", "1"]]);
    const shown = page.locator(".jb-window");
    await page.waitForFunction((n) => document.querySelectorAll(".jb-window").length === n, windows.length);
    assert.deepEqual((await shown.locator(".jb-value").allInnerTexts()).sort(), windows.map((it) => it.value).sort());
    assert.equal(await page.getByTestId("job-status").innerText(), "RUNNING");
    assert.equal(await page.getByTestId("count-read").innerText(), "3");
    await seek(page, 35 * SECOND);
    const later = await job_of(page);
    const [store] = later.stores;
    assert.equal(store.visible, 2, "the windows of the first ten seconds are committed");
    await page.waitForFunction((n) => document.querySelectorAll(".jb-stored").length === n, store.rows.length);
    assert.equal(await page.getByTestId("checkpoints-completed").locator("li").count(), later.checkpoints.completed.length);
    const plot = await page.evaluate(() => window.strandline.eventTimes());
    assert.deepEqual(plot.records.map((it) => it.verdict), ["taken", "taken", "taken", "taken", "dropped"]);
    await page.waitForFunction((n) => document.querySelectorAll(".jb-art .jb-dot").length === n, plot.records.length);
    assert.equal(await page.locator(".jb-art .jb-dot.dropped").count(), 1);
    await page.locator(".jb-sentences summary").click();
    assert.match(await page.getByTestId("job-verdicts").innerText(), /it was dropped/);
    await page.locator(".jb-graph [tabindex='0']").focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.locator(".jb-graph [aria-pressed='true']").first().waitFor();
    await accessible(page);
  });
});

test("on a phone the job stands in one column", async () => {
  await with_page({ path: "scenarios/quickstart/", viewport: PHONE, colorScheme: "dark" }, async (page) => {
    await story(page);
    await seek(page, 12 * SECOND);
    await page.locator(".jb-card").first().waitFor();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(wide <= 0, "the page does not scroll sideways");
    await accessible(page);
  });
});
