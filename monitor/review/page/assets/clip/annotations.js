// Draws `foxglove.ImageAnnotations` from the overlays topic.

const LINE_LOOP = 2;
const LINE_STRIP = 3;
const LINE_LIST = 4;
const MIN_TEXT_PX = 8; // smaller text is not readable and is left out

/** Draws annotations over a picture; `scale` is canvas px per picture px. */
export function drawAnnotations(context, annotations, scale) {
  context.lineJoin = "round";
  for (const circle of annotations.circles ?? []) drawCircle(context, circle, scale);
  const isReadable = (annotations.texts ?? []).some((text) => text.font_size * scale >= MIN_TEXT_PX);
  for (const points of annotations.points ?? []) {
    const isBar = points.type === LINE_STRIP && points.points.length === 2; // meaningless without its text
    if (isReadable || !isBar) drawPoints(context, points, scale);
  }
  for (const text of annotations.texts ?? []) drawText(context, text, scale);
}

function drawCircle(context, { position, diameter, thickness, fill_color: fill, outline_color: outline }, scale) {
  context.beginPath();
  context.arc(position.x * scale, position.y * scale, Math.max(0, (diameter / 2) * scale), 0, 2 * Math.PI);
  context.fillStyle = css(fill);
  context.fill();
  context.strokeStyle = css(outline);
  context.lineWidth = Math.max(0.75, thickness * scale);
  context.stroke();
}

function drawPoints(context, { type, points, thickness, outline_color: outline, fill_color: fill }, scale) {
  if (points.length === 0) return;
  context.beginPath();
  points.forEach(({ x, y }, at) => {
    const isStart = at === 0 || (type === LINE_LIST && at % 2 === 0);
    if (isStart) context.moveTo(x * scale, y * scale);
    else context.lineTo(x * scale, y * scale);
  });
  if (type === LINE_LOOP) {
    context.closePath();
    if (fill?.a) {
      context.fillStyle = css(fill);
      context.fill();
    }
  }
  context.strokeStyle = css(outline);
  context.lineWidth = Math.max(1.25, thickness * scale);
  context.stroke();
}

function drawText(
  context,
  { position, text, font_size: size, text_color: color, background_color: background },
  scale,
) {
  const sizePx = size * scale;
  if (sizePx < MIN_TEXT_PX) return;
  context.font = `600 ${sizePx.toFixed(1)}px "Inter", system-ui, sans-serif`;
  const width = context.measureText(text).width + sizePx * 0.6;
  context.fillStyle = css(background);
  context.fillRect(position.x * scale, position.y * scale - sizePx * 1.15, width, sizePx * 1.4);
  context.fillStyle = css(color);
  context.fillText(text, position.x * scale + sizePx * 0.3, position.y * scale);
}

function css(color) {
  if (!color) return "transparent";
  const { r, g, b, a } = color;
  return `rgb(${Math.round(255 * r)} ${Math.round(255 * g)} ${Math.round(255 * b)} / ${a})`;
}
