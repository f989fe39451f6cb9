// Attachments, recording tags, revisions and ids of an alert.

import { definitions, folded, table } from "../controls.js";
import { el } from "../dom.js";
import { formatBytes, formatRatio, humanize, humanizeLower } from "../format.js";
import { icon } from "../icons.js";
import { formatTime, timeElement } from "../times.js";

const IDENTIFIERS = [
  "alert_id",
  "stream_id",
  "run_id",
  "onset_seq",
  "peak_seq",
  "last_seq",
  "partition",
  "first_offset",
  "last_offset",
  "threshold",
  "models_id",
  "calibration_id",
  "configuration_id",
  "traceparent",
];

/** The contents of the card. */
export function detailsCard(alert) {
  const valueOf = (name) => (alert[name] === null || alert[name] === "" ? "–" : String(alert[name]));
  const identifiers = IDENTIFIERS.map((name) => [humanize(name), valueOf(name)]);
  return [
    el("h2", { id: "details-title" }, "Details"),
    alert.attachments.length > 0 ? alert.attachments.map(attachment) : noAttachment(),
    recording(alert.tags),
    folded(`Revisions (${alert.revisions.length})`, revisions(alert.revisions)),
    folded("Identifiers", definitions("pairs ids stack", identifiers)),
  ];
}

function noAttachment() {
  const command = el("code", "gradwatch evidence");
  return el("p.muted", "No evidence file yet. ", command, " writes one some time after the alert.");
}

function attachment({ kind, url, size_bytes: size, published_ns: publishedNs, sha256, body }) {
  const missing = body.missing ? `, ${body.missing} missing` : "";
  const frames = typeof body.frames === "number" ? `, ${body.frames} frames${missing}` : "";
  return el(
    "div.attachment",
    icon("file"),
    el(
      "div",
      url ? el("a", { href: url, download: true }, humanize(kind)) : humanize(kind),
      el("span.muted", ` ${formatBytes(size)}, ${formatTime(publishedNs)}${frames}`),
      el("p.hash.muted.small", "SHA-256 ", el("code", sha256 || "unknown")),
    ),
  );
}

function recording(tags) {
  const entries = Object.entries(tags).map(([name, value]) => [humanize(name), String(value)]);
  if (entries.length === 0) return null;
  return el(
    "div",
    el("h3", "Recording"),
    el("p.muted.small", "Tags of this recording; not used for judging."),
    definitions("pairs stack", entries),
  );
}

function revisions(found) {
  const cause = ({ closed_because: id }) => (id ? `: ${humanizeLower(id)}` : "");
  const row = (one) =>
    el(
      "tr",
      { title: one.reason },
      el("td.number", one.revision),
      el("td.number", timeElement(one.published_ns)),
      el("td", humanize(one.severity)),
      el("td", humanize(one.state), cause(one)),
      el("td.number", formatRatio(one.score)),
      el("td", one.muted ? "muted" : ""),
    );
  return table(["", "At", "Severity", "State", "Peak", ""], [...found].reverse().map(row));
}
