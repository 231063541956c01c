// The slide that calls for help. It fires when it is at its end, and it gets there only on purpose: the thumb is dragged
// all the way or held for two seconds, an arrow key is pressed five times. What is let go before falls back, and a key
// that is held down is one press, however often the keyboard repeats it.
// (WCAG 2.2, 2.5.7: everything that can be dragged can be done without dragging.)

import { el, icon, setData, setText } from "/js/dom.js";
import { t } from "/js/i18n.js";

const END = 0.97;
const HOLD_MS = 2000;
const SLIP_PX = 12; // a finger that is held still moves as much
const STEP = 0.2;
const FALL_BACK_MS = 3000;
const FORWARD = new Set(["ArrowRight", "ArrowUp", "PageUp"]);
const BACKWARD = new Set(["ArrowLeft", "ArrowDown", "PageDown", "Home"]);

// `fire` returns a promise: until it is settled the slide is busy; from the beginning, if one is already `underWay`.
export function createSlide(fire, underWay = null) {
  const label = el("span", { class: "slide-label", "aria-hidden": "true" });
  const hint = el("p", { class: "slide-hint", id: "slide-hint" });
  const thumb = el(
    "div",
    {
      class: "slide-thumb", role: "slider", tabindex: "0", "aria-orientation": "horizontal",
      "aria-valuemin": "0", "aria-valuemax": "100", "aria-describedby": "slide-hint",
    },
    icon("arrow"),
  );
  const track = el("div", { class: "slide" }, el("div", { class: "slide-fill" }), label, thumb);
  const root = el("div", { class: "slide-box" }, track, hint);

  let at = 0;
  let busy = false;
  let spent = false; // a key that is still down has fired: it does nothing more
  let grip = null; // { pointer, x, since, dragged } while a finger or a key holds it
  let fallBack = 0;

  const move = (to) => {
    at = Math.min(1, Math.max(0, to));
    track.style.setProperty("--at", String(at));
    const n = Math.round(at * 100);
    thumb.setAttribute("aria-valuenow", String(n));
    thumb.setAttribute("aria-valuetext", t("slide.value", { n }));
  };

  const letGo = () => {
    grip = null;
    clearTimeout(fallBack);
    setData(track, "held", "no");
    move(0);
  };

  const arrive = async (doing = fire) => {
    if (busy) return;
    busy = true;
    if (grip?.pointer === "key") spent = true;
    grip = null;
    clearTimeout(fallBack);
    setData(track, "held", "no");
    setData(track, "busy", "yes");
    thumb.setAttribute("aria-disabled", "true");
    move(1);
    try {
      await doing();
    } finally {
      busy = false;
      setData(track, "busy", "no");
      thumb.removeAttribute("aria-disabled");
      letGo();
    }
  };

  const go = (to) => {
    move(to);
    if (at >= END) arrive();
  };

  const grow = () => {
    if (!grip || grip.dragged) return;
    go((performance.now() - grip.since) / HOLD_MS);
    if (grip) requestAnimationFrame(grow);
  };

  const hold = (pointer, x) => {
    if (busy || grip) return;
    clearTimeout(fallBack);
    grip = { pointer, x, since: performance.now(), dragged: false };
    setData(track, "held", "yes");
    requestAnimationFrame(grow);
  };

  const step = (by) => {
    if (busy || grip) return;
    clearTimeout(fallBack);
    fallBack = setTimeout(letGo, FALL_BACK_MS);
    go(Math.round((at + by) * 100) / 100);
  };

  thumb.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button !== 0) return;
    thumb.setPointerCapture(event.pointerId);
    hold(event.pointerId, event.clientX);
  });
  thumb.addEventListener("pointermove", (event) => {
    if (!grip || grip.pointer !== event.pointerId) return;
    const moved = event.clientX - grip.x;
    if (!grip.dragged && Math.abs(moved) < SLIP_PX) return;
    grip.dragged = true;
    go(moved / (track.clientWidth - thumb.offsetWidth));
  });
  for (const ended of ["pointerup", "pointercancel", "lostpointercapture"]) {
    thumb.addEventListener(ended, (event) => {
      if (grip && grip.pointer === event.pointerId) letGo();
    });
  }
  thumb.addEventListener("contextmenu", (event) => event.preventDefault());
  thumb.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const holds = event.key === " " || event.key === "Enter";
    if (!holds && !FORWARD.has(event.key) && !BACKWARD.has(event.key)) return;
    event.preventDefault();
    if (event.repeat || spent) return;
    if (holds) hold("key", 0);
    else if (FORWARD.has(event.key)) step(STEP);
    else step(event.key === "Home" ? -1 : -STEP);
    if (busy) spent = true;
  });
  thumb.addEventListener("keyup", (event) => {
    spent = false;
    if (grip?.pointer === "key" && (event.key === " " || event.key === "Enter")) letGo();
  });
  thumb.addEventListener("blur", () => {
    spent = false;
    if (!busy) letGo();
  });
  // What assistive technology does comes as a click without a pointer.
  thumb.addEventListener("click", (event) => {
    if (event.detail === 0) step(STEP);
  });
  move(0);
  if (underWay) arrive(() => underWay);

  return {
    root,
    update(name) {
      setText(label, busy ? t("slide.sending") : name);
      if (thumb.getAttribute("aria-label") !== name) thumb.setAttribute("aria-label", name);
      setText(hint, t("slide.hint"));
      hint.classList.toggle("gone", busy); // its place stays: nothing jumps under a thumb
    },
  };
}
