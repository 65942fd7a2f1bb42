// One function per section: the state goes in, nodes come out. A section is drawn again only when its part changed.

import { bar, brief, cell, clock, count, el, money, rate, seconds, spark, table } from "./draw.js";

const STAGES = {
  source: "Source", kafka: "Kafka", raw: "Raw", silver: "Silver", gold: "Gold", decision: "Decision",
};
const TONES = { approve: "good", review: "warn", reject: "bad" };
const OUTCOMES = Object.keys(TONES);

const empty = (text) => [el("p", { class: "empty", text })];
const sum = (rows, name) => rows.reduce((total, row) => total + Number(row[name] ?? 0), 0);
const many = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
const most = (rows, name) => Math.max(1, ...rows.map((row) => Number(row[name] ?? 0)));

export function now(state) {
  const stage = Object.fromEntries(state.stages.map((s) => [s.stage, s]));
  const { orders, payments, decisions, dead_letters: dead } = state.figures;
  const order = orders?.[0];
  const paid = payments ? sum(payments, "payments") : null;
  const decided = decisions ? sum(decisions, "decisions") : null;
  const rejected = decisions?.find((row) => row.outcome === "reject");
  return [
    ["Events in", brief(stage.kafka.rows), `${rate(stage.kafka.rate)} now`],
    ["Event to gold, P95", seconds(stage.gold.age?.p95), `silver ${seconds(stage.silver.age?.p95)}`],
    ["Orders in gold", brief(order?.orders), order ? many(order.shops, "shop") : "not published yet"],
    ["Payments in gold", brief(paid), payments ? `${rate(stage.silver.rate)} into silver` : "not published yet"],
    ["Decisions", brief(decided), rejected && decided ? `${(100 * rejected.decisions / decided).toFixed(1)} % rejected` : "not published yet"],
    ["Dead letters", dead ? brief(sum(dead, "records")) : "0", dead?.length ? many(dead.length, "group") : "none"],
  ].map(([name, value, sub]) => el("div", {}, el("dt", { text: name }), el("dd", { text: value }), el("dd", { class: "sub", text: sub })));
}

