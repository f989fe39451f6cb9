// Drawing over pictures: contexts in CSS pixels, outlines, and text on a plate.

const SHADE = "rgb(0 0 0 / 45%)"; // below an outline, so that it stands out from a bright picture
const PLATE = "rgb(12 16 20 / 78%)";
const PLATE_HEIGHT_PX = 17;
const PADDING_PX = 5;

/** A cleared context over the whole canvas, in CSS px; null while the canvas has no size. */
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

/** Strokes a `Path2D` in a color over a wider dark line. */
export function strokeOutline(context, path, color) {
  for (const [width, style] of [
    [4, SHADE],
    [2, color],
  ]) {
    context.lineWidth = width;
    context.strokeStyle = style;
    context.stroke(path);
  }
}

/** Sets the font for `drawPlate`. Returns the width of the plate of a text. */
export function plateWidth(context, text, sizePx) {
  context.font = `600 ${sizePx}px "Inter", system-ui, sans-serif`;
  return context.measureText(text).width + 2 * PADDING_PX;
}

/** Draws a text on a dark plate whose lower left corner is at `left`, `bottom`. */
export function drawPlate(context, text, left, bottom, width, color) {
  context.fillStyle = PLATE;
  context.fillRect(left, bottom - PLATE_HEIGHT_PX, width, PLATE_HEIGHT_PX);
  context.fillStyle = color;
  context.fillText(text, left + PADDING_PX, bottom - 4.5);
}
