// The page: what is known of the device, which view shows it, and the frame around the views.

import { enter, listen } from "/js/api.js";
import { el, icon, replace, setData, setHidden, setText } from "/js/dom.js";
import * as i18n from "/js/i18n.js";
import { shout } from "/js/tell.js";
import { checkinView } from "/js/views/checkin.js";
import { homeView } from "/js/views/home.js";
import { inboxView, messageView } from "/js/views/inbox.js";
import { privacyView } from "/js/views/privacy.js";
import { settingsView } from "/js/views/settings.js";

const { t } = i18n;
const VIEWS = { "": homeView, inbox: inboxView, checkin: checkinView, privacy: privacyView, settings: settingsView };
const NAV = [["", "home"], ["inbox", "inbox"], ["checkin", "checkin"], ["privacy", "privacy"], ["settings", "settings"]];
const TICK_MS = 1000;

// The device's own words, and when they came (a monotonic clock): ages and countdowns go on between two events.
const known = {
  status: null, inbox: [], settings: null, heardAt: 0, heardTime: null, connection: "connecting", overAt: null,
  elapsed: () => (performance.now() - known.heardAt) / 1000,
};
const node = (id) => document.getElementById(id);

let view = null;
let links = {};
let banners = null;
let queue = Promise.resolve();

function route() {
  const [name = "", number] = location.hash.replace(/^#\/?/, "").split("/");
  if (name === "inbox" && number) return { name, make: () => messageView(Number(number), known) };
  return { name: name in VIEWS ? name : "", make: () => VIEWS[name in VIEWS ? name : ""](known) };
}

function show({ focus }) {
  const { name, make } = route();
  view = make();
  replace(node("view"), view.root);
  setData(document.body, "view", name || "home");
  for (const [path, link] of Object.entries(links)) {
    if (path === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  update();
  node("view").scrollTop = 0;
  if (focus) node("view").focus({ preventScroll: true });
}

function frame() {
  links = {};
  for (const [path, name] of NAV) {
    links[path] = el("a", { href: `#/${path}` }, icon(name), el("span", {}, t(`nav.${name}`)));
  }
  links.inbox.append(el("span", { class: "badge", hidden: true }));
  node("nav").setAttribute("aria-label", t("nav.label"));
  replace(node("nav"), ...Object.values(links));
  banners = {
    lost: el("div", { class: "banner lost", hidden: true }, icon("warning"), el("div", {}, el("strong"), el("p"))),
    exercise: el(
      "div", { class: "banner exercise", hidden: true },
      el("div", {}, el("strong", {}, t("exercise.title")), el("p", {}, t("exercise.text"))),
    ),
    urgent: el("a", { class: "banner urgent", hidden: true }, icon("inbox"), el("strong")),
    countdown: el("a", { class: "banner countdown", href: "#/checkin", hidden: true }, icon("warning"),
      el("div", {}, el("strong"), el("p"))),
  };
  node("banners").setAttribute("aria-label", t("banners.label"));
  replace(node("banners"), ...Object.values(banners));
}

function updateFrame() {
  const { status, inbox, connection } = known;
  setData(document.documentElement, "covert", status?.covert === false ? "no" : "yes");
  setData(document.documentElement, "connection", connection);

  const isLost = connection === "lost" || connection === "refused";
  setHidden(banners.lost, !isLost);
  if (isLost) {
    const refused = connection === "refused";
    const title = t(refused ? "refused.title" : "lost.title");
    const text = t(refused ? "refused.text" : "lost.text");
    if (banners.lost.querySelector("strong").textContent !== title) shout(`${title}. ${text}`);
    setText(banners.lost.querySelector("strong"), title);
    const since = known.heardTime ? ` ${t("lost.since", { time: i18n.time(known.heardTime, { seconds: true }) })}.` : "";
    setText(banners.lost.querySelector("p"), text + since);
  } else setText(banners.lost.querySelector("strong"), "");

  setHidden(banners.exercise, !status?.exercise);

  const urgent = inbox.find((message) => message.urgent && message.state === "taken");
  const isNews = urgent !== undefined && route().name !== "inbox";
  setHidden(banners.urgent, !isNews);
  if (isNews) {
    banners.urgent.setAttribute("href", `#/inbox/${urgent.number}`);
    setText(banners.urgent.querySelector("strong"), t("inbox.banner", { text: urgent.text }));
  }

  const countdown = status?.countdown;
  setHidden(banners.countdown, !countdown);
  if (countdown) {
    const n = Math.max(0, Math.ceil(countdown.in_s - known.elapsed()));
    setText(banners.countdown.querySelector("strong"), t("countdown.title", { n }));
    setText(banners.countdown.querySelector("p"), i18n.has(`countdown.${countdown.kind}`) ? t(`countdown.${countdown.kind}`) : "");
  }

  const unread = status?.inbox?.unread ?? 0;
  const badge = links.inbox.querySelector(".badge");
  setHidden(badge, unread === 0);
  if (unread > 0 && badge.dataset.n !== String(unread)) {
    badge.dataset.n = String(unread);
    replace(badge, el("span", { "aria-hidden": "true" }, String(unread)), el("span", { class: "unseen" }, i18n.count("nav.unread", unread)));
  }
}

function update() {
  updateFrame();
  view.update(known);
  document.title = `${view.title()} · BondMate`;
}

async function speak(language) {
  if (language === i18n.language) return;
  await i18n.use(language);
  const chose = document.activeElement?.name;
  frame();
  show({ focus: false });
  if (chose) document.querySelector(`input[name="${CSS.escape(chose)}"]:checked`)?.focus();
}

// One after the other: two answers may name two languages.
function settle(settings) {
  known.settings = settings;
  queue = queue.then(async () => {
    if (settings.language) i18n.remember(settings.language);
    await speak(settings.language ?? i18n.language);
    update();
  }).catch(() => {}); // the words cannot be fetched while nobody answers; the next connection tries again
}

function takeStatus(status) {
  const was = known.status?.alert;
  const is = status.alert;
  if (was && !is) known.overAt = new Date().toISOString();
  known.status = status;
  known.heardAt = performance.now();
  known.heardTime = new Date().toISOString();
  if (is && (is.state !== was?.state || is.alert_id !== was?.alert_id)) shout(t(`alert.${is.state}`));
  if (was && !is) shout(t("alert.over"));
}

async function begin() {
  while (!i18n.language) {
    await i18n.use(i18n.firstGuess()).catch(() => new Promise((resolve) => setTimeout(resolve, 1000)));
  }
  const entered = enter();
  frame();
  show({ focus: false });
  await entered;
  window.addEventListener("hashchange", () => show({ focus: true }));
  window.addEventListener("status", (event) => {
    takeStatus(event.detail);
    update();
  });
  window.addEventListener("settings", (event) => settle(event.detail));
  setInterval(update, TICK_MS);
  await listen({
    status: takeStatus,
    inbox: (inbox) => {
      known.inbox = inbox;
      update();
    },
    settings: settle,
    state: (state) => {
      known.connection = state;
      update();
    },
  });
}

begin();
