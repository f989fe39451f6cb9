// The clip around an alert and the scores beside it, with one cursor for both.

import { ApiError, get } from "../api.js";
import { el, notice, replace, skeletons } from "../dom.js";
import { icon } from "../icons.js";
import { secondsBetween } from "../times.js";
import { RegionLayer, regionSwitch } from "../verdicts/regions.js";
import { drawMarks } from "./marks.js";
import { Player } from "./player.js";
import { Timeline } from "./timeline.js";

const SWITCHES = [
  ["boxes", "Boxes"],
  ["paths", "Trajectories and uncertainty"],
  ["truth", "Ground truth"],
];

/** Loads and shows the window of an alert. */
export class ClipSection {
  #switches = { boxes: true, paths: true, truth: false };
  #startNs = null;
  #asked = null;
  #hasTruth = false;
  #mutes = [];

  constructor(catalog) {
    this.regions = new RegionLayer();
    this.player = new Player((context, frame, scale) => {
      drawMarks(context, frame, scale, this.#switches);
      this.regions.draw(scale, frame.capture_ns);
    });
    this.player.marks.before(this.regions.element);
    this.timeline = new Timeline(catalog, "Scores over the time of the clip; click to show the frame");
    this.player.addEventListener(
      "seek",
      ({ detail: frame }) =>
        frame.capture_ns && this.#startNs && this.timeline.cursor(secondsBetween(this.#startNs, frame.capture_ns)),
    );
    this.timeline.addEventListener("scrub", ({ detail: seconds }) =>
      this.player.seekCapture(String(BigInt(this.#startNs) + BigInt(Math.round(seconds * 1e9)))),
    );
    this.overlays = el("div", { class: "overlay-switches", role: "group", "aria-label": "Overlays" });
    this.picture = el("div", {}, skeletons(1, "skeleton-picture"));
    this.scores = el("div", {}, skeletons(1, "skeleton-chart"));
    this.element = el("div", { class: "clip" }, this.picture, this.scores);
  }

  /** Asks for the window; what is shown stays until more has come. */
  async load(alert) {
    this.#asked?.abort();
    this.#asked = new AbortController();
    const path = `/alerts/${alert.alert_id}/clip`;
    try {
      const [clip, series] = await Promise.all([
        get(path, this.#asked.signal),
        get(`${path}/scores`, this.#asked.signal),
      ]);
      this.#show(alert, clip, series);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof ApiError)) throw error;
      if (this.#startNs === null) this.#fail(alert, error);
    }
  }

  /** The regions that reviewers have muted at the camera. */
  showMutes(mutes) {
    const isFirst = mutes.length > 0 !== this.#mutes.length > 0;
    this.#mutes = mutes;
    this.regions.show(mutes);
    if (isFirst && this.#startNs !== null) this.#drawSwitches();
  }

  /** The frame that is shown: {frame, picture (null: it has none), width, height}; null where no size is known. */
  get still() {
    const frame = this.player.frames[this.player.at];
    const picture = frame && this.player.note.hidden && frame.url !== null ? this.player.picture : null;
    const sized = this.player.frames.find((one) => one.width_px);
    const width = frame?.width_px ?? picture?.width ?? sized?.width_px;
    const height = frame?.height_px ?? picture?.height ?? sized?.height_px;
    return width && height ? { frame, picture, width, height } : null;
  }

  close() {
    this.#asked?.abort();
    this.player.close();
  }

  #show(alert, clip, series) {
    if (clip.frames.length === 0) return this.#fail(alert, null);
    this.#startNs = alert.onset_capture_ns; // the origin of all times that are shown
    const relative = (ns) => secondsBetween(this.#startNs, ns);
    if (!this.player.element.isConnected) replace(this.picture, this.player.element, this.overlays);
    if (!this.timeline.element.isConnected) replace(this.scores, this.timeline.element);
    this.#hasTruth = clip.frames.some((frame) => frame.truth.length > 0);
    this.#drawSwitches();
    this.timeline.show(series, series.capture_ns.map(relative), {
      from: relative(clip.start_capture_ns),
      to: relative(lastOf(clip)),
      onset: 0,
      last: relative(alert.last_capture_ns),
    });
    this.player.show(clip);
  }

  #drawSwitches() {
    const choice = ([name, text]) =>
      el(
        "label",
        { class: "choice" },
        el("input", {
          type: "checkbox",
          checked: this.#switches[name],
          disabled: name === "truth" && !this.#hasTruth,
          on: {
            change: (event) => {
              this.#switches[name] = event.target.checked;
              this.player.redraw();
            },
          },
        }),
        text,
      );
    replace(
      this.overlays,
      SWITCHES.filter(([name]) => name !== "truth" || this.#hasTruth).map(choice),
      this.#mutes.length > 0 ? regionSwitch(this.regions) : null,
      el(
        "label",
        { class: "choice", title: "Not made by this version" },
        el("input", { type: "checkbox", disabled: true }),
        "Explanation maps",
      ),
    );
  }

  #fail(alert, error) {
    const again = el("button", { class: "button", type: "button", on: { click: () => this.load(alert) } }, "Try again");
    const text =
      error === null
        ? "Kafka no longer keeps the frames of this window, and no evidence file was written."
        : error.message;
    replace(this.picture, notice(icon("offline"), "The clip did not come", text, again));
    this.scores.replaceChildren();
  }
}

function lastOf(clip) {
  const captured = clip.frames.findLast((frame) => frame.capture_ns !== null);
  return captured && BigInt(captured.capture_ns) < BigInt(clip.end_capture_ns)
    ? captured.capture_ns
    : clip.end_capture_ns;
}
