// What several views are made of.

import { el, icon, setData, setText } from "/js/dom.js";
import { t } from "/js/i18n.js";

// A view's name, and how the alert is: in every view, so that nobody has to look for it.
export function header(title, back = null) {
  const state = el("a", { class: "pill", href: "#/" });
  const root = el(
    "header", {},
    back ? el("a", { class: "back", href: back, "aria-label": t("back") }, icon("back")) : null,
    el("h1", {}, title), state,
  );
  return {
    root,
    update({ status }) {
      const alert = status?.alert;
      setText(state, alert ? t(`alert.${alert.state}`) : status ? t(`state.${status.state}`) : t("connecting"));
      setData(state, "state", alert ? "alert" : (status?.state ?? ""));
    },
  };
}

export const octets = (text) => new TextEncoder().encode(text).length;

// A text field that holds so many octets of UTF-8: a Greek letter takes two. `changed(room)` in letters like the last one.
export function textField(label, most, changed, rows = "2") {
  const id = `field-${label.length}-${most}`;
  const field = el("textarea", { id, rows, maxlength: String(most), autocomplete: "off" });
  field.addEventListener("input", () => {
    field.value = field.value.replaceAll("\n", " ");
    changed(Math.floor((most - octets(field.value)) / Math.max(1, octets([...field.value].at(-1) ?? ""))));
  });
  return { field, root: el("div", { class: "field" }, el("label", { for: id }, label), field) };
}
