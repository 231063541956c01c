// Home: the alert in large words, how the device is, and the slide that calls for help.

import { read, write } from "/js/api.js";
import { callForHelp, callUnderWay } from "/js/call.js";
import { el, icon, replace, setData, setHidden, setText } from "/js/dom.js";
import { age, count, has, metres, minutesAndSeconds, percent, t, time } from "/js/i18n.js";
import { withPin } from "/js/pinpad.js";
import { createSlide } from "/js/slide.js";
import { toast } from "/js/tell.js";

const STEPS = ["raised", "stored", "delivered", "acknowledged"];
const FAULTY = new Set(["degraded", "not_armed"]); // what an officer must not rely on

export function homeView() {
  const headline = el("h1");
  const kind = el("p", { class: "kind" });
  const means = el("p", { class: "means" });
  const notes = el("p", { class: "notes" });
  const steps = Object.fromEntries(STEPS.map((name) => [name, step(name)]));
  const list = el("ol", { class: "steps", "aria-label": t("alert.steps") }, ...Object.values(steps).map((one) => one.root));
  const cancel = el("button", { type: "button", class: "button wide", onclick: takeBack }, t("alert.cancel"));
  const card = el("section", { class: "card state" }, kind, headline, means, notes, list, cancel);

  const facts = {
    duty: fact("duty", "#/settings"), link: fact("link"), battery: fact("battery"), position: fact("position", "#/privacy"),
    checkin: fact("checkin", "#/checkin", t("checkin.left")),
  };
  const grid = el("section", { class: "facts", "aria-label": t("home.facts") }, ...Object.values(facts).map((one) => one.root));
  const faults = el("div", { class: "faults", hidden: true });
  const slide = createSlide(call, callUnderWay());
  const root = el("div", { class: "home" }, card, grid, faults, slide.root);
  let shownFaults = "[]";
  let shownAlert = null;

  function update({ status, overAt, connection, elapsed }) {
    const alert = status?.alert ?? null;
    shownAlert = alert;
    const state = alert ? alert.state : (status?.state ?? "connecting");
    setData(card, "state", alert ? "alert" : state);
    const unknown = t(connection === "refused" ? "refused.title" : "connecting");
    const isFaulty = !alert && FAULTY.has(state);
    const calm = t(isFaulty ? "home.not_armed" : `state.${state}`);
    setText(headline, alert ? t(`alert.${state}`) : status ? calm : unknown);
    setHidden(kind, !alert);
    setHidden(list, !alert);
    setHidden(cancel, !alert);
    if (alert) showAlert(alert);
    else {
      const isStuck = isFaulty && status.faults.some((fault) => fault.code === "button-stuck");
      const advice = isStuck ? t("home.button_stuck") : isFaulty ? t(`state.${state}`) : t("home.armed");
      setText(means, connection === "live" ? advice : "");
      setText(notes, overAt ? t("home.over", { time: time(overAt) }) : "");
    }
    if (status) {
      showFacts(status, elapsed());
      showFaults(status.faults);
    }
    setHidden(grid, !status);
    slide.update(t(alert ? "slide.again" : "slide.raise"));
    setHidden(slide.root, connection === "refused");
  }

  function showAlert(alert) {
    setText(kind, kindName(alert.kind) + (alert.exercise ? ` · ${t("exercise.title")}` : ""));
    const by = alert.state === "acknowledged" && alert.acknowledged_by;
    setText(means, by ? t("alert.means.by", { name: by }) : t(`alert.means.${alert.state}`));
    const said = [alert.escalates ? t("alert.escalates") : "", alert.resumed ? t("alert.resumed") : ""];
    setText(notes, said.filter(Boolean).join(" · "));
    const reached = STEPS.indexOf(alert.state);
    STEPS.forEach((name, index) => steps[name].update(index <= reached || Boolean(alert[`${name}_at`]), alert[`${name}_at`]));
  }

  function showFacts(status, elapsed) {
    facts.duty.update(t(`duty.${status.duty}`), status.duty === "on" ? "good" : "");
    facts.link.update(...linkText(status.bearers, elapsed));
    facts.battery.update(...batteryText(status.battery));
    facts.position.update(...positionText(status, elapsed));
    setHidden(facts.checkin.root, !status.checkin);
    if (status.checkin) {
      const left = status.checkin.due_s - elapsed;
      facts.checkin.update(minutesAndSeconds(left), status.checkin.state === "running" ? "" : "bad");
    }
  }

  function showFaults(found) {
    const now = JSON.stringify(found);
    if (now === shownFaults) return;
    shownFaults = now;
    setHidden(faults, found.length === 0);
    replace(
      faults,
      el("h2", {}, icon("warning"), count("faults", found.length)),
      el("ul", {}, ...[...new Set(found.map((fault) => faultName(fault.code)))].map((text) => el("li", {}, text))),
      el(
        "details", {}, el("summary", {}, t("faults.technician")),
        ...found.map((fault) => el("p", { lang: "en" }, `${fault.code}: ${fault.text}; ${fault.next}`)),
      ),
    );
  }

  function call() {
    const called = callForHelp();
    slide.update(t("slide.raise"));
    return called;
  }

  async function takeBack() {
    const { alert_id } = shownAlert; // what the officer saw; a call that came later is not meant
    const submit = async (pin) => {
      try {
        return await write("POST", "/alert/cancel", { pin, alert_id });
      } catch (error) {
        if (error.status === 409 && (await newerThan(alert_id))) error.told = t("alert.cancel.newer");
        throw error;
      }
    };
    const answer = await withPin(t("alert.cancel.title"), t("alert.cancel.text"), submit);
    if (answer) toast(t("alert.cancelled"));
  }

  return { root, update, title: () => headline.textContent };
}

