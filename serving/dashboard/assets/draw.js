// Drawing without HTML text: every string of an event ends in textContent, so it can never become markup.

export function el(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || value === null) continue;
    if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

function shape(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

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

export function bar(share, tone = "") {
  const fill = el("span", { class: tone });
  fill.style.width = `${Math.max(0, Math.min(1, share || 0)) * 100}%`;
  return el("td", { class: "bar" }, fill);
}

export function table(caption, heads, rows) {
  return el("table", {},
    el("caption", { class: "hidden", text: caption }),
    el("thead", {}, el("tr", {}, ...heads.map(([text, kind]) => el("th", { scope: "col", class: kind, text })))),
    el("tbody", {}, ...rows));
}

export function cell(text, kind, title) {
  return el("td", { class: kind, text, title });
}

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });

export function count(value) {
  return value === null || value === undefined ? "–" : whole.format(Number(value));
}

export function brief(value) {
  if (value === null || value === undefined) return "–";
  return Number(value) < 1e6 ? whole.format(Number(value)) : short.format(Number(value));
}

export function rate(value) {
  if (value === null || value === undefined) return "–";
  return `${value < 100 ? tenth.format(value) : whole.format(value)}/s`;
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 90) return `${tenth.format(value)} s`;
  if (value < 5400) return `${tenth.format(value / 60)} min`;
  if (value < 172800) return `${tenth.format(value / 3600)} h`;
  return `${tenth.format(value / 86400)} d`;
}

export function money(amount, currency) {
  const value = Number(amount ?? 0);
  const options = { maximumFractionDigits: 0, ...(Math.abs(value) >= 1e6 ? { notation: "compact", maximumFractionDigits: 2 } : {}) };
  try {
    return new Intl.NumberFormat(undefined, { style: "currency", currency, ...options }).format(value);
  } catch {
    return `${new Intl.NumberFormat(undefined, options).format(value)} ${currency ?? ""}`.trim();
  }
}

export function clock(epochSeconds) {
  return new Date(epochSeconds * 1000).toLocaleTimeString();
}
