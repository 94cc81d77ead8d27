// Every kind of page, for those who see little, use a narrow screen, or asked for less motion.
import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, DESKTOP, open, PHONE, with_page } from "../harness.mjs";
import { engine, opened } from "../workbench.mjs";

const PAGES = {
  "": "home",
  "sandbox/": "sandbox",
  "course/": "course",
  "lessons/what-acks-promise/": "lesson",
  "scenarios/": "scenarios",
  "reference/": "reference",
};
const WITH_A_RUN = ["", "sandbox/", "lessons/what-acks-promise/"];

async function shown(page, path) {
  await open(page, path);
  await page.getByTestId(PAGES[path]).waitFor();
  if (WITH_A_RUN.includes(path)) await opened(page);
}

for (const colorScheme of ["light", "dark"]) {
  for (const [name, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    for (const path of Object.keys(PAGES)) {
      test(`no grave barrier: ${PAGES[path]}, ${colorScheme}, ${name}`, async () => {
        await with_page({ path: null, colorScheme, viewport, reducedMotion: "reduce" }, async (page) => {
          await shown(page, path);
          await accessible(page);
        });
      });
    }
  }
}

for (const width of [390, 320]) {
  test(`no page is wider than a screen of ${width} px`, async () => {
    await with_page({ path: null, viewport: { width, height: 800 }, reducedMotion: "reduce" }, async (page) => {
      for (const path of Object.keys(PAGES)) {
        await shown(page, path);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, `${PAGES[path]} is ${wide} px wide`);
      }
    });
  });
}

test("nothing plays by itself for those who asked for less motion", async () => {
  await with_page({ path: null, reducedMotion: "reduce" }, async (page) => {
    for (const path of WITH_A_RUN) {
      await shown(page, path);
      // Frames, not time: a run that plays advances with them.
      await page.evaluate(async () => {
        for (let i = 0; i < 20; i += 1) await new Promise(requestAnimationFrame);
      });
      assert.equal((await engine(page)).playing, false, `${PAGES[path]} plays`);
    }
  });
});
