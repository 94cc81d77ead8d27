// Segments, the cleaner's passes and the marks of transactions: what is shown is what the engine
// says at that moment.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PHONE, accessible, with_page } from "../harness.mjs";
import { SECOND, opened, seek } from "../workbench.mjs";

const TOMBSTONES = "scenarios/tombstone-too-late/";
const ask = (page, what) => page.evaluate((name) => window.strandline[name](), what);
const text = (page, id) => page.getByTestId(id).innerText();

/** Picks the first copy on the stage and waits for its segments. */
async function pick_copy(page) {
  await page.locator('[data-stop="l:0"]').click();
  await page.getByTestId("storage").locator(".sg-segment").first().waitFor();
  return ask(page, "storage");
}

/** The clock as the page writes it; before the first hour. */
const clock = (ms) => {
  const two = (n) => String(n).padStart(2, "0");
  return `${two(Math.floor(ms / 60_000) % 60)}:${two(Math.floor(ms / 1000) % 60)}.${String(ms % 1000).padStart(3, "0")}`;
};

/** A letter and perhaps a number, as on the stage. */
const key_name = (key) => "ABCDEF"[key % 6] + (key < 6 ? "" : Math.floor(key / 6));

const KINDS = { value: "", tombstone: "tombstone, ", commit: "commit marker, ", abort: "abort marker, " };
const KEEPS = ["newest", "not-in-map", "beyond", "marker-kept"];

/** The words of a record's fate, from what the engine says. */
function fate(it) {
  const words = {
    "newest": "last of its key",
    "not-in-map": "nothing newer in the dirty part",
    "beyond": "beyond what the map holds",
    "tombstone-expired": "delete.retention.ms is over",
    "aborted": "of an aborted transaction",
    "unkeyed": "has no key",
  };
  const why = it.fate.superseded === undefined ? words[it.fate] : `offset ${it.fate.superseded} is newer`;
  const until = it.goes_at_ms === null ? "" : `; may go from ${clock(it.goes_at_ms)}`;
  return `${KEEPS.includes(it.fate) ? "kept" : "dropped"}: ${KINDS[it.kind]}${why}${until}`;
}

/** Compares the step on view with the engine's. */
async function agrees(page, pass, at) {
  const end = pass.steps.length + 1;
  await page.getByTestId("pass-step").getByText(`${at + 1} of ${end + 1}`, { exact: true }).waitFor();
  const title = (await text(page, "pass-title")).replace(/^Step \d+:\s*/, "");
  const words = await text(page, "pass-words");
  const panel = page.getByTestId("pass");
  if (at === 0) {
    assert.equal(title, "Is the log dirty enough?");
    assert.ok(words.includes(`The first dirty offset is ${pass.before.first_dirty}`), words);
    assert.ok(words.includes(`what is below offset ${pass.before.first_uncleanable} may be cleaned now`), words);
    assert.equal(await panel.locator(".sg-meter").count(), 1);
    return "measure";
  }
  if (at === end) {
    assert.equal(title, `New checkpoint: ${pass.after.first_dirty}`);
    assert.ok(words.includes(`(it was ${pass.before.first_dirty})`), words);
    return "checkpoint";
  }
  const { map, segment, swap } = pass.steps[at - 1];
  if (map) {
    assert.equal(title, `Offset map, with segment ${map.base}`);
    const shown = await panel.locator(".sg-map li").evaluateAll((list) => list.map((it) => [
      it.querySelector(".sg-key").textContent,
      Number(it.querySelector(".mono").textContent),
      it.querySelector("s") ? Number(it.querySelector("s").lastChild.textContent) : null,
      it.classList.contains("fresh"),
    ]));
    assert.deepEqual(shown, map.entries.map((it) => [key_name(it.key), it.offset, it.replaced, it.fresh]));
    return "map";
  }
  if (segment) {
    assert.equal(title, `Segment ${segment.base}`);
    assert.ok(words.startsWith(`${segment.kept} record${segment.kept === 1 ? "" : "s"} kept, ${segment.dropped} dropped`), words);
    const rows = await panel.locator(".sg-fates tbody tr").evaluateAll((list) => list.map((row) =>
      [...row.children].map((it) => it.textContent)));
    assert.deepEqual(rows, segment.records.map((it) =>
      [String(it.offset), it.key === null ? "" : key_name(it.key), fate(it)]));
    const cells = await panel.locator(".sg-cell").evaluateAll((list) => list.map((it) =>
      [it.textContent, it.classList.contains("dropped")]));
    assert.deepEqual(cells, segment.records.map((it) => [String(it.offset), !KEEPS.includes(it.fate)]));
    return "segment";
  }
  assert.ok(words.startsWith(`A new segment ${swap.base} with ${swap.records} record`), words);
  assert.match(title, swap.of.length === 1 ? /is replaced$/ : /become one$/);
  return "swap";
}

