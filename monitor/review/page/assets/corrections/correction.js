// A correction: its text, its validity, and the geometry of muted regions.

import { humanize, humanizeLower } from "../format.js";

export const IGNORE = "ignore"; // the label of an object that is not relevant

/** The name of its kind. */
export function kindText(correction) {
  return correction.kind === "mute_region" ? "Muted region" : "Class";
}

/** "Track 7 is “Stop”", "Signs at 640, 120 (260 × 180 px) raise no mismatch". */
export function describe(correction) {
  if (correction.kind !== "mute_region") {
    const label = correction.label === IGNORE ? "not relevant" : `“${humanize(correction.label)}”`;
    return `Track ${correction.track_id} is ${label}`;
  }
  const { x, y, width, height } = boundsOf(correction.polygon);
  const raise = correction.object_kinds?.length ? "raise" : "raises";
  return `${humanize(objectsText(correction))} at ${x}, ${y} (${width} × ${height} px) ${raise} no mismatch`;
}

/** "signs", "signs and pedestrians", "everything". */
export function objectsText({ object_kinds: kinds }) {
  return kinds?.length ? kinds.map((kind) => `${humanizeLower(kind)}s`).join(" and ") : "everything";
}

/** Whether it no longer applies at a capture time or in a run of its camera; null: not known. */
export function isExpired(correction, captureNs, runId) {
  if (correction.until_ns) return captureNs !== null && BigInt(captureNs) > BigInt(correction.until_ns);
  return Boolean(correction.run_id && runId && correction.run_id !== runId);
}

/** The upright rectangle around a polygon. */
export function boundsOf(polygon) {
  const [xs, ys] = [0, 1].map((axis) => polygon.map((point) => point[axis]));
  const [left, top, right, bottom] = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
  return { x: Math.round(left), y: Math.round(top), width: Math.round(right - left), height: Math.round(bottom - top) };
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
