// Keeps the site usable offline after the first visit. The two constants are filled in by the
// build: every file with the first 64 bits of its SHA-256, and a version made of that list.
const VERSION = "development";
const FILES = {};

// Project sites share one origin, and so one cache storage.
const CACHE = `strandline:${new URL(self.registration.scope).pathname}`;
const AT_ONCE = 6;
const PATIENCE_MS = 4000;

/** Content is kept under its hash: an unchanged file is never fetched again. */
const key = (path) => new URL(`${path}?sha=${FILES[path]}`, self.registration.scope).href;

async function digest(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...hash.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Fetches one file into the cache, and refuses a stale one: the next visit tries again. */
async function keep(cache, path) {
  const response = await fetch(new URL(path, self.registration.scope), { cache: "reload" });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  const bytes = await response.arrayBuffer();
  // Some hosts write into the pages they serve; everything else must be what was built.
  if (!path.endsWith(".html") && (await digest(bytes)) !== FILES[path]) {
    throw new Error(`${path} is of another version`);
  }
  const type = response.headers.get("content-type") ?? "application/octet-stream";
  await cache.put(key(path), new Response(bytes, { headers: { "content-type": type } }));
}

self.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(CACHE);
      const have = new Set((await cache.keys()).map((request) => request.url));
      const wanted = Object.keys(FILES).filter((path) => !have.has(key(path)));
      const take = async () => {
        while (wanted.length > 0) await keep(cache, wanted.shift());
      };
      await Promise.all(Array.from({ length: AT_ONCE }, take));
    })(),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(CACHE);
      const current = new Set(Object.keys(FILES).map(key));
      const old = (await cache.keys()).filter((request) => !current.has(request.url));
      await Promise.all(old.map((request) => cache.delete(request)));
      await self.clients.claim();
    })(),
  );
});

// A running lesson is never replaced in silence: the page asks when the reader has agreed.
self.addEventListener("message", (event) => {
  if (event.data === "take-over") self.skipWaiting();
  if (event.data === "version") event.source?.postMessage({ version: VERSION });
});

const cached = async (path) => (await caches.open(CACHE)).match(key(path));

/** Pages come from the network while there is one, so that a reload always shows the newest. */
async function page(event, path) {
  const network = fetch(event.request);
  network.catch(() => {}); // Its failure is handled below, perhaps after the race is over.
  const late = new Promise((_, reject) => setTimeout(reject, PATIENCE_MS, new Error("late")));
  try {
    return await Promise.race([network, late]);
  } catch {
    if (path in FILES) return (await cached(path)) ?? network;
    const folder = `${path}/index.html`;
    if (folder in FILES) return Response.redirect(`${event.request.url.split(/[?#]/)[0]}/`);
    return (await cached("404.html")) ?? network;
  }
}

self.addEventListener("fetch", (event) => {
  const url = event.request.url.split(/[?#]/)[0];
  if (event.request.method !== "GET" || !url.startsWith(self.registration.scope)) return;
  let path = decodeURIComponent(url.slice(self.registration.scope.length));
  if (path === "" || path.endsWith("/")) path += "index.html";
  if (event.request.mode === "navigate") event.respondWith(page(event, path));
  else if (path in FILES) event.respondWith(cached(path).then((hit) => hit ?? fetch(event.request)));
});
