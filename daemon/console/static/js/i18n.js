// Words, numbers and times in the officer's language. Everything that is said comes from lang/*.json.

export const NAMES = { en: "English", pt: "Português", el: "Ελληνικά" };
const REMEMBERED = "language";

let words = {};
let plural = new Intl.PluralRules("en");
let clock = null;
let whole = null;
let tenth = null;
export let language = "";

// Before the device told: what it told last, else what the browser is set to.
export function firstGuess() {
  const remembered = localStorage.getItem(REMEMBERED);
  return [remembered, ...navigator.languages.map((one) => one.slice(0, 2))].find((one) => one in NAMES) ?? "en";
}

export function remember(chosen) {
  localStorage.setItem(REMEMBERED, chosen);
}

export async function use(chosen) {
  const answer = await fetch(`/lang/${chosen}.json`);
  words = await answer.json();
  language = chosen;
  document.documentElement.lang = chosen;
  plural = new Intl.PluralRules(chosen);
  clock = new Intl.DateTimeFormat(chosen, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  whole = new Intl.NumberFormat(chosen, { maximumFractionDigits: 0 });
  tenth = new Intl.NumberFormat(chosen, { maximumFractionDigits: 1 });
}

export function t(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

export function has(key) {
  return key in words;
}

// A key with the forms .one and .other; all three languages make do with these for whole numbers.
export function count(key, n) {
  return t(`${key}.${plural.select(n) === "one" ? "one" : "other"}`, { n: whole.format(n) });
}

// RFC 3339 -> the time of day here; with the day where it is another one.
export function time(text, { seconds = false } = {}) {
  if (!text) return "";
  const when = new Date(text);
  const day = when.toDateString() === new Date().toDateString() ? "" : ` ${when.getDate()}.${when.getMonth() + 1}.`;
  const told = clock.format(when);
  return (seconds ? told : told.slice(0, 5)) + day;
}

export function age(s) {
  if (s < 90) return t("age.s", { n: whole.format(s) });
  if (s < 5400) return t("age.min", { n: whole.format(s / 60) });
  return t("age.h", { n: tenth.format(s / 3600) });
}

export function metres(m) {
  if (m >= 1000) return `${tenth.format(m / 1000)} km`;
  return `${whole.format(m >= 100 ? Math.round(m / 10) * 10 : Math.ceil(m))} m`;
}

export function percent(n) {
  return `${whole.format(n)} %`;
}

export function direction(deg) {
  return t(`direction.${Math.round((((deg % 360) + 360) % 360) / 45) % 8}`);
}

export function minutesAndSeconds(s) {
  const left = Math.max(0, Math.ceil(s));
  return `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
}
