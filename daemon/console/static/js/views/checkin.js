// The check-in: "I am going in, 20 minutes". If nobody ends it, an alert goes out with the note.

import { write } from "/js/api.js";
import { el, setData, setHidden, setText } from "/js/dom.js";
import { count, minutesAndSeconds, t, time } from "/js/i18n.js";
import { complain, toast } from "/js/tell.js";
import { header, textField } from "/js/views/parts.js";

const PRESETS_MIN = [10, 20, 30, 60];
const EXTEND_MIN = [10, 20];
const NOTE_OCTETS = 120;

export function checkinView() {
  const head = header(t("checkin.title"));
  const room = el("p", { class: "room", id: "note-room" });
  const note = textField(t("checkin.note"), NOTE_OCTETS, (left) => {
    setText(room, left < 0 ? t("inbox.toolong") : left < 40 ? count("inbox.room", left) : "");
    for (const button of presets) button.disabled = left < 0;
  });
  note.field.setAttribute("aria-describedby", "note-room");
  const minutes = (n, action) =>
    el("button", { type: "button", class: "button big", onclick: () => act({ action, seconds: n * 60 }) }, count("checkin.minutes", n));
  const presets = PRESETS_MIN.map((n) => minutes(n, "begin"));
  const begin = el(
    "section", { class: "card" },
    el("p", {}, t("checkin.intro")), note.root, room,
    el("h2", { id: "begin" }, t("checkin.begin")),
    el("div", { class: "choices", role: "group", "aria-labelledby": "begin" }, ...presets),
  );

  const left = el("p", { class: "time-left", role: "timer", "aria-label": t("checkin.left") });
  const due = el("p", { class: "meta" });
  const said = el("p", { class: "text" });
  const warning = el("p", { class: "warning" });
  const running = el(
    "section", { class: "card running" },
    el("p", { class: "label", "aria-hidden": "true" }, t("checkin.left")), left, due, warning, said,
    el("button", { type: "button", class: "button wide primary", onclick: () => act({ action: "end" }) }, t("checkin.end")),
    el("h2", { id: "extend" }, t("checkin.extend")),
    el("div", { class: "choices", role: "group", "aria-labelledby": "extend" }, ...EXTEND_MIN.map((n) => minutes(n, "extend"))),
  );
  const root = el("div", {}, head.root, begin, running);

  async function act(content) {
    const buttons = [...root.querySelectorAll("button")];
    for (const button of buttons) button.disabled = true;
    try {
      await write("POST", "/checkin", content.action === "begin" ? { ...content, note: note.field.value.trim() } : content);
      if (content.action === "begin") note.field.value = "";
      if (content.action === "end") toast(t("checkin.ended"));
    } catch (error) {
      complain(error);
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  return {
    root,
    title: () => t("checkin.title"),
    update(known) {
      head.update(known);
      const checkin = known.status?.checkin ?? null;
      setHidden(begin, checkin !== null);
      setHidden(running, checkin === null);
      if (!checkin) return;
      setText(left, minutesAndSeconds(checkin.due_s - known.elapsed()));
      setText(due, checkin.due_at ? t("checkin.until", { time: time(checkin.due_at) }) : "");
      setText(said, checkin.note ?? "");
      setHidden(said, !checkin.note);
      setData(running, "state", checkin.state);
      setHidden(warning, checkin.state === "running");
      setText(warning, checkin.state === "prealarm" ? t("checkin.prealarm") : checkin.state === "countdown" ? t("checkin.over") : "");
    },
  };
}
