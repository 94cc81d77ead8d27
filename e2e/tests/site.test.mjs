// The site as a set of files: it starts under any path, keeps its policy, works offline, and says
// what is wrong when it cannot run.
import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, open, running, site, with_page } from "../harness.mjs";

test("the home page starts below a sub-path, without an error", async () => {
  await with_page({}, async (page) => {
    assert.match(new URL(page.url()).pathname, /^\/strandline\/$/);
    await page.getByRole("heading", { level: 1 }).waitFor();
    assert.equal(await page.locator("#boot").isVisible(), false, "the loading panel is gone");
    assert.equal(await page.locator("h1").count(), 1, "the static text gave way to the application");
    assert.match(await page.title(), /Strandline/);
  });
});

test("the policy refuses inline script", async () => {
  const expected = [/^policy: script-src/, /Content Security Policy/];
  await with_page({ expected }, async (page) => {
    const ran = await page.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "window.__ran = true";
      document.head.append(script);
      return window.__ran === true;
    });
    assert.equal(ran, false);
  });
});

test("a stored theme is set before the application runs", async () => {
  await with_page({ path: null, javaScriptEnabled: true }, async (page) => {
    await page.addInitScript(() => localStorage.setItem("strandline.theme", "dark"));
    await page.route("**/*.wasm", (route) => setTimeout(() => route.continue(), 500));
    await page.goto(await site(), { waitUntil: "commit" });
    await page.waitForFunction(() => document.documentElement?.dataset.theme === "dark");
    assert.equal(await page.locator("html.running").count(), 0, "it did not have to wait");
    await running(page);
  });
});

test("every route answers by itself, with a base that fits its depth", async () => {
  await with_page({ path: "sandbox/" }, async (page) => {
    assert.equal(await page.evaluate(() => document.baseURI), await site());
    assert.match(await page.title(), /Sandbox/);
  });
});

test("an unknown address gets a page that finds the way home", async () => {
  await with_page({ path: null, expected: [/404/] }, async (page) => {
    const answer = await page.goto(`${await site()}lessons/no-such-lesson/deep/`);
    assert.equal(answer.status(), 404);
    await page.waitForFunction(() => document.getElementById("home").href.endsWith("/strandline/"));
    await accessible(page);
    await page.getByRole("link").click();
    await running(page);
  });
});

test("it works offline after the first visit, deep pages included", async () => {
  await with_page({ expected: [/net::ERR_INTERNET_DISCONNECTED/] }, async (page, context) => {
    await page.evaluate(() => navigator.serviceWorker.ready);
    await context.setOffline(true);
    await page.reload();
    await running(page);
    await open(page, "sandbox/");
    await open(page, "sandbox");
    assert.equal(page.url(), `${await site()}sandbox/`);
  });
});

test("without script the page says what it needs", async () => {
  // The module's preload is then refused under the name of the policy.
  const expected = [/^csp: .*\.js$/];
  await with_page({ path: null, javaScriptEnabled: false, expected }, async (page) => {
    await page.goto(await site());
    assert.match(await page.locator("body").innerText(), /needs JavaScript and WebAssembly/);
    assert.equal(await page.locator("#boot").isVisible(), false, "nothing pretends to load");
    assert.equal(await page.getByRole("heading", { level: 1 }).innerText(), "Strandline");
  });
});

test("a module that cannot be loaded is explained, with a way on", async () => {
  await with_page({ path: null, expected: [/\b503\b/] }, async (page) => {
    await page.route("**/*.wasm", (route) => route.fulfill({ status: 503 }));
    await page.goto(await site());
    const alert = page.getByRole("alert");
    await alert.getByRole("heading", { name: "The simulator did not start" }).waitFor();
    assert.match(await alert.innerText(), /answered 503/);
    await accessible(page);
    await page.unroute("**/*.wasm");
    await alert.getByRole("button", { name: "Reload the page" }).click();
    await running(page);
  });
});

test("a browser without WebAssembly is told so", async () => {
  await with_page({ path: null }, async (page) => {
    await page.addInitScript(() => delete window.WebAssembly);
    await page.goto(await site());
    await page.getByRole("heading", { name: "This browser cannot run the simulator" }).waitFor();
  });
});

test("modules served with a wrong type still start", async () => {
  await with_page({ path: null }, async (page) => {
    await page.route("**/*.wasm", async (route) => {
      const response = await route.fetch();
      const headers = { ...response.headers(), "content-type": "application/octet-stream" };
      await route.fulfill({ response, headers });
    });
    await open(page);
    await open(page, "course/");
    await page.getByTestId("course").waitFor();
  });
});

test("the second half of the site that cannot be loaded is told, and another try brings it", async () => {
  await with_page({ path: null, expected: [/\b503\b/], serviceWorkers: "block" }, async (page) => {
    const second = /\/later-[^/]*\.wasm$/;
    await page.route(second, (route) => route.fulfill({ status: 503 }));
    await open(page);
    await page.getByRole("link", { name: "Course", exact: true }).click();
    const problem = page.getByTestId("load-problem");
    await problem.waitFor();
    await page.unroute(second);
    await problem.getByRole("button", { name: "Try again" }).click();
    await page.getByTestId("course").waitFor();
  });
});
