// What identifies an alert and what it was judged by: ids, revisions, evidence, recording tags.

import { el } from "../dom.js";
import { icon } from "../icons.js";
import { clock, moment } from "../times.js";
import { bytes, ratio, words } from "../words.js";

/** The card. */
export function facts(alert) {
  return [
    el("h2", { id: "facts-title" }, "Facts"),
    attachments(alert),
    recording(alert.tags),
    el("details", { class: "more" }, el("summary", {}, `Revisions (${alert.revisions.length})`), revisions(alert)),
    el("details", { class: "more" }, el("summary", {}, "Identifiers"), identifiers(alert)),
  ];
}

function attachments({ attachments: found }) {
  if (found.length === 0)
    return el(
      "p",
      { class: "muted" },
      "No evidence file yet. ",
      el("code", {}, "gradwatch evidence"),
      " writes one a while after the alert.",
    );
  return found.map((one) =>
    el(
      "div",
      { class: "attachment" },
      icon("file"),
      el(
        "div",
        {},
        one.url ? el("a", { href: one.url, download: true }, words(one.kind)) : words(one.kind),
        el("span", { class: "muted" }, ` ${bytes(one.size_bytes)}, ${clock(one.published_ns)}`),
        typeof one.body.frames === "number"
          ? el(
              "span",
              { class: "muted" },
              `, ${one.body.frames} frames${one.body.missing ? `, ${one.body.missing} missing` : ""}`,
            )
          : null,
        el("p", { class: "hash" }, "SHA-256 ", el("code", {}, one.sha256 || "not told")),
      ),
    ),
  );
}

function recording(tags) {
  const entries = Object.entries(tags);
  if (entries.length === 0) return null;
  return el(
    "div",
    {},
    el("h3", {}, "Recording"),
    el("p", { class: "muted small" }, "Known of this replayed recording; judging never sees it."),
    pairs(entries.map(([name, value]) => [words(name), String(value)])),
  );
}

function revisions({ revisions: found }) {
  return el(
    "table",
    { class: "plain" },
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        ["", "At", "Severity", "State", "Score", ""].map((head) => el("th", { scope: "col" }, head)),
      ),
    ),
    el(
      "tbody",
      {},
      [...found]
        .reverse()
        .map((one) =>
          el(
            "tr",
            { title: one.reason },
            el("td", { class: "number" }, one.revision),
            el("td", { class: "number" }, el("time", { title: moment(one.published_ns) }, clock(one.published_ns))),
            el("td", {}, words(one.severity)),
            el("td", {}, words(one.state)),
            el("td", { class: "number" }, ratio(one.score)),
            el("td", {}, one.muted ? "muted" : ""),
          ),
        ),
    ),
  );
}

function identifiers(alert) {
  const names = [
    "alert_id",
    "stream_id",
    "run_id",
    "onset_seq",
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
  return pairs(
    names.map((name) => [words(name), alert[name] === null || alert[name] === "" ? "–" : String(alert[name])]),
    "pairs ids",
  );
}

/** Names and values side by side. */
export function pairs(entries, className = "pairs") {
  return el(
    "dl",
    { class: className },
    entries.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
  );
}
