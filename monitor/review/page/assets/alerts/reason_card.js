// Why an alert was raised: the reason, the scores that carry it, and all scores against their thresholds.

import { callout, definitions, tag } from "../controls.js";
import { el } from "../dom.js";
import { formatPValue, formatRatio, humanize } from "../format.js";
import { familyMark } from "../icons.js";
import { FAMILIES } from "../score_catalog.js";
import { formatDuration, secondsBetween } from "../times.js";

/** The contents of the card; `scores` is the score catalog. */
export function reasonCard(alert, scores) {
  const probability = alert.cause_probability === null ? "" : ` (${Math.round(100 * alert.cause_probability)} %)`;
  return [
    el("h2", { id: "why-title" }, "Why"),
    el("p.reason", alert.reason),
    alert.expected || alert.observed ? expectation(alert) : null,
    carriers(alert, scores),
    peakNote(alert),
    bars(alert, scores),
    definitions("rate", [
      ["Accepted false alarms", `one per ${formatDuration(alert.mean_time_between_false_alarms_s)} of watching`],
      ["Smallest p-value", formatPValue(alert.p_value)],
      alert.cause !== "unknown" ? ["Likely cause", `${humanize(alert.cause)}${probability}`] : null,
    ]),
    alert.calibration_note
      ? callout("warning", "callout-warning", el("strong", "Calibration. "), alert.calibration_note)
      : null,
  ];
}

/** Which frame the scores below are of. */
function peakNote({ scores, scores_seq: seq, peak_seq: peakSeq, peak_capture_ns: peakNs, onset_capture_ns: onsetNs }) {
  if (scores === null) return null;
  if (seq === null) return el("h3", "Scores of the last frame over the threshold");
  if (seq !== peakSeq) return el("h3", "Scores at an earlier peak", el("span.muted", ` (frame ${seq})`));
  const when = `${formatDuration(secondsBetween(onsetNs, peakNs))} after the onset`;
  return el("h3", "Scores at the peak", el("span.muted", ` (frame ${seq}, ${when})`));
}

function expectation({ expected, observed, track_id: track }) {
  const classes = definitions("expectation-labels beside wrap", [
    ["Track expects", expected ? humanize(expected) : "–"],
    ["Network reads", observed ? humanize(observed) : "–"],
  ]);
  return el("div.expectation.level.wrap", classes, track === null ? null : tag("", null, `Track ${track}`));
}

function carriers({ carried_by: names, carried_by_gradients: byGradients }, scores) {
  if (names.length === 0) return el("p.muted", "No single score is over its threshold.");
  const tags = names.map((name) =>
    el(`span.tag.family-${scores.family(name)}`, familyMark(scores.family(name)), scores.label(name)),
  );
  return el(
    "div.carriers.stack.tight",
    el("p", el("span.muted", "Carried by "), tags),
    byGradients
      ? null
      : callout(
          "info",
          "",
          el(
            "strong",
            `Only ${names.length === 1 ? "a plain baseline carries" : "plain baselines carry"} this alert. `,
          ),
          "No gradient score is over its threshold, so the networks' gradients do not confirm it.",
        ),
  );
}

function bars(alert, scores) {
  if (alert.scores === null)
    return el("p.muted.small", "No scores are stored for this alert; the timeline shows those of its frames.");
  const carrying = alert.scores.filter((score) => score.ratio !== null).sort((a, b) => b.ratio - a.ratio);
  const most = Math.max(1.25, ...carrying.map((score) => score.ratio));
  const group = ([family, title]) => {
    const shown = carrying.filter((score) => scores.family(score.name, score.family) === family);
    if (shown.length === 0) return null;
    return el(
      `tbody.family-${family}`,
      el("tr", el("th", { colspan: 3, scope: "rowgroup" }, familyMark(family), title)),
      shown.map((score) => bar(score, most, scores)),
    );
  };
  return el(
    "table.bars",
    el("caption.visually-hidden", "Change statistics as ratios to their thresholds"),
    Object.entries(FAMILIES).map(group),
  );
}

function bar(score, most, scores) {
  const isOver = score.ratio >= 1;
  const share = (value) => `${(100 * Math.sqrt(value / most)).toFixed(1)}%`;
  const style = { "--share": share(Math.max(0, score.ratio)), "--one": share(1) };
  return el(
    "tr",
    { class: isOver ? "is-over" : "" },
    el("th", { scope: "row", title: scores.what(score.name) }, scores.label(score.name)),
    el("td.bar-cell", el("span.bar", { style })),
    el("td.number", formatRatio(score.ratio), isOver ? el("span.visually-hidden", " over the threshold") : null),
  );
}
