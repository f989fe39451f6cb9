// The keyboard: one table that acts and that the help sheet shows.

import { el } from "./dom.js";
import { icon } from "./icons.js";

/** Keys by what they do; `action` names what a view offers. */
export const SHORTCUTS = [
  { keys: ["j", "ArrowDown"], shown: "j ↓", action: "next", text: "Next alert" },
  { keys: ["k", "ArrowUp"], shown: "k ↑", action: "previous", text: "Previous alert" },
  { keys: ["Enter", "o"], shown: "Enter o", action: "open", text: "Open the alert, or a burst" },
  { keys: ["a"], shown: "a", action: "acknowledge", text: "Acknowledge, or take it back" },
  { keys: ["s"], shown: "s", action: "snooze", text: "Snooze: mute until a time or a higher score" },
  { keys: ["c"], shown: "c", action: "comment", text: "Comment" },
  { keys: ["m"], shown: "m", action: "assign", text: "Assign to me, or to nobody" },
  { keys: ["r"], shown: "r", action: "review", text: "Mark as seen by me, without acknowledging" },
  { keys: ["v"], shown: "v", action: "correct", text: "Correct: what a sign is, or a part to ignore" },
  { keys: ["e"], shown: "e", action: "evidence", text: "Download the evidence" },
  { keys: ["n"], shown: "n", action: "showNew", text: "Show the new alerts" },
  { keys: ["/"], shown: "/", action: "filter", text: "Filter and search" },
  { keys: [" "], shown: "Space", action: "play", text: "Play or pause the clip" },
  { keys: ["ArrowLeft"], shown: "←", action: "stepBack", text: "One frame back" },
  { keys: ["ArrowRight"], shown: "→", action: "stepForth", text: "One frame on" },
  { keys: ["0"], shown: "0", action: "toOnset", text: "To the onset" },
  { keys: ["Escape"], shown: "Esc", action: "leave", text: "Back to the list" },
  { keys: ["?"], shown: "?", action: "help", text: "This sheet" },
];

/** Calls `act(action)` for keys that are not typed into a field; `act` returns whether it did anything. */
export function listen(act) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]") || belongsToField(event)) return;
    const found = SHORTCUTS.find((shortcut) => shortcut.keys.includes(event.key));
    if (found && act(found.action)) event.preventDefault();
  });
}

/** The help sheet, as a dialog that is shown at once. */
export function showHelp() {
  const rows = SHORTCUTS.map(({ shown, text }) =>
    el(
      "div",
      { class: "shortcut" },
      el(
        "dt",
        {},
        shown.split(" ").map((key) => el("kbd", {}, key)),
      ),
      el("dd", {}, text),
    ),
  );
  const close = el("button", { class: "button icon-only", type: "button", "aria-label": "Close" }, icon("close"));
  const dialog = el(
    "dialog",
    { class: "dialog sheet", "aria-labelledby": "help-title" },
    el("header", { class: "dialog-head" }, el("h2", { id: "help-title" }, "Keyboard"), close),
    el("dl", { class: "shortcuts" }, rows),
  );
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", (event) => event.key === "?" && dialog.close());
  showDialog(dialog);
}

/** Shows a modal dialog, and takes it out of the page once it is closed; the browser gives the focus back. */
export function showDialog(dialog) {
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function belongsToField(event) {
  const target = event.target;
  if (target.matches("textarea, select, [contenteditable]")) return true;
  if (target.matches("input[type=range]")) return event.key.startsWith("Arrow");
  if (target.matches("input:not([type=checkbox], [type=radio])")) return true;
  if (target.matches("input")) return event.key === " " || event.key.startsWith("Arrow");
  return target.matches("button, a[href], summary") && (event.key === "Enter" || event.key === " ");
}
