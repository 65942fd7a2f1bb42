// The road at a glance: rates and lag by stage, and what needs somebody.

import { spark } from "./chart.js";
import { cell, column, el, empty, linked, row, table } from "./draw.js";
import { brief, count, many, rate, seconds, share } from "./format.js";
import { alarmSection, groupSection, processSection, promiseSection, sum, tiles, verdicts } from "./parts.js";

const STAGES = {
  source: "Source", kafka: "Kafka", raw: "Raw", silver: "Silver", gold: "Gold", decision: "Decision",
};
const UNPUBLISHED = "not published yet";

function now(orders, payments, decisions, { stages, dead_letters: dead }) {
  const stage = Object.fromEntries(stages.map((s) => [s.stage, s]));
  const decided = decisions && sum(decisions, "decisions");
  const rejected = decisions?.find((one) => one.outcome === "reject")?.decisions ?? 0;
  return tiles([
    ["Events in", brief(stage.kafka.rows), `${rate(stage.kafka.rate)} now`],
    ["Event to gold, P95", seconds(stage.gold.age?.p95), `silver ${seconds(stage.silver.age?.p95)}`],
    ["Orders in gold", brief(orders?.[0]?.orders), orders ? many(orders[0].shops, "shop") : UNPUBLISHED],
    ["Payments in gold", brief(payments?.[0]?.payments), payments ? `${rate(stage.silver.rate)} into silver` : UNPUBLISHED],
    ["Decisions", brief(decided), decisions ? `${share(rejected, decided)} rejected` : UNPUBLISHED],
    ["Dead letters", dead ? brief(sum(dead, "records")) : "0", dead?.length ? many(dead.length, "group") : "none"],
  ]);
}

function road(stages) {
  return stages.map((stage) => {
    const flows = (stage.rate ?? 0) > 0;
    const name = STAGES[stage.stage] ?? stage.stage;
    const facts = [
      ["P95 age", seconds(stage.age?.p95), ""],
      ["Lag", stage.lag === null ? "–" : brief(stage.lag), stage.lag > 10000 ? "warn" : ""],
      ["Rejects", brief(stage.rejects), stage.rejects > 0 ? "warn" : ""],
    ];
    return el("li", { class: `stage ${flows ? "flows" : "idle"}`, "data-stage": stage.stage },
      el("h3", {}, name, el("span", { class: "rate", text: rate(stage.rate) })),
      el("p", { class: "rows", text: brief(stage.rows), title: `${count(stage.rows)} rows` }),
      spark(stage.curve, `Rows per second of ${name}, last two minutes`),
      el("dl", {}, ...facts.flatMap(([key, value, tone]) => [el("dt", { text: key }), el("dd", { text: value, class: tone })])));
  });
}

function dead([letters, door]) {
  const early = Object.entries(door ?? {});
  if (!letters?.length && !early.length) return [empty("No record has been refused.")];
  const all = [...(letters ?? []).map((r) => [r.code, r.records, [r.contract, r.path].filter(Boolean).join(" · ")]),
    ...early.map(([code, n]) => [code, n, "at the door"])];
  const high = Math.max(1, ...all.map(([, n]) => n));
  return [table("Dead letters by code", [["Code"], ["Records", "num"], ["", "bar-col"], ["Where", "num extra"]],
    all.slice(0, 8).map(([code, n, where]) => row(linked(code, "name code", "/dead-letters", code), cell(count(n), "num"), column(n / high, "warn"), cell(where, "num quiet extra wrap"))))];
}

function quality(groups) {
  const found = verdicts(groups);
  return found.length ? [...found, el("p", {}, el("a", { href: "/quality", text: "All checks" }))] : [empty("No gate has run yet.")];
}

export const sections = [
  { id: "now", title: "Now", quiet: true, kind: "bare", tag: "dl", body: "now", loose: true,
    figures: ["orders", "payments", "decisions"], part: (s) => ({ stages: s.stages, dead_letters: s.dead_letters }), draw: now },
  { id: "road", title: "The road", hint: "from the source to published gold and a decision", kind: "bare", tag: "ol", body: "road",
    part: (s) => s.stages, draw: road },
  alarmSection,
  groupSection,
  promiseSection,
  processSection,
  { id: "dead", title: "Dead letters by code", part: (s) => [s.dead_letters, s.refused_at_door], draw: dead },
  { id: "quality", title: "Quality of the last cycle", size: "wide", part: (s) => s.quality, draw: quality },
];
