// The head of an alert: what and where, its review state, and the action buttons.

import { button, buttonLink, iconButton, tag } from "../controls.js";
import { describe } from "../corrections/correction.js";
import { el } from "../dom.js";
import { CLOSED_BECAUSE, formatRatio, humanize, humanizeLower } from "../format.js";
import { icon } from "../icons.js";
import { ageElement, formatDuration, formatTime, secondsBetween, timeElement } from "../times.js";

/**
 * The lines of the head. `commands` is {act(action), step(by), unsnooze(), isAllowed, me, correction (null: none)},
 * `listAddress` the address of the list.
 */
export function alertHead(alert, commands, listAddress) {
  const back = { class: "icon-only quiet back-link", "aria-label": "Back to the list" };
  const stepButton = (iconName, by, label) =>
    iconButton(iconName, label, () => commands.step(by), { "data-name": `step-${by}` });
  const camera = el("a", { href: `/cameras/${alert.stream_id}` }, alert.stream_id);
  return [
    el(
      "div.alert-line.level",
      buttonLink(listAddress, icon("back"), back),
      el(`div.alert-severity.level.severity-${alert.severity}`, icon(alert.severity), humanize(alert.severity)),
      el("h1", humanize(alert.kind), el("span.alert-camera", " on ", camera)),
      el("div.spacer"),
      stepButton("up", -1, "Newer alert (k)"),
      stepButton("down", 1, "Older alert (j)"),
    ),
    el("div.alert-status.level.wrap", states(alert, commands)),
    el("div.alert-actions.level.wrap", { role: "toolbar", "aria-label": "Actions" }, buttons(alert, commands)),
  ];
}

function states(alert, commands) {
  const { review, reviewed_by: seen } = alert;
  return [
    lifeTag(alert),
    peakTag(alert),
    el("span.muted", "raised ", timeElement(alert.raised_ns), " (", ageElement(alert.raised_ns), ")"),
    alert.challenge
      ? el(
          "span.tag",
          { title: "Tag of the recording; not used for judging" },
          `Recording: ${humanize(alert.challenge)}`,
        )
      : null,
    review.acknowledged_by !== null
      ? tag("tag-done", "check", `Acknowledged by ${review.acknowledged_by} at ${formatTime(review.acknowledged_ns)}`)
      : null,
    review.assignee ? tag("", "person", `Assigned to ${review.assignee}`) : null,
    seen.length > 0 ? tag("", "eye", `Seen by ${seen.map((one) => one.username).join(", ")}`) : null,
    correctionTag(commands.correction),
    snoozeTag(alert.snooze, commands),
  ];
}

/** How long the frames were over the threshold, and why the alert was closed. */
function lifeTag({ state, duration_s: seconds, closed_because: cause }) {
  const title = "From the onset to the last frame over the threshold";
  const lasted = formatDuration(seconds);
  if (state === "open") return el("span.tag.tag-open", { title }, `Open, for ${lasted}`);
  const why = cause ? `: ${CLOSED_BECAUSE[cause] ?? humanizeLower(cause)}` : "";
  return el("span.tag", { title }, `Closed, lasted ${lasted}${why}`);
}

function peakTag({ score, peak_capture_ns: peakNs, onset_capture_ns: onsetNs, peak_seq: seq }) {
  const when = peakNs === null ? "" : ` ${formatDuration(secondsBetween(onsetNs, peakNs))} after the onset`;
  const title = seq === null ? null : `Frame ${seq}: the largest change statistic, as a ratio to its threshold`;
  return el("span.tag.number", { title }, `Peak ${formatRatio(score)}${when}`);
}

function correctionTag(correction) {
  if (!correction) return null;
  const text = `Corrected by ${correction.author}: ${describe(correction)}`;
  return el("a.tag.tag-done", { href: `/cameras/${correction.stream_id}` }, icon("correct"), text);
}

function snoozeTag(snooze, commands) {
  if (!snooze) return null;
  const ends = [
    snooze.until_ns ? `until ${formatTime(snooze.until_ns)}` : null,
    snooze.factor ? `until the score exceeds ${snooze.factor}× ${snooze.score.toFixed(2)}` : null,
  ];
  const scope = snooze.scope === "camera" ? ", whole camera" : "";
  const muted = snooze.muted_alerts + snooze.muted_revisions;
  return tag(
    "tag-snoozed",
    "bell",
    `Snoozed ${ends.filter(Boolean).join(" or ")}${scope}; ${muted} muted`,
    button("End", commands.unsnooze, { class: "small quiet", "data-name": "unsnooze", disabled: !commands.isAllowed }),
  );
}

function buttons(alert, commands) {
  const { review } = alert;
  const isAcknowledged = review.acknowledged_by !== null;
  const isMine = review.assignee === commands.me;
  const content = (iconName, text, key) => [
    icon(iconName),
    el("span", text),
    el("kbd", { "aria-hidden": "true" }, key),
  ];
  const action = (name, key, iconName, text, isPressed = null) =>
    button(content(iconName, text, key), () => commands.act(name), {
      class: name === "acknowledge" && !isAcknowledged ? "primary" : "",
      "data-name": name,
      disabled: !commands.isAllowed,
      "aria-keyshortcuts": key,
      "aria-pressed": isPressed === null ? null : String(isPressed),
    });
  const evidence = alert.attachments.find(({ kind, url }) => kind === "evidence" && url);
  const evidenceContent = content("file", "Evidence", "e");
  return [
    action("acknowledge", "a", "check", isAcknowledged ? "Acknowledged" : "Acknowledge", isAcknowledged),
    action("snooze", "s", "bell", review.is_snoozed ? "Snooze again" : "Snooze"),
    action("assign", "m", "person", isMine ? "Mine" : "Assign me", isMine),
    action("comment", "c", "comment", "Comment"),
    action("review", "r", "eye", review.reviewed ? "Seen" : "Mark seen", review.reviewed),
    action("correct", "v", "correct", "Correct…"),
    evidence
      ? buttonLink(evidence.url, evidenceContent, {
          class: "evidence",
          download: `${alert.alert_id}.mcap`,
          "data-name": "evidence",
          "aria-keyshortcuts": "e",
        })
      : button(evidenceContent, null, {
          disabled: true,
          title: "No evidence file for this alert yet",
        }),
    commands.isAllowed
      ? null
      : el("p.muted.small.no-permission.level", icon("lock"), "Your role is viewer: you cannot act on alerts."),
  ];
}
