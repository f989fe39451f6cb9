// Ids and numbers of the API as text.

const LABELS = {
  unreviewed: "To review",
  mine: "Assigned to me",
  not_published: "never published",
  other_run: "Of another source",
  judging_error: "Could not be judged",
  back_off: "Waiting after a failure",
};

export const SEVERITIES = ["critical", "warning", "info"];
export const CAMERA_STATES = ["alerting", "no_signal", "calibrating", "watching", "stale", "offline"];

/** Why an alert was closed, after a colon. */
export const CLOSED_BECAUSE = {
  cleared: "the frames are as expected again",
  new_run: "the source was started again",
  silent: "no more frames came",
  failed: "judging failed, and the camera's state began anew",
};

/** An id as a label: "distribution_shift" becomes "Distribution shift". */
export function humanize(id) {
  if (LABELS[id]) return LABELS[id];
  const text = String(id).replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The same within a sentence: "distribution shift". */
export function humanizeLower(id) {
  return humanize(id).toLowerCase();
}

/** A ratio to its threshold: "3.4×". */
export function formatRatio(value) {
  if (value === null || value === undefined) return "–";
  return `${value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)}×`;
}

/** A p-value: "0.013", "< 0.001". */
export function formatPValue(value) {
  if (value === null || value === undefined) return "–";
  return value < 0.001 ? "< 0.001" : value.toFixed(3);
}

/** Bytes as MB or kB. */
export function formatBytes(count) {
  return count >= 1e6 ? `${(count / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(count / 1e3))} kB`;
}

/** "1 alert", "2 alerts". */
export function pluralize(count, one) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : `${one}s`}`;
}

/** What an action changed, in one line: "assignee: nothing → ada". */
export function describeChange(before, after) {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  const shown = (value) => {
    if (value === null || value === undefined || value === "") return "nothing";
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  };
  return names
    .filter((name) => !name.endsWith("_ns") && shown(before?.[name]) !== shown(after?.[name]))
    .map((name) => `${humanizeLower(name)}: ${shown(before?.[name])} → ${shown(after?.[name])}`)
    .join(", ");
}