test("a pass of the cleaner is walked step by step with the keyboard, as the engine tells it", async () => {
  await with_page({ path: TOMBSTONES, reducedMotion: "reduce" }, async (page) => {
    await opened(page);
    await seek(page, 32 * SECOND);
    const storage = await pick_copy(page);
    const pass = await ask(page, "compactionSteps");
    assert.equal(pass.event, storage.compaction.last.event);
    await page.getByTestId("pass-toggle").click();
    await page.getByTestId("pass").waitFor();
    const seen = [await agrees(page, pass, 0)];
    const event = await page.evaluate(() => window.strandline.event());
    await page.getByTestId("pass-next").focus();
    for (let at = 1; at <= pass.steps.length + 1; at += 1) {
      await page.keyboard.press(at % 2 ? "Enter" : "ArrowRight");
      seen.push(await agrees(page, pass, at));
    }
    assert.deepEqual([...new Set(seen)].sort(), ["checkpoint", "map", "measure", "segment", "swap"]);
    await page.keyboard.press("Enter");
    await agrees(page, pass, pass.steps.length + 1);
    assert.equal(await page.getByTestId("pass-next").getAttribute("aria-disabled"), "true");
    await page.keyboard.press("ArrowLeft");
    await agrees(page, pass, pass.steps.length);
    await page.keyboard.press("Home");
    await agrees(page, pass, 0);
    assert.equal(await page.evaluate(() => window.strandline.event()), event, "the steps do not move in time");
    await accessible(page);
    await page.getByTestId("pass-toggle").click();
    await page.getByTestId("pass").waitFor({ state: "detached" });
  });
});

test("tombstones stay for delete.retention.ms and go in a later pass", async () => {
  await with_page({ path: TOMBSTONES, reducedMotion: "reduce" }, async (page) => {
    await opened(page);
    const tombstones = (pass) => pass.steps.flatMap((it) => it.segment?.records ?? []).filter((it) => it.kind === "tombstone" && it.fate.superseded === undefined);
    await seek(page, 32 * SECOND);
    await pick_copy(page);
    await page.getByTestId("pass-toggle").click();
    const early = await ask(page, "compactionSteps");
    const kept = tombstones(early);
    assert.ok(kept.length > 0 && kept.every((it) => it.goes_at_ms >= early.wall_ms), JSON.stringify(kept));
    let gone;
    for (let second = 90; !gone && second <= 130; second += 5) {
      await seek(page, second * SECOND);
      const pass = await ask(page, "compactionSteps");
      if (tombstones(pass).some((it) => it.fate === "tombstone-expired")) gone = pass;
    }
    assert.ok(gone, "a pass drops them");
    const at = gone.steps.findIndex((it) => it.segment?.records.some((r) => r.fate === "tombstone-expired")) + 1;
    // The pass that is newest at this moment begins at its first step.
    await page.waitForFunction((all) => document.querySelector("[data-testid=pass-step]").textContent === `1 of ${all}`, gone.steps.length + 2);
    await page.getByTestId("pass-next").focus();
    for (let i = 0; i < at; i += 1) await page.keyboard.press("ArrowRight");
    await agrees(page, gone, at);
    assert.match(await page.getByTestId("pass").innerText(), /tombstone, delete\.retention\.ms is over/);
  });
});

