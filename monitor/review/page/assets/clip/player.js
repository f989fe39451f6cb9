// A clip of single pictures: scrub, play at the speed of capture, step by frame; marks are drawn over it.

import { el, replace } from "../dom.js";
import { icon } from "../icons.js";
import { secondsBetween } from "../times.js";
import { words } from "../words.js";
import { Frames } from "./frames.js";

const SPEEDS = [0.25, 0.5, 1, 2, 4];
const LONGEST_WAIT_MS = 1_000; // for a gap in the clip

/** Tells `seek` with the frame's place; `drawMarks(context, frame, scale)` draws over the picture. */
export class Player extends EventTarget {
  frames = [];
  at = 0;
  #onsetAt = 0;
  #onsetNs = "0";
  #drawMarks;
  #pictures = new Frames();
  #isPlaying = false;
  #timer = 0;
  #wanted = 0;

  constructor(drawMarks) {
    super();
    this.#drawMarks = drawMarks;
    this.picture = el("canvas", { class: "stage-picture", role: "img", "aria-label": "Frame" });
    this.marks = el("canvas", { class: "stage-marks", "aria-hidden": "true" });
    this.note = el("div", { class: "stage-note", hidden: true });
    this.caption = el("figcaption", { class: "stage-caption number" });
    this.stage = el("figure", { class: "stage" }, this.picture, this.marks, this.note, this.caption);
    this.scrubber = el("input", {
      type: "range",
      class: "scrubber",
      min: 0,
      max: 0,
      value: 0,
      step: 1,
      "aria-label": "Frame of the clip",
      on: { input: () => this.seek(Number(this.scrubber.value)) },
    });
    this.ticks = el("div", { class: "scrub-ticks", "aria-hidden": "true" });
    this.playButton = el(
      "button",
      {
        class: "button icon-only",
        type: "button",
        "aria-label": "Play",
        title: "Play (Space)",
        on: { click: () => this.toggle() },
      },
      icon("play"),
    );
    this.speed = el(
      "select",
      { class: "speed", "aria-label": "Speed" },
      SPEEDS.map((value) => el("option", { value, selected: value === 1 }, `${value}×`)),
    );
    const button = (sign, label, click) =>
      el(
        "button",
        { class: "button icon-only quiet", type: "button", "aria-label": label, title: label, on: { click } },
        icon(sign),
      );
    this.controls = el(
      "div",
      { class: "player-controls" },
      this.playButton,
      button("back", "One frame back (←)", () => this.step(-1)),
      button("forth", "One frame on (→)", () => this.step(1)),
      button("onset", "To the onset (0)", () => this.toOnset()),
      el("div", { class: "scrub" }, this.scrubber, this.ticks),
      this.speed,
    );
    this.element = el("div", { class: "player" }, this.stage, this.controls);
    new ResizeObserver(() => this.redraw()).observe(this.stage);
  }

  /** Another clip, or more of the same, which stays where it is. */
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