export function road(state) {
  return state.stages.map((stage) => {
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

export function shops({ figures }) {
  const rows = figures.shops;
  if (!rows?.length) return empty("No order has reached published gold yet.");
  const high = most(rows, "orders");
  return [table("Orders and revenue by shop", [["Shop"], ["Orders", "num"], ["", "shops-bar"], ["Cancelled", "num"], ["Revenue", "num"]],
    rows.map((row) => {
      const share = bar(row.orders / high);
      share.classList.add("shops-bar");
      return el("tr", {}, cell(row.shop, "name", row.shop), cell(count(row.orders), "num"), share,
        cell(count(row.cancelled), "num"), cell(money(row.revenue, row.currency), "num"));
    }))];
}

export function gold({ gold: marts }) {
  if (!marts.length) return empty("Nothing has been published yet: the first cycle has to pass its gate.");
  return [table("Published marts", [["Mart"], ["Rows", "num"], ["Version", "num"], ["Age", "num"]],
    marts.map((m) => el("tr", {}, cell(m.mart, "name long", `${m.mart} (${m.group})`), cell(brief(m.rows), "num"),
      cell(count(m.version), "num"), cell(seconds(m.age_s), `num ${m.group === "live" && m.age_s > 60 ? "warn" : ""}`))))];
}

export function promise({ freshness, backlog }) {
  const rows = (freshness ?? []).filter((row) => row.promise_s !== null);
  if (!rows.length) return empty("No table has been looked at yet.");
  const share = (kept) => (kept === null ? "–" : `${(100 * kept).toFixed(1)} %`);
  const left = backlog?.records > 10000 ? [el("p", { class: "quiet", text: `${count(backlog.records)} records wait, ${
    backlog.eta_s === null ? "no end in sight" : `done in ${seconds(backlog.eta_s)}`}` })] : [];
  return [...left, table("Freshness promised and kept", [["Contract"], ["Age", "num"], ["Promised", "num"], ["Kept 24 h", "num"], ["Burn 1 h", "num"]],
    rows.map((row) => el("tr", {}, cell(row.contract, "name long"), cell(seconds(row.age_s), `num ${row.age_s > row.promise_s ? "warn" : ""}`),
      cell(seconds(row.promise_s), "num"), cell(share(row.kept_24h), "num"),
      cell((row.burn_rate_1h ?? 0).toFixed(1), `num ${row.burn_rate_1h >= 14.4 ? "bad" : row.burn_rate_1h > 1 ? "warn" : ""}`))))];
}

export function decisions({ figures }) {
  const rows = figures.decisions && [...figures.decisions].sort((a, b) => OUTCOMES.indexOf(a.outcome) - OUTCOMES.indexOf(b.outcome));
  if (!rows?.length) return empty("No decision has reached published gold yet.");
  const total = Math.max(1, sum(rows, "decisions"));
  const split = el("div", { class: "split", role: "img", "aria-label": rows.map((r) => `${r.outcome} ${count(r.decisions)}`).join(", ") },
    ...rows.map((row) => {
      const part = el("span", { class: TONES[row.outcome] ?? "" });
      part.style.width = `${(100 * row.decisions) / total}%`;
      return part;
    }));
  return [split, table("Decisions by outcome", [["Outcome"], ["Decisions", "num"], ["Share", "num"], ["P95 time", "num"]],
    rows.map((row) => el("tr", {}, cell(row.outcome, `name mark ${TONES[row.outcome] ?? ""}`), cell(count(row.decisions), "num"),
      cell(`${((100 * row.decisions) / total).toFixed(1)} %`, "num"), cell(row.p95_ms === null ? "–" : seconds(row.p95_ms / 1000), "num"))))];
}

export function payments({ figures }) {
  const rows = figures.payments;
  if (!rows?.length) return empty("No payment has reached published gold yet.");
  const high = most(rows, "payments");
  return [table("Payments by method", [["Method"], ["Payments", "num"], [""], ["Amount", "num"]],
    rows.map((row) => el("tr", {}, cell(row.method, "name"), cell(count(row.payments), "num"), bar(row.payments / high, "teal"),
      cell(brief(row.amount), "num", String(row.amount)))))];
}

export function tiers({ figures }) {
  const rows = figures.tiers;
  if (!rows?.length) return empty("No product event has reached published gold yet.");
  const high = most(rows, "events");
  return [table("Product events by tier", [["Tier"], ["Events", "num"], [""], ["Tenants", "num"]],
    rows.map((row) => el("tr", {}, cell(row.tier, "name"), cell(count(row.events), "num"), bar(row.events / high), cell(count(row.tenants), "num"))))];
}

export function dead({ figures, refused_at_door: door }) {
  const rows = figures.dead_letters ?? [];
  const early = Object.entries(door ?? {});
  if (!rows.length && !early.length) return empty("No record has been refused.");
  const place = ({ contract, path }) => [contract, path].filter(Boolean).join(" · ");
  const all = [...rows.map((r) => [r.code, r.records, place(r)]), ...early.map(([code, n]) => [code, n, "at the door"])];
  const high = Math.max(1, ...all.map(([, n]) => n));
  return [table("Dead letters by code", [["Code"], ["Records", "num"], [""], ["Where", "num extra"]],
    all.slice(0, 12).map(([code, n, where]) => el("tr", {}, cell(code, "name code"), cell(count(n), "num"), bar(n / high, "warn"), cell(where, "num quiet extra"))))];
}

export function quality({ quality: groups }) {
  const found = Object.values(groups ?? {});
  if (!found.length) return empty("No gate has run yet.");
  const verdicts = found.map(({ group, cycle, results, ok }) => {
    const failed = results.filter((r) => !r.ok);
    const critical = failed.filter((r) => r.severity === "critical").length;
    const words = critical ? `✕ ${critical} of ${many(results.length, "check")} failed`
      : failed.length ? `! ${many(results.length, "check")}, ${many(failed.length, "warning")}` : `✓ ${many(results.length, "check")} passed`;
    const tone = critical || ok === false ? "bad" : failed.length ? "warn" : "good";
    return el("p", { class: "verdict" }, el("strong", { class: tone, text: words }),
      el("span", { class: "quiet", text: ` · ${group}`, title: `cycle ${cycle}` }));
  });
  const byTable = new Map();
  for (const check of found.flatMap((f) => f.results)) {
    const entry = byTable.get(check.table) ?? { ok: 0, bad: [] };
    if (check.ok) entry.ok += 1;
    else entry.bad.push(check);
    byTable.set(check.table, entry);
  }
  const rows = [...byTable].sort(([, a], [, b]) => b.bad.length - a.bad.length).slice(0, 12);
  return [...verdicts, table("Checks by table", [["Table"], ["Passed", "num"], ["Failed", "num"]],
    rows.map(([name, entry]) => el("tr", {}, cell(name, "name long", name), cell(count(entry.ok), "num"),
      cell(entry.bad.length ? [...new Set(entry.bad.map((c) => c.code))].join(", ") : "–",
        `num wrap ${entry.bad.some((c) => c.severity === "critical") ? "bad" : entry.bad.length ? "warn" : ""}`))))];
}

export function processes({ processes: found, breakers }) {
  if (!found.length) return empty("No process has reported yet.");
  const state = (p) => {
    if (p.ready === null) return cell("✓ running", "mark good");
    if (p.silent_s > 10) return cell(`✕ silent ${seconds(p.silent_s)}`, "mark bad");
    return p.ready ? cell("✓ ready", "mark good") : cell("… starting", "mark warn");
  };
  const rows = found.map((p) => el("tr", {}, cell(p.process, "name"), state(p),
    cell(p.memory_mib === null ? "–" : `${count(p.memory_mib)} MiB`, "num")));
  const open = (breakers ?? []).filter((b) => b.open);
  return [table("Processes", [["Process"], ["State"], ["Memory", "num"]], rows),
    ...(open.length ? [el("p", { class: "note warn", text: `Left alone for a while: ${open.map((b) => `${b.host} (${b.component})`).join(", ")}` })] : [])];
}

export function alerts({ alerts: found }) {
  if (!found?.length) return empty("No alarm.");
  return [table("Alarms", [["Time"], ["Code"], ["What"], ["Runbook", "num extra"]],
    found.slice(0, 10).map((a) => el("tr", {}, cell(clock(a.at)), cell(a.code, "mark bad wrap"), cell(a.summary, "quiet wrap"), cell(a.runbook, "num quiet extra"))))];
}
