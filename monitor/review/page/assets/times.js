// Times and durations as text. Nanoseconds come as decimal strings.

import { el } from "./dom.js";

let offsetMs = 0; // the server's clock minus the browser's

/** Sets the server's clock; ages are computed with it because browsers' clocks may be wrong. */
export function setServerClock(nowNs) {
  offsetMs = msOf(nowNs) - Date.now();
}

/** The current time of the server's clock. */
export function nowMs() {
  return Date.now() + offsetMs;
}

/** Milliseconds of a decimal string of nanoseconds, exact to the microsecond. */
export function msOf(ns) {
  return Number(BigInt(ns) / 1000n) / 1000;
}

/** Seconds between two decimal strings of nanoseconds. */
export function secondsBetween(fromNs, toNs) {
  return Number(BigInt(toNs) - BigInt(fromNs)) / 1e9;
}

/** "12 s", "3 min", "2 h", "5 d". */
export function formatDuration(seconds) {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Number((seconds / 3600).toFixed(seconds < 36000 ? 1 : 0))} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** "just now", "4 min ago". */
export function formatAge(ns) {
  const seconds = (nowMs() - msOf(ns)) / 1000;
  return seconds < 5 ? "just now" : `${formatDuration(seconds)} ago`;
}

/** Time of day with seconds, with the date if it is not today. */
export function formatTime(ns) {
  const date = new Date(msOf(ns));
  const time = date.toLocaleTimeString([], { hour12: false });
  const isToday = date.toDateString() === new Date(nowMs()).toDateString();
  return isToday ? time : `${date.toLocaleDateString([], { day: "numeric", month: "short" })} ${time}`;
}

/** Date, time and zone. */
export function formatDateTime(ns) {
  return new Date(msOf(ns)).toLocaleString([], {
    year: "numeric",
    month: "short",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hour12: false,
    timeZoneName: "short",
  });
}

/** A `<time>` that shows the time of day, with the full date as its tooltip. */
export function timeElement(ns, classes = null) {
  return el("time", { class: classes, title: formatDateTime(ns) }, formatTime(ns));
}

/** A `<time>` that shows an age and is kept up to date, with the full date as its tooltip. */
export function ageElement(ns, classes = null) {
  return el("time", { class: classes, title: formatDateTime(ns), "data-ago": ns }, formatAge(ns));
}

/** Milliseconds as an ISO time for the API. */
export function toIso(ms) {
  return new Date(ms).toISOString();
}

/** Updates the text of every `ageElement` while the page is visible. */
export function startAgeUpdates() {
  setInterval(() => {
    if (document.visibilityState !== "visible") return;
    for (const node of document.querySelectorAll("time[data-ago]")) node.textContent = formatAge(node.dataset.ago);
  }, 5_000);
}
