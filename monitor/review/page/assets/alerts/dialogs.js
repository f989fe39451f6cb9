// What is asked before an alert is snoozed or commented on.

import { el } from "../dom.js";
import { icon } from "../icons.js";
import { showDialog } from "../shortcuts.js";
import { iso, nowMs } from "../times.js";
import { ratio, words } from "../words.js";

const SPANS = [
  ["15 minutes", 900],
  ["1 hour", 3600],
  ["4 hours", 14_400],
  ["24 hours", 86_400],
];

/** Asks how long to be silent; `chosen({scope, until, factor})`. */
export function askSnooze(alert, chosen) {
  const until = el(
    "select",
    { id: "snooze-until", autofocus: true },
    SPANS.map(([text, seconds]) => el("option", { value: seconds, selected: seconds === 3600 }, text)),
    el("option", { value: "custom" }, "A time of my own"),
    el("option", { value: "" }, "No time: only a higher score ends it"),
  );
  const custom = el("input", { type: "datetime-local", id: "snooze-custom", "aria-label": "Until", hidden: true });
  const byScore = el("input", { type: "checkbox", id: "snooze-score", checked: true });
  const factor = el("input", {
    type: "number",
    id: "snooze-factor",
    min: 1,
    max: 1000,
    step: 0.1,
    value: 1.5,
    "aria-label": "Factor",
  });
  until.addEventListener("change", () => {
    custom.hidden = until.value !== "custom";
    byScore.disabled = until.value === "";
    if (until.value === "") byScore.checked = true;
  });
  const scope = (value, text, isChosen) =>
    el(
      "label",
      { class: "choice" },
      el("input", { type: "radio", name: "scope", value, checked: isChosen }),
      el("span", { class: "choice-text" }, text),
    );
  const form = el(
    "form",
    { class: "stack" },
    el(
      "p",
      { class: "muted" },
      "Snoozing mutes notifications, never detection: what comes meanwhile is counted and listed.",
    ),
    el(
      "fieldset",
      { class: "choices" },
      el("legend", {}, "What"),
      scope("alert", "This alert", true),
      scope("camera", `Every ${words(alert.kind).toLowerCase()} of ${alert.stream_id}, new ones too`, false),
    ),
    el("label", { class: "field" }, "For", until),
    custom,
    el(
      "label",
      { class: "choice" },
      byScore,
      el(
        "span",
        { class: "choice-text" },
        "Wake me earlier if the score exceeds ",
        factor,
        ` times what it is (${ratio(alert.score)})`,
      ),
    ),
  );
  const failure = el("p", { class: "form-error", role: "alert" });
  form.append(failure);
  showForm("Snooze", form, "Snooze", () => {
    const end =
      until.value === "custom"
        ? Date.parse(custom.value)
        : until.value === ""
          ? null
          : nowMs() + 1000 * Number(until.value);
    if (Number.isNaN(end)) {
      failure.textContent = "Say until when.";
      custom.focus();
      return false;
    }
    chosen({
      scope: new FormData(form).get("scope"),
      until: end === null ? null : iso(end),
      factor: byScore.checked ? Number(factor.value) : null,
    });
    return true;
  });
}

/** Asks for a comment; `written(text)` tells whether it was stored, and the dialog stays open if not. */
export function askComment(alert, written) {
  const text = el("textarea", {
    id: "comment-text",
    autofocus: true,
    rows: 4,
    maxlength: 10_000,
    required: true,
    placeholder: "What you saw, what you did, whom you told",
  });
  const form = el(
    "form",
    { class: "stack" },
    el("label", { class: "field" }, `On ${alert.stream_id}, ${words(alert.kind).toLowerCase()}`, text),
  );
  text.addEventListener(
    "keydown",
    (event) => (event.ctrlKey || event.metaKey) && event.key === "Enter" && form.requestSubmit(),
  );
  showForm("Comment", form, "Add comment", async () => text.value.trim() !== "" && written(text.value.trim()));
}

/** A dialog around a form; `submit()` tells whether the dialog may close. */
export function showForm(title, form, action, submit) {
  const id = `dialog-${title.toLowerCase().replaceAll(" ", "-")}`;
  const close = el("button", { class: "button icon-only", type: "button", "aria-label": "Close" }, icon("close"));
  const cancel = el("button", { class: "button", type: "button" }, "Cancel");
  const confirm = el("button", { class: "button primary", type: "submit" }, action);
  const dialog = el(
    "dialog",
    { class: "dialog", "aria-labelledby": id },
    el("header", { class: "dialog-head" }, el("h2", { id }, title), close),
    form,
  );
  form.append(el("footer", { class: "dialog-actions" }, cancel, confirm));
  for (const button of [close, cancel]) button.addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    confirm.disabled = true;
    if (await submit()) dialog.close();
    confirm.disabled = false;
  });
  showDialog(dialog);
  return dialog;
}
