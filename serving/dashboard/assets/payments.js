// Payments, accounts and what supervisors ask for.

import { columns } from "./chart.js";
import { cell, linked, row, rowsOf, table } from "./draw.js";
import { brief, count, day, many, money, month, share } from "./format.js";
import { older, ranked, sum, tileSection } from "./parts.js";

function now(totals, accounts) {
  const [first] = totals ?? [];
  const payments = totals && sum(totals, "payments");
  const known = accounts && sum(accounts, "accounts");
  const over = accounts && sum(accounts, "over_limit");
  return [
    ["Payments", brief(payments), first ? many(first.banks, "bank") : "not published yet"],
    ["Volume", money(first?.amount, first?.currency), totals?.length > 1 ? totals.slice(1).map((t) => money(t.amount, t.currency)).join(", ") : ""],
    ["Mean payment", money(first ? first.amount / first.payments : null, first?.currency, 2), ""],
    ["Largest", money(first?.largest, first?.currency), ""],
    ["Late", share(totals && sum(totals, "late"), payments), totals ? many(sum(totals, "late"), "payment") : ""],
    ["Accounts over limit", brief(over), accounts ? `of ${many(known, "account")}` : "not published yet"],
  ];
}

function days(rows) {
  return columns("Payments by day", older(rows), (r) => day(r.occurred_date), [
    { name: "In time", tone: "accent", of: (r) => r.payments - r.late }, { name: "Late", tone: "warn", of: (r) => r.late }], count);
}

function methods(rows) {
  return [ranked("Payments by method", rows, {
    name: { head: "Method", of: (r) => r.method }, value: { head: "Payments", of: (r) => r.payments }, tone: "teal",
    to: (r) => rowsOf("fct_transactions", { method: r.method, currency: r.currency }), more: [{ head: "Amount", of: (r) => money(r.amount, r.currency) }],
  })];
}

function banks(rows) {
  return [ranked("Payments by bank", rows, {
    name: { head: "Bank", of: (r) => r.bank }, value: { head: "Payments", of: (r) => r.payments },
    to: (r) => rowsOf("fct_transactions", { tenant_id: r.bank, currency: r.currency }),
    more: [{ head: "Amount", of: (r) => money(r.amount, r.currency) }, { head: "Largest", kind: "extra", of: (r) => money(r.largest, r.currency) }],
  })];
}

function accounts(rows) {
  return [ranked("Accounts by state", rows, {
    name: { head: "State", of: (r) => r.status }, value: { head: "Accounts", of: (r) => r.accounts },
    to: (r) => rowsOf("dim_accounts", { status: r.status }), more: [{ head: "Over limit", of: (r) => count(r.over_limit), tone: (r) => (r.over_limit > 0 ? "warn" : "") }],
  })];
}

function busiest(rows) {
  return [table("Busiest hours of accounts", [["Account"], ["Day"], ["In an hour", "num"], ["Amount", "num"], ["Devices", "num extra"]],
    rows.map((r) => row(linked(r.account_id, "name", rowsOf("fct_transactions", { tenant_id: r.bank, account_id: r.account_id, occurred_date: r.occurred_date }), `${r.account_id} of ${r.bank}`),
      cell(day(r.occurred_date)), cell(count(r.max_transactions_1h), "num"), cell(money(r.max_amount_1h, r.currency), "num"), cell(count(r.devices), "num extra"))))];
}

function changes(rows) {
  return [ranked("Changes of accounts", rows, {
    name: { head: "Operation", of: (r) => r.operation }, value: { head: "Changes", of: (r) => r.changes }, tone: "teal",
    to: (r) => rowsOf("fct_account_changes", { operation: r.operation }), more: [{ head: "Late", of: (r) => count(r.late) }],
  })];
}

function reported(rows) {
  return [table("Totals for supervisors", [["Month"], ["Payments", "num"], ["Amount", "num"], ["Reported", "num"], ["Amount", "num extra"]],
    rows.map((r) => row(linked(month(r.month), "", rowsOf("regulatory_monthly", { month: r.month, currency: r.currency })), cell(count(r.payments), "num"), cell(money(r.amount, r.currency), "num"),
      cell(count(r.reported), "num"), cell(money(r.reported_amount, r.currency), "num extra"))))];
}

const NONE = "No payment has reached published gold yet.";
export const sections = [
  tileSection(["totals", "accounts"], now),
  { id: "days", title: "Payments by day", hint: "days in UTC", size: "wide", figures: ["days"], none: NONE, draw: days },
  { id: "methods", title: "Methods", figures: ["methods"], none: NONE, draw: methods },
  { id: "banks", title: "Banks", size: "wide", figures: ["banks"], none: NONE, draw: banks },
  { id: "accounts", title: "Accounts by state", figures: ["accounts"], none: "No account yet.", draw: accounts },
  { id: "busiest", title: "Busiest hours of accounts", size: "wide", figures: ["busiest"], none: NONE, draw: busiest },
  { id: "changes", title: "Changes of accounts", figures: ["changes"], none: "No account was changed yet.", draw: changes },
  { id: "reported", title: "Totals for supervisors", hint: "by month; reported are single payments of at least the reported amount", size: "full", figures: ["reported"], none: NONE, draw: reported },
];
