// The state of a camera: what its worker reported last, unless that is too old or its source says otherwise.

import { el, replace } from "../dom.js";
import { CAMERA_STATES, humanize, pluralize } from "../format.js";
import { icon } from "../icons.js";
import { formatAge, msOf, nowMs } from "../times.js";
import { titleOf } from "./disturbances.js";

const STALE_AFTER_S = 10;
const OFFLINE_AFTER_S = 60;
const DEAD = ["stale", "offline"];
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
    disturbances: camera.disturbances,
    lastEvent: camera.events[0] ?? null,
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
  const isGone = status.disturbances.some(({ disturbance }) => OFFLINE_DISTURBANCES.has(disturbance));
  if (isGone || hasEnded(status) || ageS > OFFLINE_AFTER_S) return "offline";
  if (ageS > STALE_AFTER_S) return "stale";
  return status.state ?? "stale";
}

/** Whether nothing comes from the camera. */
export function isDead(status) {
  return DEAD.includes(stateOf(status));
}

/** Sorts cameras with open alerts first, then those that are live, then dead ones; by state and name within each. */
export function byUrgency(a, b) {
  const stateRank = (status) => CAMERA_STATES.indexOf(stateOf(status));
  const byName = a.streamId.localeCompare(b.streamId, [], { numeric: true });
  return rank(a) - rank(b) || stateRank(a) - stateRank(b) || byName;
}

function rank(status) {
  if (status.openAlerts > 0) return 0;
  return isDead(status) ? 2 : 1;
}

/** Whether the source has ended, and no frame was published since. */
function hasEnded({ lastEvent, reportNs }) {
  return lastEvent?.disturbance === "ended" && (reportNs === null || msOf(lastEvent.at_ns) >= msOf(reportNs));
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

/** Shows what is wrong with the camera now; hides the paragraph if nothing is. */
export function drawTrouble(paragraph, status, ...before) {
  const troubles = status.disturbances.map((one) => {
    const detail = one.detail ? `: ${one.detail}` : "";
    return `${titleOf(one)} for ${formatAge(one.since_ns).replace(" ago", "")}${detail}`;
  });
  if (hasEnded(status)) troubles.push(`The source ended ${formatAge(status.lastEvent.at_ns)}`);
  paragraph.hidden = troubles.length === 0;
  replace(paragraph, ...before, troubles.join("; "));
}

/** A link to the open alerts of a camera; null if there are none. */
export function openAlertsLink({ streamId, openAlerts }, query) {
  if (openAlerts === 0) return null;
  const href = `/alerts?review=any${query}&camera=${encodeURIComponent(streamId)}`;
  return el("a.tag.tag-open", { href }, pluralize(openAlerts, "open alert"));
}
