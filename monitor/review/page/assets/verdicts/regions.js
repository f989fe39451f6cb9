// Muted regions over a picture: a hatched outline with a word, so that no color is needed to tell it.

import { el } from "../dom.js";
import { isOver, objectsOf } from "./said.js";

const BLUE = "#8cc8ff"; // stays apart from the colors of boxes and ground truth
const SHADE = "rgb(6 10 14 / 55%)"; // keeps a line apart from a bright picture
const PLATE = "rgb(12 16 20 / 82%)";
const FONT = '600 11px "Inter", system-ui, sans-serif';
const SPACING_PX = 9;

/** A layer of its own on a stage, so that neither boxes nor a new picture wipes it. */
export class RegionLayer {
  isShown = true;
  #mutes = [];
  #scale = 0;
  #captureNs = null;

  constructor() {
    this.element = el("canvas", { class: "stage-regions", "aria-hidden": "true" });
  }

  /** Other regions. */
  show(mutes) {
    this.#mutes = mutes;
    this.draw();
  }

  /** Draws again; `scale` is stage px per picture px, `captureNs` when the picture was taken (null: not known). */
  draw(scale = this.#scale, captureNs = this.#captureNs) {
    this.#scale = scale;
    this.#captureNs = captureNs;
    const context = clearedContext(this.element);
    if (context === null || !this.isShown || !(scale > 0)) return;
    for (const mute of this.#mutes.filter((one) => !isOver(one, captureNs, null)))
      drawRegion(context, mute.polygon, scale, `muted: ${objectsOf(mute)}`);
  }
}

/** A switch for the layer, as those of the other overlays. */
export function regionSwitch(layer) {
  const change = (event) => {
    layer.isShown = event.target.checked;
    layer.draw();
  };
  return el(
    "label",
    { class: "choice" },
    el("input", { type: "checkbox", checked: layer.isShown, on: { change } }),
    "Muted regions",
  );
}

/** A context over the whole stage in CSS px, nothing on it; null while the stage has no size. */
export function clearedContext(canvas) {
  const { clientWidth, clientHeight } = canvas;
  if (clientWidth === 0) return null;
  const density = Math.min(2, devicePixelRatio);
  canvas.width = Math.round(clientWidth * density);
  canvas.height = Math.round(clientHeight * density);
  const context = canvas.getContext("2d");
  context.scale(density, density);
  return context;
}

/** One polygon, hatched; `text` stands in its upper left corner where there is room for it. */
export function drawRegion(context, polygon, scale, text = "", color = BLUE) {
  const points = polygon.map(([x, y]) => [x * scale, y * scale]);
  const left = Math.min(...points.map(([x]) => x));
  const top = Math.min(...points.map(([, y]) => y));
  const right = Math.max(...points.map(([x]) => x));
  const bottom = Math.max(...points.map(([, y]) => y));
  const outline = new Path2D(`M${points.map((point) => point.join(" ")).join("L")}Z`);
  context.save();
  context.clip(outline);
  context.fillStyle = "rgb(6 10 14 / 18%)";
  context.fillRect(left, top, right - left, bottom - top);
  hatch(context, left, top, right, bottom, color);
  context.restore();
  context.lineJoin = "round";
  for (const [width, style] of [
    [4, SHADE],
    [2, color],
  ]) {
    context.lineWidth = width;
    context.strokeStyle = style;
    context.stroke(outline);
  }
  if (text) drawText(context, text, left + 1, top + 1, right, color);
}

function hatch(context, left, top, right, bottom, color) {
  const height = bottom - top;
  const lines = new Path2D();
  for (let x = left - height; x < right; x += SPACING_PX) {
    lines.moveTo(x, bottom);
    lines.lineTo(x + height, top);
  }
  context.lineWidth = 1.25;
  context.globalAlpha = 0.7;
  context.strokeStyle = color;
  context.stroke(lines);
  context.globalAlpha = 1;
}

function drawText(context, text, left, top, right, color) {
  context.font = FONT;
  const width = context.measureText(text).width + 10;
  if (width > right - left) return;
  context.fillStyle = PLATE;
  context.fillRect(left, top, width, 17);
  context.fillStyle = color;
  context.fillText(text, left + 5, top + 12.5);
}
