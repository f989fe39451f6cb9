// Times and durations as people read them. Nanoseconds come as decimal strings.

let offsetMs = 0; // the server's clock minus this browser's

/** Learns the server's clock; ages are told by it, since browsers' clocks are off. */
export function learnClock(nowNs) {
  offsetMs = msOf(nowNs) - Date.now();
}

/** Now, on the server's clock. */
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
export function duration(seconds) {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Number((seconds / 3600).toFixed(seconds < 36000 ? 1 : 0))} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** "just now", "4 min ago". */
export function ago(ns) {
  const seconds = (nowMs() - msOf(ns)) / 1000;
  return seconds < 5 ? "just now" : `${duration(seconds)} ago`;
}

/** Time of day with seconds; the date too where it is another day. */
export function clock(ns) {
  const moment = new Date(msOf(ns));
  const time = moment.toLocaleTimeString([], { hour12: false });
  const isToday = moment.toDateString() === new Date(nowMs()).toDateString();
  return isToday ? time : `${moment.toLocaleDateString([], { day: "numeric", month: "short" })} ${time}`;
}

/** Date and time in full, with the zone: for tooltips and details. */
export function moment(ns) {
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

/** Milliseconds as an ISO time for the API. */
export function iso(ms) {
  return new Date(ms).toISOString();
}

/** Keeps the text of every `<time data-ago>` true. */
export function keepAges() {
  setInterval(() => {
    if (document.visibilityState !== "visible") return;
    for (const node of document.querySelectorAll("time[data-ago]")) node.textContent = ago(node.dataset.ago);
  }, 5_000);
}
