// Rows of the list: an alert, or a burst of many alerts.

import { el } from "../dom.js";
import { SEVERITIES, formatRatio, humanize, humanizeLower, pluralize } from "../format.js";
import { familyMark, icon } from "../icons.js";
import { ageElement, formatDuration } from "../times.js";

/** An alert in two lines and its state; `scores` is the score catalog. */
export function alertRow(alert, scores, isCurrent, isMember = false) {
  const isDone = alert.review.acknowledged_by !== null || alert.review.reviewed;
  const marks = [isCurrent && "is-current", isDone && "is-done", isMember && "is-member"];
  return row(
    { class: marks },
    icon(alert.severity, humanize(alert.severity)),
    title(alert.stream_id, humanize(alert.kind), alert.raised_ns),
    el("div.row-reason.ellipsis", summary(alert, scores)),
    el("div.row-status.muted.small", states(alert)),
  );
}

/** Many alerts that were raised within seconds of each other. */
export function burstRow(burst, isCurrent) {
  const cameras = burst.cameras.size === 1 ? [...burst.cameras][0] : pluralize(burst.cameras.size, "camera");
  const scope = `${cameras}, within ${formatDuration(burst.spanS)}`;
  const severities = SEVERITIES.filter((severity) => burst.bySeverity[severity] > 0);
  const count = (severity) => state("", severity, `${burst.bySeverity[severity]} ${severity}`);
  const waiting = burst.unacknowledged.length;
  return row(
    { class: ["row-burst", isCurrent && "is-current"], "data-open": String(burst.isOpen) },
    icon(burst.isOpen ? "up" : "down"),
    title(`Burst of ${burst.members.length} alerts`, scope, burst.members[0].raised_ns),
    el("div.row-status.muted.small", severities.map(count)),
    el(
      "div.row-status.muted.small",
      waiting === 0 ? "All acknowledged" : `${waiting} not acknowledged; press a to acknowledge all`,
    ),
  );
}

function row(attributes, mark, ...lines) {
  return el("div.row", attributes, mark, el("div.row-text", lines));
}

function title(name, detail, raisedNs) {
  return el(
    "div.row-title",
    el("span.row-camera.ellipsis", name),
    el("span.row-kind.ellipsis.muted", detail),
    ageElement(raisedNs, "row-time muted small number"),
  );
}

/** The expected and the observed class if known, else the scores that carry the alert. */
function summary(alert, scores) {
  if (alert.expected && alert.observed)
    return `expected ${humanizeLower(alert.expected)}, read ${humanizeLower(alert.observed)}`;
  if (alert.carried_by.length === 0) return alert.reason;
  return alert.carried_by.map((name) => [familyMark(scores.family(name)), scores.label(name), " "]);
}

function states(alert) {
  const { review } = alert;
  const lasted = formatDuration(alert.duration_s);
  const isBaselineOnly = alert.carried_by.length > 0 && !alert.carried_by_gradients;
  return [
    alert.state === "open" ? state("status-open", null, "Open") : state("", null, `lasted ${lasted}`),
    state("number", null, formatRatio(alert.score), "Peak: largest change statistic, as a ratio to its threshold"),
    isBaselineOnly ? state("", null, "baseline only", "No gradient score is over its threshold") : null,
    alert.challenge ? state("", null, humanize(alert.challenge)) : null,
    review.acknowledged_by !== null ? state("status-done", "check", `by ${review.acknowledged_by}`) : null,
    review.acknowledged_by === null && review.reviewed ? state("status-done", "eye", "seen") : null,
    review.is_snoozed ? state("", "bell", "snoozed") : null,
    review.assignee ? state("", "person", review.assignee) : null,
  ];
}

function state(classes, iconName, text, tooltip = null) {
  return el("span.status.level", { class: classes, title: tooltip }, iconName && icon(iconName), text);
}
