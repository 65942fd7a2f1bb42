// Asks this server for a page's data and tells a refusal in its own words.

import { el } from "./draw.js";

export class Refused extends Error {
  constructor(status, facts) {
    super(facts.what ?? "the server does not answer");
    this.status = status;
    this.facts = facts;
  }
}

export async function ask(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } }).catch(() => { throw new Refused(0, {}); });
  if (answer.status === 401) location.reload();
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, body);
  return body;
}

export function refused(error) {
  const { what, where, why, fix, code } = error instanceof Refused ? { what: error.message, ...error.facts } : { what: error.message };
  return el("p", { class: "empty bad", role: "alert", text: [what, where && `(${where})`, why && `because ${why}.`, fix, code && `[${code}]`].filter(Boolean).join(" ") });
}
