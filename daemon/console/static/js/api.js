// The console's calls, and the device's events. What was meant once is done once, whatever is lost on the way.

const CALL_MS = 12_000;
const INTENT_MS = 15_000; // for all the tries of one intent together
const AGAIN_MS = [300, 700, 1000]; // and then every
const LATER_MS = 2000;
const SILENCE_MS = 12_000; // the device says something every 5 s
const RECONNECT_MS = 500;
const LOST = new Set([502, 503, 504]);

export class CallError extends Error {
  // `status` 0: nobody answered.
  constructor(status, body) {
    super(body?.error ?? `HTTP ${status}`);
    this.status = status;
    this.body = body ?? {};
    this.told = null; // in the officer's words, where somebody knows them
  }
}

async function once(method, path, headers, body, within = CALL_MS) {
  let answer;
  try {
    const signal = AbortSignal.timeout(Math.max(0, Math.min(within, CALL_MS)));
    answer = await fetch(path, { method, headers, body, signal, redirect: "error" });
  } catch {
    throw new CallError(0, null);
  }
  const told = await answer.json().catch(() => null);
  if (!answer.ok) throw new CallError(answer.status, told);
  return told;
}

export function read(path) {
  return once("GET", `/api${path}`, {}, undefined);
}

// One intent is one key: tried again until somebody answers or its time is over, it is still done once.
export async function write(method, path, content = {}) {
  const headers = {
    "Content-Type": "application/json", "X-BondMate": "1", "Idempotency-Key": crypto.randomUUID(),
  };
  const body = JSON.stringify(content);
  const until = performance.now() + INTENT_MS;
  for (let tries = 0; ; tries += 1) {
    const wait = AGAIN_MS[tries] ?? LATER_MS;
    try {
      return await once(method, `/api${path}`, headers, body, Math.round(until - performance.now()));
    } catch (error) {
      const isLost = error.status === 0 || LOST.has(error.status);
      if (!isLost || performance.now() + wait >= until) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

// Hands the token in the address over for a cookie, and takes it out of the address.
export async function enter() {
  const token = /^#([\w-]{43})$/.exec(location.hash)?.[1];
  if (!token) return;
  history.replaceState(null, "", `${location.pathname}#/`);
  for (;;) {
    try {
      await once("POST", "/enter", { "Content-Type": "text/plain", "X-BondMate": "1" }, token);
      return;
    } catch (error) {
      if (error.status === 401 || error.status === 403) return; // the first call will tell
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

// Listens for ever. `on.status`, `on.inbox`: the device's news. `on.settings`: at each new connection.
// `on.state`: "live", "lost" or "refused".
export async function listen(on) {
  for (;;) {
    try {
      on.settings(await read("/settings"));
      await stream(on);
      on.state("lost");
    } catch (error) {
      on.state(error.status === 401 ? "refused" : "lost");
    }
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
  }
}

// Until it breaks, or nothing was heard for too long.
function stream(on) {
  return new Promise((resolve) => {
    const source = new EventSource("/api/events");
    let watch = 0;
    const end = () => {
      clearTimeout(watch);
      source.close();
      resolve();
    };
    const heard = () => {
      clearTimeout(watch);
      watch = setTimeout(end, SILENCE_MS);
    };
    heard();
    source.addEventListener("status", (event) => {
      heard();
      on.status(JSON.parse(event.data));
      on.state("live");
    });
    source.addEventListener("inbox", (event) => {
      heard();
      on.inbox(JSON.parse(event.data));
    });
    source.addEventListener("error", end);
  });
}
