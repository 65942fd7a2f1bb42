// Shapes of numbers: curves, columns, lines and heat. Each chart names itself for screen readers and holds its numbers
// as a table.

import { el, shape, table } from "./draw.js";
import { share } from "./format.js";

const HIGH = 100;

// A curve of the last values from zero up, `width` slots wide, newest at the right edge.
export function spark(values, label, width = 60) {
  const high = Math.max(1, ...values);
  const svg = shape("svg", { viewBox: `0 0 ${width} 20`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  svg.append(shape("line", { class: "spark-base", x1: 0, y1: 19.5, x2: width, y2: 19.5 }));
  if (values.length > 1) {
    const start = width - values.length + 1;
    const points = values.map((v, i) => `${start + i},${(19 - (v / high) * 17).toFixed(2)}`);
    svg.append(shape("path", { class: "spark-fill", d: `M${start},19.5 L${points.join(" L")} L${width},19.5 Z` }));
    svg.append(shape("polyline", { class: "spark-line", points: points.join(" ") }));
  }
  return svg;
}

// Stacked columns, oldest first. `series` are {name, tone, of: row => number}; `x` gives a row's label.
export function columns(label, rows, x, series, format) {
  const sums = rows.map((row) => series.reduce((total, s) => total + Number(s.of(row) ?? 0), 0));
  const high = Math.max(...sums, 0) || 1;
  const svg = frame(label, rows.length);
  rows.forEach((row, i) => {
    let top = HIGH;
    for (const s of series) {
      const tall = (Number(s.of(row) ?? 0) / high) * HIGH;
      top -= tall;
      if (tall > 0) svg.append(shape("rect", { class: `tone-${s.tone}`, x: i + 0.12, y: top, width: 0.76, height: tall }));
    }
    svg.append(over(i, `${x(row)}: ${series.map((s) => `${s.name} ${format(s.of(row))}`).join(", ")}`));
  });
  return figure(label, svg, rows, x, series, format, high);
}

// Lines that share one scale from zero up; a null leaves a gap.
export function lines(label, rows, x, series, format, most) {
  const values = rows.flatMap((row) => series.map((s) => Number(s.of(row) ?? 0)));
  const high = most ?? (Math.max(...values, 0) || 1);
  const svg = frame(label, Math.max(1, rows.length));
  for (const s of series) {
    let points = [];
    const close = () => {
      if (points.length === 1) points.push([points[0][0] + 0.3, points[0][1]]);
      if (points.length) svg.append(shape("polyline", { class: `line tone-${s.tone}`, points: points.map((p) => p.join(",")).join(" ") }));
      points = [];
    };
    rows.forEach((row, i) => {
      const value = s.of(row);
      if (value === null || value === undefined) close();
      else points.push([i + 0.5, HIGH - (Number(value) / high) * (HIGH - 2)]);
    });
    close();
  }
  rows.forEach((row, i) => svg.append(over(i, `${x(row)}: ${series.map((s) => `${s.name} ${format(s.of(row))}`).join(", ")}`)));
  return figure(label, svg, rows, x, series, format, high);
}

// Shares of a cohort that came back, step by step; rows are {cohort, step, people}, step 0 being all.
export function cohorts(label, rows, name, step) {
  const byCohort = new Map();
  for (const { cohort, step: n, people } of rows) {
    if (!byCohort.has(cohort)) byCohort.set(cohort, []);
    byCohort.get(cohort)[n] = Number(people);
  }
  const wide = Math.max(1, ...[...byCohort.values()].map((people) => people.length));
  const heads = [[label], ["People", "num"], ...Array.from({ length: wide - 1 }, (_, i) => [`${step} ${i + 1}`, "num"])];
  const body = [...byCohort].sort(([a], [b]) => (a < b ? 1 : -1)).map(([cohort, people]) => el("tr", {},
    el("th", { scope: "row", text: name(cohort) }), el("td", { class: "num", text: String(people[0] ?? "–") }),
    ...Array.from({ length: wide - 1 }, (_, i) => heat(people[i + 1], people[0]))));
  return [el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, table(label, heads, body))];
}

function heat(part, all) {
  const node = el("td", { class: part === undefined || !all ? "num" : "num heat", text: part === undefined ? "" : share(part, all) });
  if (part !== undefined && all) node.style.setProperty("--heat", `${Math.round((part / all) * 100)}%`);
  return node;
}

function frame(label, width) {
  return shape("svg", { viewBox: `0 0 ${width} ${HIGH}`, preserveAspectRatio: "none", role: "img", "aria-label": label });
}

// What a mouse over a slot is told.
function over(i, text) {
  const title = shape("title", {});
  title.textContent = text;
  return shape("rect", { class: "over", x: i, y: 0, width: 1, height: HIGH }, title);
}

function figure(label, svg, rows, x, series, format, high) {
  const newest = rows.at(-1);
  const said = newest ? `${rows.length} values, ${x(rows[0])} to ${x(newest)}; newest: ${series.map((s) => `${s.name} ${format(s.of(newest))}`).join(", ")}` : "";
  svg.setAttribute("aria-label", `${label}. ${said}`);
  const legend = series.length < 2 ? null : el("ul", { class: "legend" },
    ...series.map((s) => el("li", { class: `tone-${s.tone}`, text: s.name })));
  const numbers = table(label, [[""], ...series.map((s) => [s.name, "num"])], [...rows].reverse().map((row) =>
    el("tr", {}, el("th", { scope: "row", text: x(row) }), ...series.map((s) => el("td", { class: "num", text: format(s.of(row)) })))));
  return [
    legend,
    el("figure", { class: "chart" },
      el("div", { class: "scale", "aria-hidden": "true" }, el("span", { text: format(high) }), el("span", { text: format(0) })),
      svg,
      el("figcaption", {}, el("span", { text: rows.length ? x(rows[0]) : "" }), el("span", { text: newest ? x(newest) : "" }))),
    el("details", {}, el("summary", { text: "As a table" }), el("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": label }, numbers)),
  ].filter(Boolean);
}
