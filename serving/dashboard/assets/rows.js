// The rows behind a number, and the road of the event behind a row.

import { ask, refused } from "./ask.js";
import { el, empty, rowsOf } from "./draw.js";
import { day, many, moment, seconds } from "./format.js";

const LIMIT = 50;
// Times by which the newest rows come first, the first that a mart has.
const NEWEST = ["published_at", "checked_at", "newest_at", "newest_commit_at", "decided_date", "committed_date", "published_month", "cohort_month"];
const STAGES = { source: "Source", sealed: "Sealed and sent", kafka: "Kafka", raw: "Raw", silver: "Silver", gold: "Published gold", decision: "Decision" };
const $ = (id) => document.getElementById(id);

function shown(value, kind) {
  if (value === null || value === undefined) return "–";
  if (kind === "time") return moment(value);
  if (kind === "date") return day(value);
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}

// What the rows are narrowed to; each part can be taken away again.
function filters(mart, query) {
  const parts = [...query].filter(([name]) => name !== "cursor");
  if (!parts.length) return el("p", { class: "quiet", text: "All rows that this session may see." });
  return el("ul", { class: "filters", "aria-label": "Filters" }, ...parts.map(([name, value]) => {
    const rest = new URLSearchParams(parts.filter(([other]) => other !== name));
    const text = `${name.replace(/\.eq$/, " = ").replace(/\.null$/, " is unknown: ")}${value}`;
    return el("li", {}, text, el("a", { href: `${rowsOf(mart)}${rest.size ? `?${rest}` : ""}`, "aria-label": `Without the filter ${name}`, text: "✕" }));
  }));
}

function grid(mart, { columns, road }, rows) {
  // what no row on this page has would only push the rest out of sight
  const names = Object.keys(columns).filter((name) => rows.some((one) => one[name] !== null));
  const numbers = new Set(["integer", "decimal", "double"]);
  const kind = (name) => (numbers.has(columns[name]) ? "num" : "");
  const head = [road.length ? el("th", { scope: "col", text: "Road" }) : null, ...names.map((name) => el("th", { scope: "col", class: kind(name), text: name }))];
  const body = rows.map((one) => {
    const button = road.length ? el("button", { type: "button", class: "link", text: "Show", "aria-label": `Road of ${road.map((name) => one[name]).join(" ")}` }) : null;
    button?.addEventListener("click", () => trail(mart, road.map((name) => one[name])));
    return el("tr", {}, button ? el("td", {}, button) : null, ...names.map((name) => el("td", { class: kind(name), text: shown(one[name], columns[name]) })));
  });
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Rows of ${mart}` },
    el("table", { class: "rows-table" }, el("caption", { class: "hidden", text: `Rows of ${mart}` }), el("thead", {}, el("tr", {}, ...head.filter(Boolean))), el("tbody", {}, ...body)));
}

// Ages count from the moment at which an event entered Caudal, so the road does too.
function fromSealing(at, sealed) {
  if (!at || !sealed || at === sealed) return "";
  const took = (new Date(at) - new Date(sealed)) / 1000;
  return ` (${seconds(Math.abs(took))} ${took < 0 ? "before" : "after"} sealing)`;
}

async function trail(mart, [tenant, value]) {
  const place = $("trail");
  place.closest("section").hidden = false;
  place.replaceChildren(el("p", { class: "quiet", text: "Looking …" }));
  $("h-trail").focus();
  try {
    const { hops } = await ask(`/look/road/${encodeURIComponent(mart)}?${new URLSearchParams({ tenant, value })}`);
    const sealed = hops.find((hop) => hop.stage === "sealed")?.at;
    place.replaceChildren(el("p", { class: "quiet", text: `${value} of ${tenant}` }), el("ol", { class: "trail" }, ...hops.map((hop) => {
      const took = fromSealing(hop.at, sealed);
      const facts = Object.entries(hop.facts).filter(([, fact]) => fact !== null).map(([name, fact]) => `${name.replaceAll("_", " ")} ${fact}`);
      return el("li", { "data-hop": hop.stage }, el("strong", { text: STAGES[hop.stage] ?? hop.stage }),
        hop.at ? el("time", { datetime: hop.at, text: `${moment(hop.at)}${took}` }) : null, el("span", { class: "quiet", text: facts.join(", ") }));
    })));
  } catch (error) {
    place.replaceChildren(refused(error));
  }
}

export async function show(main) {
  const mart = decodeURIComponent(location.pathname.split("/")[2]);
  const query = new URLSearchParams(location.search);
  const body = el("div", { id: "rows" }, el("p", { class: "quiet", text: "Looking …" }));
  main.replaceChildren(el("div", { class: "grid" },
    el("section", { class: "panel full", "aria-labelledby": "h-trail", hidden: "" }, el("h2", { id: "h-trail", tabindex: -1, text: "The road of one event" }),
      el("div", { id: "trail", "aria-live": "polite" })),
    el("section", { class: "panel full", "aria-labelledby": "h-rows" }, el("h2", { id: "h-rows", text: mart }), filters(mart, query), body)));
  try {
    const about = await ask(`/look/marts/${encodeURIComponent(mart)}`);
    const newest = NEWEST.find((name) => name in about.columns);
    const asked = new URLSearchParams(query);
    asked.set("limit", LIMIT);
    if (newest && !asked.has("order")) asked.set("order", `-${newest}`);
    const { version, age_s: age, rows, next_cursor: next } = await ask(`/look/rows/${encodeURIComponent(mart)}?${asked}`);
    const further = new URLSearchParams(query);
    if (next) further.set("cursor", next);
    body.replaceChildren(
      el("p", { class: "from", text: `${mart} version ${version}, ${seconds(age)} old, ${many(rows.length, "row")} on this page; columns without a value are left out` }),
      rows.length ? grid(mart, about, rows) : empty("No row is like that."),
      next ? el("p", {}, el("a", { href: `${rowsOf(mart)}?${further}`, rel: "next", text: "Further rows" })) : el("p", { class: "quiet", text: "These are all." }));
  } catch (error) {
    body.replaceChildren(refused(error));
  }
  document.body.classList.remove("loading");
}
