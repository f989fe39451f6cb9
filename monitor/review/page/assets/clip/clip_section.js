// The clip around an alert and its scores, with a common cursor.

import { get, isFailure } from "../api.js";
import { choice, loadFailure, skeletons } from "../controls.js";
import { RegionLayer, regionSwitch } from "../corrections/regions.js";
import { el, replace } from "../dom.js";
import { secondsBetween } from "../times.js";
import { drawMarks } from "./marks.js";
import { Player } from "./player.js";
import { Timeline } from "./timeline.js";

const SWITCHES = { boxes: "Boxes", paths: "Trajectories and uncertainty", truth: "Ground truth" };

/** Loads and shows the clip and the scores of an alert. */
export class ClipSection {
  #switches = { boxes: true, paths: true, truth: false };
  #startNs = null;
  #loading = null;
  #hasTruth = false;
  #mutes = [];

  constructor(catalog) {
    this.regions = new RegionLayer();
    this.player = new Player((context, frame, scale) => {
      drawMarks(context, frame, scale, this.#switches);
      this.regions.draw(scale, frame.capture_ns);
    });
    this.player.marks.before(this.regions.element);
    this.timeline = new Timeline(catalog, "Scores during the clip; click to show the frame");
    this.player.addEventListener(
      "seek",
      ({ detail: frame }) =>
        frame.capture_ns && this.#startNs && this.timeline.cursor(secondsBetween(this.#startNs, frame.capture_ns)),
    );
    this.timeline.element.classList.add("card");
    this.timeline.addEventListener("scrub", ({ detail: seconds }) =>
      this.player.seekCapture(String(BigInt(this.#startNs) + BigInt(Math.round(seconds * 1e9)))),
    );
    this.overlays = el("div.overlay-switches.beside.wrap", { role: "group", "aria-label": "Overlays" });
    this.picture = el("div", skeletons(1, "skeleton-picture"));
    this.scores = el("div", skeletons(1, "skeleton-chart"));
    this.element = el("div.clip", this.picture, this.scores);
  }

  /** Loads the clip of an alert; the one that is shown stays until then. */
  async load(alert) {
    this.#loading?.abort();
    this.#loading = new AbortController();
    const { signal } = this.#loading;
    const path = `/alerts/${alert.alert_id}/clip`;
    try {
      const [clip, series] = await Promise.all([get(path, signal), get(`${path}/scores`, signal)]);
      if (clip.frames.length > 0) this.#show(alert, clip, series);
      else
        this.#showFailure(alert, "Kafka no longer keeps the frames of this window, and no evidence file was written.");
    } catch (error) {
      if (isFailure(error) && this.#startNs === null) this.#showFailure(alert, error.message);
    }
  }

  /** Sets the muted regions of the camera. */
  showMutes(mutes) {
    const hasChanged = mutes.length > 0 !== this.#mutes.length > 0;
    this.#mutes = mutes;
    this.regions.show(mutes);
    if (hasChanged && this.#startNs !== null) this.#drawSwitches();
  }

  /** The frame that is shown: {frame, picture (null: it has none), width, height}; null if no size is known. */
  get still() {
    const frame = this.player.frames[this.player.at];
    const picture = frame && this.player.note.hidden && frame.url !== null ? this.player.picture : null;
    const sized = this.player.frames.find((one) => one.width_px);
    const width = frame?.width_px ?? picture?.width ?? sized?.width_px;
    const height = frame?.height_px ?? picture?.height ?? sized?.height_px;
    return width && height ? { frame, picture, width, height } : null;
  }

  close() {
    this.#loading?.abort();
    this.player.close();
  }

  #show(alert, clip, series) {
    this.#startNs = alert.onset_capture_ns; // the origin of all times that are shown
    const relative = (ns) => secondsBetween(this.#startNs, ns);
    if (!this.player.element.isConnected) replace(this.picture, this.player.element, this.overlays);
    if (!this.timeline.element.isConnected) replace(this.scores, this.timeline.element);
    this.#hasTruth = clip.frames.some((frame) => frame.truth.length > 0);
    this.#drawSwitches();
    this.timeline.show(series, series.capture_ns.map(relative), {
      from: relative(clip.start_capture_ns),
      to: relative(endNsOf(clip)),
      onset: 0,
      peak: alert.peak_capture_ns === null ? null : relative(alert.peak_capture_ns),
      last: relative(alert.last_capture_ns),
    });
    this.player.show(clip);
  }

  #drawSwitches() {
    const overlaySwitch = (name) => {
      const change = (event) => {
        this.#switches[name] = event.target.checked;
        this.player.redraw();
      };
      return choice({ type: "checkbox", checked: this.#switches[name], on: { change } }, SWITCHES[name]);
    };
    const names = Object.keys(SWITCHES).filter((name) => name !== "truth" || this.#hasTruth);
    replace(
      this.overlays,
      names.map(overlaySwitch),
      this.#mutes.length > 0 ? regionSwitch(this.regions) : null,
      choice({ type: "checkbox", disabled: true, title: "Not available in this version" }, "Explanation maps"),
    );
  }

  #showFailure(alert, text) {
    const retry = () => this.load(alert);
    replace(this.picture, loadFailure("the clip", text, retry));
    this.scores.replaceChildren();
  }
}

/** The end of a clip, or its last frame if that is earlier. */
function endNsOf(clip) {
  const captured = clip.frames.findLast((frame) => frame.capture_ns !== null);
  return captured && BigInt(captured.capture_ns) < BigInt(clip.end_capture_ns)
    ? captured.capture_ns
    : clip.end_capture_ns;
}
