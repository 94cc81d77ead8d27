// Consumer groups on the stage: what the board shows is what the engine says at that moment.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PHONE, accessible, with_page } from "../harness.mjs";
import { SECOND, opened, seek } from "../workbench.mjs";

const STORY = "scenarios/rebalance-cooperative/";
const BOARD = ".group-board";

/** The one group of the story, by the engine. */
const group_of = (page) => page.evaluate(() => window.strandline.groups()[0]);

/** What stands on the board: cards, partitions and lines, as a reader of the page gets them. */
async function on_stage(page) {
  return page.evaluate((board) => {
    const found = (selector) => [...document.querySelectorAll(`${board} ${selector}`)];
    const lines = found("path").map((line) => [line.dataset.lane, line.dataset.owner, line.classList.contains("none")]);
    const things = (kind) => found(`[data-own^="${kind}:"]`).map((it) => ({
      key: it.dataset.own.slice(2),
      label: it.getAttribute("aria-label"),
      idle: it.parentElement.classList.contains("idle"),
      text: it.parentElement.textContent,
    }));
    const text = (id) => document.querySelector(`[data-testid=${id}]`)?.textContent;
    return {
      now: window.strandline.now(),
      members: things("m"),
      shares: things("s"),
      lines,
      state: text("group-state"),
      generation: text("group-generation"),
    };
  }, BOARD);
}

/** Waits until the board shows this moment: it is published at most ten times a second. */
async function shown(page, group) {
  await page.waitForFunction(
    ([board, state, labels]) =>
      document.querySelector("[data-testid=group-state]")?.textContent === state &&
      labels.every(([key, label]) =>
        document.querySelector(`${board} [data-own="s:${key}"]`)?.getAttribute("aria-label") === label),
    [BOARD, group.state, group.shares.map((it) => [it.lane, words(group, it, group.now)])],
  );
}

/** A span as the page writes it: seconds to a tenth. */
const seconds = (ns) => `${(Math.floor(ns / 1e8) / 10).toFixed(1)} s`;

/** The words of a partition, from what the engine says of it. */
function words(group, share, now) {
  const owner = group.members.find((it) => it.node === share.owner)?.name;
  let out = `${share.lane}: ${owner ? `${owner} owns it` : "nobody owns it"}`;
  if (owner && share.idle) out += " and does not work";
  if (share.stopped_since !== null) out += `, stopped for ${seconds(now - share.stopped_since)}`;
  for (const [name, value] of [
    ["committed", share.committed],
    ["position", share.position],
    ["log end", share.end],
    ["lag", share.lag],
  ]) {
    if (value !== null) out += `, ${name} ${value}`;
  }
  return out;
}

/** Goes to a moment and compares everything on the board with the engine's state. */
async function agrees(page, ns) {
  await seek(page, ns);
  const group = { ...(await group_of(page)), now: ns };
  await shown(page, group);
  const stage = await on_stage(page);
  assert.equal(stage.state, group.state);
  assert.equal(stage.generation, `${group.round} ${group.generation}`);
  assert.deepEqual(stage.shares.map((it) => it.key), group.shares.map((it) => it.lane));
  for (const [i, share] of group.shares.entries()) {
    const { label, idle, text } = stage.shares[i];
    const [lane, owner, hidden] = stage.lines[i];
    assert.equal(label, words(group, share, ns));
    assert.equal(idle, share.idle, share.lane);
    assert.deepEqual([lane, owner], [share.lane, share.owner === null ? "" : String(share.owner)]);
    assert.equal(hidden, share.owner === null, "a line leads to the owner, if there is one");
    if (share.stopped_since !== null) assert.match(text, /\d+\.\d s/, "how long it has stopped");
  }
  for (const [i, member] of group.members.entries()) {
    assert.equal(stage.members[i].label, `${member.name}: ${member.badge.text}, owns ${member.owns} partitions`);
  }
  return group;
}

test("owners, stops and offsets on the stage are the engine's, through a whole rebalance", async () => {
  await with_page({ path: STORY, reducedMotion: "reduce" }, async (page) => {
    await opened(page);
    const calm = await agrees(page, 28 * SECOND);
    assert.deepEqual(calm.members.map((it) => it.owns), [7, 7, 7, 7, 7, 7, 0]);
    assert.ok(calm.shares.every((it) => it.committed !== null && !it.idle));
    const states = new Set();
    let most = 0;
    for (let tenth = 310; tenth <= 380; tenth += 5) {
      const group = await agrees(page, tenth * (SECOND / 10));
      states.add(group.state);
      most = Math.max(most, group.shares.filter((it) => it.idle).length);
    }
    assert.equal(most, 6, "six partitions stop on their way to the seventh member");
    assert.ok(states.has("PreparingRebalance"), [...states].join());
    const after = await agrees(page, 60 * SECOND);
    assert.deepEqual(after.members.map((it) => it.owns), [6, 6, 6, 6, 6, 6, 6]);
    assert.ok(after.generation > calm.generation);
  });
});