// Whether another alert is open by now; if so it is shown.
async function newerThan(alertId) {
  const status = await read("/status").catch(() => null);
  if (!status?.alert || status.alert.alert_id === alertId) return false;
  window.dispatchEvent(new CustomEvent("status", { detail: status }));
  return true;
}

function step(name) {
  const when = el("span", { class: "when" });
  const root = el("li", {}, el("span", { class: "mark" }, icon("check")), el("span", {}, t(`step.${name}`)), when);
  return {
    root,
    update(done, at) {
      setData(root, "done", done ? "yes" : "no");
      setText(when, at ? time(at, { seconds: true }) : t(done ? "step.done" : "step.waits"));
    },
  };
}

function fact(name, href = null, label = t(name)) {
  const value = el("span", { class: "value" });
  const root = el(href ? "a" : "div", { class: "fact", href }, icon(name), el("span", { class: "label" }, label), value);
  return {
    root,
    update(text, mood = "") {
      setText(value, text);
      setData(root, "mood", mood);
    },
  };
}

export function kindName(kind) {
  return has(`kind.${kind}`) ? t(`kind.${kind}`) : t("kind.unknown");
}

function faultName(code) {
  const family = `fault.family.${code.split("-")[0]}`;
  return [`fault.${code}`, family].filter(has).map((key) => t(key))[0] ?? t("fault.unknown");
}

function linkText(bearers, elapsed) {
  const up = bearers.filter((bearer) => bearer.up);
  const answered = bearers.filter((bearer) => bearer.last_success_s !== null);
  if (up.length === 0) return answered.length > 0 || bearers.some((one) => one.why_not !== "nothing sent yet")
    ? [t("link.none"), "bad"] : [t("link.unused")];
  const ways = up.map((bearer) => bearer.name.toUpperCase()).join(" + ");
  const ages = up.map((bearer) => bearer.last_success_s).filter((one) => one !== null);
  if (ages.length === 0) return [t("link.untried", { ways })];
  return [t("link.ago", { ways, age: age(Math.min(...ages) + elapsed) }), "good"];
}

function batteryText(battery) {
  if (!battery || battery.percent === null) return [t("battery.unknown")];
  const told = percent(battery.percent);
  if (battery.charging) return [t("battery.charging", { percent: told }), "good"];
  return [told, battery.percent <= 15 ? "bad" : ""];
}

function positionText({ fix, duty, alert }, elapsed) {
  if (!fix) return [t(duty === "off" && !alert ? "position.off" : "position.none")];
  let text = t("position.unknown_age");
  if (fix.age_s !== null) {
    const old = age(fix.age_s + elapsed);
    text = fix.accuracy_m === null ? t("position.age", { age: old }) : t("position.exact", { age: old, metres: metres(fix.accuracy_m) });
  }
  return fix.suspect.length > 0 ? [t("position.suspect", { text }), "bad"] : [text];
}
