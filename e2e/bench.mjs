// Measures the built site in headless Chromium, and prints one JSON object on the last line.
// `cargo xtask bench` calls it; `node bench.mjs PATH_OF_STRANDLINE [--quick]` does by hand. It
// judges nothing: no figure here can fail a test.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";
import { serve } from "./server.mjs";

const quick = process.argv.includes("--quick");
const native = process.argv[2];
const ROUNDS = quick ? 2 : 5;
const SEEKS = quick ? 10 : 40;
const FRAMES = quick ? 120 : 600;
const SEEK_RUN_EVENTS = 500_000;
const SECOND = 1e9;
// Of bench-job.toml, and from when on job-keys.toml has its keys.
const JOB_RECORDS = 1_000_000;
const KEYS_FROM = 9 * SECOND;
const CANDIDATES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome"];

const say = (text) => process.stderr.write(`${text} …\n`);
const text_of = (path) => readFile(new URL(path, import.meta.url), "utf8");
const sorted = (values) => [...values].sort((a, b) => a - b);
const at = (values, share) => sorted(values)[Math.min(values.length - 1, Math.ceil(values.length * share) - 1)];
const spread = (values) => ({
  count: values.length,
  p50: at(values, 0.5),
  p95: at(values, 0.95),
  max: at(values, 1),
});

/** Runs in the page before the application: clocks around what the application does itself. */
function instrument() {
  const seen = { frames: [], first: null, memory: null };
  Object.defineProperty(window, "__bench", { value: seen });
  const keep = ({ instance }) => {
    seen.memory ??= Object.values(instance.exports).find((e) => e instanceof WebAssembly.Memory);
  };
  for (const name of ["instantiate", "instantiateStreaming"]) {
    const original = WebAssembly[name].bind(WebAssembly);
    WebAssembly[name] = async (...args) => {
      const made = await original(...args);
      keep(made instanceof WebAssembly.Instance ? { instance: made } : made);
      return made;
    };
  }
  const ask = window.requestAnimationFrame.bind(window);
  const { port1, port2 } = new MessageChannel();
  let open = null;
  // The first task after the frame: by then effects, style, layout and paint have been done.
  port1.onmessage = () => {
    open.whole = performance.now() - open.began;
    seen.frames.push(open);
    open = null;
  };
  window.requestAnimationFrame = (callback) =>
    ask((time) => {
      const began = performance.now();
      if (!open) {
        open = { began, callback: 0, whole: 0 };
        port2.postMessage(0);
      }
      callback(time);
      open.callback = performance.now() - open.began;
      if (seen.first === null && window.strandline?.now() > 0) {
        seen.first = performance.now();
        performance.mark("strandline:first-simulated-frame");
      }
    });
}

const host = await serve({ base: "/strandline/" });
const executablePath = CANDIDATES.find((path) => path && existsSync(path));
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });

/** A page of its own in a fresh profile. */
async function fresh(path, use) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(120_000);
    await page.addInitScript(instrument);
    await page.goto(new URL(path, host.url).href);
    await page.waitForFunction(() => window.strandline && document.documentElement?.classList.contains("running"));
    return await use(page);
  } finally {
    await context.close();
  }
}

async function open(page, toml, speed) {
  const opened = await page.evaluate(([text, speed]) => window.strandline.open(text, speed), [toml, speed]);
  if (!opened) throw new Error("the page refused the scenario");
}

function told_natively(only) {
  const options = ["bench", "--quick", "--json", "--only", only];
  return JSON.parse(execFileSync(native, options, { stdio: ["ignore", "pipe", "ignore"] })).at(-1);
}

/** The bare engine in wasm, each round beside one of the native engine; in events, or in `records`. */
async function engine(scenario, only, records) {
  const native_rate = () => {
    const told = told_natively(only);
    return records ? told.records_m_per_s : told.engine_m_per_s;
  };
  return fresh("run", async (page) => {
    await open(page, scenario, 1);
    const rounds = [];
    // The first is for the compiler: Chromium tiers up while it runs.
    for (let round = 0; round <= ROUNDS; round++) {
      const { events, ms } = await page.evaluate(() => {
        const began = performance.now();
        const events = window.strandline.runThrough();
        return { events, ms: performance.now() - began };
      });
      const wasm = (records ?? events) / ms / 1e3;
      if (round > 0) rounds.push({ events, wasm, native: native_rate() });
    }
    return {
      events: records ?? rounds[0].events,
      wasm_m_per_s: at(rounds.map((r) => r.wasm), 0.5),
      native_m_per_s: at(rounds.map((r) => r.native), 0.5),
      ratio: at(rounds.map((r) => r.wasm / r.native), 0.5),
    };
  });
}