/** The words of a partition of a share group, from what the engine says of it. */
function shared_words(group, share) {
  const readers = group.members.filter((it) => it.reads.includes(share.lane)).length;
  const it = share.sharing;
  const name = (node) => group.members.find((member) => member.node === node).name;
  const holders = it.holders.map(([node, many]) => `${name(node)} ${many}`).join(", ");
  let out = `${share.lane}: ${readers} members read it, start offset ${it.start}, end offset ${it.end}`;
  out += `, ${it.available} available, ${it.acquired} acquired${holders && ` (${holders})`}`;
  out += `, ${it.acknowledged} acknowledged, ${it.archived} archived`;
  if (it.again > 0) out += `, ${it.again} delivered again, up to ${it.deliveries} times`;
  return `${out}, log end ${share.end}`;
}

test("a share group has readers and records in hand, and nobody owns or misses an owner", async () => {
  await with_page({ path: "scenarios/share-group/", reducedMotion: "reduce" }, async (page) => {
    await opened(page);
    await page.getByTestId("show-packing").click();
    for (const second of [24, 42]) {
      await seek(page, second * SECOND);
      const group = await page.evaluate(() => window.strandline.groups().find((it) => it.sharing));
      assert.equal(group.name, "packing");
      const labels = group.shares.map((it) => [it.lane, shared_words(group, it)]);
      await page.waitForFunction(
        ([board, all]) => all.every(([key, label]) => document.querySelector(`${board} [data-own="s:${key}"]`)?.getAttribute("aria-label") === label),
        [BOARD, labels],
      );
      const stage = await on_stage(page);
      assert.equal(stage.members.length + stage.shares.length, group.members.length + group.shares.length, "nothing of the group shown before is left");
      for (const [i, it] of group.members.entries()) {
        assert.equal(stage.members[i].label, `${it.name}: ${it.badge.text}, reads ${it.reads.join(", ")}, has ${it.acquired} records`);
      }
      const shown = stage.lines.filter(([, , hidden]) => !hidden).length;
      assert.equal(shown, group.members.reduce((sum, it) => sum + it.reads.length, 0), "a line for each partition that a member reads");
      assert.ok(group.shares.every((it) => !it.idle && it.owner === null));
      assert.doesNotMatch(await page.getByTestId("group-stage").innerText(), /no owner|owned|generation/);
      const after = await page.locator(`${BOARD}.sharing .gb-owns`).first().evaluate((it) => getComputedStyle(it, "::after").content);
      assert.doesNotMatch(after, /owned/, "what stands behind the number is words of a share group");
    }
    await page.getByTestId("stage-words").locator("summary").click();
    const rows = page.getByRole("region", { name: "Groups as tables" }).locator("table", { hasText: "(SPSO)" }).locator("tbody tr");
    await rows.first().waitFor();
    assert.equal(await rows.count(), 2);
    await accessible(page);
  });
});

test("the board can be read and used with the keyboard alone", async () => {
  await with_page({ path: STORY, reducedMotion: "reduce" }, async (page) => {
    await opened(page);
    await seek(page, 35 * SECOND);
    await page.locator(`${BOARD} [data-own]`).first().waitFor();
    assert.equal(await page.locator(`${BOARD} [tabindex="0"]`).count(), 1, "one stop for the Tab key");
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute("data-own"));
    const all = await page.locator(`${BOARD} [data-own]`).evaluateAll((list) => list.map((it) => it.dataset.own));
    await page.locator(`${BOARD} [tabindex="0"]`).focus();
    assert.equal(await focused(), all[0]);
    await page.keyboard.press("ArrowDown");
    assert.equal(await focused(), all[1]);
    await page.waitForFunction((b) => document.querySelectorAll(`${b} path.on`).length > 0, BOARD);
    await page.keyboard.press("End");
    assert.equal(await focused(), all.at(-1));
    await page.keyboard.press("Enter");
    await page.getByTestId("storage").waitFor();
    assert.equal(await page.locator(`${BOARD} [aria-pressed="true"]`).getAttribute("data-own"), all.at(-1));
    assert.match(await page.getByTestId("facts").innerText(), /committed offset/);
    await page.keyboard.press("Home");
    await page.keyboard.press("Shift+F10");
    await page.getByTestId("fault-menu").waitFor();
    await page.keyboard.press("Escape");
    await accessible(page);
  });
});

test("on a phone the board has room, and its words are told in tables", async () => {
  await with_page({ path: STORY, viewport: PHONE, colorScheme: "dark" }, async (page) => {
    await opened(page);
    await seek(page, 35 * SECOND);
    await page.locator(`${BOARD} [data-own]`).first().waitFor();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(wide <= 0, "the page does not scroll sideways");
    await page.getByTestId("stage-words").locator("summary").click();
    const group = await group_of(page);
    const rows = page.getByRole("region", { name: "Groups as tables" }).locator("table", { hasText: "committed offset" }).locator("tbody tr");
    await rows.first().waitFor();
    assert.equal(await rows.count(), group.shares.length);
    const stopped = group.shares.filter((it) => it.stopped_since !== null).length;
    assert.equal(await rows.filter({ hasText: /for \d/ }).count(), stopped);
    await accessible(page);
    await page.getByTestId("show-cluster").click();
    await page.getByTestId("stage").waitFor();
    await page.locator(BOARD).waitFor({ state: "detached" });
  });
});
