// Groups alerts that were raised within seconds of each other into bursts.

import { msOf } from "../times.js";

const MAX_GAP_MS = 2_000; // between neighbors of a burst
const MIN_ALERTS = 8;

/**
 * The rows of a list, newest first: {id, alert}, or {id, burst} followed by the alerts of the burst if `opened`
 * contains its id. The id of a burst is derived from one of its alerts, its anchor; `anchors` remembers it, so that
 * the id stays the same when newer alerts join the burst or older ones are loaded. The alert `keptId` is always shown.
 */
export function rowsOf(alerts, opened, anchors, keptId = null) {
  const rows = [];
  for (let start = 0; start < alerts.length;) {
    const end = endOfBurst(alerts, start);
    const members = alerts.slice(start, end);
    if (members.length < MIN_ALERTS) {
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
  while (end < alerts.length && msOf(alerts[end - 1].raised_ns) - msOf(alerts[end].raised_ns) <= MAX_GAP_MS) end += 1;
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
