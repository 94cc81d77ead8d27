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
    assert.equal(await page.getByTestId("checkpoints-completed").locator("li").count(), later.checkpoints.completed.length + later.checkpoints.failed.length);
    const plot = await page.evaluate(() => window.strandline.eventTimes());
    assert.deepEqual(plot.records.map((it) => it.verdict), ["taken", "taken", "taken", "taken", "dropped"]);
    await page.waitForFunction((n) => document.querySelectorAll(".jb-art .jb-dot").length === n, plot.records.length);
    assert.equal(await page.locator(".jb-art .jb-dot.dropped").count(), 1);
    // Three columns leave no room for the plot beside them: it is one press away.
    assert.equal(await page.locator(".jb-art").isVisible(), false);
    await page.getByTestId("face-time").click();
    await page.locator(".jb-sentences summary").click();
    assert.match(await page.getByTestId("job-verdicts").innerText(), /it was dropped/);
    const art = await page.locator(".jb-art").boundingBox();
    assert.ok(art.width > 400, `the plot has all the width: ${art.width}`);
    await accessible(page);
    await page.getByTestId("face-stores").click();
    assert.equal(await page.locator(".jb-stored").first().isVisible(), true);
    await page.getByTestId("face-graph").click();
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

test("checkpoints that failed stand beside the others, with Flink's reason", async () => {
  await with_page({ path: "scenarios/job-slow-sink-expiry/", reducedMotion: "reduce" }, async (page) => {
    await opened(page);
    await page.getByTestId("job-stage").waitFor();
    await seek(page, 50 * SECOND);
    const { failed, completed } = (await job_of(page)).checkpoints;
    assert.deepEqual(failed.map((it) => [it.id, it.reason]), [[4, "CHECKPOINT_EXPIRED"], [3, "CHECKPOINT_EXPIRED"]]);
    const list = page.getByTestId("checkpoints-completed").locator("li");
    await page.waitForFunction((n) => document.querySelectorAll("[data-end='CHECKPOINT_EXPIRED']").length === n, failed.length);
    assert.equal(await list.count(), failed.length + completed.length);
    // The newest is the first.
    assert.match(await list.first().innerText(), /4 · CHECKPOINT_EXPIRED/);
    await page.getByTestId("stage-words").locator("summary").click();
    const table = page.getByRole("table", { name: /^Failed checkpoints/ });
    await table.getByText("CHECKPOINT_EXPIRED").first().waitFor();
    assert.equal(await table.locator("tbody tr").count(), failed.length);
    await accessible(page);
  });
});

test("the plot is of an operator by event time, and of another one if it is chosen", async () => {
  await with_page({ path: "scenarios/job-offline-phone/", reducedMotion: "reduce" }, async (page) => {
    await opened(page);
    await page.getByTestId("job-stage").waitFor();
    await seek(page, 150 * 60 * SECOND);
    const plot = await page.evaluate(() => window.strandline.eventTimes());
    assert.deepEqual([plot.operator, plot.by_event_time], ["dropping", true]);
    const choice = page.getByTestId("plot-operator");
    await choice.waitFor();
    assert.equal(await choice.inputValue(), plot.operator);
    const dots = (verdict) => page.locator(`.jb-art .jb-dot.${verdict}`);
    assert.equal(await dots("dropped").count(), plot.records.filter((it) => it.verdict === "dropped").length);
    assert.equal(await page.locator(".jb-art .jb-purge").count(), plot.windows.filter((it) => it.purged).length);
    // What came too late for another one went to its side output.
    await choice.selectOption("aside");
    const aside = (await job_of(page)).stores.find((it) => it.sink === "too-late");
    await page.waitForFunction((n) => document.querySelectorAll(".jb-art .jb-dot.side-output").length === n, aside.total);
    assert.ok(aside.total > 0);
    assert.equal(await dots("dropped").count(), 0);
    await choice.selectOption("by-arrival");
    await page.getByText("It works by processing time").waitFor();
    await accessible(page);
  });
});

test("a window that was purged leaves a mark for a while, with when and why", async () => {
  await with_page({ path: "scenarios/quickstart/", reducedMotion: "reduce" }, async (page) => {
    await story(page);
    await seek(page, 14 * SECOND);
    const purged = (await job_of(page)).vertices.flatMap((it) => it.subtasks).flatMap((it) => it.purged);
    assert.deepEqual(purged.map((it) => [it.key, it.start, it.end, it.why]).sort(), [["a", 0, 10000, "end passed"], ["b", 0, 10000, "end passed"]]);
    const marks = page.locator(".jb-purged:not(.why)");
    await page.waitForFunction(() => document.querySelectorAll(".jb-purged").length > 0);
    assert.equal(await page.locator(".jb-purged.why").count(), await marks.count());
    assert.match(await page.locator(".jb-purged.why").first().innerText(), /^at 12\.\d+ s: end passed$/);
    await page.getByTestId("stage-words").locator("summary").click();
    const table = page.getByRole("table", { name: /purged a short while ago$/ });
    await table.waitFor();
    assert.equal(await table.locator("tbody tr").count(), purged.length);
    await seek(page, 20 * SECOND);
    await page.waitForFunction(() => document.querySelectorAll(".jb-purged").length === 0);
  });
});

