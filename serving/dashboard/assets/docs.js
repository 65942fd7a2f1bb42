// Draws the API's description from /openapi.json.

import { cell, el, table } from "./draw.js";

function parameters(operation) {
  const rows = (operation.parameters ?? []).map((p) => el("tr", {}, cell(p.name, "name code"), cell(p.in, "quiet"),
    cell(p.description ?? p.schema?.type ?? "", "wrap")));
  return rows.length ? table("Parameters", [["Parameter"], ["In"], ["Meaning"]], rows) : null;
}

function route(path, method, operation) {
  return el("section", { class: "panel route" },
    el("h3", {}, el("span", { class: `method ${method}`, text: method.toUpperCase() }), " ", el("code", { text: path })),
    el("p", { text: operation.summary ?? "" }),
    operation.description ? el("p", { class: "quiet", text: operation.description }) : null,
    parameters(operation));
}

const description = await (await fetch("/openapi.json")).json();
const groups = new Map();
for (const [path, methods] of Object.entries(description.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const tag = operation.tags?.[0] ?? "other";
    groups.set(tag, [...(groups.get(tag) ?? []), route(path, method, operation)]);
  }
}
document.getElementById("routes").replaceChildren(
  ...[...groups].flatMap(([tag, routes]) => [el("h2", { class: "tag", text: tag }), ...routes]));
