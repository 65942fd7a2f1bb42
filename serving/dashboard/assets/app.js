// Listens to /live and draws each state. The browser reconnects by itself; a silent stream is told as stale.

import * as panels from "./panels.js";
import { clock, seconds } from "./draw.js";

// States come every 2 s and comments every 10 s: longer silence means that something is away.
const STALE_MS = 8000;
const SECTIONS = {
  now: panels.now, road: panels.road, shops: panels.shops, gold: panels.gold, promise: panels.promise,
  decisions: panels.decisions,
  payments: panels.payments, tiers: panels.tiers, dead: panels.dead, quality: panels.quality,
  processes: panels.processes, alerts: panels.alerts,
};
// The part of the state that a section shows; ages move with every state, so they are part of it.
const PARTS = {
  now: (s) => [s.stages, s.figures], road: (s) => s.stages, shops: (s) => s.figures.shops, gold: (s) => s.gold,
  promise: (s) => [s.freshness, s.backlog], decisions: (s) => s.figures.decisions, payments: (s) => s.figures.payments, tiers: (s) => s.figures.tiers,
  dead: (s) => [s.figures.dead_letters, s.refused_at_door], quality: (s) => s.quality,
  processes: (s) => [s.processes, s.breakers], alerts: (s) => s.alerts,
};

const $ = (id) => document.getElementById(id);
const drawn = {};
let last = null;
let heard = 0;

function draw(state) {
  for (const [id, make] of Object.entries(SECTIONS)) {
    const part = JSON.stringify(PARTS[id](state));
    if (drawn[id] === part) continue;
    drawn[id] = part;
    $(id).replaceChildren(...make(state));
  }
  document.body.classList.remove("loading");
}

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

function listen() {
  const source = new EventSource("/live");
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
      setTimeout(() => fetch("/").then((r) => (r.status === 401 ? location.reload() : listen()), listen), 3000);
    }
  });
}

function theme() {
  const root = document.documentElement;
  const dark = () => root.dataset.theme === "dark"
    || (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  const button = $("theme");
  const label = () => { button.textContent = dark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    label();
  });
  label();
}

theme();
listen();
setInterval(watch, 1000);
