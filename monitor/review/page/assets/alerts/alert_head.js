// The head of an alert: what and where, how it stands, and everything that can be done with it.

import { el } from "../dom.js";
import { icon } from "../icons.js";
import { ago, clock, duration, moment, secondsBetween } from "../times.js";
import { sayingOf } from "../verdicts/said.js";
import { words } from "../words.js";

/** `doing`: {act(action), step(by), unsnooze(), isAllowed, me, correction}; `list` is the address of the list. */
export function alertHead(alert, doing, list) {
  const lastedS = secondsBetween(alert.onset_capture_ns, alert.last_capture_ns);
  const arrow = (sign, by, label) =>
    el(
      "button",
      {
        class: "button icon-only quiet",
        type: "button",
        "data-name": `step-${by}`,
        "aria-label": label,
        title: label,
        on: { click: () => doing.step(by) },
      },
      icon(sign),
    );
  return [
    el(
      "div",
      { class: "alert-line" },
      el(
        "a",
        { class: "button icon-only quiet back-link", href: list, "aria-label": "Back to the list" },
        icon("back"),
      ),
      el("div", { class: `alert-severity severity-${alert.severity}` }, icon(alert.severity), words(alert.severity)),
      el(
        "h1",
        {},
        words(alert.kind),
        el(
          "span",
          { class: "alert-camera" },
          " on ",
          el("a", { href: `/cameras/${alert.stream_id}` }, alert.stream_id),
        ),
      ),
      el("div", { class: "spacer" }),
      arrow("up", -1, "Newer alert (k)"),
      arrow("down", 1, "Older alert (j)"),
    ),
    el(
      "div",
      { class: "alert-standing" },
      alert.state === "open"
        ? el("span", { class: "tag tag-open" }, `Open, for ${duration(lastedS)}`)
        : el("span", { class: "tag" }, `Closed, lasted ${duration(lastedS)}`),
      el(
        "span",
        { class: "muted" },
        "raised ",
        el("time", { title: moment(alert.raised_ns) }, clock(alert.raised_ns)),
        " (",
        el("time", { "data-ago": alert.raised_ns }, ago(alert.raised_ns)),
        ")",
      ),
      alert.challenge
        ? el(
            "span",
            { class: "tag", title: "Known of this recording; judging never sees it" },
            `Recording: ${words(alert.challenge)}`,
          )
        : null,
      people(alert),
      corrected(doing.correction),
      snoozed(alert, doing),
    ),
    el("div", { class: "alert-actions", role: "toolbar", "aria-label": "Actions" }, buttons(alert, doing)),
  ];
}

function buttons(alert, doing) {
  const { review } = alert;
  const isAcknowledged = review.acknowledged_by !== null;
  const evidence = alert.attachments.find((attachment) => attachment.kind === "evidence" && attachment.url);
  const action = (name, key, sign, text, { isPrimary = false, isPressed = null } = {}) =>
    el(
      "button",
      {
        class: `button ${isPrimary ? "primary" : ""}`,
        type: "button",
        "data-name": name,
        disabled: !doing.isAllowed,
        "aria-keyshortcuts": key,
        "aria-pressed": isPressed === null ? null : String(isPressed),
        on: { click: () => doing.act(name) },
      },
      icon(sign),
      el("span", {}, text),
      el("kbd", { "aria-hidden": "true" }, key),
    );
  return [
    action("acknowledge", "a", "check", isAcknowledged ? "Acknowledged" : "Acknowledge", {
      isPrimary: !isAcknowledged,
      isPressed: isAcknowledged,
    }),
    action("snooze", "s", "bell", review.is_snoozed ? "Snooze anew" : "Snooze"),
    action("assign", "m", "person", review.assignee === doing.me ? "Mine" : "Assign me", {
      isPressed: review.assignee === doing.me,
    }),
    action("comment", "c", "comment", "Comment"),
    action("review", "r", "eye", review.reviewed ? "Seen" : "Mark seen", { isPressed: review.reviewed }),
    action("correct", "v", "correct", "Correct…"),
    evidence
      ? el(
          "a",
          {
            class: "button evidence",
            href: evidence.url,
            download: `${alert.alert_id}.mcap`,
            "data-name": "evidence",
            "aria-keyshortcuts": "e",
          },
          icon("file"),
          el("span", {}, "Evidence"),
          el("kbd", { "aria-hidden": "true" }, "e"),
        )
      : el(
          "button",
          {
            class: "button",
            type: "button",
            disabled: true,
            title: "No evidence file has been published for this alert yet",
          },
          icon("file"),
          el("span", {}, "Evidence"),
          el("kbd", { "aria-hidden": "true" }, "e"),
        ),
    doing.isAllowed
      ? null
      : el("p", { class: "muted small no-permission" }, icon("lock"), "Your role is viewer: you may look, not act."),
  ];
}

function people({ review, reviewed_by: seen }) {
  return [
    review.acknowledged_by !== null
      ? el(
          "span",
          { class: "tag tag-done" },
          icon("check"),
          `Acknowledged by ${review.acknowledged_by} at ${clock(review.acknowledged_ns)}`,
        )
      : null,
    review.assignee ? el("span", { class: "tag" }, icon("person"), `With ${review.assignee}`) : null,
    seen.length > 0
      ? el("span", { class: "tag" }, icon("eye"), `Seen by ${seen.map((one) => one.username).join(", ")}`)
      : null,
  ];
}

/** What a reviewer said of the alert's track. */
function corrected(verdict) {
  if (!verdict) return null;
  const href = `/cameras/${verdict.stream_id}`;
  const text = `Corrected by ${verdict.author}: ${sayingOf(verdict)}`;
  return el("a", { class: "tag tag-done", href }, icon("correct"), text);
}

function snoozed({ snooze }, doing) {
  if (!snooze) return null;
  const ends = [
    snooze.until_ns ? `until ${clock(snooze.until_ns)}` : null,
    snooze.factor ? `until the score exceeds ${snooze.factor}× ${snooze.score.toFixed(2)}` : null,
  ];
  const muted = snooze.muted_alerts + snooze.muted_revisions;
  return el(
    "span",
    { class: "tag tag-snoozed" },
    icon("bell"),
    `Snoozed ${ends.filter(Boolean).join(" or ")}${snooze.scope === "camera" ? ", the whole camera" : ""}; ${muted} muted`,
    el(
      "button",
      {
        class: "button small quiet",
        type: "button",
        "data-name": "unsnooze",
        disabled: !doing.isAllowed,
        on: { click: doing.unsnooze },
      },
      "End",
    ),
  );
}
