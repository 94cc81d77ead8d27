// Runs the browser tests: every tests/*.test.mjs, or those whose names contain an argument.
// One host serves dist/ below a sub-path for all of them, so that no test passes only at a root.
import { readdirSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import { serve } from "./server.mjs";

// For a whole file: one of them tells some fifty stories. A single step has Playwright's own limit.
const HANG_MS = 900_000;

const folder = join(dirname(fileURLToPath(import.meta.url)), "tests");
const wanted = process.argv.slice(2);
const files = readdirSync(folder)
  .filter((name) => name.endsWith(".test.mjs"))
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  .sort()
  .map((name) => join(folder, name));
if (files.length === 0) {
  console.error(`no browser test matches ${wanted.join(", ") || "tests/*.test.mjs"}`);
  process.exit(1);
}

const host = await serve({ base: "/strandline/" });
process.env.STRANDLINE_SITE = host.url;
console.log(`site under test: ${host.url}`);

let passed = 0;
let failed = 0;
// Browsers are heavy; two at a time keep two cores busy without starving each other.
const stream = run({ files, concurrency: Math.min(2, cpus().length), timeout: HANG_MS });
const counts = (event) => !event.skip && !event.todo && event.details?.type !== "suite" && !is_file(event);
// A file that runs its own process is reported as a test as well; only its failure to run counts.
const is_file = (event) => files.includes(event.name);
stream.on("test:pass", (event) => (passed += counts(event) ? 1 : 0));
stream.on("test:fail", (event) => (failed += counts(event) || is_file(event) ? 1 : 0));
stream.compose(spec).pipe(process.stdout);
await new Promise((resolve) => stream.on("close", resolve).on("end", resolve));
await host.close();
await new Promise((resolve) => setTimeout(resolve, 50)); // lets the report reach the terminal first
console.log(`browser tests: ${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
