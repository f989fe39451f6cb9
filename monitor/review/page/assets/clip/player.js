// Plays a clip of single pictures: scrub, play at the speed of capture, step by frame. Marks are drawn over it.

import { iconButton, select } from "../controls.js";
import { el, replace } from "../dom.js";
import { humanize, humanizeLower } from "../format.js";
import { icon } from "../icons.js";
import { secondsBetween } from "../times.js";
import { clearedContext } from "./canvas.js";
import { Frames } from "./frames.js";

const SPEEDS = [0.25, 0.5, 1, 2, 4];
const MAX_WAIT_MS = 1_000; // at a gap in the clip
const PREFETCHED = 10; // frames
const MAX_TICKS = 200;

/** Dispatches `seek` with each frame that is shown; `drawMarks(context, frame, scale)` draws over its picture. */
export class Player extends EventTarget {
  frames = [];
  at = 0;
  #onsetAt = 0;
  #onsetNs = "0";
  #drawMarks;
  #pictures = new Frames();
  #isPlaying = false;
  #timer = 0;
  #seeks = 0;

  constructor(drawMarks) {
    super();
    this.#drawMarks = drawMarks;
    this.picture = el("canvas.stage-picture.layer", { role: "img", "aria-label": "Frame" });
    this.marks = el("canvas.stage-marks.layer", { "aria-hidden": "true" });
    this.note = el("div.stage-note.layer", { hidden: true });
    this.caption = el("figcaption.stage-caption.number");
    this.stage = el("figure.stage", this.picture, this.marks, this.note, this.caption);
    this.scrubber = el("input.scrubber", {
      type: "range",
      min: 0,
      max: 0,
      value: 0,
      step: 1,
      "aria-label": "Frame of the clip",
      on: { input: () => this.seek(Number(this.scrubber.value)) },
    });
    this.ticks = el("div.scrub-ticks", { "aria-hidden": "true" });
    this.playButton = iconButton("play", "Play", () => this.toggle(), { class: "icon-only", title: "Play (Space)" });
    const speeds = SPEEDS.map((speed) => [speed, `${speed}×`]);
    this.speed = select(speeds, 1, { class: "speed", "aria-label": "Speed" });
    this.controls = el(
      "div.player-controls.level",
      this.playButton,
      iconButton("back", "Previous frame (←)", () => this.step(-1)),
      iconButton("forward", "Next frame (→)", () => this.step(1)),
      iconButton("onset", "Go to the onset (0)", () => this.toOnset()),
      el("div.scrub", this.scrubber, this.ticks),
      this.speed,
    );
    this.element = el("div", this.stage, this.controls);
    new ResizeObserver(() => this.redraw()).observe(this.stage);
  }

  /** Shows a clip at its onset, or at the same frame as before if it contains that. */
  show(clip) {
    const shownSeq = this.frames[this.at]?.seq;
    this.frames = clip.frames;
    this.#onsetAt = Math.max(
      0,
      this.frames.findIndex((frame) => frame.seq >= clip.onset_seq),
    );
    this.#onsetNs = this.frames[this.#onsetAt]?.capture_ns ?? clip.start_capture_ns;
    const sized = this.frames.find((frame) => frame.width_px);
    if (sized) this.stage.style.setProperty("aspect-ratio", `${sized.width_px} / ${sized.height_px}`);
    this.scrubber.max = Math.max(0, this.frames.length - 1);
    this.#drawTicks(clip);
    const kept = this.frames.findIndex((frame) => frame.seq === shownSeq);
    this.seek(kept >= 0 ? kept : this.#onsetAt);
  }

