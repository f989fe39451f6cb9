// What was done, said for a moment with a way back; and what is said to screen readers alone.

import { el } from "./dom.js";

const STAYS_MS = 8_000;
const ANNOUNCE_EVERY_MS = 5_000;

const place = () => document.getElementById("toasts");

/** Says what was done; `undo` is what takes it back. Returns a function that takes the toast away. */
export function toast(text, { undo = null, isError = false } = {}) {
  const box = el(
    "div",
    { class: `toast ${isError ? "toast-error" : ""}`, role: isError ? "alert" : "status" },
    el("span", {}, text),
  );
  const close = () => box.remove();
  if (undo) {
    const button = el("button", { class: "button quiet small", type: "button" }, "Undo");
    button.addEventListener("click", () => {
      close();
      undo();
    });
    box.append(button);
  }
  while (place().childElementCount > 2) place().firstElementChild.remove();
  place().append(box);
  const leave = () => (box.matches(":hover, :focus-within") ? setTimeout(leave, 2_000) : close());
  setTimeout(leave, isError ? 2 * STAYS_MS : STAYS_MS);
  return close;
}

let waiting = null;
let saidAtMs = -ANNOUNCE_EVERY_MS;
let timer = 0;

/** Tells a screen reader, politely; of many things in a few seconds the last one alone is said. */
export function announce(text) {
  waiting = text;
  if (timer) return;
  const delayMs = Math.max(100, saidAtMs + ANNOUNCE_EVERY_MS - performance.now());
  timer = setTimeout(() => {
    timer = 0;
    saidAtMs = performance.now();
    document.getElementById("announcer").textContent = waiting;
  }, delayMs);
}