test("topics stand beside their source and sink, with the offsets of the engine", async () => {
  await with_page({ path: "scenarios/job-kafka-exactly-once/", viewport: { width: 1280, height: 800 }, reducedMotion: "reduce" }, async (page) => {
    await opened(page);
    await page.getByTestId("job-stage").waitFor();
    await seek(page, 34 * SECOND);
    const job = await job_of(page);
    assert.deepEqual(job.topics.map((it) => [it.name, it.sink]), [["payments", false], ["sums", true]]);
    for (const topic of job.topics) {
      for (const it of topic.partitions) {
        const shown = page.locator(`[data-partition="${topic.name}-${it.number}"]`);
        await shown.getByText(`end ${it.end}`).waitFor();
        const text = await shown.innerText();
        if (topic.sink) {
          assert.ok(it.stable < it.end, "a transaction is open");
          assert.match(text, new RegExp(`LSO ${it.stable}`));
        } else {
          assert.match(text, new RegExp(`at ${it.position} · checkpoint ${it.checkpointed}`));
        }
      }
    }
    const readers = job.topics[0].partitions.filter((it) => it.reader !== null).length;
    const writers = job.vertices.find((it) => it.number === job.topics[1].vertex).subtasks.length;
    assert.equal(await page.locator(".jb-line.topic").count(), readers + writers);
    // From left to right: topic, source, sink, topic; and none of it is out of the frame.
    const frame = await page.locator(".jb-frame").boundingBox();
    const boxes = await page.locator(".jb-topic").evaluateAll((all) => all.map((it) => it.getBoundingClientRect().toJSON()));
    assert.ok(boxes[0].left >= frame.x - 1 && boxes[1].right <= frame.x + frame.width + 1);
    await accessible(page);
    await page.locator(".jb-topic button").first().click();
    await page.locator("[data-testid='show-cluster'][aria-pressed='true']").waitFor();
  });
});

