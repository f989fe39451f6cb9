// What ids of the API are called in words, and numbers as people read them.

const WORDS = {
  expectancy_mismatch: "Expectancy mismatch",
  distribution_shift: "Distribution shift",
  offline: "Offline",
  unreviewed: "To review",
  mine: "Assigned to me",
  not_published: "never published",
};

export const SEVERITIES = ["critical", "warning", "info"];
export const CAMERA_STATES = ["alerting", "offline", "stale", "calibrating", "watching"]; // worst first

/** An id with its underscores gone and its first letter large. */
export function words(id) {
  if (WORDS[id]) return WORDS[id];
  const text = String(id).replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A ratio to its threshold: "3.4×". */
export function ratio(value) {
  if (value === null || value === undefined) return "–";
  return `${value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)}×`;
}

/** A p-value: "0.013", "< 0.001". */
export function pValue(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.001) return "< 0.001";
  return value.toFixed(3);
}

/** Bytes as MB or kB. */
export function bytes(count) {
  return count >= 1e6 ? `${(count / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(count / 1e3))} kB`;
}

/** "1 alert", "2 alerts". */
export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}
