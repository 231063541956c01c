// Language; and, with the officer's PIN, duty and covert.

import { write } from "/js/api.js";
import { el, setData, setText } from "/js/dom.js";
import { NAMES, language, t } from "/js/i18n.js";
import { withPin } from "/js/pinpad.js";
import { complain, toast } from "/js/tell.js";
import { header } from "/js/views/parts.js";

export function settingsView(known) {
  const head = header(t("settings.title"));
  const tell = (settings) => window.dispatchEvent(new CustomEvent("settings", { detail: settings }));

  const languages = (known.settings?.languages ?? Object.keys(NAMES)).filter((one) => one in NAMES);
  const options = languages.map((one) =>
    el(
      "label", { class: "option", lang: one },
      el("input", { type: "radio", name: "language", value: one, checked: one === language, onchange: () => choose(one) }),
      NAMES[one],
    ));

  const covertWord = el("span", { "aria-hidden": "true" }); // the role's own state says it
  const covert = el(
    "button",
    { type: "button", class: "switch", role: "switch", "aria-labelledby": "covert", "aria-describedby": "covert-text", onclick: hide },
    covertWord,
  );
  const duty = el("p", { class: "value" });
  const shift = el("button", { type: "button", class: "button wide", onclick: changeDuty });
  const about = el("p", { class: "meta" });

  const root = el(
    "div", { class: "settings" }, head.root,
    el("section", { class: "card" }, el("h2", {}, t("settings.duty.title")), duty, shift),
    el("section", { class: "card" }, el("fieldset", {}, el("legend", {}, t("settings.language")), ...options)),
    el(
      "section", { class: "card row" },
      el("div", {}, el("h2", { id: "covert" }, t("settings.covert")), el("p", { id: "covert-text" }, t("settings.covert.text"))),
      covert,
    ),
    el("section", { class: "card" }, el("h2", {}, t("settings.about")), about),
  );

  async function choose(chosen) {
    try {
      tell(await write("PUT", "/settings", { language: chosen }));
    } catch (error) {
      if (error.status !== 403) complain(error);
      const answer = error.status !== 403 ? null
        : await withPin(t("settings.language"), t("settings.pin.text"), (pin) => write("PUT", "/settings", { language: chosen, pin }));
      if (answer) tell(answer);
      else for (const input of root.querySelectorAll("input")) input.checked = input.value === language;
    }
  }

  async function hide() {
    const wanted = covert.getAttribute("aria-checked") !== "true";
    const answer = await withPin(t("settings.covert"), t("settings.pin.text"), (pin) => write("PUT", "/settings", { covert: wanted, pin }));
    if (!answer) return;
    tell(answer);
    toast(t("settings.done"));
  }

  async function changeDuty() {
    const wanted = shift.dataset.to;
    const title = t(wanted === "on" ? "settings.duty.begin" : "settings.duty.end");
    const answer = await withPin(title, t("settings.pin.text"), (pin) => write("POST", "/duty", { duty: wanted, pin }));
    if (answer) toast(t(answer.stored === false ? "settings.unstored" : "settings.done"));
  }

  return {
    root,
    title: () => t("settings.title"),
    update({ status, settings, connection }) {
      head.update({ status });
      const on = status?.covert ?? settings?.covert ?? true;
      covert.setAttribute("aria-checked", String(on));
      setText(covertWord, t(on ? "settings.on" : "settings.off"));
      if (status) {
        setText(duty, t(`duty.${status.duty}`));
        setData(shift, "to", status.duty === "on" ? "off" : "on");
        setText(shift, t(status.duty === "on" ? "settings.duty.end" : "settings.duty.begin"));
        setText(about, `${status.device ?? "–"} · ${t("settings.version", { version: status.version })}`);
      }
      shift.disabled = !status || connection === "refused";
    },
  };
}