test("what a checkpoint waits for is not cut on a narrow card", async () => {
  await with_page({ path: "scenarios/job-counts-twice/", viewport: { width: 1280, height: 800 }, reducedMotion: "reduce" }, async (page) => {
    await opened(page);
    await page.getByTestId("job-stage").waitFor();
    await seek(page, 12 * SECOND);
    const says = page.locator(".jb-snapshot span");
    await says.first().waitFor();
    assert.equal(await says.first().innerText(), "checkpoint 1: counting barriers");
    const cut = await says.first().evaluate((it) => it.scrollWidth > it.clientWidth);
    assert.equal(cut, false);
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

/** The last value of each line of a chart, by its name, as the page has it in words. */
async function lines_of(page, chart) {
  return page.locator(`[data-chart="${chart}"]`).evaluate((it) => {
    const table = [...it.querySelectorAll("tbody tr")].map((row) => [...row.children].map((cell) => cell.textContent));
    return {
      heads: [...it.querySelectorAll("thead th")].map((head) => head.textContent.trim()),
      first: table[0],
      words: it.querySelector(".chart-picture").getAttribute("aria-label"),
      drawn: it.querySelectorAll(".chart-picture svg polyline, .chart-picture svg circle").length,
    };
  });
}

/** Goes to a moment of a story and compares the charts with the engine's series. */
async function metrics_agree(page, second, wanted) {
  await opened(page);
  await page.getByTestId("job-stage").waitFor();
  await seek(page, second * SECOND);
  await page.getByRole("tab", { name: "Metrics" }).click();
  await page.locator("[data-chart]").first().waitFor();
  const series = await page.evaluate(() => window.strandline.series());
  const names = [...new Set(series.map((it) => it.name))];
  for (const part of wanted) assert.ok(names.some((it) => it.startsWith(part)), `${part} in ${names.join("; ")}`);
  await page.waitForFunction((all) => JSON.stringify([...document.querySelectorAll("[data-chart]")].map((it) => it.dataset.chart)) === all, JSON.stringify(names));
  for (const name of names) {
    const own = series.filter((it) => it.name === name);
    const shown = await lines_of(page, name);
    assert.deepEqual(shown.heads.slice(1), own.map((it) => it.of || "Value"));
    // A line may begin later than another of its chart.
    const first = Math.min(...own.map((it) => it.points[0][0]));
    assert.deepEqual(shown.first.slice(1), own.map((it) => (it.points[0][0] === first ? String(it.points[0][1]) : "")), name);
    assert.ok(shown.drawn >= own.length, `${name}: ${shown.drawn} lines`);
    for (const { of, points } of own) {
      const says = `${of ? `${of}: ` : ""}Now ${points.at(-1)[1]};`;
      assert.ok(shown.words.includes(says), `${shown.words} has not ${says}`);
    }
  }
  return series;
}

const RATES = ["records in, per second", "records out, per second", "busy, ms per second", "backpressured, ms per second", "idle, ms per second"];

test("the metrics of a job are the engine's, with units, as pictures, sentences and tables", async () => {
  await with_page({ path: "scenarios/job-slow-sink/", reducedMotion: "reduce" }, async (page) => {
    const series = await metrics_agree(page, 60, [...RATES, "restarts"]);
    // The slow sink is busy all the time, and what sends to it waits.
    const last = (name, of) => series.find((it) => it.name.startsWith(name) && it.of === of).points.at(-1)[1];
    const job = await job_of(page);
    const [first, end] = [job.vertices[0].name, job.vertices.at(-1).name];
    assert.ok(last("busy", end) > 900 && last("backpressured", first) > 500, `${last("busy", end)}, ${last("backpressured", first)}`);
    await accessible(page);
  });
  await with_page({ path: "scenarios/job-checkpoint-incremental/", reducedMotion: "reduce", viewport: PHONE, colorScheme: "dark" }, async (page) => {
    const series = await metrics_agree(page, 56, [...RATES, "checkpoint duration, ms", "checkpoint size, bytes", "written by the checkpoint, bytes", "restarts"]);
    // The job keeps the newest only; the charts have all.
    const [newest] = (await job_of(page)).checkpoints.completed;
    const points = (name) => series.find((it) => it.name === name).points;
    assert.deepEqual(points("checkpoint duration, ms").at(-1), [newest.at, Math.floor(newest.took / 1e6)]);
    assert.deepEqual(points("checkpoint size, bytes").at(-1), [newest.at, newest.bytes]);
    assert.deepEqual(points("written by the checkpoint, bytes").slice(0, 4).map((it) => it[1]), [8e6, 1e6, 1e6, 8e6]);
    await accessible(page);
  });
});

test("state in files: write buffer, levels and shared files are the engine's", async () => {
  await with_page({ path: "scenarios/job-checkpoint-incremental/", reducedMotion: "reduce" }, async (page) => {
    await opened(page);
    await page.getByTestId("job-stage").waitFor();
    const size = (n) => (n < 1000 ? `${n} B` : n < 1e6 ? `${Math.floor(n / 1000)}.${Math.floor(n / 100) % 10} kB` : `${Math.floor(n / 1e6)}.${Math.floor(n / 1e5) % 10} MB`);
    const tree_of = async () => {
      const tasks = (await job_of(page)).vertices.flatMap((it) => it.subtasks);
      return tasks.flatMap((it) => it.trees.map((tree) => ({ ...tree, task: it })))[0];
    };
    const panel = page.getByTestId("state-tree");
    for (const second of [9, 35, 45, 55]) {
      await seek(page, second * SECOND);
      const tree = await tree_of();
      if ((await panel.count()) === 0) {
        await page.locator(`[data-own="t:${tree.task.vertex}-${tree.task.number}"]`).focus();
        await page.keyboard.press("Enter");
      }
      await panel.getByText(`State in files of ${tree.operator} #1`).waitFor();
      const wanted = [
        ["memtable", "–", size(tree.memtable[0]), size(tree.memtable[1])],
        ...tree.levels.map((it) => [`level ${it.level}`, String(it.files), size(it.bytes), it.level === 0 ? `${it.limit} files` : size(it.limit)]),
      ];
      await page.waitForFunction((all) => {
        const rows = [...document.querySelectorAll(".sf-levels tbody tr")];
        return JSON.stringify(rows.map((row) => [...row.children].map((it) => (it.firstChild?.nodeType === 3 ? it.firstChild.data : it.textContent)))) === all;
      }, JSON.stringify(wanted));
      const dark = await panel.locator(".sf-levels .sg-piece.clean").count();
      const files = tree.levels.flatMap((it) => it.first);
      assert.equal(dark, files.filter((it) => it.held_by.includes(tree.base)).length);
      const told = await page.getByTestId("tree-checkpoints").count() ? await page.getByTestId("tree-checkpoints").locator("li").allInnerTexts() : [];
      assert.equal(told.length, tree.checkpoints.length);
      for (const [i, it] of tree.checkpoints.entries()) assert.ok(told[i].startsWith(`checkpoint ${it.id}: `), told[i]);
      const mark = await page.locator(".jb-files").first().innerText();
      assert.ok(mark.startsWith(`memtable ${size(tree.memtable[0])}`), mark);
      if (files.length) {
        const rows = await page.getByTestId("tree-files").locator("tbody tr").evaluateAll((list) => list.map((row) => row.lastChild.textContent));
        assert.deepEqual(rows, files.map((it) => it.held_by.join(", ") || "none"));
      }
    }
    // Merging has left one file of four, which the checkpoint after it has alone.
    const after = await tree_of();
    assert.deepEqual(after.levels.map((it) => it.files), [0, 1]);
    await accessible(page);
  });
});
