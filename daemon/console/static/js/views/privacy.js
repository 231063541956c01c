// What is collected now, why, how precisely and until when.

import { read } from "/js/api.js";
import { el, replace, setHidden } from "/js/dom.js";
import { age, count, metres, t, time } from "/js/i18n.js";
import { header } from "/js/views/parts.js";

const LOOK_MS = 10_000;

export function privacyView() {
  const head = header(t("privacy.title"));
  const body = el("div", { class: "privacy" });
  let looked = -Infinity;
  let of = null;
  let shown = null;

  async function look() {
    looked = performance.now();
    try {
      const report = await read("/privacy");
      const now = JSON.stringify(report);
      if (now !== shown) replace(body, ...sections(report));
      shown = now;
    } catch {
      looked = -Infinity; // the banner says what is wrong; the next tick tries again
    }
  }

  return {
    root: el("div", {}, head.root, body),
    title: () => t("privacy.title"),
    update(known) {
      head.update(known);
      const situation = `${known.status?.duty} ${known.status?.alert?.alert_id}`;
      if (known.connection === "live" && (situation !== of || performance.now() - looked > LOOK_MS)) {
        of = situation;
        look();
      }
      setHidden(body, known.connection === "refused");
    },
  };
}

function sections(report) {
  const waiting = Object.entries(report.waiting).filter(([, n]) => n > 0).map(([stream, n]) => count(`privacy.waiting.${stream}`, n));
  return [
    el(
      "section", { class: "card now" }, el("h2", {}, t("privacy.now")),
      ...(report.collected.length ? report.collected.map(collected) : [el("p", {}, t("privacy.nothing"))]),
    ),
    el("section", { class: "card" }, el("h2", {}, t("privacy.pressed")), el("p", {}, t("privacy.pressed.text"))),
    el(
      "section", { class: "card" }, el("h2", {}, t("privacy.kept")), el("p", {}, t("privacy.kept.text")),
      el("p", { class: "meta" }, `${t("privacy.waiting")}: ${waiting.join(", ") || t("privacy.waiting.none")}`),
    ),
    el(
      "details", { class: "card" }, el("summary", {}, t("privacy.words")),
      ...report.collected.map((one) => el("p", { lang: "en" }, `${one.text}; ${one.why}; ${one.precision}; ${one.until_text}`)),
      el("p", { lang: "en" }, report.if_pressed), el("p", { lang: "en" }, report.kept),
    ),
  ];
}

function collected(one) {
  const every = one.what === "position" ? "privacy.every.position" : "privacy.every";
  const rows = [
    ["privacy.often", t(every, { age: age(one.every_s) })],
    ["privacy.why", t(`privacy.why.${one.what}`)],
    ["privacy.precision", one.precision_m === null ? t("privacy.precise") : t("privacy.cell", { metres: metres(one.precision_m) })],
    ["privacy.until", one.until ? t("privacy.until.latest", { time: time(one.until) }) : t(`privacy.until.${one.what}`)],
  ];
  return el(
    "div", {}, el("h3", {}, t(`privacy.what.${one.what}`)),
    el("dl", {}, ...rows.flatMap(([key, text]) => [el("dt", {}, t(key)), el("dd", {}, text)])),
  );
}