test("on a phone the steps have room", async () => {
  await with_page({ path: TOMBSTONES, viewport: PHONE, colorScheme: "dark" }, async (page) => {
    await opened(page);
    await seek(page, 32 * SECOND);
    await pick_copy(page);
    await page.getByTestId("pass-toggle").click();
    const pass = await ask(page, "compactionSteps");
    for (let at = 0; at <= pass.steps.length; at += 1) {
      await agrees(page, pass, at);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(wide <= 0, "the page does not scroll sideways");
      await page.getByTestId("pass-next").click();
    }
    await accessible(page);
  });
});

test("segments of tiered storage are where the engine has them", async () => {
  await with_page({ path: "scenarios/tiered-storage/", reducedMotion: "reduce" }, async (page) => {
    await opened(page);
    const seen = new Set();
    for (const second of [12, 60]) {
      await seek(page, second * SECOND);
      const it = seen.size ? await ask(page, "storage") : await pick_copy(page);
      const places = ["remote", "copied", "local"];
      await page.waitForFunction(
        (n) => document.querySelectorAll("[data-testid=storage] .sg-strip .sg-piece").length === n,
        it.segments.length,
      );
      const pieces = await page.locator("[data-testid=storage] .sg-strip .sg-piece").evaluateAll((list) => list.map((e) => e.className));
      assert.deepEqual(pieces, it.segments.map((s) => `sg-piece ${s.active ? "active" : s.place}`));
      const tiers = await text(page, "tiers");
      assert.ok(tiers.includes(`Log start offset ${it.start}, local log start offset ${it.tier.local_start}.`), tiers);
      for (const place of places) {
        const held = it.segments.filter((s) => s.place === place);
        if (held.length) seen.add(place);
        const row = await page.locator(`[data-place=${place}]`).innerText();
        const range = held.length ? `offsets ${Math.max(held[0].base, it.start)} to ${held.at(-1).end - 1}` : ": nothing";
        assert.ok(row.includes(range), `${row}, not ${range}`);
        if (held.length > 1) assert.ok(row.endsWith(`in ${held.length} segments`), row);
      }
    }
    assert.deepEqual([...seen].sort(), ["copied", "local", "remote"]);
    await accessible(page);
  });
});

/** The cells on the stage against the engine's, once the stage shows this moment. */
async function compared(page, said) {
  let found;
  for (let i = 0; i < 50; i += 1) {
    const cells = await page.locator(".st-cell[data-stop]:not([hidden])").evaluateAll((list) => list.map((it) => [
      // A strip's name begins with the partition, a cell's with the digits that it has room for.
      it.closest(".stage-strip").getAttribute("aria-label").split(" on ")[0],
      it.getAttribute("aria-label").replace(/^\d{3}: /, ""),
      it.className,
    ]));
    found = { wrong: [], marked: [], cells: cells.length };
    for (const [lane, label, shape] of cells) {
      const kind = said.get(`${lane}: ${label.split(",")[0]}`);
      if (kind) found.marked.push(kind);
      for (const [name, phrase] of Object.entries(WORDS)) {
        const is = kind === name;
        if (label.includes(phrase) !== is || shape.split(" ").includes(`st-${name}`) !== is) found.wrong.push(`${lane} ${label}: ${shape}, not ${kind}`);
      }
    }
    if (found.wrong.length === 0) break;
    await page.waitForTimeout(100);
  }
  return found;
}

const WORDS = { open: "in an open transaction", aborted: "in an aborted transaction", commit: "commit marker", abort: "abort marker" };

