// Boxes, trajectories with their uncertainty, and ground truth, drawn over a picture.

import { words } from "../words.js";

// The palette of the overlays that the worker draws: it stays apart for color-blind eyes.
const PAPER = "#f5f5f0";
const PINK = "#de96c4";
const ORANGE = "#f5aa1e";
const GREEN = "#6fe3b0";
const PLATE = "rgb(12 16 20 / 78%)";
const FONT = '600 12px "Inter", system-ui, sans-serif';
const DASHED = [5, 4];

/** Draws a frame of a clip; `scale` is stage px per picture px, `switches` {boxes, paths, truth}. */
export function drawMarks(context, frame, scale, switches) {
  context.lineJoin = "round";
  if (switches.paths) for (const track of frame.tracks) drawPath(context, track, scale);
  if (switches.truth)
    for (const object of frame.truth)
      drawBox(context, object.xyxy, scale, {
        color: GREEN,
        dash: [2, 3],
        text: `truth: ${words(object.label).toLowerCase()}`,
        isBelow: true,
      });
  if (!switches.boxes) return;
  const trackOf = matchTracks(frame);
  frame.boxes.forEach((box, at) => {
    const track = trackOf.get(at);
    const isOdd = Boolean(track?.expected) && track.expected !== box.label;
    const color = isOdd ? ORANGE : colorOf(box.kind);
    const text = [
      words(box.label).toLowerCase(),
      track ? `#${track.track_id}` : "",
      isOdd ? `expected ${words(track.expected).toLowerCase()}` : "",
    ]
      .filter(Boolean)
      .join("  ");
    drawBox(context, box.xyxy, scale, { color, text });
  });
  for (const track of frame.tracks) {
    if (!track.seen)
      drawBox(context, track.xyxy, scale, {
        color: colorOf(track.kind),
        dash: DASHED,
        text: `#${track.track_id} not seen`,
      });
  }
}

/** The track of each box: the seen one whose box overlaps it most. */
function matchTracks(frame) {
  const found = new Map();
  const seen = frame.tracks.filter((track) => track.seen);
  frame.boxes.forEach((box, at) => {
    const best = seen.map((track) => [overlap(box.xyxy, track.xyxy), track]).sort((a, b) => b[0] - a[0])[0];
    if (best && best[0] > 0.3 && best[1].kind === box.kind) found.set(at, best[1]);
  });
  return found;
}

function overlap([ax1, ay1, ax2, ay2], [bx1, by1, bx2, by2]) {
  const width = Math.min(ax2, bx2) - Math.max(ax1, bx1);
  const height = Math.min(ay2, by2) - Math.max(ay1, by1);
  if (width <= 0 || height <= 0) return 0;
  const shared = width * height;
  return shared / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared);
}

function drawBox(context, xyxy, scale, { color, text, dash = [], isBelow = false }) {
  const [x1, y1, x2, y2] = xyxy.map((value) => value * scale);
  context.setLineDash(dash);
  context.lineWidth = 4;
  context.strokeStyle = "rgb(0 0 0 / 45%)"; // keeps the line apart from a bright picture
  context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  context.lineWidth = 2;
  context.strokeStyle = color;
  context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  context.setLineDash([]);
  drawText(context, text, x1 - 1, isBelow ? y2 + 19 : y1 - 3, color);
}

function drawText(context, text, x, bottom, color) {
  context.font = FONT;
  const width = context.measureText(text).width + 10;
  const left = Math.max(0, Math.min(x, context.canvas.clientWidth - width));
  const base = Math.max(18, bottom);
  context.fillStyle = PLATE;
  context.fillRect(left, base - 17, width, 17);
  context.fillStyle = color;
  context.fillText(text, left + 5, base - 4.5);
}

/** Where a track will be: a line through the expected places, and a disc around each that holds it as often as asked. */
function drawPath(context, track, scale) {
  const forecast = track.forecast;
  if (!forecast || forecast.xy.length === 0) return;
  const [x1, y1, x2, y2] = track.xyxy;
  const color = colorOf(track.kind);
  context.strokeStyle = context.fillStyle = color;
  forecast.xy.forEach(([x, y], step) => {
    const fade = 1 - (0.65 * step) / Math.max(1, forecast.xy.length - 1);
    context.beginPath();
    context.arc(x * scale, y * scale, forecast.radius_px[step] * scale, 0, 2 * Math.PI);
    context.globalAlpha = (track.seen ? 0.1 : 0.04) * fade;
    context.fill();
    context.globalAlpha = (track.seen ? 0.85 : 0.45) * fade;
    context.lineWidth = 1;
    context.stroke();
  });
  context.globalAlpha = 1;
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(((x1 + x2) / 2) * scale, ((y1 + y2) / 2) * scale);
  for (const [x, y] of forecast.xy) context.lineTo(x * scale, y * scale);
  context.stroke();
}

function colorOf(kind) {
  return kind === "pedestrian" ? PINK : PAPER;
}
