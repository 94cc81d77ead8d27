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

test("a barrier that is waited for holds a channel, and the snapshots are told task by task", async () => {
  await with_page({ path: "scenarios/job-counts-once/", reducedMotion: "reduce" }, async (page) => {
    await opened(page);
    await page.getByTestId("job-stage").waitFor();
    await seek(page, 12 * SECOND);
    const job = await job_of(page);
    const tasks = job.vertices.flatMap((it) => it.subtasks);
    const channels = tasks.flatMap((it) => it.channels);
    assert.deepEqual(channels.map((it) => it.held), [true, false]);
    const [under_way] = job.checkpoints.under_way;
    const stages = page.getByTestId("checkpoint-under-way").locator("[data-stage]");
    await page.waitForFunction((n) => document.querySelectorAll("[data-stage]").length === n, under_way.each.length);
    assert.deepEqual(await stages.evaluateAll((all) => all.map((it) => it.dataset.stage)), under_way.each.map((it) => it.stage));
    assert.deepEqual(under_way.each.map((it) => it.stage), ["acknowledged", "acknowledged", "aligning"]);
    assert.equal(await page.locator(".jb-channel.held").count(), 1);
    assert.equal(await page.locator(".jb-line.held").count(), 1, "the line of a held channel differs");
    const crossing = channels.flatMap((it) => it.crossing);
    assert.equal(await page.locator(".jb-lines .jb-barrier").count(), crossing.filter((it) => it.barrier !== null).length);
    assert.equal(await page.locator(".jb-snapshot").innerText(), "checkpoint 1: aligning");
    const slots = page.locator(".jb-channel").first().locator(".jb-queue .jb-slot.full");
    assert.equal(await slots.count(), channels[0].queued);
    await page.getByTestId("stage-words").locator("summary").click();
    const words = page.getByRole("region", { name: "Job as tables" });
    await words.getByText("held until the other barriers are here").waitFor();
    assert.equal(await words.getByRole("table", { name: /subtasks$/ }).locator("tbody tr").count(), tasks.length);
    await words.getByRole("table", { name: /^Checkpoint 1 under way/ }).getByText("aligning").waitFor();
    await accessible(page);
    await seek(page, 15 * SECOND);
    const [done] = (await job_of(page)).checkpoints.completed;
    const told = page.getByTestId("checkpoints-completed").locator("li").first();
    await told.filter({ hasText: `${done.id} · ` }).waitFor();
    assert.match(await told.innerText(), new RegExp(`${done.bytes} B · aligned 3 s`));
  });
});

test("what has ended keeps its counters, and the newest row stands first", async () => {
  await with_page({ path: "scenarios/job-session-merge/", viewport: { width: 1280, height: 800 }, reducedMotion: "reduce" }, async (page) => {
    await opened(page);
    await page.getByTestId("job-stage").waitFor();
    await seek(page, 20 * SECOND);
    const job = await job_of(page);
    const tasks = job.vertices.flatMap((it) => it.subtasks);
    assert.ok(tasks.every((it) => it.state === "FINISHED" && it.counted && it.records_in === 5));
    const records = page.locator(".jb-card .jb-records");
    await page.waitForFunction(() => document.querySelectorAll(".jb-card.gone").length === 3);
    assert.deepEqual(await records.allInnerTexts(), ["in 5 · out 5", "in 5", "in 5"]);
    const values = page.locator(".jb-store").first().locator(".jb-stored b");
    assert.deepEqual(await values.allInnerTexts(), job.stores[0].rows.map((it) => it.value).reverse());
    // At 1280 × 800 the plot is in sight beside the graph.
    const plot = await page.locator(".jb-art").boundingBox();
    const panel = await page.getByTestId("panel-stage").boundingBox();
    assert.ok(plot.y + plot.height <= panel.y + panel.height + 1, `the plot ends at ${plot.y + plot.height}, its panel at ${panel.y + panel.height}`);
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
