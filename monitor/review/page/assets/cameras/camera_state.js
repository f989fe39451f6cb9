// How a camera stands, in one word with its shape: what its judge says, unless it is too old to be true.

import { msOf, nowMs } from "../times.js";
import { CAMERA_STATES } from "../words.js";

const STALE_AFTER_S = 10;
const OFFLINE_AFTER_S = 60;
const GONE = new Set(["disconnected", "unauthorized", "no_frames"]);

/** Facts of a camera that the view keeps; times are decimal strings of ns or null. */
export function factsOf(camera) {
  return {
    streamId: camera.stream_id,
    state: camera.state,
    reportNs: camera.report?.published_ns ?? null,
    frameNs:
      camera.frame_age_s === null
        ? null
        : String(BigInt(Math.round((nowMs() - 1000 * camera.frame_age_s) * 1000)) * 1000n),
    openAlerts: camera.open_alerts,
    change: camera.report?.change ?? {},
    health: camera.health,
    tags: camera.tags,
    widthPx: camera.report?.width_px || null,
    heightPx: camera.report?.height_px || null,
  };
}

/** The same facts with what an event of the server says. */
export function newerFacts(facts, event) {
  return {
    ...facts,
    state: event.state ?? facts.state,
    reportNs: event.last_report_ns ?? facts.reportNs,
    frameNs: event.last_frame_ns ?? facts.frameNs,
    openAlerts: event.open_alerts,
    change: event.change,
  };
}

/** `alerting | offline | stale | calibrating | watching`. */
export function stateOf(facts) {
  const ageS = ageOf(facts.reportNs);
  const isGone = facts.health?.state === "begin" && GONE.has(facts.health.disturbance);
  if (isGone || ageS > OFFLINE_AFTER_S) return "offline";
  if (ageS > STALE_AFTER_S) return "stale";
  return facts.state ?? "stale";
}

/** Worst first: by state, then by the largest ratio to a threshold, then by name. */
export function byUrgency(a, b) {
  return CAMERA_STATES.indexOf(stateOf(a)) - CAMERA_STATES.indexOf(stateOf(b)) || a.streamId.localeCompare(b.streamId);
}

/** The largest change ratio, null where none is known. */
export function largestRatio(facts) {
  const known = Object.values(facts.change).filter((value) => value !== null);
  return known.length > 0 ? Math.max(...known) : null;
}

/** Seconds since a time; infinite where it never was. */
export function ageOf(ns) {
  return ns === null ? Infinity : Math.max(0, (nowMs() - msOf(ns)) / 1000);
}
