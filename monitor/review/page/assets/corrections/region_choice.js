// The part of the correction dialog that mutes a part of the picture: where, which objects, and until when.

import { field, select } from "../controls.js";
import { el } from "../dom.js";
import { msOf, nowMs } from "../times.js";
import { RegionEditor } from "./region_editor.js";

const OBJECTS = [
  ["", "Everything"],
  ["sign", "Signs"],
  ["pedestrian", "Pedestrians"],
];
const SPANS = [
  ["", "Until withdrawn"],
  [3600, "1 hour"],
  [86_400, "1 day"],
];
const LIVE_WITHIN_MS = 60_000; // between a report's capture and its publishing

/** Asks for a region of the frame `still`; `camera` is a promise of the camera's status, or of null. */
export class RegionChoice {
  name = "region";
  title = "Ignore this part of the picture";

  constructor(alert, still, mutes, camera) {
    this.objects = select(OBJECTS, "");
    this.until = select(SPANS, "");
    const untilField = field("Duration", this.until);
    untilField.hidden = true;
    const options = el("div.region-options.beside", field("Objects", this.objects), untilField);
    this.editor = new RegionEditor(still, mutes, boundsAround(alert, still.frame), options);
    this.element = el("fieldset.stack", el("legend.visually-hidden", this.title), this.editor.element);
    camera.then((known) => {
      untilField.hidden = !isLive(known);
    });
  }

  /** The correction for the API. */
  get body() {
    const [objects, span] = [this.objects.value, this.until.value];
    return {
      kind: "mute_region",
      polygon: this.editor.polygon,
      object_kinds: objects === "" ? [] : [objects],
      until_ns: span === "" ? null : `${Math.round(nowMs() + 1000 * Number(span))}000000`,
    };
  }
}

/** Whether a camera's capture time is the time of day. The end of a region is a capture time: replays have others. */
function isLive(camera) {
  const report = camera?.report;
  return Boolean(report) && Math.abs(msOf(report.published_ns) - msOf(report.capture_ns)) < LIVE_WITHIN_MS;
}

/** The bounds (xyxy, px) of the alert's track, else of all boxes; null if there are none. */
function boundsAround(alert, frame) {
  const track = frame.tracks.find((one) => one.track_id === alert.track_id);
  if (track) return track.xyxy;
  if (frame.boxes.length === 0) return null;
  const edge = (at, outermost) => outermost(...frame.boxes.map((box) => box.xyxy[at]));
  return [edge(0, Math.min), edge(1, Math.min), edge(2, Math.max), edge(3, Math.max)];
}
