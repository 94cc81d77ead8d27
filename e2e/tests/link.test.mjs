// A run as a link: whoever opens it has the same run, in another page and in the terminal, or is
// told why not.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { open, with_page } from "../harness.mjs";
import { arrived, engine, kill_by_keyboard, leader, opened, seek, SECOND, share_link } from "../workbench.mjs";

const SANDBOX = { path: "sandbox/", reducedMotion: "reduce" };

async function with_a_deed(page) {
  await opened(page);
  await seek(page, 5 * SECOND);
  await kill_by_keyboard(page, await leader(page));
  return seek(page, 8 * SECOND);
}

test("a shared link opens as the same run at the same moment", async () => {
  await with_page(SANDBOX, async (page) => {
    const sent = await with_a_deed(page);
    const link = await share_link(page);
    assert.ok(link.length < 2_000, `the link has ${link.length} characters`);
    await with_page({ path: null, reducedMotion: "reduce" }, async (other) => {
      await open(other, link);
      await opened(other);
      await arrived(other, sent.now);
      const got = await engine(other);
      assert.equal(got.digest, sent.digest);
      assert.deepEqual(got.ledger, sent.ledger);
      assert.equal(await other.getByTestId("digest-differs").count(), 0);
    });
  });
});

for (const [name, fragment, says] of [
  ["damaged", "r1.AAAA-this-is-no-run", /damaged|incomplete|cannot be read|broken/i],
  ["newer", "r2.AAAA", /newer/i],
]) {
  test(`a ${name} link says so and shows nothing else`, async () => {
    await with_page({ path: `run/#run=${fragment}`, reducedMotion: "reduce" }, async (page) => {
      const problem = page.getByTestId("link-problem");
      await problem.waitFor();
      assert.match(await problem.innerText(), says);
      assert.equal(await page.getByTestId("workbench").count(), 0);
    });
  });
}

test("the browser and the terminal make the same run", async () => {
  await with_page(SANDBOX, async (page) => {
    const sent = await with_a_deed(page);
    const folder = mkdtempSync(join(tmpdir(), "strandline-"));
    try {
      const file = join(folder, "run.link");
      writeFileSync(file, await page.evaluate(() => window.strandline.fragment()));
      // `cargo xtask test` builds the program and names it.
      const program = process.env.STRANDLINE;
      assert.ok(program, "set STRANDLINE to the path of the native program");
      const native = spawnSync(program, ["replay", file], { encoding: "utf8" });
      assert.equal(native.error, undefined);
      assert.equal(native.status, 0, native.stderr + native.stdout);
      assert.match(native.stdout, new RegExp(`digest ${sent.digest}, as recorded`));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
