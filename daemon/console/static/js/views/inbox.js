// The inbox: what is urgent and unread first, then the newest. Opening a message reads it.

import { write } from "/js/api.js";
import { el, icon, replace, setText } from "/js/dom.js";
import { count, direction, metres, t, time } from "/js/i18n.js";
import { complain, toast } from "/js/tell.js";
import { kindName } from "/js/views/home.js";
import { header, textField } from "/js/views/parts.js";

const MOST_OCTETS = 160;
const isPressing = (message) => message.urgent && message.state === "taken";

export function inboxView() {
  const head = header(t("inbox.title"));
  const list = el("ul", { class: "messages" });
  let shown = null;

  return {
    root: el("div", {}, head.root, list),
    title: () => t("inbox.title"),
    update(known) {
      head.update(known);
      const now = JSON.stringify(known.inbox);
      if (now === shown) return;
      shown = now;
      const ordered = [...known.inbox].sort((a, b) => isPressing(b) - isPressing(a) || b.number - a.number);
      const held = document.activeElement?.getAttribute("href");
      replace(list, ...(ordered.length ? ordered.map(row) : [el("li", { class: "empty" }, t("inbox.empty"))]));
      if (held) list.querySelector(`a[href="${CSS.escape(held)}"]`)?.focus();
    },
  };
}

function row(message) {
  const marks = [];
  if (message.urgent) marks.push(el("span", { class: "mark-urgent" }, t("inbox.urgent")));
  if (message.state === "taken") marks.push(el("span", { class: "mark-unread" }, t("inbox.unread")));
  if (message.state === "answered") marks.push(el("span", { class: "mark-answered" }, t("inbox.answered")));
  if (message.distance_m !== null) marks.push(el("span", { class: "mark-distance" }, metres(message.distance_m)));
  return el(
    "li", { "data-state": message.state, "data-urgent": message.urgent ? "yes" : "no" },
    el(
      "a", { href: `#/inbox/${message.number}` },
      el("span", { class: "row-top" }, el("strong", {}, subject(message)), el("span", { class: "when" }, time(message.sent_at))),
      el("span", { class: "row-text" }, message.text),
      el("span", { class: "marks" }, ...marks),
    ),
  );
}

const subject = (message) => (message.type === "message" ? message.by : t(`inbox.type.${message.type}`));

export function messageView(number) {
  const head = header(t("inbox.title"), "#/inbox");
  const body = el("div", { class: "message" });
  const write_ = (path, content) => write("POST", `/inbox/${number}/${path}`, content);
  const place = el("div", { class: "place" });
  let shown = null;
  let shownPlace = null;
  let read = false;
  let draft = "";

  const answer = async (text, buttons) => {
    for (const button of buttons()) button.disabled = true;
    try {
      await write_("answer", { text });
      toast(t("inbox.sent"));
    } catch (error) {
      complain(error);
    } finally {
      for (const button of buttons()) button.disabled = false;
    }
  };

  const form = (message) => {
    const room = el("p", { class: "room", id: "room" });
    const send = el("button", { type: "submit", class: "button wide primary", disabled: true }, t("inbox.send"));
    const buttons = () => body.querySelectorAll("button");
    const own = textField(t("inbox.answer"), MOST_OCTETS, (left) => {
      draft = own.field.value;
      setText(room, left < 0 ? t("inbox.toolong") : left < 40 ? count("inbox.room", left) : "");
      send.disabled = left < 0 || !draft.trim();
    });
    own.field.setAttribute("aria-describedby", "room");
    own.field.value = draft;
    send.disabled = !draft.trim();
    const submit = (event) => {
      event.preventDefault();
      answer(own.field.value.trim(), buttons);
    };
    return el(
      "div", {},
      message.replies.length === 0 ? null : el(
        "div", { class: "replies", role: "group", "aria-label": t("inbox.replies") },
        ...message.replies.map((text) => el("button", { type: "button", class: "button", onclick: () => answer(text, buttons) }, text)),
      ),
      el("form", { onsubmit: submit }, own.root, room, send),
    );
  };

  const show = (message) => {
    if (!message) return replace(body, el("p", { class: "empty" }, t("inbox.gone")));
    const facts = [t("inbox.by", { name: message.by }), time(message.sent_at)];
    if (message.expires_at) facts.push(t("inbox.expires", { time: time(message.expires_at) }));
    return replace(
      body,
      el(
        "p", { class: "marks" },
        message.urgent ? el("span", { class: "mark-urgent" }, t("inbox.urgent")) : null,
        el("span", {}, t(`inbox.type.${message.type}`)),
        message.kind ? el("span", {}, kindName(message.kind)) : null,
      ),
      el("p", { class: "text", lang: "" }, message.text),
      place,
      el("p", { class: "meta" }, facts.filter(Boolean).join(" · ")),
      message.state === "answered"
        ? el("div", { class: "yours" }, el("h2", {}, t("inbox.yours")), el("p", { class: "text", lang: "" }, message.answer ?? ""))
        : form(message),
    );
  };

  return {
    root: el("div", {}, head.root, body),
    title: () => t("inbox.title"),
    update(known) {
      head.update(known);
      const message = known.inbox.find((one) => one.number === number);
      // reading it, and walking about, changes nothing of what an officer may be writing in
      const now = message && JSON.stringify([message.text, message.state === "answered", message.answer, message.expires_at]);
      if (now !== shown && (message || known.connection === "live")) {
        shown = now;
        show(message);
      }
      const where = message && JSON.stringify([message.place, message.distance_m, message.bearing_deg]);
      if (message && where !== shownPlace) {
        shownPlace = where;
        replace(place, ...whereabouts(message));
      }
      if (message?.state === "taken" && !read) {
        read = true;
        write_("read").catch(() => {
          read = false; // the next event tries again
        });
      }
    },
  };
}

function whereabouts({ place, distance_m: distance, bearing_deg: bearing }) {
  if (!place) return [];
  const spot = `${place.lat.toFixed(5)}, ${place.lon.toFixed(5)}`;
  const around = place.radius_m ? `, ${t("inbox.accuracy", { metres: metres(place.radius_m) })}` : "";
  const words = distance === null ? t("inbox.nodistance")
    : bearing === null ? metres(distance) : t("inbox.distance", { distance: metres(distance), direction: direction(bearing) });
  const needle = bearing === null ? null : el("span", { class: "needle" }, icon("north"));
  needle?.style.setProperty("--bearing", `${bearing}deg`);
  return [needle, el("div", {}, el("p", { class: "far" }, words), el("p", { class: "spot" }, `${t("inbox.place")}: ${spot}${around}`))]
    .filter(Boolean);
}