/** Goes through moments of a run and compares all cells on the stage; the kinds of marks met. */
async function marks_agree(page, moments) {
  const met = new Set();
  for (const seconds of moments) {
    await seek(page, seconds * SECOND);
    await page.getByTestId("marks-legend").waitFor();
    const legend = await text(page, "marks-legend");
    for (const name of Object.values(WORDS)) assert.ok(legend.includes(name), legend);
    assert.match(legend, /LSO, last stable offset/);
    const stage = await ask(page, "stage");
    const said = new Map();
    for (const node of stage.nodes) {
      for (const lane of node.lanes) {
        for (const cell of lane.cells) said.set(`${lane.id}: Offset ${cell.offset} on ${node.title}`, cell.transaction);
      }
    }
    const { wrong, marked, cells } = await compared(page, said);
    assert.deepEqual(wrong, []);
    assert.ok(cells > 20, `${cells} cells at ${seconds} s`);
    for (const kind of marked) met.add(kind);
  }
  return [...met];
}

test("the marks of transactions have a legend, and cells say the same in words", async () => {
  await with_page({ path: "scenarios/hanging-transaction/", reducedMotion: "reduce" }, async (page) => {
    await opened(page);
    await seek(page, 3 * SECOND);
    assert.equal(await page.getByTestId("marks-legend").count(), 0, "nothing to explain yet");
    const met = await marks_agree(page, [6, 10, 15, 18, 19.9, 21, 23, 30]);
    assert.ok(met.includes("open") && met.includes("abort"), met.join());
    const samples = await page.locator("[data-testid=marks-legend] .st-sample").evaluateAll((list) => list.map((it) => getComputedStyle(it, "::before").backgroundImage + getComputedStyle(it, "::before").borderTopStyle + getComputedStyle(it).boxShadow + getComputedStyle(it).borderTopStyle));
    assert.equal(new Set(samples).size, samples.length, "each sample looks different");
    await accessible(page);
    await page.getByTestId("stage-words").locator("summary").click();
    const stable = (await ask(page, "stage")).nodes.flatMap((n) => n.lanes).flatMap((l) => l.marks).find((m) => m.kind === "stable");
    await page.getByTestId("stage-mirror").getByText(stable.label).first().waitFor();
  });
});

test("commit markers stand between the records of transactions", async () => {
  await with_page({ path: "scenarios/process-in-transactions/", reducedMotion: "reduce" }, async (page) => {
    await opened(page);
    await seek(page, 20 * SECOND);
    const cluster = page.getByTestId("show-cluster");
    if (await cluster.count()) await cluster.click();
    await page.getByTestId("stage").waitFor();
    const met = await marks_agree(page, [20, 40]);
    assert.ok(met.includes("commit"), met.join());
  });
});

/** What has the focus, as a stop of the stage. */
const stop = (page) => page.evaluate(() => document.activeElement?.getAttribute("data-stop") ?? "");

/** Walks to a copy on the stage and picks it, with nothing but the keyboard. */
async function pick_copy_by_keyboard(page) {
  for (let i = 0; (await stop(page)) === ""; i += 1) {
    assert.ok(i < 80, "Tab never came to the stage");
    await page.keyboard.press("Tab");
  }
  const keys = ["ArrowDown", "ArrowRight", "ArrowDown", "ArrowLeft"];
  for (let i = 0; !(await stop(page)).startsWith("l:"); i += 1) {
    assert.ok(i < 60, `arrows never came to a copy: ${await stop(page)}`);
    await page.keyboard.press(keys[i % keys.length]);
  }
  await page.keyboard.press("Enter");
  await page.getByTestId("storage").locator(".sg-segment").first().waitFor();
}

/** Sizes as the page writes them. */
const bytes = (n) => (n < 1_000 ? `${n} B` : n < 1_000_000 ? `${Math.floor(n / 1_000)}.${Math.floor(n / 100) % 10} kB` : `${Math.floor(n / 1_000_000)}.${Math.floor(n / 100_000) % 10} MB`);

