// Dead letters: groups, the newest of one group, all that is known of one, and the command that heals them.

import { columns } from "./chart.js";
import { cell, column, el, empty, row, table } from "./draw.js";
import { count, day, moment, size } from "./format.js";
import { older } from "./parts.js";
import { ask, refused } from "./ask.js";

const NEVER_REPLAYED = "CDL-PLAINTEXT";
const $ = (id) => document.getElementById(id);
// A word that a shell takes as it is; all else is quoted, since parts of a letter may be hostile.
const quoted = (word) => (/^[\w.:@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

function groupOf(place) {
  const found = new URLSearchParams(place.search);
  return found.has("code") ? { contract: found.get("contract") ?? "", code: found.get("code"), path: found.get("path") ?? "" } : null;
}

// A field that is missing in a letter is no condition.
const where = (group) => Object.entries(group).filter(([, value]) => value !== "" && value !== null && value !== undefined);

function groups([letters, door]) {
  const rows = letters ?? [];
  const early = Object.entries(door ?? {});
  if (!rows.length && !early.length) return [empty("No record has been refused.")];
  const high = Math.max(1, ...rows.map((r) => r.records), ...early.map(([, n]) => n));
  const fill = (n) => column(n / high, "warn");
  const here = JSON.stringify(groupOf(location));
  const lines = rows.map((r) => {
    const group = { contract: r.contract ?? "", code: r.code, path: r.path ?? "" };
    const chosen = here === JSON.stringify(group);
    const link = el("a", { href: `/dead-letters?${new URLSearchParams(where(group))}`, text: r.code, "aria-current": chosen ? "true" : null });
    return row(el("td", { class: "name code wide-name", title: r.code }, link), cell(r.contract || "unknown", "wrap"), cell(r.path || "the whole record", "quiet wrap extra"),
      cell(count(r.records), "num"), fill(r.records), cell(moment(r.latest), "num quiet extra"));
  });
  const atDoor = early.map(([code, n]) => row(cell(code, "name code"), cell("refused at the door", "quiet wrap"), cell("", "extra"), cell(count(n), "num"), fill(n), cell("", "extra")));
  return [table("Groups of dead letters", [["Code"], ["Contract"], ["Field", "extra"], ["Open", "num"], ["", "bar-col"], ["Latest", "num extra"]], [...lines, ...atDoor])];
}

// The exact words to type, with a button that copies them where the browser allows it.
function command(text) {
  const button = navigator.clipboard ? el("button", { type: "button", text: "Copy" }) : null;
  button?.addEventListener("click", async () => { await navigator.clipboard.writeText(text); button.textContent = "Copied"; });
  return el("div", { class: "command" }, el("code", { text }), button);
}

function heal(group) {
  if (group.code === NEVER_REPLAYED) {
    return [el("p", { text: "These records hold personal values in clear. They are never replayed; they wait for a purge:" }),
      command(`caudal purge raw --code ${NEVER_REPLAYED} --by NAME --reason WHY`)];
  }
  if (!group.contract) return [el("p", { text: "Nobody knows which contract these records belong to, so they cannot be replayed. Look at one of them first." })];
  const words = where(group).map(([name, value]) => `--${name} ${quoted(value)}`).join(" ");
  return [el("p", { text: "Replay decides these records again, after the contract was corrected or with a file of fixes (--fix). See what would become of them first; nothing is written:" }),
    command(`caudal deadletters replay ${words} --dry-run`)];
}

async function letters(group) {
  const place = $("letters");
  try {
    const { letters: found } = await ask(`/look/letters?${new URLSearchParams(where(group))}`);
    const open = found.filter((one) => !one.resolution).length;
    const rows = found.map((one) => {
      const at = `${one.topic}:${one.partition}:${one.offset}`;
      const button = el("button", { type: "button", class: "link", text: at, "aria-controls": "letter" });
      button.addEventListener("click", () => explain(at));
      return row(el("td", { class: "wrap" }, button), cell(moment(one.at), "num"), cell(one.contract_version === null ? "–" : `v${one.contract_version}`, "num extra"),
        cell(one.resolution ?? "open", `mark ${one.resolution ? "good" : "warn"}`));
    });
    place.replaceChildren(el("p", { class: "quiet", text: `The newest ${count(found.length)}, ${count(open)} of them open` }),
      found.length ? el("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Letters" }, table("Letters", [["Record"], ["Refused", "num"], ["Contract", "num extra"], ["State"]], rows)) : empty("There is none."));
  } catch (error) {
    place.replaceChildren(refused(error));
  }
}

async function explain(at) {
  const place = $("letter");
  place.replaceChildren(el("p", { class: "quiet", text: `Looking at ${at} …` }));
  try {
    const { letter, raw, schema, rule, runbook } = await ask(`/look/letters/${encodeURIComponent(at)}`);
    const facts = [
      ["Record", at], ["Code", letter.code], ["Field", letter.path || "the whole record"], ["Rule", rule], ["Contract", `${letter.contract || "unknown"}${letter.contract_version === null ? "" : ` version ${letter.contract_version}`}`],
      ["Refused", moment(letter.at)], ["State", letter.resolution ?? "open"], ["Size", raw && `key ${size(raw.key_bytes)}, value ${size(raw.value_bytes)}`], ["Raw batch", raw && String(raw._batch)],
      ["Writer's schema", schema && `id ${schema.schema_id}, version ${schema.version ?? "unknown"}, ${schema.fingerprint}`], ["Runbook", runbook],
    ].filter(([, value]) => value);
    place.replaceChildren(el("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [el("dt", { text: name }), el("dd", { text: value })])),
      ...(letter.resolution || letter.code === NEVER_REPLAYED || !letter.contract ? [] : [
        el("p", { text: "To decide this record alone again:" }), command(`caudal deadletters replay --contract ${quoted(letter.contract)} --at ${quoted(at)} --dry-run`)]));
  } catch (error) {
    place.replaceChildren(refused(error));
  }
  $("h-letter").scrollIntoView({ block: "nearest" });
}

function days(rows) {
  return columns("Dead letters by day", older(rows), (r) => day(r.dead_date), [
    { name: "Open", tone: "warn", of: (r) => r.open }, { name: "Healed", tone: "good", of: (r) => r.healed }, { name: "Purged", tone: "quiet", of: (r) => r.purged }], count);
}

const chosen = () => groupOf(location);
export const sections = [
  { id: "groups", title: "Groups", hint: "open ones by code, contract and field; nobody sees values", size: "wide", part: (s) => [s.dead_letters, s.refused_at_door], draw: groups },
  { id: "days", title: "By day", hint: "in UTC", figures: ["days"], none: "No record was ever refused.", draw: days },
  { id: "letters", title: "Letters of the chosen group", size: "wide", part: () => null, draw: () => (chosen() ? [el("p", { class: "quiet", text: "Looking …" })] : [empty("Choose a group above.")]) },
  { id: "heal", title: "Heal", part: () => null, draw: () => (chosen() ? heal(chosen()) : [empty("Choose a group above.")]) },
  { id: "letter", title: "One letter", size: "full", part: () => null, draw: () => [empty("Choose a letter above.")] },
];

// The list belongs to the address, so it is asked for once, when the page has its places.
export function start() {
  let asked = false;
  return (state) => {
    if (asked || !chosen()) return;
    asked = Boolean(state);
    letters(chosen());
  };
}
