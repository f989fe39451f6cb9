// Keyboard shortcuts: one table for the key handler and the help.

import { showDialog } from "./dialogs.js";
import { el } from "./dom.js";

/** Keys and the action of a view that each calls. */
const SHORTCUTS = [
  { keys: ["j", "ArrowDown"], shown: "j ↓", action: "next", text: "Next alert" },
  { keys: ["k", "ArrowUp"], shown: "k ↑", action: "previous", text: "Previous alert" },
  { keys: ["Enter", "o"], shown: "Enter o", action: "open", text: "Open the alert or burst" },
  { keys: ["a"], shown: "a", action: "acknowledge", text: "Acknowledge or undo" },
  { keys: ["s"], shown: "s", action: "snooze", text: "Snooze: mute until a time or a higher score" },
  { keys: ["c"], shown: "c", action: "comment", text: "Comment" },
  { keys: ["m"], shown: "m", action: "assign", text: "Assign to me or unassign" },
  { keys: ["r"], shown: "r", action: "review", text: "Mark as seen without acknowledging" },
  { keys: ["v"], shown: "v", action: "correct", text: "Correct a class or ignore a region" },
  { keys: ["e"], shown: "e", action: "evidence", text: "Download evidence" },
  { keys: ["n"], shown: "n", action: "showNew", text: "Show new alerts" },
  { keys: ["/"], shown: "/", action: "filter", text: "Filter and search" },
  { keys: [" "], shown: "Space", action: "play", text: "Play or pause the clip" },
  { keys: ["ArrowLeft"], shown: "←", action: "stepBack", text: "Previous frame" },
  { keys: ["ArrowRight"], shown: "→", action: "stepForward", text: "Next frame" },
  { keys: ["0"], shown: "0", action: "toOnset", text: "Go to the onset" },
  { keys: ["Escape"], shown: "Esc", action: "leave", text: "Back to the list" },
  { keys: ["?"], shown: "?", action: "help", text: "Show this help" },
];

const closers = []; // of popups, the last one first

/** Registers a popup: `close()` closes it and returns whether it was open. Escape closes one before anything else. */
export function onEscape(close) {
  closers.unshift(close);
}

/** Calls `act(action)` for keys that are not typed into a field; `act` returns whether it did anything. */
export function listen(act) {
  const closePopup = (event) => {
    if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
    if (!closers.some((close) => close())) return;
    event.preventDefault();
    event.stopPropagation();
  };
  document.addEventListener("keydown", closePopup, { capture: true }); // before the field that has the focus
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]") || isForControl(event)) return;
    const found = SHORTCUTS.find((shortcut) => shortcut.keys.includes(event.key));
    if (found && act(found.action)) event.preventDefault();
  });
}

/** The shortcuts of some actions, or of all, as a list. */
export function shortcutList(actions = null) {
  const chosen = SHORTCUTS.filter(({ action }) => actions === null || actions.includes(action));
  const keys = (shown) => shown.split(" ").map((key) => el("kbd", key));
  const row = ({ shown, text }) => el("div.shortcut.level", el("dt", keys(shown)), el("dd", text));
  return el("dl.shortcuts", chosen.map(row));
}

/** Opens the help; `?` closes it again. */
export function showHelp() {
  const dialog = showDialog("Keyboard", shortcutList(), "sheet");
  dialog.addEventListener("keydown", (event) => event.key === "?" && dialog.close());
}

/** Whether the focused control uses the key itself. */
function isForControl({ target, key }) {
  if (target.matches("textarea, select, [contenteditable]")) return true;
  if (target.matches("input[type=range]")) return key.startsWith("Arrow");
  if (target.matches("input:not([type=checkbox], [type=radio])")) return true;
  if (target.matches("input")) return key === " " || key.startsWith("Arrow");
  return target.matches("button, a[href], summary") && (key === "Enter" || key === " ");
}
