// The call for help. One at a time for the whole page: views come and go while it is under way.

import { write } from "/js/api.js";
import { t } from "/js/i18n.js";
import { complain, hush, toast } from "/js/tell.js";

const SLOW_MS = 5000;
let pending = null;

// Until it is settled, a promise; else null.
export function callUnderWay() {
  return pending;
}

export function callForHelp() {
  pending ??= call().finally(() => {
    pending = null;
  });
  return pending;
}

async function call() {
  const slow = t("slide.slow");
  const warning = setTimeout(() => toast(slow, { bad: true, stays: true }), SLOW_MS);
  try {
    await write("POST", "/alert", { kind: "panic" });
  } catch (error) {
    if (error.status >= 400 && error.status < 500) complain(error);
    else toast(t("slide.failed"), { bad: true });
  } finally {
    clearTimeout(warning);
    hush(slow);
  }
}
