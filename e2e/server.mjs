// A small static host for the built site: right types, compression, directory redirects and the
// 404 page, as published sites are served. `node server.mjs [port] [base]` shows dist/ by hand.
import { createReadStream, existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { createGzip } from "node:zlib";

export const DIST = join(dirname(fileURLToPath(import.meta.url)), "..", "dist");

const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".md": "text/markdown; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".toml": "text/plain; charset=utf-8",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".woff2": "font/woff2",
};
const PACKED = new Set([".png", ".woff2"]);

/** Starts the host on a free port (or the given one) and resolves to `{ url, close }`. */
export async function serve({ base = "/", dist = DIST, port = 0 } = {}) {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const found = locate(dist, base, decodeURIComponent(pathname));
    if (found.redirect) {
      response.writeHead(301, { location: found.redirect }).end();
    } else if (found.file) {
      send(request, response, found.file);
    } else {
      const page = await readFile(join(dist, "404.html")).catch(() => "404");
      response.writeHead(404, { "content-type": TYPES[".html"] }).end(page);
    }
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}${base}`,
    close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  };
}

function locate(dist, base, pathname) {
  if (!pathname.startsWith(base)) return {};
  const file = join(dist, normalize(`/${pathname.slice(base.length)}`));
  if (!existsSync(file)) return {};
  if (!statSync(file).isDirectory()) return { file };
  if (!pathname.endsWith("/")) return { redirect: `${pathname}/` };
  const index = join(file, "index.html");
  return existsSync(index) ? { file: index } : {};
}

function send(request, response, file) {
  const ending = extname(file);
  const headers = { "content-type": TYPES[ending] ?? "application/octet-stream", "cache-control": "max-age=600" };
  const gzip = !PACKED.has(ending) && /\bgzip\b/.test(request.headers["accept-encoding"] ?? "");
  if (gzip) headers["content-encoding"] = "gzip";
  else headers["content-length"] = statSync(file).size;
  response.writeHead(200, headers);
  if (request.method === "HEAD") return response.end();
  const stream = createReadStream(file);
  (gzip ? stream.pipe(createGzip()) : stream).pipe(response);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [port = "8090", base = "/strandline/"] = process.argv.slice(2);
  const { url } = await serve({ base, port: Number(port) });
  console.log(`dist/ is at ${url} (Ctrl-C ends it)`);
}
