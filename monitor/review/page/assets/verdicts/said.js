// What a correction says, in words.

import { words } from "../words.js";

export const IGNORE = "ignore"; // the label of what is nothing that matters

/** The name of what kind it is. */
export function kindOf(verdict) {
  return verdict.kind === "mute_region" ? "Muted region" : "Class";
}

/** "Track 7 is “Stop”", "Signs at 640, 120 (260 × 180 px) raise no mismatch". */
export function sayingOf(verdict) {
  if (verdict.kind !== "mute_region") {
    const label = verdict.label === IGNORE ? "nothing that matters" : `“${words(verdict.label)}”`;
    return `Track ${verdict.track_id} is ${label}`;
  }
  const { x, y, width, height } = boundsOf(verdict.polygon);
  const raise = verdict.object_kinds?.length ? "raise" : "raises";
  return `${words(objectsOf(verdict))} at ${x}, ${y} (${width} × ${height} px) ${raise} no mismatch`;
}

/** "signs", "signs and pedestrians", "everything". */
export function objectsOf({ object_kinds: kinds }) {
  return kinds?.length ? kinds.map((kind) => `${words(kind).toLowerCase()}s`).join(" and ") : "everything";
}

/** Whether it holds no longer at a capture time of its camera, or in another run; null where that is not known. */
export function isOver(verdict, captureNs, runId) {
  if (verdict.until_ns) return captureNs !== null && BigInt(captureNs) > BigInt(verdict.until_ns);
  return Boolean(verdict.run_id && runId && verdict.run_id !== runId);
}

/** The upright rectangle around a polygon, in whole px. */
export function boundsOf(polygon) {
  const [left, top, right, bottom] = [
    Math.min(...polygon.map(([x]) => x)),
    Math.min(...polygon.map(([, y]) => y)),
    Math.max(...polygon.map(([x]) => x)),
    Math.max(...polygon.map(([, y]) => y)),
  ].map(Math.round);
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/** The four corners of a rectangle. */
export function cornersOf({ x, y, width, height }) {
  return [
    [x, y],
    [x + width, y],
    [x + width, y + height],
    [x, y + height],
  ];
}
