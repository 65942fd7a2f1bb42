// Which page this is, its places, and its states as they come.

import { sections as overview } from "./overview.js";
import { sections as commerce } from "./commerce.js";
import { sections as payments } from "./payments.js";
import { sections as product } from "./product.js";
import { sections as fraud } from "./fraud.js";
import { sections as quality } from "./quality.js";
import { sections as letters, start as startLetters } from "./letters.js";
import { sections as operations } from "./operations.js";
import { listen } from "./live.js";
import { show as showRows } from "./rows.js";
import { drawer, place } from "./sections.js";
import { zone } from "./format.js";

// By address. A further page is its module here, a link in index.html and an entry in `PAGES` of statements.py.
const PAGES = {
  overview: { title: "Overview", sections: overview },
  commerce: { title: "Commerce", sections: commerce },
  payments: { title: "Payments", sections: payments },
  product: { title: "Product", sections: product },
  fraud: { title: "Fraud", sections: fraud },
  quality: { title: "Quality", sections: quality },
  "dead-letters": { title: "Dead letters", sections: letters, start: startLetters },
  operations: { title: "Operations", sections: operations },
};

const $ = (id) => document.getElementById(id);

function name(title) {
  $("page").textContent = title;
  document.title = `${title} · Caudal`;
  $("zone").textContent = zone();
}

function theme() {
  const root = document.documentElement;
  const dark = () => root.dataset.theme === "dark"
    || (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  const button = $("theme");
  const label = () => { button.textContent = dark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    label();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
  label();
}

function open(key) {
  const page = PAGES[key];
  name(page.title);
  document.querySelector(`nav a[href="${location.pathname}"]`)?.setAttribute("aria-current", "page");
  place($("main"), page.sections);
  const draw = drawer(page.sections);
  const more = page.start?.();
  listen(key, (state) => {
    draw(state);
    more?.(state);
  });
}

theme();
const path = location.pathname.slice(1);
if (path.startsWith("rows/")) {
  name("Rows");
  $("connection").hidden = true;
  showRows($("main"));
} else {
  open(path in PAGES ? path : "overview");
}
