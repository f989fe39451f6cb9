// One row of the list: an alert, or a burst of many.

import { el } from "../dom.js";
import { icon } from "../icons.js";
import { familySign } from "./why.js";
import { ago, duration, moment, secondsBetween } from "../times.js";
import { SEVERITIES, plural, ratio, words } from "../words.js";

/** An alert in two lines and its standing; `scores` is the catalog of their names. */
export function alertRow(alert, scores, isCurrent, isMember = false) {
  const isDone = alert.review.acknowledged_by !== null || alert.review.reviewed;
  const classes = [
    "row",
    `severity-${alert.severity}`,
    isCurrent && "is-current",
    isDone && "is-done",
    isMember && "is-member",
  ];
  return el(
    "div",
    { class: classes.filter(Boolean).join(" ") },
    icon(alert.severity, words(alert.severity)),
    el(
      "div",
      { class: "row-text" },
      el(
        "div",
        { class: "row-title" },
        el("span", { class: "row-camera" }, alert.stream_id),
        el("span", { class: "row-kind" }, words(alert.kind)),
        el(
          "time",
          { class: "row-time", "data-ago": alert.raised_ns, title: moment(alert.raised_ns) },
          ago(alert.raised_ns),
        ),
      ),
      el("div", { class: "row-reason" }, gist(alert, scores)),
      el("div", { class: "row-standing" }, standing(alert)),
    ),
  );
}

/** Many alerts that came within seconds of each other. */
export function burstRow(burst, isCurrent) {
  const cameras = burst.cameras.size === 1 ? [...burst.cameras][0] : plural(burst.cameras.size, "camera");
  const severities = SEVERITIES.filter((severity) => burst.bySeverity[severity] > 0);
  return el(
    "div",
    { class: `row row-burst ${isCurrent ? "is-current" : ""}`, "data-open": String(burst.isOpen) },
    icon(burst.isOpen ? "up" : "down"),
    el(
      "div",
      { class: "row-text" },
      el(
        "div",
        { class: "row-title" },
        el("span", { class: "row-camera" }, `Burst of ${burst.members.length} alerts`),
        el("span", { class: "row-kind" }, `${cameras}, within ${duration(burst.spanS)}`),
        el("time", { class: "row-time", "data-ago": burst.members[0].raised_ns }, ago(burst.members[0].raised_ns)),
      ),
      el(
        "div",
        { class: "row-standing" },
        severities.map((severity) =>
          el(
            "span",
            { class: `standing severity-${severity}` },
            icon(severity),
            `${burst.bySeverity[severity]} ${severity}`,
          ),
        ),
      ),
      el(
        "div",
        { class: "row-standing muted" },
        burst.unacknowledged.length === 0
          ? "All acknowledged"
          : `${burst.unacknowledged.length} not acknowledged; a acknowledges them`,
      ),
    ),
  );
}

/** What a person wants to know first: what was read for what, else which scores carry it. */
function gist(alert, scores) {
  if (alert.expected && alert.observed)
    return `expected ${words(alert.expected).toLowerCase()}, read ${words(alert.observed).toLowerCase()}`;
  if (alert.carried_by.length === 0) return alert.reason;
  return alert.carried_by.map((name) => [familySign(scores.family(name)), scores.label(name), " "]);
}

function standing(alert) {
  const lastedS = secondsBetween(alert.onset_capture_ns, alert.last_capture_ns);
  const review = alert.review;
  return [
    alert.state === "open"
      ? el("span", { class: "standing standing-open" }, "Open")
      : el("span", { class: "standing" }, `lasted ${duration(lastedS)}`),
    el(
      "span",
      { class: "standing number", title: "largest change statistic, as a ratio to its threshold" },
      ratio(alert.score),
    ),
    alert.carried_by.length > 0 && !alert.carried_by_gradients
      ? el("span", { class: "standing", title: "no gradient score is over its threshold" }, "baseline alone")
      : null,
    alert.challenge ? el("span", { class: "standing" }, words(alert.challenge)) : null,
    review.acknowledged_by !== null
      ? el("span", { class: "standing standing-done" }, icon("check"), `by ${review.acknowledged_by}`)
      : null,
    review.acknowledged_by === null && review.reviewed
      ? el("span", { class: "standing standing-done" }, icon("eye"), "seen")
      : null,
    review.is_snoozed ? el("span", { class: "standing" }, icon("bell"), "snoozed") : null,
    review.assignee ? el("span", { class: "standing" }, icon("person"), review.assignee) : null,
  ];
}
