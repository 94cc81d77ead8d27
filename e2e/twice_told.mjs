// A story of scenarios/ told twice: by the page, on its stage, and by the terminal.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { with_page } from "./harness.mjs";
import { engine, opened, seek } from "./workbench.mjs";

const FOLDER = join(dirname(fileURLToPath(import.meta.url)), "..", "scenarios");
// Files for measuring and searching tell no story, and the site has no page for them.
const is_story = (name) => !name.startsWith("bench-") && !name.startsWith("sweep");
const STORIES = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".toml"))
  .map((name) => name.slice(0, -".toml".length))
  .filter(is_story);

function by_terminal(story) {
  // `cargo xtask test` builds the program and names it.
  const program = process.env.STRANDLINE;
  assert.ok(program, "set STRANDLINE to the path of the native program");
  const ran = spawnSync(program, ["run", join(FOLDER, `${story}.toml`), "--json"], { encoding: "utf8" });
  assert.equal(ran.error, undefined);
  assert.equal(ran.status, 0, ran.stderr);
  return JSON.parse(ran.stdout);
}

const COUNTS = ["sent", "acknowledged", "failed", "committed", "delivered", "lost", "duplicated", "reordered"];

/** Declares a test for each story whose name `wanted` takes. */
export function tell(wanted) {
  for (const story of STORIES.filter(wanted)) {
    test(`${story}: the stage and the terminal tell the same`, async () => {
      const told = by_terminal(story);
      await with_page({ path: `scenarios/${story}/`, reducedMotion: "reduce" }, async (page) => {
        await opened(page);
        const shown = await seek(page, told.time);
        assert.equal(shown.digest, told.digest);
        for (const count of COUNTS) {
          assert.equal(Number(shown.ledger[count]), told.ledger[count], count);
        }
        const verdicts = await page.evaluate(() => window.strandline.verdicts());
        assert.deepEqual(
          verdicts.map((verdict) => verdict.state.toLowerCase()),
          told.verdicts.map((verdict) => verdict.state),
        );
        // What the page says in words is what its engine says: of a job without a cluster what its
        // stores show.
        const job = await page.evaluate(() => window.strandline.job());
        await page.locator("[data-testid=ledger] dd").first().waitFor();
        const cluster = !job || (await page.locator("[data-testid=count-lost]").count()) > 0;
        assert.ok(cluster || told.ledger.sent === 0, "what is sent is counted");
        const visible = cluster ? null : job.stores.reduce((sum, store) => sum + store.visible, 0);
        await page.waitForFunction(([lost, visible]) => {
          const strip = document.querySelector("[data-testid=ledger]");
          const number = (cell) => Number(cell.textContent.replace(/\D/g, ""));
          if (visible === null) {
            return number(strip.querySelector("[data-testid=count-lost]")) === lost;
          }
          const rows = [...strip.querySelectorAll("div")];
          const row = rows.find((it) => it.querySelector("dt").textContent === "rows visible");
          return number(row.querySelector("dd")) === visible;
        }, [told.ledger.lost, visible]);
        assert.equal((await engine(page)).digest, told.digest, "looking changes nothing");
      });
    });
  }
}
