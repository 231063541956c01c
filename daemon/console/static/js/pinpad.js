// Asks for the officer's PIN. Whether it is right, the device says: right, wrong and duress look the same until then,
// and right and duress for ever.
// What it says, it says within the dialog: while that is open, a screen reader hears nothing of the page behind it.

import { el, icon, setText } from "/js/dom.js";
import { age, count, t } from "/js/i18n.js";
import { complain } from "/js/tell.js";

const LEAST = 4;
const MOST = 12;

// `submit(pin)` does what the PIN is for. Resolves to its answer, or to null if the officer closed the pad.
export function withPin(title, text, submit) {
  return new Promise((resolve) => {
    let answer = null;
    let lock = 0;
    let busy = false;

    const field = el("input", {
      id: "pin", class: "pin-field", type: "password", inputmode: "none", autocomplete: "off", maxlength: String(MOST),
      pattern: "[0-9]*", "aria-describedby": "pin-told",
    });
    const told = el("p", { id: "pin-told", class: "pin-told", role: "status" });
    const keys = [];
    const key = (label, press, attributes = {}) => {
      const node = el("button", { type: "button", class: "pin-key", onclick: press, ...attributes }, label);
      keys.push(node);
      return node;
    };
    const type = (digit) => {
      if (field.value.length < MOST) field.value += digit;
      changed();
    };
    const erase = () => {
      field.value = field.value.slice(0, -1);
      changed();
    };
    const digits = "123456789".split("").map((digit) => key(digit, () => type(digit)));
    const eraser = key(icon("erase"), erase, { "aria-label": t("pin.erase") });
    const zero = key("0", () => type("0"));
    const confirm = key(icon("check"), () => done(), { class: "pin-key pin-ok", "aria-label": t("pin.ok") });

    const changed = () => {
      field.value = field.value.replace(/\D/g, "");
      const closed = busy || lock > performance.now();
      confirm.disabled = closed || field.value.length < LEAST;
      field.readOnly = closed;
      for (const node of [...digits, zero, eraser]) node.disabled = closed;
    };
    const tell = (words, bad) => {
      setText(told, words);
      told.classList.toggle("bad", bad);
    };
    const locked = (seconds) => {
      lock = performance.now() + seconds * 1000;
      tell(t("pin.locked", { age: age(seconds) }), true);
      const tick = () => {
        if (!dialog.open) return;
        told.setAttribute("aria-live", lock > performance.now() ? "off" : "polite"); // seconds are not read out
        const left = (lock - performance.now()) / 1000;
        setText(told, left > 0 ? t("pin.locked", { age: age(Math.ceil(left)) }) : text);
        told.classList.toggle("bad", left > 0);
        changed();
        if (left > 0) setTimeout(tick, 250);
        else field.focus();
      };
      changed();
      setTimeout(tick, 500);
    };
    const done = async () => {
      if (confirm.disabled) return;
      const pin = field.value;
      field.value = "";
      busy = true;
      tell(t("pin.checking"), false);
      changed();
      try {
        answer = await submit(pin);
        dialog.close();
        return;
      } catch (error) {
        const { tries_left: left, locked_s: seconds } = error.body ?? {};
        if (error.status === 403 && seconds > 0) locked(seconds);
        else if (error.status === 403 && left !== null && left !== undefined) tell(count("pin.wrong", left), true);
        else if (error.status === 403 && /no PIN/.test(error.message)) tell(t("pin.none"), true);
        else {
          dialog.close();
          complain(error);
          return;
        }
      } finally {
        busy = false;
        changed();
      }
      field.focus();
    };

    field.addEventListener("input", changed);
    const form = el(
      "form",
      {
        method: "dialog",
        onsubmit: (event) => {
          event.preventDefault();
          done();
        },
      },
      el("label", { class: "unseen", for: "pin" }, t("pin.label")),
      field,
      el("div", { class: "pin-keys" }, ...digits, eraser, zero, confirm),
      el("button", { type: "button", class: "button wide", onclick: () => dialog.close() }, t("pin.cancel")),
    );
    const dialog = el(
      "dialog", { class: "pin", "aria-labelledby": "pin-title" }, el("h2", { id: "pin-title" }, title), told, form,
    );
    dialog.addEventListener("close", () => {
      field.value = "";
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    tell(text, false);
    changed();
    dialog.showModal();
    field.focus();
  });
}
