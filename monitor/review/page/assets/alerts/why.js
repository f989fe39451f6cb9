// Why an alert was raised: in words, what carries it, and all scores against their thresholds.

import { el } from "../dom.js";
import { icon } from "../icons.js";
import { duration } from "../times.js";
import { pValue, ratio, words } from "../words.js";

/** The card; `scores` is the catalog of what scores are called and what they are. */
export function why(alert, scores) {
  return [
    el("h2", { id: "why-title" }, "Why"),
    el("p", { class: "reason" }, alert.reason),
    alert.expected || alert.observed ? expectation(alert) : null,
    carriers(alert, scores),
    bars(alert, scores),
    el(
      "dl",
      { class: "rate" },
      fact("False alarms asked for", `one in ${duration(alert.mean_time_between_false_alarms_s)} of watching`),
      fact("Smallest p-value", pValue(alert.p_value)),
      alert.cause !== "unknown"
        ? fact(
            "Likely cause",
            alert.cause_probability === null
              ? words(alert.cause)
              : `${words(alert.cause)} (${Math.round(100 * alert.cause_probability)} %)`,
          )
        : null,
    ),
    alert.calibration_note
      ? el(
          "p",
          { class: "callout callout-warning" },
          icon("warning"),
          el("span", {}, el("strong", {}, "Calibration. "), alert.calibration_note),
        )
      : null,
  ];
}

function fact(name, value) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value));
}

function expectation({ expected, observed, track_id: track }) {
  return el(
    "div",
    { class: "expectation" },
    el(
      "dl",
      { class: "expectation-labels" },
      el("div", {}, el("dt", {}, "The track expects"), el("dd", {}, expected ? words(expected) : "–")),
      el("div", {}, el("dt", {}, "The network reads"), el("dd", {}, observed ? words(observed) : "–")),
    ),
    track === null ? null : el("span", { class: "tag" }, `Track ${track}`),
  );
}

function carriers(alert, scores) {
  if (alert.carried_by.length === 0) return el("p", { class: "muted" }, "No score carries it on its own.");
  const named = alert.carried_by.map((name) =>
    el("span", { class: `tag family-${scores.family(name)}` }, familySign(scores.family(name)), scores.label(name)),
  );
  const alone = alert.carried_by_gradients
    ? null
    : el(
        "p",
        { class: "callout" },
        icon("info"),
        el(
          "span",
          {},
          el(
            "strong",
            {},
            alert.carried_by.length === 1 ? "A plain baseline alone carries it. " : "Plain baselines alone carry it. ",
          ),
          "No gradient score is over its threshold: the networks' gradients do not confirm this alarm.",
        ),
      );
  return el("div", { class: "carriers" }, el("p", {}, el("span", { class: "muted" }, "Carried by "), named), alone);
}

function bars(alert, scores) {
  const carrying = (alert.scores ?? []).filter((score) => score.ratio !== null).sort((a, b) => b.ratio - a.ratio);
  if (alert.scores === null)
    return el(
      "p",
      { class: "muted small" },
      "The scores of the newest revision are not known; the timeline has those of its frames.",
    );
  const most = Math.max(1.25, ...carrying.map((score) => score.ratio));
  const group = (family, title) => {
    const shown = carrying.filter((score) => scores.family(score.name, score.family) === family);
    if (shown.length === 0) return null;
    return el(
      "tbody",
      { class: `family-${family}` },
      el("tr", {}, el("th", { colspan: 3, scope: "rowgroup" }, familySign(family), title)),
      shown.map((score) => bar(score, most, scores)),
    );
  };
  return el(
    "table",
    { class: "bars" },
    el("caption", { class: "visually-hidden" }, "Change statistics as ratios to their thresholds"),
    group("gradient", "Gradient scores"),
    group("baseline", "Plain baselines"),
    group("unknown", "Other scores"),
  );
}

function bar(score, most, scores) {
  const isOver = score.ratio >= 1;
  const share = (value) => `${(100 * Math.sqrt(value / most)).toFixed(1)}%`;
  return el(
    "tr",
    { class: isOver ? "is-over" : "" },
    el("th", { scope: "row", title: scores.what(score.name) }, scores.label(score.name)),
    el(
      "td",
      { class: "bar-cell" },
      el("span", { class: "bar", style: { "--share": share(Math.max(0, score.ratio)), "--one": share(1) } }),
    ),
    el(
      "td",
      { class: "number" },
      ratio(score.ratio),
      isOver ? el("span", { class: "visually-hidden" }, " over the threshold") : null,
    ),
  );
}

/** The sign of a family: a nabla for gradients, a dashed square for baselines. */
export function familySign(family) {
  return el(
    "span",
    { class: `family-sign family-sign-${family}`, "aria-hidden": "true" },
    family === "gradient" ? "∇" : null,
  );
}