  /** Shows the frame at an index of the clip. */
  async seek(at) {
    if (this.frames.length === 0) return;
    this.at = Math.min(this.frames.length - 1, Math.max(0, at));
    const frame = this.frames[this.at];
    const seek = (this.#seeks += 1);
    this.scrubber.value = this.at;
    this.scrubber.setAttribute("aria-valuetext", `Frame ${frame.seq}, ${this.#sinceOnset(frame)}`);
    this.dispatchEvent(new CustomEvent("seek", { detail: frame }));
    const bitmap = await this.#bitmap(frame);
    if (seek !== this.#seeks) return bitmap?.close(); // another frame was asked for meanwhile
    this.#draw(frame, bitmap);
    this.#pictures.prefetch(this.frames.slice(this.at + 1, this.at + 1 + PREFETCHED).map((next) => next.url));
  }

  /** Shows the frame that was captured nearest to a time. */
  seekCapture(captureNs) {
    const distance = (frame) =>
      frame.capture_ns === null ? Infinity : Math.abs(secondsBetween(captureNs, frame.capture_ns));
    const nearest = this.frames.reduce(
      (best, frame, at) => (distance(frame) < distance(this.frames[best]) ? at : best),
      0,
    );
    this.seek(nearest);
  }

  step(by) {
    this.#stop();
    this.seek(this.at + by);
  }

  toOnset() {
    this.#stop();
    this.seek(this.#onsetAt);
  }

  toggle() {
    if (this.#isPlaying) return this.#stop();
    if (this.at >= this.frames.length - 1) this.at = -1;
    this.#isPlaying = true;
    replace(this.playButton, icon("pause")).setAttribute("aria-label", "Pause");
    this.#play();
  }

  /** Draws the marks again after a change of size or switches. */
  redraw() {
    const frame = this.frames[this.at];
    const context = frame && clearedContext(this.marks);
    if (context) this.#drawMarks(context, frame, this.marks.clientWidth / (frame.width_px ?? this.picture.width));
  }

  close() {
    this.#stop();
    this.#pictures.close();
  }

  async #play() {
    while (this.#isPlaying && this.at < this.frames.length - 1) {
      const startMs = performance.now();
      const from = this.frames[Math.max(0, this.at)];
      await this.seek(this.at + 1);
      const to = this.frames[this.at];
      const gapMs = from.capture_ns && to.capture_ns ? 1000 * secondsBetween(from.capture_ns, to.capture_ns) : 100;
      const dueMs = Math.min(MAX_WAIT_MS, gapMs) / Number(this.speed.value) - (performance.now() - startMs);
      await new Promise((resolve) => {
        this.#timer = setTimeout(resolve, Math.max(0, dueMs));
      });
    }
    this.#stop();
  }

  #stop() {
    this.#isPlaying = false;
    clearTimeout(this.#timer);
    replace(this.playButton, icon("play")).setAttribute("aria-label", "Play");
  }

  async #bitmap(frame) {
    if (frame.url === null) return null;
    try {
      return await createImageBitmap(await this.#pictures.picture(frame.url));
    } catch {
      return null;
    }
  }

  #draw(frame, bitmap) {
    if (bitmap) {
      if (this.picture.width !== bitmap.width) this.picture.width = bitmap.width;
      if (this.picture.height !== bitmap.height) this.picture.height = bitmap.height;
      this.picture.getContext("2d").drawImage(bitmap, 0, 0);
      if (!frame.width_px) this.stage.style.setProperty("aspect-ratio", `${bitmap.width} / ${bitmap.height}`);
      bitmap.close();
    } else {
      this.picture.getContext("2d").clearRect(0, 0, this.picture.width, this.picture.height);
    }
    const cause = frame.missing ? humanizeLower(frame.missing) : "could not be loaded";
    this.note.hidden = bitmap !== null;
    this.note.textContent = bitmap ? "" : `No picture of frame ${frame.seq}: ${cause}`;
    const when = this.#sinceOnset(frame);
    const seen = frame.boxes.map((box) => humanizeLower(box.label)).join(", ") || "nothing";
    this.picture.setAttribute("aria-label", `Frame ${frame.seq}, ${when} from the onset; seen: ${seen}`);
    const outcome = `${humanize(frame.outcome)}${frame.cause ? `: ${humanizeLower(frame.cause)}` : ""}`;
    const isJudged = frame.outcome === null || frame.outcome === "judged";
    const parts = [`frame ${frame.seq}`, when, frame.state && humanize(frame.state), !isJudged && outcome];
    replace(
      this.caption,
      parts.filter(Boolean).map((part) => el("span", part)),
    );
    this.redraw();
  }

  #sinceOnset(frame) {
    if (frame.capture_ns === null) return "time unknown";
    const seconds = secondsBetween(this.#onsetNs, frame.capture_ns);
    return `${seconds < 0 ? "−" : "+"}${Math.abs(seconds).toFixed(2)} s`;
  }

  #drawTicks({ last_seq: lastSeq }) {
    const share = (at) => `${(100 * at) / Math.max(1, this.frames.length - 1)}%`;
    const left = share(this.#onsetAt);
    const lastAt = Math.max(
      this.#onsetAt,
      this.frames.findLastIndex((frame) => frame.seq <= lastSeq),
    );
    const missing = this.frames.flatMap((frame, at) =>
      frame.url === null ? [el("span.tick-missing", { style: { left: share(at) } })] : [],
    );
    replace(
      this.ticks,
      el("span.tick-span", { style: { left, width: share(lastAt - this.#onsetAt) } }),
      missing.slice(0, MAX_TICKS),
      el("span.tick-onset", { style: { left } }, "onset"),
    );
  }
}