/** A segment of the browser as it is written: its summary, its range, and its indexes. */
const segments_shown = (page) => page.getByTestId("storage").locator(".sg-segment").evaluateAll((list) => list.map((it) => ({
  base: it.querySelector(".sg-base").textContent,
  size: it.querySelector(".sg-size").textContent,
  held: it.querySelector(".sg-held").textContent,
  active: it.querySelector(".chip").textContent === "active",
  range: it.querySelector("p").textContent,
  indexes: ["Offset index", "Time index"].map((name) => {
    const table = [...it.querySelectorAll("table")].find((at) => at.caption.textContent.startsWith(name));
    return table ? [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent)) : [];
  }),
})));

/** The same, from what the engine says. */
function segments_said(it) {
  const newest = (entries) => entries.toReversed().slice(0, 50);
  const grouped = (n) => String(n).replace(/(?<=\d)(?=(\d{3})+$)/g, "\u202f");
  return it.segments.map((s) => ({
    base: String(s.base),
    size: bytes(s.bytes),
    held: `${s.records === 1 ? "1 record" : `${grouped(s.records)} records`}${s.removed ? `, ${grouped(s.removed)} removed` : ""}`,
    active: s.active,
    range: `${s.end > s.base ? `offsets ${s.base} to ${s.end - 1}` : "empty"}${s.newest_ms === -1 ? "" : `, newest record ${clock(s.newest_ms)}`}`,
    indexes: [
      newest(s.offset_index).map(([offset, position]) => [String(offset), String(position)]),
      newest(s.time_index).map(([ms, offset]) => [clock(ms), String(offset)]),
    ],
  }));
}

for (const [story, moments] of [["retention-outruns-reader", [5, 40]], ["tombstone-too-late", [8, 32, 100]]]) {
  test(`the segment and index browser is opened with the keyboard and shows what the engine has: ${story}`, async () => {
    await with_page({ path: `scenarios/${story}/`, reducedMotion: "reduce" }, async (page) => {
      await opened(page);
      await seek(page, moments[0] * SECOND);
      await pick_copy_by_keyboard(page);
      const most = { segments: 0, offsets: 0, times: 0 };
      for (const second of moments) {
        await seek(page, second * SECOND);
        const it = await ask(page, "storage");
        const said = segments_said(it);
        // The page follows the engine within a few frames.
        let shown;
        for (let i = 0; i < 50; i += 1) {
          shown = await segments_shown(page);
          if (JSON.stringify(shown) === JSON.stringify(said)) break;
          await page.waitForTimeout(100);
        }
        assert.deepEqual(shown, said, `at ${second} s`);
        for (const s of it.segments) {
          // Sparse: in order, within the segment, and fewer than its records.
          const offsets = s.offset_index.map((entry) => entry[0]);
          assert.deepEqual(offsets, offsets.toSorted((a, b) => a - b));
          assert.ok(offsets.every((offset) => offset >= s.base && offset < s.end), JSON.stringify(s));
          assert.ok(offsets.length <= s.records + s.removed, JSON.stringify(s));
          most.offsets = Math.max(most.offsets, offsets.length);
          most.times = Math.max(most.times, s.time_index.length);
        }
        most.segments = Math.max(most.segments, it.segments.length);
      }
      assert.ok(most.segments > 1 && most.times > 0, JSON.stringify(most));
      // A segment opens with the keyboard as well, and its tables are named.
      const shut = page.getByTestId("storage").locator(".sg-segment").last();
      await shut.locator("summary").focus();
      assert.equal(await shut.getAttribute("open"), null);
      await page.keyboard.press("Enter");
      const said = segments_said(await ask(page, "storage")).at(-1);
      for (const [i, name] of ["Offset index", "Time index"].entries()) {
        if (said.indexes[i].length > 0) await shut.getByRole("table", { name }).waitFor();
        else await shut.getByText(`${name}: no entry yet`).waitFor();
      }
      await accessible(page);
      if (story === "retention-outruns-reader") assert.ok(most.offsets > 0, JSON.stringify(most));
    });
  });
}
