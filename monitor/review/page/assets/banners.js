// Banners across the page while the server or the broker cannot be reached.

import { button } from "./controls.js";
import { el, replace } from "./dom.js";
import { icon } from "./icons.js";
import { outage } from "./live.js";
import { formatDuration, nowMs } from "./times.js";

/** Keeps a banner in `place` while there is an outage. */
export function banners(place, live) {
  let shown = null;
  const update = () => {
    const broken = outage(live);
    const key = broken && `${broken.what} ${broken.sinceMs}`;
    if (key !== shown) {
      shown = key;
      replace(place, broken && banner(broken, live));
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

function sinceText(broken) {
  const time = new Date(broken.sinceMs).toLocaleTimeString([], { hour12: false });
  return `Since ${time}, ${formatDuration((nowMs() - broken.sinceMs) / 1000)}.`;
}
