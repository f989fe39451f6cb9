// Muted regions over a picture: a hatched outline with a label, so that it can be told without color.

import { clearedContext, drawPlate, plateWidth, strokeOutline } from "../clip/canvas.js";
import { choice } from "../controls.js";
import { el } from "../dom.js";
import { isExpired, objectsText } from "./correction.js";

const BLUE = "#8cc8ff"; // differs from the colors of boxes and ground truth
const FILL = "rgb(6 10 14 / 18%)";
const TEXT_PX = 11;
const HATCHING_PX = 9;

/** The layer of a stage for muted regions; boxes and pictures are drawn on others. */
export class RegionLayer {
  isShown = true;
  #mutes = [];
  #scale = 0;
  #captureNs = null;

  constructor() {
    this.element = el("canvas.stage-regions.layer", { "aria-hidden": "true" });
  }

  /** Sets the muted regions. */
  show(mutes) {
    this.#mutes = mutes;
    this.draw();
  }

  /** Redraws; `scale` is stage px per picture px, `captureNs` the capture time of the picture (null: not known). */
  draw(scale = this.#scale, captureNs = this.#captureNs) {
    this.#scale = scale;
    this.#captureNs = captureNs;
    const context = clearedContext(this.element);
    if (context === null || !this.isShown || !(scale > 0)) return;
    for (const mute of this.#mutes.filter((one) => !isExpired(one, captureNs, null)))
      drawRegion(context, mute.polygon, scale, `muted: ${objectsText(mute)}`);
  }
}

/** The checkbox that shows and hides a layer. */
export function regionSwitch(layer) {
  const change = (event) => {
    layer.isShown = event.target.checked;
    layer.draw();
  };
  return choice({ type: "checkbox", checked: layer.isShown, on: { change } }, "Muted regions");
}

/** Draws one hatched polygon; `text` stands in its upper left corner if there is room for it. */
export function drawRegion(context, polygon, scale, text = "", color = BLUE) {
  const points = polygon.map(([x, y]) => [x * scale, y * scale]);
  const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
  const [left, top, right, bottom] = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
  const outline = new Path2D(`M${points.map((point) => point.join(" ")).join("L")}Z`);
  context.save();
  context.clip(outline);
  context.fillStyle = FILL;
  context.fillRect(left, top, right - left, bottom - top);
  hatch(context, left, top, right, bottom, color);
  context.restore();
  context.lineJoin = "round";
  strokeOutline(context, outline, color);
  if (!text) return;
  const width = plateWidth(context, text, TEXT_PX);
  if (width < right - left) drawPlate(context, text, left + 1, top + 18, width, color);
}

function hatch(context, left, top, right, bottom, color) {
  const height = bottom - top;
  const lines = new Path2D();
  for (let x = left - height; x < right; x += HATCHING_PX) {
    lines.moveTo(x, bottom);
    lines.lineTo(x + height, top);
  }
  context.lineWidth = 1.25;
  context.globalAlpha = 0.7;
  context.strokeStyle = color;
  context.stroke(lines);
  context.globalAlpha = 1;
}
