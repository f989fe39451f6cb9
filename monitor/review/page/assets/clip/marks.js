// Draws boxes, trajectories with their uncertainty, and ground truth over a picture.

import { humanizeLower } from "../format.js";
import { drawPlate, plateWidth, strokeOutline } from "./canvas.js";

// The palette of the worker's overlays; it can be told apart with color blindness.
const PAPER = "#f5f5f0";
const PINK = "#de96c4";
const ORANGE = "#f5aa1e";
const GREEN = "#6fe3b0";
const TEXT_PX = 12;
const DASHED = [5, 4];
const DOTTED = [2, 3];
const MIN_OVERLAP = 0.3; // between a box and its track

/** Draws the marks of a clip's frame; `scale` is stage px per picture px, `switches` {boxes, paths, truth}. */
export function drawMarks(context, frame, scale, switches) {
  context.lineJoin = "round";
  if (switches.paths) for (const track of frame.tracks) drawPath(context, track, scale);
  if (switches.truth)
    for (const { xyxy, label } of frame.truth)
      drawBox(context, xyxy, scale, GREEN, `truth: ${humanizeLower(label)}`, { dash: DOTTED, isBelow: true });
  if (!switches.boxes) return;
  const trackOf = matchTracks(frame);
  frame.boxes.forEach((box, at) => {
    const track = trackOf.get(at);
    const isOdd = Boolean(track?.expected) && track.expected !== box.label;
    const texts = [
      humanizeLower(box.label),
      track && `#${track.track_id}`,
      isOdd && `expected ${humanizeLower(track.expected)}`,
    ];
    drawBox(context, box.xyxy, scale, isOdd ? ORANGE : colorOf(box.kind), texts.filter(Boolean).join("  "));
  });
  for (const { seen, xyxy, kind, track_id: id } of frame.tracks)
    if (!seen) drawBox(context, xyxy, scale, colorOf(kind), `#${id} not seen`, { dash: DASHED });
}

/** The track of each box: of the tracks that were seen the one whose box overlaps it most. */
function matchTracks(frame) {
  const found = new Map();
  const seen = frame.tracks.filter((track) => track.seen);
  frame.boxes.forEach((box, at) => {
    const best = seen.map((track) => [overlap(box.xyxy, track.xyxy), track]).sort((a, b) => b[0] - a[0])[0];
    if (best && best[0] > MIN_OVERLAP && best[1].kind === box.kind) found.set(at, best[1]);
  });
  return found;
}

/** Intersection over union of two boxes. */
function overlap([ax1, ay1, ax2, ay2], [bx1, by1, bx2, by2]) {
  const width = Math.min(ax2, bx2) - Math.max(ax1, bx1);
  const height = Math.min(ay2, by2) - Math.max(ay1, by1);
  if (width <= 0 || height <= 0) return 0;
  const shared = width * height;
  return shared / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared);
}

function drawBox(context, xyxy, scale, color, text, { dash = [], isBelow = false } = {}) {
  const [x1, y1, x2, y2] = xyxy.map((value) => value * scale);
  const box = new Path2D();
  box.rect(x1, y1, x2 - x1, y2 - y1);
  context.setLineDash(dash);
  strokeOutline(context, box, color);
  context.setLineDash([]);
  const width = plateWidth(context, text, TEXT_PX);
  const left = Math.max(0, Math.min(x1 - 1, context.canvas.clientWidth - width));
  drawPlate(context, text, left, Math.max(18, isBelow ? y2 + 19 : y1 - 3), width, color);
}

/** Draws a forecast: a line through the mean positions, and the disc that contains the track at each horizon. */
function drawPath(context, track, scale) {
  const forecast = track.forecast;
  if (!forecast || forecast.xy.length === 0) return;
  const [x1, y1, x2, y2] = track.xyxy;
  context.strokeStyle = context.fillStyle = colorOf(track.kind);
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
