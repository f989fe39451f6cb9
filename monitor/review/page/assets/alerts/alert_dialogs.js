// Dialogs that ask for a snooze or a comment.

import { choice, field, select } from "../controls.js";
import { showForm } from "../dialogs.js";
import { el } from "../dom.js";
import { formatRatio, humanize, humanizeLower } from "../format.js";
import { nowMs, toIso } from "../times.js";
import { commentInput } from "./comments_card.js";

const CUSTOM = "custom";
const NO_TIME = "";
const HOUR_S = 3600;
const SPANS = [
  [900, "15 minutes"],
  [HOUR_S, "1 hour"],
  [14_400, "4 hours"],
  [86_400, "24 hours"],
  [CUSTOM, "Custom time"],
  [NO_TIME, "Until a higher score"],
];

/** Asks how to snooze an alert; calls `chosen({scope, until, factor})`. */
export function askSnooze(alert, chosen) {
  const until = select(SPANS, HOUR_S, { autofocus: true });
  const custom = el("input", { type: "datetime-local", "aria-label": "Until", hidden: true });
  const factor = el("input", { type: "number", min: 1, max: 1000, step: 0.1, value: 1.5, "aria-label": "Factor" });
  const text = (...content) => el("span.choice-text", ...content);
  const byScore = choice(
    { type: "checkbox", checked: true },
    text("End early if the score exceeds ", factor, ` times its value now (${formatRatio(alert.score)})`),
  );
  const byScoreBox = byScore.querySelector("input");
  until.addEventListener("change", () => {
    custom.hidden = until.value !== CUSTOM;
    byScoreBox.disabled = until.value === NO_TIME;
    if (until.value === NO_TIME) byScoreBox.checked = true;
  });
  const scope = (value, label, isChosen) =>
    choice({ type: "radio", name: "scope", value, checked: isChosen }, text(label));
  const failure = el("p.form-error", { role: "alert" });
  const fields = [
    el("p.muted", "Snoozing mutes notifications, not detection: new alerts are still counted and listed."),
    el(
      "fieldset.choices",
      el("legend", "Scope"),
      scope("alert", "This alert", true),
      scope("camera", `Every ${humanizeLower(alert.kind)} on ${alert.stream_id}, new ones too`, false),
    ),
    field("Duration", until),
    custom,
    byScore,
    failure,
  ];
  showForm("Snooze", fields, "Snooze", (form) => {
    const endMs = until.value === CUSTOM ? Date.parse(custom.value) : nowMs() + 1000 * Number(until.value);
    if (Number.isNaN(endMs)) {
      failure.textContent = "Enter an end time.";
      custom.focus();
      return false;
    }
    chosen({
      scope: new FormData(form).get("scope"),
      until: until.value === NO_TIME ? null : toIso(endMs),
      factor: byScoreBox.checked ? Number(factor.value) : null,
    });
    return true;
  });
}

/** Asks for a comment; the dialog closes once `send(text)` resolves to true. */
export function askComment(alert, send) {
  const text = commentInput({
    autofocus: true,
    rows: 4,
    required: true,
    placeholder: "What you saw, what you did, whom you informed",
  });
  const label = `${humanize(alert.kind)} on ${alert.stream_id}`;
  showForm("Comment", field(label, text), "Add comment", async () => {
    const written = text.value.trim();
    return written !== "" && send(written);
  });
}
