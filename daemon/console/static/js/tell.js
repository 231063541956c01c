// What is said to the officer beside the views: a line at the bottom for all, words for a screen reader.

import { setHidden, setText } from "/js/dom.js";
import { t } from "/js/i18n.js";

const TOAST_MS = 6000;
let timer = 0;

export function shout(text) {
  setText(document.getElementById("shouted"), text);
}

// One that `stays` does so until something else is said, or it is hushed.
export function toast(text, { bad = false, stays = false } = {}) {
  const node = document.getElementById("toast");
  setText(node, text);
  node.classList.toggle("bad", bad);
  setHidden(node, false);
  if (bad) shout(text);
  clearTimeout(timer);
  if (!stays) timer = setTimeout(() => setHidden(node, true), TOAST_MS);
}

export function hush(text) {
  const node = document.getElementById("toast");
  if (node.textContent === text) setHidden(node, true);
}

// Of a CallError.
export function complain(error) {
  const answered = error.status >= 400 && error.status < 500;
  toast(error.told ?? (answered ? t("error.text", { text: error.message }) : t("error.again")), { bad: true });
}
