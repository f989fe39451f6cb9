// "Ignore this part of the picture": where, what, and until when.

import { el } from "../dom.js";
import { msOf, nowMs } from "../times.js";
import { RegionEditor } from "./region_editor.js";

const OBJECTS = [
  ["", "Everything"],
  ["sign", "Signs"],
  ["pedestrian", "Pedestrians"],
];
const SPANS = [
  ["", "Until taken back"],
  [3600, "1 hour"],
  [86_400, "1 day"],
];
const LIVE_WITHIN_MS = 60_000; // between a report's capture and its publishing

/** The choice over the frame `still`; `camera` promises how the camera stands, or null. */
export class RegionChoice {
  name = "region";
  title = "Ignore this part of the picture";

  constructor(alert, still, mutes, camera) {
    this.objects = select("What in it", OBJECTS);
    this.until = select("For", SPANS);
    this.until.hidden = true;
    const options = el("div", { class: "region-options" }, this.objects, this.until);
    this.editor = new RegionEditor(still, mutes, aroundOf(alert, still.frame), options);
    this.element = el(
      "fieldset",
      { class: "stack" },
      el("legend", { class: "visually-hidden" }, this.title),
      this.editor.element,
    );
    camera.then((known) => {
      this.until.hidden = !isLive(known);
    });
  }

  /** What the API is told. */
  get body() {
    const [objects, span] = [this.objects, this.until].map((field) => field.querySelector("select").value);
    return {
      kind: "mute_region",
      polygon: this.editor.polygon,
      object_kinds: objects === "" ? [] : [objects],
      until_ns: span === "" ? null : `${Math.round(nowMs() + 1000 * Number(span))}000000`,
    };
  }
}

/** Whether a camera's capture time is the time of day: of a replayed one an hour from now means nothing. */
function isLive(camera) {
  const report = camera?.report;
  return Boolean(report) && Math.abs(msOf(report.published_ns) - msOf(report.capture_ns)) < LIVE_WITHIN_MS;
}

/** What the alert is about: its track, else all that is seen; null where nothing is. */
function aroundOf(alert, frame) {
  const track = frame.tracks.find((one) => one.track_id === alert.track_id);
  if (track) return track.xyxy;
  if (frame.boxes.length === 0) return null;
  const edges = frame.boxes.map((box) => box.xyxy);
  const edge = (at, outermost) => outermost(...edges.map((xyxy) => xyxy[at]));
  return [edge(0, Math.min), edge(1, Math.min), edge(2, Math.max), edge(3, Math.max)];
}

function select(label, options) {
  const chosen = el(
    "select",
    {},
    options.map(([value, text]) => el("option", { value }, text)),
  );
  return el("label", { class: "field" }, label, chosen);
}
