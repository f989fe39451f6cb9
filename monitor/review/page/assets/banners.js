// What keeps the page from being live, said across it: since when, and what is still true.

import { el, replace } from "./dom.js";
import { icon } from "./icons.js";
import { outage } from "./live.js";
import { duration, nowMs } from "./times.js";

/** Shows banners in `place` as the connection and the broker come and go. */
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
  live.addEventListener("standing", update);
  setInterval(update, 1000);
}

function banner(broken, live) {
  const isServer = broken.what === "server";
  const title = isServer ? "The review server does not answer." : "The Kafka broker does not answer.";
  const text = isServer
    ? "Trying again all the time; nothing you have done is lost. What you see is as it was then."
    : "Stored alerts can still be reviewed. Pictures, scores and states of cameras are as they were then.";
  return el(
    "div",
    { class: "banner", role: "alert" },
    icon(isServer ? "offline" : "stale"),
    el(
      "p",
      {},
      el("strong", {}, title),
      " ",
      el("span", { class: "since" }, sinceText(broken)),
      " ",
      text,
      broken.error ? el("span", { class: "banner-error" }, broken.error) : null,
    ),
    isServer
      ? el("button", { class: "button small", type: "button", on: { click: () => live.retry() } }, "Try now")
      : null,
  );
}

function sinceText(broken) {
  const time = new Date(broken.sinceMs).toLocaleTimeString([], { hour12: false });
  return `Since ${time}, ${duration((nowMs() - broken.sinceMs) / 1000)}.`;
}
