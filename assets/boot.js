// Starts the application: fetches the module with visible progress, says in words what went wrong
// when it cannot run, and keeps the site available offline. It is a file of its own because the
// page's content security policy allows no inline script.

const tag = document.querySelector("script[data-wasm]");
const panel = document.getElementById("boot");
const bar = document.getElementById("boot-progress");
const note = document.getElementById("boot-note");
const at = (path) => new URL(path, document.baseURI).href;

/** A further module of the site, by the `meta` element in which the build has put its file's name. */
globalThis.strandlineModule = async (meta) => {
  const name = document.querySelector(`meta[name="${meta}"]`)?.content;
  if (!name) throw new Error(`this build has no ${meta}`);
  return import(at(name));
};

/** Replaces the loading panel by a message: what happened, what to do, and the detail to report. */
function fail(title, advice, detail) {
  panel.hidden = false;
  panel.setAttribute("role", "alert");
  panel.classList.add("boot-failed");
  const heading = document.createElement("h2");
  heading.textContent = title;
  const text = document.createElement("p");
  text.textContent = advice;
  const again = document.createElement("button");
  again.type = "button";
  again.textContent = "Reload the page";
  again.addEventListener("click", () => location.reload());
  panel.replaceChildren(heading, text, again);
  if (detail) {
    const box = document.createElement("pre");
    box.textContent = String(detail);
    panel.append(box);
  }
}

/** The response with its bytes counted on the way, and typed so that any host's type will do. */
function counted(response, total) {
  let seen = 0;
  const counter = new TransformStream({
    transform(chunk, out) {
      seen += chunk.byteLength;
      if (total > 0) {
        bar.value = Math.min(1, seen / total);
        note.textContent = `Loading the simulator: ${Math.round(seen / 1024)} of ${Math.round(total / 1024)} KB`;
      }
      out.enqueue(chunk);
    },
  });
  return new Response(response.body.pipeThrough(counter), {
    headers: { "content-type": "application/wasm" },
  });
}

/** Downloads and starts the module. Throws with a message meant for the reader. */
async function start() {
  const glue = import(at(tag.dataset.js));
  const response = await fetch(at(tag.dataset.wasm), { credentials: "same-origin" });
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}`);
  const module = counted(response, Number(tag.dataset.wasmBytes || 0));
  await (await glue).default({ module_or_path: module });
}

/** A trap in the module leaves it in an unknown state: say so instead of going on. */
function watch_for_traps() {
  window.addEventListener("error", (event) => {
    if (event.error instanceof WebAssembly.RuntimeError) {
      fail(
        "The simulator has stopped",
        "This is a fault in Strandline, not in what you did. Reloading brings back your work; " +
          "a link to this run and the text below make a good report.",
        event.error.stack || event.error,
      );
    }
  });
}

/** Offline use. A development build has no worker and removes one that an earlier build left. */
async function keep_offline() {
  if (!("serviceWorker" in navigator)) return;
  const scope = at("./");
  if (!tag.dataset.worker) {
    const old = await navigator.serviceWorker.getRegistration(scope);
    if (old) await old.unregister();
    return;
  }
  const registration = await navigator.serviceWorker.register(at(tag.dataset.worker), { scope });
  // A newer version waits until the reader agrees; the application shows the offer.
  const offer = () => {
    if (registration.waiting && navigator.serviceWorker.controller) {
      document.documentElement.dataset.update = "ready";
      window.dispatchEvent(new CustomEvent("strandline:update"));
    }
  };
  offer();
  registration.addEventListener("updatefound", () => {
    registration.installing?.addEventListener("statechange", offer);
  });
}

if (typeof WebAssembly !== "object" || typeof TransformStream !== "function") {
  fail(
    "This browser cannot run the simulator",
    "It needs WebAssembly, which every browser since 2022 has. It may be switched off by a " +
      "setting or by the system's lockdown mode; the text of the lessons can be read without it.",
  );
} else {
  watch_for_traps();
  try {
    await start();
    panel.hidden = true;
    document.getElementById("static")?.remove();
    document.documentElement.classList.add("running");
    window.dispatchEvent(new CustomEvent("strandline:running"));
  } catch (error) {
    console.error(error);
    const offline = navigator.onLine === false;
    fail(
      offline ? "You are offline" : "The simulator did not start",
      offline
        ? "This page was not kept on your device yet. Open it once while online and it will work without."
        : "Part of the page could not be loaded. Reloading often helps; if it does not, a content " +
            "blocker or a proxy may be holding back the .wasm file.",
      error.message || error,
    );
  }
  keep_offline().catch((error) => console.info("No offline copy is kept:", error.message));
}
