// Decisions about payments: how many, why, how right, how fast, and whether the world has changed.

import { columns, lines } from "./chart.js";
import { cell, column, el, linked, row, rowsOf, table } from "./draw.js";
import { brief, count, day, fraction, many, millis, share } from "./format.js";
import { older, ranked, sum, tileSection } from "./parts.js";

const TONES = { approve: "good", review: "warn", reject: "bad" };
const precision = (r) => (Number(r.caught) + Number(r.false_alarms) > 0 ? r.caught / (Number(r.caught) + Number(r.false_alarms)) : null);
const recall = (r) => (Number(r.frauds) > 0 ? r.caught / r.frauds : null);
const percent = (value) => share(value, 1);
// Bounds of the population stability index, as the mart's `drift` has them.
const drifted = (psi) => (psi === null ? "" : psi < 0.1 ? "good" : psi < 0.25 ? "warn" : "bad");

function now(outcomes, known) {
  const decisions = outcomes && sum(outcomes, "decisions");
  const rejected = outcomes?.find((r) => r.outcome === "reject")?.decisions ?? 0;
  const held = outcomes?.find((r) => r.outcome === "review")?.decisions ?? 0;
  const [all] = known ?? [];
  const labelled = Number(all?.labelled) > 0;
  const later = known ? "no label has arrived yet" : "not published yet";
  return [
    ["Decisions", brief(decisions), outcomes ? `${many(held, "payment")} held for review` : "not published yet"],
    ["Rejected", share(outcomes && rejected, decisions), outcomes ? many(rejected, "payment") : ""],
    ["Decision, P95", millis(outcomes && Math.max(0, ...outcomes.map((r) => r.p95_ms ?? 0))), all ? `worst P99 of a day ${millis(all.p99_ms)}` : ""],
    ["Precision", labelled ? percent(precision(all)) : "–", labelled ? `${many(all.labelled, "label")} so far` : later],
    ["Recall", labelled ? percent(recall(all)) : "–", labelled ? `${count(all.caught)} of ${many(all.frauds, "fraud")}` : later],
    ["Card precision at 100", all?.card_precision === null || !all ? "–" : percent(all.card_precision), labelled ? "mean of days with labels" : later],
  ];
}

function outcomes(rows) {
  const all = sum(rows, "decisions");
  const line = el("div", { class: "split", role: "img", "aria-label": rows.map((r) => `${r.outcome} ${share(r.decisions, all)}`).join(", ") });
  for (const name of Object.keys(TONES)) {
    const part = el("span", { class: TONES[name] });
    part.style.width = `${(100 * (rows.find((r) => r.outcome === name)?.decisions ?? 0)) / (all || 1)}%`;
    line.append(part);
  }
  return [line, table("Decisions by outcome", [["Outcome"], ["Decisions", "num"], ["Share", "num"], ["P95", "num"]],
    rows.map((r) => row(linked(r.outcome, `mark ${TONES[r.outcome] ?? ""}`, rowsOf("fct_fraud_decisions", { outcome: r.outcome })), cell(count(r.decisions), "num"),
      cell(share(r.decisions, all), "num"), cell(millis(r.p95_ms), "num"))))];
}

function days(rows) {
  return columns("Decisions by day", older(rows), (r) => day(r.decided_date), [
    { name: "Approved", tone: "good", of: (r) => r.approved }, { name: "Held for review", tone: "warn", of: (r) => r.reviewed }, { name: "Rejected", tone: "bad", of: (r) => r.rejected }], count);
}

function right(rows) {
  return lines("Precision and recall by day", older(rows), (r) => day(r.decided_date), [
    { name: "Precision", tone: "accent", of: precision }, { name: "Recall", tone: "teal", of: recall }], percent, 1);
}

function models(rows) {
  return [table("Models", [["Model"], ["Decisions", "num"], ["Precision", "num"], ["Recall", "num"], ["Saved", "num"], ["Blocked by mistake", "num extra"], ["Lost", "num extra"]],
    rows.map((r) => {
      const known = Number(r.labelled) > 0;
      return row(linked(r.model_version, "name", rowsOf("fraud_performance_daily", { model_version: r.model_version }), r.model_version), cell(count(r.decisions), "num"),
        cell(known ? percent(precision(r)) : "–", "num"), cell(known ? percent(recall(r)) : "–", "num"), cell(brief(r.saved), "num", r.saved),
        cell(brief(r.blocked), "num extra", r.blocked), cell(brief(r.lost), "num extra", r.lost));
    }))];
}

function reasons(rows) {
  return [ranked("Reasons", rows, {
    name: { head: "Reason", of: (r) => r.reason }, value: { head: "Decisions", of: (r) => r.decisions }, tone: "warn",
    to: (r) => rowsOf("fraud_decisions_daily", { reason: r.reason }), more: [{ head: "Rejected", of: (r) => share(r.rejected ?? 0, r.decisions) }],
  })];
}

function drift(rows) {
  const high = Math.max(0.25, ...rows.map((r) => r.psi ?? 0));
  return [el("p", { class: "quiet", text: `On ${day(rows[0].decided_date)}, against the 28 days before` }),
    table("Drift of features", [["Feature"], ["PSI", "num"], ["", "bar-col"]], rows.map((r) => row(
      linked(r.feature, "name long", rowsOf("fraud_feature_drift_daily", { feature: r.feature }), r.feature), cell(fraction(r.psi), `num ${drifted(r.psi)}`),
      column((r.psi ?? 0) / high, drifted(r.psi)))))];
}

const NONE = "No decision has reached published gold yet.";
export const sections = [
  tileSection(["outcomes", "known"], now),
  { id: "days", title: "Decisions by day", hint: "of the payment, in UTC", size: "wide", figures: ["days"], none: NONE, draw: days },
  { id: "decisions", title: "Outcomes", figures: ["outcomes"], none: NONE, draw: outcomes },
  { id: "right", title: "Precision and recall", hint: "of days with labels", size: "wide", figures: ["right"], none: "No label has arrived yet: until then nothing is known about right and wrong.", draw: right },
  { id: "reasons", title: "Reasons", hint: "a decision counts for each", figures: ["reasons"], none: NONE, draw: reasons },
  { id: "models", title: "Models", hint: "money in the payments' own currencies", size: "wide", figures: ["models"], none: NONE, draw: models },
  { id: "drift", title: "Drift of features", figures: ["drift"], none: "There is no past to compare with yet.", draw: drift },
];