/** Seeks to random points, from a time on, of a run that has been explored. */
async function seeks(scenario, from) {
  return fresh("run", async (page) => {
    await open(page, scenario, 1);
    return page.evaluate(
      async ([events_wanted, count, second, from]) => {
        const { strandline, __bench } = window;
        const bytes = () => __bench.memory?.buffer.byteLength ?? 0;
        const task = () =>
          new Promise((done) => {
            const { port1, port2 } = new MessageChannel();
            port1.onmessage = done;
            port2.postMessage(0);
          });
        const before = bytes();
        let head = 0;
        while (strandline.event() < events_wanted && head < strandline.duration()) {
          head += second / 4;
          strandline.seek(head);
          await task();
        }
        const [events, explored] = [strandline.event(), bytes()];
        // A fixed sequence, so that two versions of the site seek to the same points.
        let state = 12345;
        const next = () => (state = (state * 48271) % 2147483647) / 2147483647;
        const [done, painted] = [[], []];
        for (let i = 0; i < count; i++) {
          const to = Math.floor(from + next() * (head - from));
          const began = performance.now();
          strandline.seek(to);
          await task();
          done.push(performance.now() - began);
          await new Promise((frame) => requestAnimationFrame(frame));
          await task();
          painted.push(performance.now() - began);
        }
        const keyframes = strandline.keyframes();
        const weight = strandline.keyframesWeight();
        return { events, keyframes, weight, before, explored, after: bytes(), done, painted };
      },
      [SEEK_RUN_EVENTS, SEEKS, SECOND, from],
    );
  }).then(({ done, painted, ...rest }) => ({ ...rest, done: spread(done), painted: spread(painted) }));
}

/** Frames of a playing run with many tokens, at one speed. */
async function frames(toml, speed) {
  return fresh("run", async (page) => {
    await open(page, toml, speed);
    return page.evaluate(
      async ([count, from]) => {
        const { strandline, __bench } = window;
        strandline.seek(from);
        strandline.play(1);
        const until = async (n) => {
          __bench.frames.length = 0;
          const tokens = [];
          while (__bench.frames.length < n && strandline.playing()) {
            await new Promise((later) => setTimeout(later, 100));
            tokens.push(strandline.tokens());
          }
          return { tokens, frames: [...__bench.frames] };
        };
        await until(60);
        return until(count);
      },
      [FRAMES, 12 * SECOND],
    );
  }).then(({ tokens, frames }) => ({
    speed,
    tokens: { min: Math.min(...tokens), p50: at(tokens, 0.5), max: Math.max(...tokens) },
    callback: spread(frames.map((f) => f.callback)),
    whole: spread(frames.map((f) => f.whole)),
  }));
}

/** First visits of a page: nothing in the cache, a profile of its own each time. */
async function visits(path, measure) {
  const times = [];
  for (let visit = 0; visit < ROUNDS; visit++) times.push(await fresh(path, measure));
  return spread(times);
}

/** When the first frame came that shows simulated time, ms after the start of the navigation. */
async function first_frame(page) {
  await page.waitForFunction(() => window.__bench.first !== null);
  return page.evaluate(() => window.__bench.first);
}

/** When a page with a run of its own takes orders, ms after the start of the navigation. */
const ready = (page) => page.evaluate(() => performance.now());

try {
  const cluster = await text_of("../scenarios/bench-cluster.toml");
  const job = await text_of("../scenarios/bench-job.toml");
  const keys = await text_of("../cli/src/bench/job-keys.toml");
  const busy = await text_of("bench-tokens.toml");
  say("first load");
  const first_ms = await visits("", first_frame);
  const lesson_ms = await visits("lessons/what-acks-promise/", ready);
  say("engine");
  const engine_figures = await engine(cluster, "the same with 1,000 keys");
  say("job");
  const job_figures = await engine(job, "job of 4 sources", JOB_RECORDS);
  say("seeks");
  const seek = await seeks(cluster, 0);
  say("seeks with a million keys");
  const keyed = await seeks(keys, KEYS_FROM);
  say("frames");
  const slow = await frames(busy, 0.02);
  const fast = await frames(busy, 1);
  const figures = { chromium: browser.version(), node: process.version, first_ms, lesson_ms, engine: engine_figures, job: job_figures, seek, keyed, frames: [slow, fast] };
  console.log(JSON.stringify(figures));
} finally {
  await browser.close();
  await host.close();
}
