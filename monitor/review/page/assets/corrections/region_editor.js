// A rectangle on a picture, set by dragging or by four numbers; each updates the other.

import { clearedContext } from "../clip/canvas.js";
import { drawMarks } from "../clip/marks.js";
import { field } from "../controls.js";
import { el } from "../dom.js";
import { cornersOf } from "./correction.js";
import { drawRegion } from "./regions.js";

const NUMBERS = { x: "X", y: "Y", width: "Width", height: "Height" };
const MIN_DRAG_PX = 4; // a smaller rectangle is an accidental drag
const MARGIN = 0.3; // of the initial rectangle around the object, relative to its size
const MIN_SHARE = 0.1; // of the picture's width, initially: a larger region also contains the next detections
const COLOR = "#ffd166";

/** `still` is the frame that is shown: {frame, picture (canvas or null), width, height}; `around` xyxy px or null. */
export class RegionEditor {
  #still;
  #mutes;
  #from = null; // where a drag began

  constructor(still, mutes, around, options) {
    this.#still = still;
    this.#mutes = mutes;
    this.region = around ? widened(around, still) : middleOf(still);
    this.marks = el("canvas.draw-marks.layer");
    this.stage = el("div.stage.draw-stage", this.#picture(), this.marks);
    this.stage.style.setProperty("--ratio", still.width / still.height);
    this.inputs = Object.keys(NUMBERS).map((name) => this.#input(name));
    const numbers = this.inputs.map((input) => field(NUMBERS[input.name], input));
    this.element = el(
      "div.stack",
      this.stage,
      el("p.muted.small", "Draw a rectangle on the picture, or enter its position and size in px."),
      el("div.region-fields", el("div.region-numbers", numbers), options),
    );
    this.#listen();
    new ResizeObserver(() => this.#draw()).observe(this.stage);
  }

  /** The corners of the rectangle for the API. */
  get polygon() {
    return cornersOf(this.region);
  }

  #picture() {
    const { picture, frame } = this.#still;
    if (picture === null) return el("p.draw-blank", "This frame has no picture; enter the position and size below.");
    const { width, height } = picture;
    const name = `Frame ${frame.seq}; the numbers below give the rectangle`;
    const copy = el("canvas.draw-picture.layer", { role: "img", "aria-label": name, width, height });
    copy.getContext("2d").drawImage(picture, 0, 0);
    return copy;
  }

  #input(name) {
    const { width, height } = this.#still;
    const length = name === "x" || name === "width" ? width : height;
    const isSize = name === "width" || name === "height";
    return el("input", {
      type: "number",
      name,
      required: true,
      min: isSize ? 1 : 0,
      max: isSize ? length : length - 1,
      value: this.region[name],
      on: {
        focus: (event) => event.target.select(), // so that typing replaces the number
        input: () => this.#readInputs(),
        change: () => this.#showRegion(),
      },
    });
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
      if (width < MIN_DRAG_PX || height < MIN_DRAG_PX) return;
      this.region = { x: Math.min(to.x, this.#from.x), y: Math.min(to.y, this.#from.y), width, height };
      this.#showRegion();
    });
    for (const end of ["pointerup", "pointercancel"])
      this.stage.addEventListener(end, () => {
        this.#from = null;
      });
  }

  /** The pointer's position in whole px of the picture, clipped to it. */
  #pointOf({ clientX, clientY }) {
    const { left, top, width, height } = this.stage.getBoundingClientRect();
    const share = (at, length) => Math.min(1, Math.max(0, at / length));
    return {
      x: Math.round(share(clientX - left, width) * this.#still.width),
      y: Math.round(share(clientY - top, height) * this.#still.height),
    };
  }

  #readInputs() {
    const values = this.inputs.map((input) => input.valueAsNumber);
    if (!values.every(Number.isFinite)) return; // not a number yet
    const [x, y, width, height] = values;
    this.region = clipped({ x, y, width, height }, this.#still);
    this.#draw();
  }

  #showRegion() {
    for (const input of this.inputs) input.value = this.region[input.name];
    this.#draw();
  }

  #draw() {
    const context = clearedContext(this.marks);
    if (context === null) return;
    const scale = this.marks.clientWidth / this.#still.width;
    drawMarks(context, this.#still.frame, scale, { boxes: true });
    for (const mute of this.#mutes) drawRegion(context, mute.polygon, scale);
    drawRegion(context, this.polygon, scale, "", COLOR);
  }
}

/** A rectangle in whole px, clipped to a picture of `size`. */
function clipped({ x, y, width, height }, size) {
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
  return clipped(part, { width, height });
}

function widened([x1, y1, x2, y2], size) {
  const margin = (length) => Math.max(length * MARGIN, (size.width * MIN_SHARE - length) / 2);
  const [dx, dy] = [margin(x2 - x1), margin(y2 - y1)];
  const [left, top] = [Math.max(0, x1 - dx), Math.max(0, y1 - dy)];
  return clipped({ x: left, y: top, width: x2 + dx - left, height: y2 + dy - top }, size);
}
