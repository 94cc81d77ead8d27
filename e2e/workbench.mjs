// A workbench as a test sees it: its hooks are driven as a visitor would, and what is asserted is
// what the engine says through `window.strandline`. Every wait is for a state of the engine.
import assert from "node:assert/strict";

/** Nanoseconds in a second of simulated time. */
export const SECOND = 1_000_000_000;
// A development build on a loaded machine simulates slower than real time.
const PATIENCE = { timeout: 90_000 };

/** What the engine says now: time (ns), event number, digest, whether it plays; not at home, its ledger. */
export async function engine(page) {
  return page.evaluate(() => {
    const s = window.strandline;
    return { now: s.now(), event: s.event(), digest: s.digest(), ledger: s.ledger?.(), playing: s.playing() };
  });
}

/** Waits until a run is open. */
export async function opened(page) {
  await page.waitForFunction(() => window.strandline?.digest(), null, PATIENCE);
}

/** Goes to a moment, ns, and waits until the run is there. */
export async function seek(page, ns) {
  await page.evaluate((to) => window.strandline.seek(to), ns);
  await arrived(page, ns);
  return engine(page);
}

/** Waits until the run stands at a moment, ns. */
export async function arrived(page, ns) {
  await page.waitForFunction((to) => window.strandline.now() === to, ns, PATIENCE);
}

/** Waits until the run is at another event than `event`. */
export async function moved(page, event) {
  await page.waitForFunction((was) => window.strandline.event() !== was, event, PATIENCE);
  return engine(page);
}

/** Waits until exactly one broker says on stage that it leads, other than `not`; returns its name. */
export async function leader(page, not = "") {
  const found = await page.waitForFunction(
    (was) => {
      const brokers = document.querySelectorAll('button[data-stop^="n:"][aria-label^="Broker"]');
      const labels = [...brokers].map((broker) => broker.getAttribute("aria-label"));
      const names = labels.filter((label) => /, Leader\b/.test(label)).map((label) => label.split(",")[0]);
      return names.length === 1 && names[0] !== was && names[0];
    },
    not,
    PATIENCE,
  );
  return found.jsonValue();
}

/** Kills a broker from its menu, with nothing but the keyboard. */
export async function kill_by_keyboard(page, name) {
  const focused = (attribute) => page.evaluate((a) => document.activeElement?.getAttribute(a) ?? "", attribute);
  await tab_to(page, () => focused("data-stop"), (stop) => stop !== "", "the stage");
  // The stage is one tab stop; arrows walk from machine to machine.
  const keys = ["ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowUp", "ArrowRight", "ArrowRight", "ArrowRight"];
  for (let i = 0; !(await focused("aria-label")).startsWith(`${name},`); i += 1) {
    assert.ok(i < 8 * keys.length, `arrows never came to ${name}`);
    await page.keyboard.press(keys[i % keys.length]);
  }
  await page.keyboard.press("Shift+F10");
  await page.getByTestId("fault-menu").waitFor();
  for (let i = 0; (await focused("data-testid")) !== "menu-crash"; i += 1) {
    assert.ok(i < 20, "the menu offers no kill");
    await page.keyboard.press("ArrowDown");
  }
  await page.keyboard.press("Enter");
  await page.getByTestId("fault-menu").waitFor({ state: "detached" });
}

async function tab_to(page, read, wanted, name) {
  for (let i = 0; !wanted(await read()); i += 1) {
    assert.ok(i < 80, `Tab never came to ${name}`);
    await page.keyboard.press("Tab");
  }
}

/** The link that the dialog offers for the run as it stands. */
export async function share_link(page) {
  await page.getByTestId("share").click();
  const link = await page.getByTestId("share-link").inputValue();
  await page.keyboard.press("Escape");
  return link;
}
