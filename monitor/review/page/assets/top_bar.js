// The bar at the top: where one is, whether what one sees is live, and who one is.

import { remove } from "./api.js";
import { el, replace } from "./dom.js";
import { icon } from "./icons.js";
import { outage } from "./live.js";
import { showHelp } from "./shortcuts.js";
import { clock } from "./times.js";
import { words } from "./words.js";

const THEMES = { light: "Light", dark: "Dark", system: "As the system" };

/** Builds the bar into `place`; `showPath(path)` marks where one is, `showCount(n)` how many alerts wait. */
export function topBar(place, session, live) {
  const count = el("span", { class: "count", hidden: true });
  const links = [
    link("/alerts", "Alerts", count),
    link("/cameras", "Cameras"),
    session.role === "admin" ? link("/people", "People") : null,
    session.role === "admin" ? link("/audit", "Audit") : null,
  ].filter(Boolean);
  const pill = el(
    "span",
    { class: "pill", "data-standing": "connecting" },
    el("span", { class: "pill-dot" }),
    el("span", {}, "Connecting"),
  );
  live.addEventListener("standing", () => stand(pill, live));
  const help = el(
    "button",
    {
      class: "button icon-only quiet help-button",
      type: "button",
      "aria-label": "Keyboard shortcuts",
      title: "Keyboard (?)",
      on: { click: showHelp },
    },
    icon("help"),
  );
  replace(
    place,
    el(
      "a",
      { class: "brand", href: "/alerts", "aria-label": "gradwatch: alerts" },
      el("img", { src: "/assets/icon.svg", alt: "", width: 24, height: 24 }),
      el("span", {}, "gradwatch"),
    ),
    el("nav", { class: "places", "aria-label": "Places" }, links),
    el("div", { class: "spacer" }),
    pill,
    help,
    userMenu(session),
  );
  return {
    showPath(path) {
      for (const one of links) {
        if (path.startsWith(one.pathname)) one.setAttribute("aria-current", "page");
        else one.removeAttribute("aria-current");
      }
    },
    showCount(number) {
      count.hidden = !number;
      count.textContent = number > 999 ? "999+" : String(number);
      count.setAttribute("aria-label", `${number} to review`);
    },
  };
}

function link(path, text, ...more) {
  return el("a", { class: "place", href: path }, el("span", {}, text), ...more);
}

function stand(pill, live) {
  const broken = outage(live);
  const standing = broken ? broken.what : live.connection;
  const texts = { live: "Live", connecting: "Connecting", server: "Reconnecting", broker: "Broker down" };
  pill.dataset.standing = standing;
  pill.lastElementChild.textContent = texts[standing];
  pill.title = broken
    ? `since ${clock(String(BigInt(Math.round(broken.sinceMs)) * 1000000n))}`
    : "Events come as they happen";
}

function userMenu(session) {
  const theme = localStorage.getItem("theme") ?? "system";
  const choices = Object.entries(THEMES).map(([value, text]) =>
    el(
      "label",
      { class: "choice" },
      el("input", {
        type: "radio",
        name: "theme",
        value,
        checked: value === theme,
        on: { change: () => choose(value) },
      }),
      text,
    ),
  );
  const leave = session.can_log_out
    ? el("button", { class: "button wide", type: "button", on: { click: logOut } }, "Log out")
    : el(
        "p",
        { class: "muted small" },
        session.via === "proxy" ? "Logged in by the proxy." : "On this machine nobody logs in.",
      );
  const menu = el(
    "details",
    { class: "menu" },
    el(
      "summary",
      { class: "button quiet", "aria-label": `${session.username}, ${session.role}: menu` },
      icon("person"),
      el("span", { class: "user-name" }, session.username),
    ),
    el(
      "div",
      { class: "menu-sheet" },
      el(
        "p",
        { class: "menu-who" },
        el("strong", {}, session.username),
        el("span", { class: "tag" }, words(session.role)),
      ),
      el("fieldset", { class: "choices" }, el("legend", {}, "Colors"), choices),
      leave,
      el("p", { class: "muted small" }, `gradwatch ${session.version}`),
    ),
  );
  const close = (event) => (!menu.contains(event.target) || event.key === "Escape") && menu.removeAttribute("open");
  document.addEventListener("pointerdown", close);
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    event.stopPropagation();
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  return menu;
}

function choose(theme) {
  if (theme === "system") {
    localStorage.removeItem("theme");
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem("theme", theme);
    document.documentElement.dataset.theme = theme;
  }
}

async function logOut() {
  await remove("/session");
  location.assign("/login");
}
