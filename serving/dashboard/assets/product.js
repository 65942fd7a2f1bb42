// What tenants of the product do, how many of their users come back, and what their plans include.

import { cohorts, columns, lines } from "./chart.js";
import { cell, column, el, linked, row, rowsOf, table } from "./draw.js";
import { brief, count, day, many, month, share } from "./format.js";
import { older, pivot, ranked, tileSection } from "./parts.js";

const TONES = ["accent", "teal", "warn", "good", "bad"];
const part = (value) => (value === null ? "–" : share(value, 1));

function now(totals, active, quota) {
  const [all] = totals ?? [];
  const [today] = active ?? [];
  const over = quota?.filter((r) => r.is_over_quota).length;
  return [
    ["Events in gold", brief(all?.events), all ? many(all.days, "day") : "not published yet"],
    ["Tenants", brief(all?.tenants), all ? "with events" : ""],
    ["Active on the day", brief(today?.daily), today ? day(today.event_date) : "not published yet"],
    ["Active in 7 days", brief(today?.weekly), "of tenants active that day"],
    ["Active in 30 days", brief(today?.monthly), today ? `stickiness ${share(today.daily, today.monthly)}` : ""],
    ["Over their quota", quota ? (over === quota.length && over ? `${over}+` : count(over)) : "–", quota?.length ? month(quota[0].usage_month) : "not published yet"],
  ];
}

function days(rows) {
  const kinds = [...new Set(rows.map((r) => r.event_type))].sort();
  return columns("Events by day", older(pivot(rows, "event_date", "event_type", "events").slice(0, 60)), (r) => day(r.at),
    kinds.map((kind, i) => ({ name: kind, tone: TONES[i % TONES.length], of: (r) => r[kind] ?? 0 })), count);
}

function active(rows) {
  return lines("Active users by day", older(rows), (r) => day(r.event_date), [
    { name: "30 days", tone: "good", of: (r) => r.monthly }, { name: "7 days", tone: "teal", of: (r) => r.weekly }, { name: "Day", tone: "accent", of: (r) => r.daily }], count);
}

function tiers(rows) {
  return [ranked("Events by tier", rows, {
    name: { head: "Tier", of: (r) => r.tier }, value: { head: "Events", of: (r) => r.events },
    to: (r) => rowsOf("fct_product_events_daily", { tier: r.tier }), more: [{ head: "Tenants", of: (r) => count(r.tenants) }],
  })];
}

function features(rows) {
  return [ranked("Pages and features", rows, {
    name: { head: "Name", of: (r) => r.name }, value: { head: "Events", of: (r) => r.events }, tone: "teal",
    to: (r) => rowsOf("fct_feature_usage_daily", { event_type: r.event_type, name: r.name }),
    more: [{ head: "Kind", kind: "extra", of: (r) => r.event_type }, { head: "Tenants", of: (r) => count(r.tenants) }],
  })];
}

function funnels(rows) {
  const names = [...new Set(rows.map((r) => r.funnel))];
  return names.flatMap((name) => {
    const steps = rows.filter((r) => r.funnel === name);
    const all = steps[0].users;
    return [el("h3", {}, el("a", { href: rowsOf("product_funnels_daily", { funnel: name }), text: name })),
      table(`Funnel ${name}`, [["Step"], ["Users", "num"], ["", "bar-col"], ["Of all", "num"]], steps.map((r) => row(
        cell(`${r.step}. ${r.step_name}`, "name"), cell(count(r.users), "num"), column(r.users / (all || 1)), cell(share(r.users, all), "num"))))];
  });
}

function quota(rows) {
  return [table("Usage and quota", [["Tenant"], ["Plan"], ["Events", "num"], ["Of quota", "num"], ["Users", "num extra"]],
    rows.map((r) => row(linked(r.tenant, "name", rowsOf("product_quota_usage_monthly", { tenant_id: r.tenant }), r.tenant), cell(r.tier), cell(count(r.events), "num"),
      cell(part(r.events_share), `num ${r.is_over_quota ? "bad" : r.events_share > 0.8 ? "warn" : ""}`), cell(part(r.users_share), "num extra"))))];
}

const NONE = "No product event has reached published gold yet.";
export const sections = [
  tileSection(["totals", "active", "quota"], now),
  { id: "days", title: "Events by day", hint: "days in UTC", size: "wide", figures: ["days"], none: NONE, draw: days },
  { id: "tiers", title: "Tiers", figures: ["tiers"], none: NONE, draw: tiers },
  { id: "active", title: "Active users", size: "wide", figures: ["active"], none: NONE, draw: active },
  { id: "funnels", title: "Funnels", figures: ["funnels"], none: "Nobody has entered a funnel yet.", draw: funnels },
  { id: "retention", title: "Users who came back", hint: "by the week of their first event", size: "wide", figures: ["retention"], none: NONE,
    draw: (rows) => cohorts("First week", rows, day, "Week") },
  { id: "features", title: "Pages and features", figures: ["features"], none: NONE, draw: features },
  { id: "quota", title: "Usage and quota", hint: "the newest month, fullest first", size: "full", figures: ["quota"], none: NONE, draw: quota },
];
