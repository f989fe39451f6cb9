// Banners across the page while the server or the broker cannot be reached, or topics cannot be read.

import { button } from "./controls.js";
import { el, replace } from "./dom.js";
import { icon } from "./icons.js";
import { outage, unreadable } from "./live.js";
import { formatDuration, nowMs } from "./times.js";

const SHOWN_ERRORS = 2;

/** Keeps a banner in `place` while there is an outage, and one while topics cannot be read. */
export function banners(place, live) {
  let shown = null;
  const update = () => {
    const broken = outage(live);
    const unread = unreadable(live);
    const key = JSON.stringify([broken && [broken.what, broken.sinceMs], unread]);
    if (key !== shown) {
      shown = key;
      replace(place, broken && banner(broken, live), unread.length > 0 ? unreadBanner(unread) : null);
    }
    const since = place.querySelector(".since");
    if (broken && since) since.textContent = sinceText(broken);
  };
  live.addEventListener("connection", update);
  setInterval(update, 1000);
}

function banner(broken, live) {
  const isServer = broken.what === "server";
  const title = isServer ? "The review server is not responding." : "The Kafka broker is not responding.";
  const text = isServer
    ? "Reconnecting automatically; nothing you did is lost. The page shows the last known state."
    : "You can still review stored alerts. Pictures, scores and camera states show the last known state.";
  const since = el("span.since", sinceText(broken));
  const error = broken.error ? el("span.banner-error.muted.small", broken.error) : null;
  return el(
    "div.banner.level",
    { role: "alert" },
    icon(isServer ? "offline" : "stale"),
    el("p", el("strong", title), " ", since, ` ${text}`, error),
    isServer ? button("Try now", () => live.retry(), { class: "small" }) : null,
  );
}

function unreadBanner(unread) {
  const topics = unread.flatMap((one) => one.topics);
  const title = `The review server cannot read ${topics.length === 1 ? "a topic" : `${topics.length} topics`}.`;
  const errors = unread.slice(0, SHOWN_ERRORS).map((one) => `${one.topics.join(", ")}: ${one.error}`);
  const others = unread.slice(SHOWN_ERRORS).flatMap((one) => one.topics);
  return el(
    "div.banner.level",
    { role: "alert" },
    icon("warning"),
    el(
      "p",
      el("strong", title),
      " What is on them is missing from this page.",
      errors.map((error) => el("span.banner-error.small", error)),
      others.length > 0 ? el("span.banner-error.small", `Likewise: ${others.join(", ")}`) : null,
    ),
  );
}

function sinceText(broken) {
  const time = new Date(broken.sinceMs).toLocaleTimeString([], { hour12: false });
  return `Since ${time}, ${formatDuration((nowMs() - broken.sinceMs) / 1000)}.`;
}
