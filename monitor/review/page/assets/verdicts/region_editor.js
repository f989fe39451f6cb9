// A rectangle on a picture: drawn by a pointer, or written as four numbers; each follows the other.

import { el } from "../dom.js";
import { drawMarks } from "../clip/marks.js";
import { clearedContext, drawRegion } from "./regions.js";
import { cornersOf } from "./said.js";

const NUMBERS = [
  ["x", "X"],
  ["y", "Y"],
  ["width", "Width"],
  ["height", "Height"],
];
const LEAST_PX = 4; // of a drawn rectangle: less is a slip of the hand
const MARGIN = 0.3; // around what is to be muted, as a share of its size
const LEAST_SHARE = 0.1; // of the picture's width, to begin with: an object is not found at the same px again
const MINE = "#ffd166";

/** `still`: {frame, picture (canvas or null), width, height} of what is shown; `around` xyxy px or null. */
export class RegionEditor {
  #still;
  #mutes;
  #from = null;

  constructor(still, mutes, around, options) {
    this.#still = still;
    this.#mutes = mutes;
    this.region = around ? widened(around, still) : middleOf(still);
    this.marks = el("canvas", { class: "draw-marks" });
    this.stage = el("div", { class: "draw-stage" }, this.#picture(), this.marks);
    this.stage.style.setProperty("--ratio", still.width / still.height);
    this.numbers = NUMBERS.map(([name, text]) => this.#number(name, text));
    this.element = el(
      "div",
      { class: "stack region-editor" },
      this.stage,
      el("p", { class: "muted small" }, "Draw a rectangle on the picture, or write its numbers (px of the picture)."),
      el("div", { class: "region-fields" }, el("div", { class: "region-numbers" }, this.numbers), options),
    );
    this.#listen();
    new ResizeObserver(() => this.#draw()).observe(this.stage);
  }

  /** The rectangle as the API wants it. */
  get polygon() {
    return cornersOf(this.region);
  }

  #picture() {
    const { picture, frame } = this.#still;
    if (picture === null) return el("p", { class: "draw-blank" }, "This frame has no picture; the numbers count.");
    const { width, height } = picture;
    const name = `Frame ${frame.seq}; the rectangle is told by the numbers below`;
    const copy = el("canvas", { class: "draw-picture", role: "img", "aria-label": name, width, height });
    copy.getContext("2d").drawImage(picture, 0, 0);
    return copy;
  }

  #number(name, text) {
    const { width, height } = this.#still;
    const most = name === "x" || name === "width" ? width : height;
    const isSize = name === "width" || name === "height";
    const input = el("input", {
      type: "number",
      name,
      required: true,
      min: isSize ? 1 : 0,
      max: isSize ? most : most - 1,
      value: this.region[name],
      on: {
        focus: (event) => event.target.select(), // by key or not, what is typed replaces the number
        input: () => this.#read(),
        change: () => this.#write(),
      },
    });
    return el("label", { class: "field" }, text, input);
  }

  #listen() {
    this.stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      this.#from = this.#pointOf(event);
      this.stage.setPointerCapture(event.pointerId);
    });
    this.stage.addEventListener("pointermove", (event) => {
      if (this.#from === null) return;
      const to = this.#pointOf(event);
      const [width, height] = [Math.abs(to.x - this.#from.x), Math.abs(to.y - this.#from.y)];
      if (width < LEAST_PX || height < LEAST_PX) return;
      this.region = { x: Math.min(to.x, this.#from.x), y: Math.min(to.y, this.#from.y), width, height };
      this.#write();
    });
    for (const end of ["pointerup", "pointercancel"])
      this.stage.addEventListener(end, () => {
        this.#from = null;
      });
  }

  /** Where in the picture, in whole px; beyond its border counts as on it. */
  #pointOf({ clientX, clientY }) {
    const { left, top, width, height } = this.stage.getBoundingClientRect();
    const share = (at, length) => Math.min(1, Math.max(0, at / length));
    return {
      x: Math.round(share(clientX - left, width) * this.#still.width),
      y: Math.round(share(clientY - top, height) * this.#still.height),
    };
  }

  #read() {
    const written = this.numbers.map((field) => field.querySelector("input").valueAsNumber);
    if (written.some((value) => !Number.isFinite(value))) return; // not yet a number
    const [x, y, width, height] = written;
    this.region = within({ x, y, width, height }, this.#still);
    this.#draw();
  }

  #write() {
    for (const field of this.numbers) {
      const input = field.querySelector("input");
      input.value = this.region[input.name];
    }
    this.#draw();
  }

  #draw() {
    const context = clearedContext(this.marks);
    if (context === null) return;
    const scale = this.marks.clientWidth / this.#still.width;
    drawMarks(context, this.#still.frame, scale, { boxes: true });
    for (const mute of this.#mutes) drawRegion(context, mute.polygon, scale);
    drawRegion(context, this.polygon, scale, "", MINE);
  }
}

function within({ x, y, width, height }, size) {
  const left = Math.round(Math.min(size.width - 1, Math.max(0, x)));
  const top = Math.round(Math.min(size.height - 1, Math.max(0, y)));
  return {
    x: left,
    y: top,
    width: Math.round(Math.min(size.width - left, Math.max(1, width))),
    height: Math.round(Math.min(size.height - top, Math.max(1, height))),
  };
}

function middleOf({ width, height }) {
  const part = { x: width / 3, y: height / 3, width: width / 3, height: height / 3 };
  return within(part, { width, height });
}

function widened([x1, y1, x2, y2], size) {
  const margin = (length) => Math.max(length * MARGIN, (size.width * LEAST_SHARE - length) / 2);
  const [dx, dy] = [margin(x2 - x1), margin(y2 - y1)];
  const [left, top] = [Math.max(0, x1 - dx), Math.max(0, y1 - dy)];
  return within({ x: left, y: top, width: x2 + dx - left, height: y2 + dy - top }, size);
}
