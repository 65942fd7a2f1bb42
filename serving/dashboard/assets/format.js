// Numbers, money, ages and times as the viewer writes them; times in the viewer's zone.

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const third = new Intl.NumberFormat(undefined, { maximumFractionDigits: 3 });
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });
const missing = (value) => value === null || value === undefined || value === "";

export function count(value) {
  return missing(value) ? "–" : whole.format(Number(value));
}

export function brief(value) {
  if (missing(value)) return "–";
  return Math.abs(Number(value)) < 1e6 ? whole.format(Number(value)) : short.format(Number(value));
}

export function fraction(value) {
  return missing(value) ? "–" : third.format(Number(value));
}

export function rate(value) {
  if (missing(value)) return "–";
  return `${value < 100 ? tenth.format(value) : whole.format(value)}/s`;
}

export function share(part, all) {
  return missing(part) || !Number(all) ? "–" : percent.format(Number(part) / Number(all));
}

export function seconds(value) {
  if (missing(value)) return "–";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 90) return `${tenth.format(value)} s`;
  if (value < 5400) return `${tenth.format(value / 60)} min`;
  if (value < 172800) return `${tenth.format(value / 3600)} h`;
  return `${tenth.format(value / 86400)} d`;
}

export function millis(value) {
  return missing(value) ? "–" : seconds(Number(value) / 1000);
}

export function size(bytes) {
  if (missing(bytes)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.max(0, Math.min(units.length - 1, Math.floor(Math.log2(Number(bytes) || 1) / 10)));
  return `${tenth.format(Number(bytes) / 1024 ** power)} ${units[power]}`;
}

export function money(amount, currency, digits = 0) {
  if (missing(amount)) return "–";
  const value = Number(amount);
  const large = Math.abs(value) >= 1e6 ? { notation: "compact", maximumFractionDigits: 2 } : { maximumFractionDigits: digits };
  try {
    return new Intl.NumberFormat(undefined, { style: "currency", currency, ...large }).format(value);
  } catch {
    return `${new Intl.NumberFormat(undefined, large).format(value)} ${currency ?? ""}`.trim();
  }
}

export function clock(epochSeconds) {
  return new Date(epochSeconds * 1000).toLocaleTimeString();
}

export function moment(iso) {
  if (missing(iso)) return "–";
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? String(iso) : at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

export function hour(iso) {
  return new Date(iso).toLocaleString(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}

// Days and months of marts are UTC's own, so no zone may move them.
export function day(date) {
  return missing(date) ? "–" : new Date(`${date}T00:00:00Z`).toLocaleDateString(undefined, { dateStyle: "medium", timeZone: "UTC" });
}

export function month(date) {
  return missing(date) ? "–" : new Date(`${date}T00:00:00Z`).toLocaleDateString(undefined, { year: "numeric", month: "short", timeZone: "UTC" });
}

export function zone() {
  return new Intl.DateTimeFormat(undefined, { timeZoneName: "short" }).formatToParts(new Date())
    .find((part) => part.type === "timeZoneName")?.value ?? "";
}

export function many(n, noun) {
  return `${count(n)} ${noun}${Number(n) === 1 ? "" : "s"}`;
}
