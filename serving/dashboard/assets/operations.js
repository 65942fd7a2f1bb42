// Whether everything runs, how fresh and how large tables are, and what that costs.

import { columns } from "./chart.js";
import { cell, linked, row, rowsOf, table } from "./draw.js";
import { count, day, moment, money, month, seconds, size } from "./format.js";
import { goldSection, main, older, processSection, promiseSection, ranked } from "./parts.js";

function silver(rows) {
  return [table("Tables of silver", [["Contract"], ["Rows", "num"], ["Size", "num"], ["Files", "num extra"], ["Newest event", "num extra"], ["Newest commit", "num extra"], ["Promised", "num"]],
    rows.map((r) => row(linked(r.contract, "name", rowsOf("ops_freshness", { contract: r.contract }), r.contract), cell(count(r.rows), "num"), cell(size(r.bytes), "num"), cell(count(r.files), "num extra"),
      cell(moment(r.newest_event_at), "num quiet extra"), cell(moment(r.newest_commit_at), "num quiet extra"), cell(seconds(r.promised_s), "num"))))];
}

function volumes(rows) {
  return [table("What became of the records read", [["Contract"], ["Read", "num"], ["Applied", "num"], ["Duplicate", "num extra"], ["Superseded", "num extra"], ["Dead letter", "num"], ["Parked", "num extra"], ["Late", "num extra"]],
    rows.map((r) => row(linked(r.contract, "name", rowsOf("ops_volumes_daily", { contract: r.contract }), r.contract), cell(count(r.records), "num"), cell(count(r.applied), "num"),
      cell(count(r.duplicate), "num extra"), cell(count(r.superseded), "num extra"), cell(count(r.dead_letter), `num ${r.dead_letter > 0 ? "warn" : ""}`),
      cell(count(r.parked), `num extra ${r.parked > 0 ? "warn" : ""}`), cell(count(r.late), "num extra"))))];
}

function days(rows) {
  return columns("Records read by day", older(rows), (r) => day(r.committed_date), [
    { name: "Fine", tone: "accent", of: (r) => r.records - r.dead_letter }, { name: "Dead letter", tone: "bad", of: (r) => r.dead_letter }], count);
}

const money4 = (value, currency) => money(value, currency, 4);

function costs(rows) {
  return [ranked("Costs by contract", rows, {
    name: { head: "Contract", of: (r) => r.contract }, value: { head: "Rows", of: (r) => r.rows }, to: (r) => rowsOf("ops_costs_monthly", { contract: r.contract }),
    more: [{ head: "Size", kind: "extra", of: (r) => size(r.bytes) }, { head: "Processing", of: (r) => money4(r.processing, r.currency) }, { head: "Storage a month", of: (r) => money4(r.storage, r.currency) }],
  })];
}

function tenants(rows) {
  return [ranked("Costs by tenant", rows, {
    name: { head: "Tenant", of: (r) => r.tenant || "what no row stands for" }, value: { head: "Rows", of: (r) => r.rows }, tone: "teal", to: (r) => rowsOf("ops_costs_monthly", { tenant_id: r.tenant }),
    more: [{ head: "Processing", of: (r) => money4(r.processing, r.currency) }, { head: "Storage a month", kind: "extra", of: (r) => money4(r.storage, r.currency) }],
  })];
}

function months(rows) {
  return columns(`Costs of processing by month in ${rows[0].currency}`, older(main(rows)), (r) => month(r.published_month),
    [{ name: "Processing", tone: "accent", of: (r) => r.processing }], (v) => money4(v, rows[0].currency));
}

export const sections = [
  { ...processSection, size: "" },
  { ...promiseSection, size: "wide" },
  { id: "silver", title: "Tables of silver", size: "wide", figures: ["silver"], none: "No table yet.", draw: silver },
  goldSection,
  { id: "days", title: "Records read by day", hint: "of the commit, in UTC", size: "wide", figures: ["days"], none: "Nothing was read yet.", draw: days },
  { id: "months", title: "Costs by month", figures: ["months"], none: "No costs yet.", draw: months },
  { id: "volumes", title: "What became of the records read", hint: "by the ledger", size: "full", figures: ["volumes"], none: "Nothing was read yet.", draw: volumes },
  { id: "costs", title: "Costs by contract", hint: "by the price table batch.prices", size: "wide", figures: ["costs"], none: "No costs yet.", draw: costs },
  { id: "tenants", title: "Costs by tenant", figures: ["tenants"], none: "No costs yet.", draw: tenants },
];
