// Listens to /live for one page. The browser reconnects by itself; a silent stream is told as stale.

import { clock, seconds } from "./format.js";

// States come every 2 s and comments every 10 s: longer silence means that something is away.
const STALE_MS = 8000;

const $ = (id) => document.getElementById(id);
let last = null;
let heard = 0;

function tell(tone, text) {
  const pill = $("connection");
  if (pill.textContent !== text) pill.textContent = text;
  pill.className = `pill ${tone}`;
}

function watch() {
  const quiet = performance.now() - heard;
  const out = last !== null && quiet > STALE_MS;
  document.body.classList.toggle("out", out);
  $("stale").hidden = !out;
  if (out) {
    tell("bad", "not live");
    $("stale").textContent = `No news for ${seconds(quiet / 1000)}. The numbers are of ${clock(last.at)}; trying to reconnect.`;
  }
}

export function listen(page, draw) {
  const source = new EventSource(`/live?page=${encodeURIComponent(page)}`);
  source.addEventListener("state", (event) => {
    last = JSON.parse(event.data);
    heard = performance.now();
    tell("good", "live");
    $("asof").textContent = `as of ${clock(last.at)}`;
    draw(last);
    watch();
  });
  source.addEventListener("error", () => {
    tell("wait", "reconnecting");
    // a refused stream (the session ended, or too many pages) is not retried by the browser
    if (source.readyState === EventSource.CLOSED) {
      setTimeout(() => fetch("/").then((r) => (r.status === 401 ? location.reload() : listen(page, draw)), () => listen(page, draw)), 3000);
    }
  });
}

setInterval(watch, 1000);