  /** Shows the frame at a place of the clip. */
  async seek(at) {
    if (this.frames.length === 0) return;
    this.at = Math.min(this.frames.length - 1, Math.max(0, at));
    const frame = this.frames[this.at];
    const wanted = (this.#wanted += 1);
    this.scrubber.value = this.at;
    this.scrubber.setAttribute("aria-valuetext", `Frame ${frame.seq}, ${this.#sinceOnset(frame)}`);
    this.scrubber.style.setProperty("--share", `${(100 * this.at) / Math.max(1, this.frames.length - 1)}%`);
    this.dispatchEvent(new CustomEvent("seek", { detail: frame }));
    const bitmap = await this.#bitmap(frame);
    if (wanted !== this.#wanted) return bitmap?.close();
    this.#show(frame, bitmap);
    this.#pictures.prefetch(this.frames.slice(this.at + 1, this.at + 11).map((next) => next.url));
  }

  /** The frame that was captured nearest to a time. */
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

  /** Draws the marks again, in another size or with other switches. */
  redraw() {
    const frame = this.frames[this.at];
    const { clientWidth, clientHeight } = this.stage;
    if (!frame || clientWidth === 0) return;
    const density = Math.min(2, devicePixelRatio);
    this.marks.width = Math.round(clientWidth * density);
    this.marks.height = Math.round(clientHeight * density);
    const context = this.marks.getContext("2d");
    context.scale(density, density);
    this.#drawMarks(context, frame, clientWidth / (frame.width_px ?? this.picture.width));
  }

  close() {
    this.#stop();
    this.#pictures.close();
  }

  async #play() {
    while (this.#isPlaying && this.at < this.frames.length - 1) {
      const beganMs = performance.now();
      const from = this.frames[Math.max(0, this.at)];
      await this.seek(this.at + 1);
      const to = this.frames[this.at];
      const gapMs = from.capture_ns && to.capture_ns ? 1000 * secondsBetween(from.capture_ns, to.capture_ns) : 100;
      const dueMs = Math.min(LONGEST_WAIT_MS, gapMs) / Number(this.speed.value) - (performance.now() - beganMs);
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

  #show(frame, bitmap) {
    if (bitmap) {
      if (this.picture.width !== bitmap.width) this.picture.width = bitmap.width;
      if (this.picture.height !== bitmap.height) this.picture.height = bitmap.height;
      this.picture.getContext("2d").drawImage(bitmap, 0, 0);
      if (!frame.width_px) this.stage.style.setProperty("aspect-ratio", `${bitmap.width} / ${bitmap.height}`);
      bitmap.close();
    } else {
      this.picture.getContext("2d").clearRect(0, 0, this.picture.width, this.picture.height);
    }
    this.note.hidden = bitmap !== null;
    this.note.textContent = bitmap
      ? ""
      : `No picture of frame ${frame.seq}: ${frame.missing ? words(frame.missing).toLowerCase() : "it could not be read"}`;
    this.picture.setAttribute("aria-label", described(frame, this.#sinceOnset(frame)));
    replace(
      this.caption,
      el("span", {}, `frame ${frame.seq}`),
      el("span", {}, this.#sinceOnset(frame)),
      frame.state ? el("span", {}, words(frame.state)) : null,
      frame.outcome && frame.outcome !== "judged"
        ? el("span", {}, `${words(frame.outcome)}${frame.cause ? `: ${words(frame.cause).toLowerCase()}` : ""}`)
        : null,
    );
    this.redraw();
  }

  #sinceOnset(frame) {
    if (frame.capture_ns === null) return "time not known";
    const seconds = secondsBetween(this.#onsetNs, frame.capture_ns);
    return `${seconds < 0 ? "−" : "+"}${Math.abs(seconds).toFixed(2)} s`;
  }

  #drawTicks({ last_seq: lastSeq }) {
    const share = (at) => `${(100 * at) / Math.max(1, this.frames.length - 1)}%`;
    const lastAt = Math.max(
      this.#onsetAt,
      this.frames.findLastIndex((frame) => frame.seq <= lastSeq),
    );
    const missing = this.frames.flatMap((frame, at) =>
      frame.url === null ? [el("span", { class: "tick-missing", style: { left: share(at) } })] : [],
    );
    replace(
      this.ticks,
      el("span", { class: "tick-span", style: { left: share(this.#onsetAt), width: share(lastAt - this.#onsetAt) } }),
      missing.slice(0, 200),
      el("span", { class: "tick-onset", style: { left: share(this.#onsetAt) } }, "onset"),
    );
  }
}

function described(frame, when) {
  const seen = frame.boxes.map((box) => words(box.label).toLowerCase());
  return `Frame ${frame.seq}, ${when} from the onset; seen: ${seen.length > 0 ? seen.join(", ") : "nothing"}`;
}
