// Orders, revenue, refunds, customers and products of all shops.

import { cohorts, columns } from "./chart.js";
import { cell, linked, row, rowsOf, table } from "./draw.js";
import { brief, count, day, hour, many, money, month, share } from "./format.js";
import { main, older, ranked, sum, tileSection } from "./parts.js";

function now(totals) {
  const [first] = totals ?? [];
  const orders = totals && sum(totals, "orders");
  const kept = first ? Number(first.orders) - Number(first.cancelled) : 0;
  const further = totals?.length > 1 ? totals.slice(1).map((t) => money(t.revenue, t.currency)).join(", ") : "one currency";
  return [
    ["Orders", brief(orders), first ? many(first.shops, "shop") : "not published yet"],
    ["Revenue", money(first?.revenue, first?.currency), first ? further : ""],
    ["Value of an order", money(kept ? first.revenue / kept : null, first?.currency, 2), first ? `in ${first.currency}` : ""],
    ["Items", brief(totals && sum(totals, "items")), first ? `${money(first.discounts, first.currency)} discounts` : ""],
    ["Cancelled", share(totals && sum(totals, "cancelled"), orders), totals ? many(sum(totals, "cancelled"), "order") : ""],
    ["Without customer", share(totals && sum(totals, "without_customer"), orders), totals ? many(sum(totals, "without_customer"), "order") : ""],
  ];
}

function days(rows, totals) {
  const currency = totals[0]?.currency;
  return columns(`Revenue by day in ${currency}`, older(main(rows, currency).slice(0, 90)), (r) => day(r.ordered_date),
    [{ name: "Revenue", tone: "accent", of: (r) => r.revenue }], (v) => money(v, currency));
}

function shops(rows) {
  return [ranked("Orders and revenue by shop", rows, {
    name: { head: "Shop", of: (r) => r.shop }, value: { head: "Orders", of: (r) => r.orders },
    to: (r) => rowsOf("fct_orders", { tenant_id: r.shop }),
    more: [{ head: "Cancelled", kind: "extra", of: (r) => count(r.cancelled) }, { head: "Revenue", of: (r) => money(r.revenue, r.currency) }],
  })];
}

function hours(rows) {
  return columns("Orders by hour", older(rows), (r) => hour(r.ordered_hour), [
    { name: "Kept", tone: "accent", of: (r) => r.orders - r.cancelled }, { name: "Cancelled", tone: "warn", of: (r) => r.cancelled }], count);
}

function regions(rows) {
  return [ranked("Orders by region", rows, {
    name: { head: "Region", of: (r) => r.region }, value: { head: "Orders", of: (r) => r.orders }, tone: "teal",
    to: (r) => rowsOf("fct_orders", { region: r.region, currency: r.currency }), more: [{ head: "Revenue", of: (r) => money(r.revenue, r.currency) }],
  })];
}

function refunds(rows) {
  return [table("Refunds by currency", [["Currency"], ["Orders refunded", "num"], ["Share", "num"], ["Money", "num"], ["Share", "num extra"]],
    rows.map((r) => row(linked(r.currency, "name", rowsOf("refund_rates", { currency: r.currency })), cell(count(r.refunded_orders), "num"),
      cell(share(r.refunded_orders, r.orders), "num"), cell(money(r.refunded, r.currency), "num"), cell(share(r.refunded, r.total), "num extra"))))];
}

function products(rows) {
  return [ranked("Products by pieces sold", rows, {
    name: { head: "Product", of: (r) => r.title ?? r.product_id }, value: { head: "Sold", of: (r) => r.units_sold },
    to: (r) => rowsOf("fct_order_items", { tenant_id: r.shop, product_id: r.product_id }), more: [{ head: "Revenue", of: (r) => money(r.revenue, r.currency) }],
  })];
}

function segments(rows) {
  return [ranked("Customers by segment", rows, {
    name: { head: "Segment", of: (r) => r.segment }, value: { head: "Customers", of: (r) => r.customers }, tone: "teal",
    more: [{ head: "Orders", kind: "extra", of: (r) => count(r.orders) }, { head: "Lifetime value", of: (r) => (r.currency ? money(r.value, r.currency) : "–") }],
  })];
}

export const sections = [
  tileSection(["totals"], now),
  { id: "days", title: "Revenue by day", hint: "days in UTC, cancelled orders left out", size: "wide", figures: ["days", "totals"], none: "No order has reached published gold yet.", draw: days },
  { id: "refunds", title: "Refunds", figures: ["refunds"], none: "No day with orders yet.", draw: refunds },
  { id: "shops", title: "Orders and revenue by shop", size: "wide", figures: ["shops"], none: "No order has reached published gold yet.", draw: shops },
  { id: "regions", title: "Regions", figures: ["regions"], none: "No order yet.", draw: regions },
  { id: "hours", title: "Orders by hour", hint: "the latest 72 hours with orders", size: "wide", figures: ["hours"], none: "No order yet.", draw: hours },
  { id: "segments", title: "Customers by segment", figures: ["segments"], none: "No customer yet.", draw: segments },
  { id: "cohorts", title: "Customers who came back", hint: "by the month of their first order", size: "wide", figures: ["cohorts"], none: "No customer has ordered yet.",
    draw: (rows) => cohorts("First order", rows, month, "Month") },
  { id: "products", title: "Products", figures: ["products"], none: "No product was ordered yet.", draw: products },
];
