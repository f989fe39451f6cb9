// Bursts: many alerts in a few seconds are one row, until somebody wants to see them.

import { msOf } from "../times.js";

const GAP_MS = 2_000; // between neighbors of a burst
const LEAST = 8; // alerts

/**
 * The rows of a list, newest first: {alert} for single ones, {burst} for the head of a burst, whose alerts follow
 * where its id is in `opened`. A burst is named after one of its alerts, its anchor; `anchors` remembers which, so
 * that it keeps its name when newer alerts join it or older ones are loaded. `keptId` is an alert that is never hidden.
 */
export function rowsOf(alerts, opened, anchors, keptId = null) {
  const rows = [];
  for (let start = 0; start < alerts.length;) {
    const end = endOfBurst(alerts, start);
    const members = alerts.slice(start, end);
    if (members.length < LEAST) {
      rows.push(...members.map((alert) => ({ id: alert.alert_id, alert })));
    } else {
      const anchor = (members.find((alert) => anchors.has(alert.alert_id)) ?? members.at(-1)).alert_id;
      anchors.add(anchor);
      const burst = summary(`burst-${anchor}`, members, opened);
      rows.push({ id: burst.id, burst });
      const shown = burst.isOpen ? members : members.filter((alert) => alert.alert_id === keptId);
      rows.push(...shown.map((alert) => ({ id: alert.alert_id, alert, isMember: true })));
    }
    start = end;
  }
  return rows;
}

function endOfBurst(alerts, start) {
  let end = start + 1;
  while (end < alerts.length && msOf(alerts[end - 1].raised_ns) - msOf(alerts[end].raised_ns) <= GAP_MS) end += 1;
  return end;
}

function summary(id, members, opened) {
  const bySeverity = { critical: 0, warning: 0, info: 0 };
  for (const alert of members) bySeverity[alert.severity] += 1;
  const cameras = new Set(members.map((alert) => alert.stream_id));
  const spanS = (msOf(members[0].raised_ns) - msOf(members.at(-1).raised_ns)) / 1000;
  const unacknowledged = members.filter((alert) => alert.review.acknowledged_by === null);
  return { id, isOpen: opened.has(id), members, bySeverity, cameras, spanS, unacknowledged };
}
