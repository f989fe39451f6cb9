// The state of a camera: what its worker reported last, unless that is too old.

import { el, replace } from "../dom.js";
import { CAMERA_STATES, humanize, pluralize } from "../format.js";
import { icon } from "../icons.js";
import { formatAge, msOf, nowMs } from "../times.js";

const STALE_AFTER_S = 10;
const OFFLINE_AFTER_S = 60;
const OFFLINE_DISTURBANCES = new Set(["disconnected", "unauthorized", "no_frames"]);

/** The status of a camera as the page keeps it; times are decimal strings of ns or null. */
export function statusOf(camera) {
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
    widthPx: camera.report?.width_px || null,
    heightPx: camera.report?.height_px || null,
  };
}

/** A status updated by a server event. */
export function updated(status, event) {
  return {
    ...status,
    state: event.state ?? status.state,
    reportNs: event.last_report_ns ?? status.reportNs,
    frameNs: event.last_frame_ns ?? status.frameNs,
    openAlerts: event.open_alerts,
    change: event.change,
  };
}

/** One of `CAMERA_STATES`. */
export function stateOf(status) {
  const ageS = ageOf(status.reportNs);
  const isGone = status.health?.state === "begin" && OFFLINE_DISTURBANCES.has(status.health.disturbance);
  if (isGone || ageS > OFFLINE_AFTER_S) return "offline";
  if (ageS > STALE_AFTER_S) return "stale";
  return status.state ?? "stale";
}

/** Sorts by state, the worst first, then by name. */
export function byUrgency(a, b) {
  return CAMERA_STATES.indexOf(stateOf(a)) - CAMERA_STATES.indexOf(stateOf(b)) || a.streamId.localeCompare(b.streamId);
}

/** The largest change ratio; null if none is known. */
export function largestRatio(status) {
  const known = Object.values(status.change).filter((value) => value !== null);
  return known.length > 0 ? Math.max(...known) : null;
}

/** Seconds since a time; infinite for null. */
export function ageOf(ns) {
  return ns === null ? Infinity : Math.max(0, (nowMs() - msOf(ns)) / 1000);
}

/** Shows a state as icon and word. */
export function drawState(badge, state) {
  replace(badge, icon(state), humanize(state));
}

/** Shows the disturbance that the camera's source reports; hides the paragraph if there is none. */
export function drawTrouble(paragraph, { health }, ...before) {
  paragraph.hidden = health?.state !== "begin";
  if (paragraph.hidden) return;
  const detail = health.detail ? `: ${health.detail}` : "";
  const since = health.since_ns ? formatAge(health.since_ns).replace(" ago", "") : "a while";
  replace(paragraph, ...before, `${humanize(health.disturbance)} for ${since}${detail}`);
}

/** A link to the open alerts of a camera; null if there are none. */
export function openAlertsLink({ streamId, openAlerts }, query) {
  if (openAlerts === 0) return null;
  const href = `/alerts?review=any${query}&camera=${encodeURIComponent(streamId)}`;
  return el("a.tag.tag-open", { href }, pluralize(openAlerts, "open alert"));
}
