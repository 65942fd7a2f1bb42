// Puts the sections of a page on the screen and draws each again only when its part of the state has changed.
//
// A section is {id, title, hint, kind, size, …} and one of
//   figures: names of the page's figures, drawn by draw(...rows); `none` says what an empty one means;
//   part:    what it shows of the state, drawn by draw(part, state).
// kind `bare` has no card; `loose` figures are drawn also while some are missing (their rows are null).

import { el, empty, replace, rowsOf } from "./draw.js";
import { seconds } from "./format.js";

// Gold older than this is told in colour: live marts move every few seconds, full ones every few minutes.
const OLD_S = { live: 60, full: 900 };
const WHY = {
  unpublished: "Not published yet: the first cycle with this mart has to pass its gate.",
  unreadable: "The published table cannot be read just now. The next look may work; the runbook has it under CDL-GOLD-OPEN.",
};

export function place(main, sections) {
  const grid = el("div", { class: "grid" });
  for (const section of sections) {
    const heading = el("h2", { id: `h-${section.id}`, class: section.quiet ? "hidden" : null }, section.title,
      section.hint ? el("span", { class: "hint", text: ` ${section.hint}` }) : null);
    const kind = section.kind === "bare" ? "full" : `panel ${section.size ?? ""}`;
    const body = el(section.tag ?? "div", { id: section.id, class: section.body });
    const node = el("section", { class: kind, "aria-labelledby": `h-${section.id}` }, heading, body);
    if (section.figures) node.append(el("p", { id: `from-${section.id}`, class: "from" }));
    grid.append(node);
  }
  main.replaceChildren(grid);
}

export function drawer(sections) {
  const drawn = {};
  return (state) => {
    for (const section of sections) {
      const [key, make] = section.figures ? ofGold(section, state) : ofState(section, state);
      const text = JSON.stringify(key);
      if (drawn[section.id] !== text) {
        drawn[section.id] = text;
        replace(document.getElementById(section.id), make());
      }
      if (section.figures) tellSource(section, state);
    }
    document.body.classList.remove("loading");
  };
}

function ofState(section, state) {
  const part = section.part(state);
  return [part, () => section.draw(part, state)];
}

function ofGold(section, state) {
  const found = section.figures.map((name) => state.figures[name]);
  const extra = section.part?.(state) ?? null;
  return [[found, extra], () => {
    const bad = section.loose ? null : found.find((figure) => figure.why);
    if (bad) return [el("p", { class: bad.why === "unreadable" ? "empty bad" : "empty", role: bad.why === "unreadable" ? "alert" : null, text: WHY[bad.why] })];
    if (!section.loose && found.every((figure) => !figure.rows.length)) return [empty(section.none)];
    return section.draw(...found.map((figure) => figure.rows), extra);
  }];
}

// Under every number of gold: which mart, at which version, how old.
function tellSource(section, state) {
  const marts = [...new Set(section.figures.map((name) => state.figures[name].mart))]
    .map((name) => state.gold.find((mart) => mart.mart === name)).filter(Boolean);
  const place = document.getElementById(`from-${section.id}`);
  const key = marts.map((m) => m.mart).join();
  if (place.dataset.key !== key) {
    place.dataset.key = key;
    place.replaceChildren(...marts.flatMap((m, i) => [i ? " · " : "", el("a", { href: rowsOf(m.mart), text: m.mart }), el("span", { "data-mart": m.mart })]));
  }
  for (const mart of marts) {
    const node = place.querySelector(`[data-mart="${CSS.escape(mart.mart)}"]`);
    node.textContent = ` version ${mart.version}, ${seconds(mart.age_s)} old`;
    node.className = mart.age_s > (OLD_S[mart.group] ?? Infinity) ? "warn" : "";
  }
}
