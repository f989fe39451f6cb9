// Toasts: short messages about what was done. Also announcements for screen readers.

import { button } from "./controls.js";
import { el } from "./dom.js";

const SHOWN_MS = 8_000;
const ANNOUNCE_EVERY_MS = 5_000;
const MAX_TOASTS = 3;

/** Shows a message for a while; `undo` adds a button that calls it. */
export function toast(text, { undo = null, isError = false } = {}) {
  const place = document.getElementById("toasts");
  const box = el(
    "div.toast.level",
    { class: isError && "toast-error", role: isError ? "alert" : "status" },
    el("span", text),
  );
  const undoAndClose = () => {
    box.remove();
    undo();
  };
  if (undo) box.append(button("Undo", undoAndClose, { class: "quiet small" }));
  while (place.childElementCount >= MAX_TOASTS) place.firstElementChild.remove();
  place.append(box);
  const leave = () => (box.matches(":hover, :focus-within") ? setTimeout(leave, 2_000) : box.remove());
  setTimeout(leave, isError ? 2 * SHOWN_MS : SHOWN_MS);
}

/** Shows why a request failed. */
export function toastFailure(error) {
  toast(`Failed: ${error.reason}`, { isError: true });
}

let pending = null;
let announcedAtMs = -ANNOUNCE_EVERY_MS;
let timer = 0;

/** Announces a text politely to screen readers; of several within a few seconds only the last one. */
export function announce(text) {
  pending = text;
  if (timer) return;
  const delayMs = Math.max(100, announcedAtMs + ANNOUNCE_EVERY_MS - performance.now());
  timer = setTimeout(() => {
    timer = 0;
    announcedAtMs = performance.now();
    document.getElementById("announcer").textContent = pending;
  }, delayMs);
}
