// The bar at the top: navigation, connection state, help and the user menu.

import { remove } from "./api.js";
import { button, choice, iconButton } from "./controls.js";
import { el, replace } from "./dom.js";
import { humanize } from "./format.js";
import { icon } from "./icons.js";
import { outage } from "./live.js";
import { onEscape, showHelp } from "./shortcuts.js";
import { formatTime } from "./times.js";

const THEMES = { light: "Light", dark: "Dark", system: "System" };
const CONNECTIONS = { live: "Live", connecting: "Connecting", server: "Reconnecting", broker: "Broker down" };

/** Builds the bar into `place`. Returns {showPath(path), showCount(n)}: the current view, and how many alerts wait. */
export function topBar(place, session, live) {
  const count = el("span.count.number", { hidden: true });
  const isAdmin = session.role === "admin";
  const links = [
    link("/alerts", "Alerts", count),
    link("/cameras", "Cameras"),
    ...(isAdmin ? [link("/people", "People"), link("/audit", "Audit")] : []),
  ];
  replace(
    place,
    el(
      "a.brand.level",
      { href: "/alerts", "aria-label": "gradwatch: alerts" },
      el("img", { src: "/assets/icon.svg", alt: "", width: 24, height: 24 }),
      el("span", "gradwatch"),
    ),
    el("nav.places", { "aria-label": "Main" }, links),
    el("div.spacer"),
    connectionPill(live),
    iconButton("help", "Keyboard shortcuts", showHelp, { class: "icon-only quiet help-button", title: "Keyboard (?)" }),
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
  return el("a.place.level", { href: path }, el("span", text), ...more);
}

function connectionPill(live) {
  const text = el("span");
  const pill = el("span.pill.level", el("span.pill-dot"), text);
  const update = () => {
    const broken = outage(live);
    pill.dataset.connection = broken ? broken.what : live.connection;
    text.textContent = CONNECTIONS[pill.dataset.connection];
    const sinceNs = broken && String(BigInt(Math.round(broken.sinceMs)) * 1_000_000n);
    pill.title = broken ? `Since ${formatTime(sinceNs)}` : "Receiving live events";
  };
  live.addEventListener("connection", update);
  update();
  return pill;
}

function userMenu(session) {
  const chosen = localStorage.getItem("theme") ?? "system";
  const themes = Object.entries(THEMES).map(([value, text]) =>
    choice(
      { type: "radio", name: "theme", value, checked: value === chosen, on: { change: () => chooseTheme(value) } },
      text,
    ),
  );
  const menu = el(
    "details.menu",
    el(
      "summary.button.quiet",
      { "aria-label": `${session.username}, ${session.role}: menu` },
      icon("person"),
      el("span.user-name", session.username),
    ),
    el(
      "div.menu-sheet.card.popup",
      el("p.apart", el("strong", session.username), el("span.tag", humanize(session.role))),
      el("fieldset.choices", el("legend", "Theme"), themes),
      session.can_log_out ? button("Log out", logOut, { class: "wide" }) : el("p.muted.small", "Logged in by the proxy."),
      el("p.muted.small", `gradwatch ${session.version}`),
    ),
  );
  document.addEventListener("pointerdown", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  onEscape(() => {
    const isOpen = menu.open;
    menu.open = false;
    if (isOpen) menu.querySelector("summary").focus();
    return isOpen;
  });
  return menu;
}

function chooseTheme(theme) {
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
