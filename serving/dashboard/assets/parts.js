// What several pages show in the same way.

import { cell, column, el, empty, linked, row, rowsOf, table } from "./draw.js";
import { brief, clock, count, many, seconds } from "./format.js";

export const sum = (rows, name) => rows.reduce((total, one) => total + Number(one[name] ?? 0), 0);
export const most = (rows, name) => Math.max(1, ...rows.map((one) => Number(one[name] ?? 0)));
// Rows of the currency that the first one has: the mart's most used. Money of two currencies is never added.
export const main = (rows, currency = rows[0]?.currency) => rows.filter((one) => one.currency === currency);
export const older = (rows) => [...rows].reverse();

// Figures in large: [name, value, what stands below].
export function tiles(found) {
  return found.map(([name, value, sub]) => el("div", {}, el("dt", { text: name }), el("dd", { text: value }), el("dd", { class: "sub", text: sub, title: sub })));
}

export const tileSection = (figures, draw) => ({
  id: "now", title: "Now", quiet: true, kind: "bare", tag: "dl", body: "now", figures, loose: true, draw: (...rows) => tiles(draw(...rows)),
});

// A ranked list: name, count with its bar, further columns. `to` leads to the rows behind a line.
export function ranked(caption, rows, { name, value, tone, to, more = [] }) {
  const high = Math.max(1, ...rows.map((one) => Number(value.of(one) ?? 0)));
  const heads = [[name.head], [value.head, "num"], ["", "bar-col"], ...more.map((m) => [m.head, `num ${m.kind ?? ""}`])];
  return table(caption, heads, rows.map((one) => {
    const text = name.of(one) ?? "unknown";
    const first = to ? linked(text, "name", to(one), text) : cell(text, "name", text);
    return row(first, cell(count(value.of(one)), "num"), column(Number(value.of(one)) / high, tone), ...more.map((m) => cell(m.of(one), `num ${m.kind ?? ""} ${m.tone?.(one) ?? ""}`)));
  }));
}

// One day may have a row for each kind: [{day, kinds: {kind: value}}], newest first.
export function pivot(rows, at, kind, value) {
  const days = new Map();
  for (const one of rows) {
    if (!days.has(one[at])) days.set(one[at], { at: one[at] });
    days.get(one[at])[one[kind]] = Number(one[value]);
  }
  return [...days.values()];
}

export function alarms(found) {
  if (!found?.length) return [empty("No alarm.")];
  return [table("Alarms", [["Time"], ["Code"], ["What"], ["Runbook", "num extra"]],
    found.slice(0, 10).map((a) => row(cell(clock(a.at)), cell(a.code, "mark bad wrap"), cell(a.summary, "quiet wrap"), cell(a.runbook, "num quiet extra wrap"))))];
}

export const alarmSection = {
  id: "alerts", title: "Alarms", size: "full", part: (s) => s.alerts, draw: alarms,
};

export const promiseSection = {
  id: "promise", title: "Freshness promised and kept", part: (s) => [s.freshness, s.backlog],
  draw: ([freshness, backlog]) => {
    const rows = (freshness ?? []).filter((one) => one.promise_s !== null);
    if (!rows.length) return [empty("No table has been looked at yet.")];
    const kept = (part) => (part === null ? "–" : `${(100 * part).toFixed(1)} %`);
    const left = backlog?.records > 10000 ? [el("p", { class: "quiet", text: `${count(backlog.records)} records wait, ${
      backlog.eta_s === null ? "no end in sight" : `done in ${seconds(backlog.eta_s)}`}` })] : [];
    return [...left, table("Freshness promised and kept", [["Contract"], ["Age", "num"], ["Promised", "num"], ["Kept 24 h", "num"], ["Burn 1 h", "num"]],
      rows.map((one) => row(cell(one.contract, "name long", one.contract), cell(seconds(one.age_s), `num ${one.age_s > one.promise_s ? "warn" : ""}`),
        cell(seconds(one.promise_s), "num"), cell(kept(one.kept_24h), "num"),
        cell((one.burn_rate_1h ?? 0).toFixed(1), `num ${one.burn_rate_1h >= 14.4 ? "bad" : one.burn_rate_1h > 1 ? "warn" : ""}`))))];
  },
};

export const processSection = {
  id: "processes", title: "Processes", part: (s) => [s.processes, s.breakers],
  draw: ([found, breakers]) => {
    if (!found.length) return [empty("No process has reported yet.")];
    const state = (p) => {
      if (p.ready === null) return cell("✓ running", "mark good");
      if (p.silent_s > 10) return cell(`✕ silent ${seconds(p.silent_s)}`, "mark bad");
      return p.ready ? cell("✓ ready", "mark good") : cell("… starting", "mark warn");
    };
    const rows = found.map((p) => row(cell(p.process, "name"), state(p), cell(p.memory_mib === null ? "–" : `${count(p.memory_mib)} MiB`, "num")));
    const open = (breakers ?? []).filter((b) => b.open);
    return [table("Processes", [["Process"], ["State"], ["Memory", "num"]], rows),
      ...(open.length ? [el("p", { class: "note warn", text: `Left alone for a while: ${open.map((b) => `${b.host} (${b.component})`).join(", ")}` })] : [])];
  },
};

const old = (mart) => (mart.group === "live" && mart.age_s > 60 ? "warn" : "");
const NOTHING = "Nothing has been published yet: the first cycle has to pass its gate.";

export const goldSection = {
  id: "gold", title: "Published marts", part: (s) => s.gold,
  draw: (marts) => {
    if (!marts.length) return [empty(NOTHING)];
    return [el("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Published marts" }, table("Published marts", [["Mart"], ["Rows", "num"], ["Version", "num"], ["Age", "num"]],
      marts.map((m) => row(linked(m.mart, "name long", rowsOf(m.mart), `${m.mart} (${m.group})`), cell(count(m.rows), "num"),
        cell(count(m.version), "num"), cell(seconds(m.age_s), `num ${old(m)}`)))))];
  },
};

// All marts of a group are published together, so the group's age is theirs.
export const groupSection = {
  id: "gold", title: "Freshness of gold", part: (s) => s.gold,
  draw: (marts) => {
    if (!marts.length) return [empty(NOTHING)];
    const groups = [...new Set(marts.map((m) => m.group))].map((name) => marts.filter((m) => m.group === name));
    return [table("Freshness of gold", [["Group"], ["Marts", "num"], ["Rows", "num"], ["Age", "num"]],
      groups.map((own) => row(linked(own[0].group, "name", "/operations", own[0].cycle), cell(count(own.length), "num"), cell(brief(sum(own, "rows")), "num"),
        cell(seconds(own[0].age_s), `num ${old(own[0])}`))))];
  },
};

export function verdicts(groups) {
  return Object.values(groups ?? {}).map(({ group, cycle, results, ok }) => {
    const failed = results.filter((r) => !r.ok);
    const critical = failed.filter((r) => r.severity === "critical").length;
    const words = critical ? `✕ ${critical} of ${many(results.length, "check")} failed`
      : failed.length ? `! ${many(results.length, "check")}, ${many(failed.length, "warning")}` : `✓ ${many(results.length, "check")} passed`;
    const tone = critical || ok === false ? "bad" : failed.length ? "warn" : "good";
    return el("p", { class: "verdict" }, el("strong", { class: tone, text: words }),
      el("span", { class: "quiet", text: ` · ${group}`, title: `cycle ${cycle}` }));
  });
}
