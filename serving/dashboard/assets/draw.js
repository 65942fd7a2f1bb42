// Drawing without HTML text: every string of an event ends in textContent, so it can never become markup.

export function el(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

export function shape(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export function bar(share, tone = "") {
  const fill = el("span", { class: tone });
  fill.style.width = `${Math.max(0, Math.min(1, share || 0)) * 100}%`;
  return el("td", { class: "bar" }, fill);
}

// A bar that a phone has no room for.
export function column(share, tone) {
  const node = bar(share, tone);
  node.classList.add("bar-col");
  return node;
}

export function table(caption, heads, rows) {
  return el("table", {},
    el("caption", { class: "hidden", text: caption }),
    el("thead", {}, el("tr", {}, ...heads.map(([text, kind]) => (text
      ? el("th", { scope: "col", class: kind, text })
      : el("td", { class: `head ${kind ?? ""}` }))))),
    el("tbody", {}, ...rows));
}

export function cell(text, kind, title) {
  return el("td", { class: kind, text, title });
}

export function linked(text, kind, href, title) {
  return el("td", { class: kind, title }, el("a", { href, text: text || "–" }));
}

export function row(...cells) {
  return el("tr", {}, ...cells);
}

export function empty(text) {
  return el("p", { class: "empty", text });
}

// Where the rows of a mart are, those with these values only.
export function rowsOf(mart, filters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) {
    if (value === null || value === undefined) query.append(`${name}.null`, "true");
    else query.append(`${name}.eq`, value);
  }
  const text = query.toString();
  return `/rows/${encodeURIComponent(mart)}${text ? `?${text}` : ""}`;
}

// Put new nodes into a place that somebody may be reading: what was focused or opened stays so.
export function replace(place, nodes) {
  const focus = place.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const opened = [...place.querySelectorAll("details")].map((details) => details.open);
  place.replaceChildren(...nodes);
  place.querySelectorAll("details").forEach((details, i) => { details.open = opened[i] ?? false; });
  if (focus) [...place.querySelectorAll("a")].find((a) => a.getAttribute("href") === focus)?.focus({ preventScroll: true });
}
