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

// A small cluster at 5 s: as an older engine packed it, with a field that this version does not know,
// and as a newer engine packs it.
const OF_OTHERS = [
  ["an older engine", "r1.ChEw9zWOuQ0CMRBFTTohFVjOQRwxNVDAaoPBh2TZeKzxbE4XVEEvFEEheI3I5nj676vXpgljcTkWry_6CBIlr5O5LqIpaNT9lQw0710_n8EtjBKprMzp0AzAlDAknOHGlDy3QVkqwpTzf4fpR-2FarTzDAXvQ0PsOmOgInd1z22jBvuaox2iXUArxCNGqcfn-d4q9QU", /engine version 0; this is version 1/, true],
  ["an unknown field", "r1.WVPSMjWOyw0CIRCGl6NztALCXePjbA0WsNnDCGxCQIYMs3e7sAp7sQgLkcV4m8eX__vVS1VhzC6F7PVFH0GCpHUy10U0zRp1e0UD1XvXzmdwC6MEyitzOlQDMEacI05wY4qea6csZWFK6b_D-KP2QiXYaYKM964hdo0xUJCbuuXWXoN9ScF20W5GK8Q9Zhgen-d7O6iNUl8", /does not know \(field 9\)/, true],
  ["a newer engine", "r1.xuiiRTWOyw0CIRCG0eMcrYBw1_g4W4MFbPYwApsQkCHD7N0urMJeLMJCZDF7m8eX__u3700VxuxSyF5f9QkkSFomc5tF06RRt1c0UL137XwBNzNKoLww52M1AEPEKeIId6bouXbKUhamlNYdhj91ECrBjiNkfHQNsWuMgYLc1C239hrsSwq2i_YTWiHuMUo9v6_PTqkf", /engine version 2, which is newer/, false],
];

for (const [name, fragment, says, rest] of OF_OTHERS) {
  test(`a link with ${name} says so, and is opened only by who knows that`, async () => {
    await with_page({ path: `run/#run=${fragment}`, reducedMotion: "reduce" }, async (page) => {
      const problem = page.getByTestId("link-problem");
      await problem.waitFor();
      assert.match(await problem.innerText(), says);
      assert.equal(await page.getByTestId("workbench").count(), 0, "nothing else is shown meanwhile");
      const anyway = page.getByTestId("open-anyway");
      assert.equal(await anyway.count(), rest ? 1 : 0);
      if (!rest) return;
      await anyway.focus();
      await page.keyboard.press("Enter");
      await opened(page);
      assert.equal(await problem.count(), 0);
      assert.match(await page.evaluate(() => window.strandline.toml()), /Out of a link/);
      await arrived(page, 5 * SECOND);
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
