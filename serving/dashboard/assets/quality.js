// What the gate found, and whether promises are kept.

import { cell, empty, linked, row, rowsOf, table } from "./draw.js";
import { count, fraction, moment, share } from "./format.js";
import { alarms, promiseSection, verdicts } from "./parts.js";

const results = (groups) => Object.values(groups ?? {}).flatMap((g) => g.results.map((r) => ({ ...r, cycle: g.cycle })));

function bounds(check) {
  if (check.observed === null || check.observed === undefined) return "";
  const from = check.low === null || check.low === undefined ? "" : `at least ${fraction(check.low)}`;
  const to = check.high === null || check.high === undefined ? "" : `at most ${fraction(check.high)}`;
  return `${fraction(check.observed)}${from || to ? `, ${[from, to].filter(Boolean).join(" and ")}` : ""}`;
}

function failed(groups) {
  const rows = results(groups).filter((r) => !r.ok).sort((a, b) => (a.severity < b.severity ? -1 : 1));
  if (!rows.length) return [empty(Object.keys(groups ?? {}).length ? "Every check passed." : "No gate has run yet.")];
  return [table("Checks that failed", [["Table"], ["Check"], ["Severity"], ["Failing", "num"], ["Looked at", "num extra"], ["Found", "extra"]],
    rows.slice(0, 60).map((r) => row(cell(r.layer ? `${r.layer}.${r.table}` : r.table, "name", r.table), cell(r.code, "wrap"),
      cell(r.severity === "critical" ? "✕ critical" : "! warning", `mark ${r.severity === "critical" ? "bad" : "warn"}`),
      cell(count(r.failing), "num"), cell(count(r.checked), "num extra"), cell(r.detail || bounds(r) || "–", "quiet wrap extra"))))];
}

function tables(groups) {
  const byTable = new Map();
  for (const check of results(groups)) {
    const entry = byTable.get(check.table) ?? { name: check.table, layer: check.layer, ok: 0, bad: [], checked: 0 };
    if (check.ok) entry.ok += 1;
    else entry.bad.push(check);
    entry.checked = Math.max(entry.checked, check.checked ?? 0);
    byTable.set(check.table, entry);
  }
  if (!byTable.size) return [empty("No gate has run yet.")];
  const rows = [...byTable.values()].sort((a, b) => b.bad.length - a.bad.length || (a.name < b.name ? -1 : 1));
  return [table("Checks by table", [["Table"], ["Rows", "num extra"], ["Passed", "num"], ["Failed", "num"]],
    rows.map((one) => row(one.layer === "gold" ? linked(one.name, "name long", rowsOf(one.name), one.name) : cell(one.name || "reconciliation", "name long", one.name),
      cell(count(one.checked), "num extra"), cell(count(one.ok), "num"),
      cell(one.bad.length ? [...new Set(one.bad.map((c) => c.code))].join(", ") : "–",
        `num wrap ${one.bad.some((c) => c.severity === "critical") ? "bad" : one.bad.length ? "warn" : ""}`))))];
}

function layers(rows) {
  return [table("Checks by layer", [["Layer"], ["Group"], ["Checks", "num"], ["Failed", "num"], ["Passed", "num extra"], ["Last run", "num extra"]],
    rows.map((r) => row(linked(r.layer, "", rowsOf("ops_quality_results", { layer: r.layer, group_name: r.group_name })), cell(r.group_name), cell(count(r.checks), "num"),
      cell(count(r.failed), `num ${r.failed > 0 ? "warn" : ""}`), cell(share(r.checks - r.failed, r.checks), "num extra"), cell(moment(r.checked_at), "num quiet extra"))))];
}

const ABOUT = /^CDL-(GATE|ANOMALY|BUDGET|SUITE|NOT-GATED)$/;
export const sections = [
  { id: "verdicts", title: "The last gate of each group", part: (s) => s.quality, draw: (groups) => { const found = verdicts(groups); return found.length ? found : [empty("No gate has run yet.")]; } },
  { id: "failed", title: "Checks that failed", size: "wide", part: (s) => s.quality, draw: failed },
  { id: "tables", title: "Checks by table", part: (s) => s.quality, draw: tables },
  { ...promiseSection, size: "wide" },
  { id: "layers", title: "Results in gold", hint: "as they were before the last cycle", size: "wide", figures: ["layers"], none: "No gate has run before the last cycle.", draw: layers },
  { id: "alerts", title: "Alarms of quality", part: (s) => s.alerts.filter((a) => ABOUT.test(a.code)), draw: alarms },
];
