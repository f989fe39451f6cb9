// Icons. Severities and camera states differ in shape, so color is never needed to tell them apart.

import { el, svg } from "./dom.js";

const EYE =
  "M1.5 10S4.6 4.4 10 4.4 18.5 10 18.5 10 15.4 15.6 10 15.6 1.5 10 1.5 10zM10 7.6a2.4 2.4 0 1 0 0 4.8 2.4 2.4 0 0 0 0-4.8z";

const PATHS = {
  // severities: octagon, triangle, circle
  critical: { solid: "M7 1.5h6L17.5 6v8L13 18.5H7L2.5 14V6z", mark: "M10 5.4v5.4M10 14v.2" },
  warning: { solid: "M10 1.8 19 17.6H1z", mark: "M10 7v5M10 14.9v.2" },
  info: { solid: "M10 1.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17z", mark: "M10 9.4v5M10 6v.2" },
  // camera states
  alerting: { solid: "M10 .8 19.2 10 10 19.2.8 10z", mark: "M10 5.6v5M10 14v.2" },
  watching: { line: EYE },
  calibrating: { line: "M3 3v14h14M6.5 13.5l3-4 2.6 2.4 4-5.6" },
  no_signal: { line: "M2.5 4h15v10h-15zM7 17.5h6M5 6.5l10 5M15 6.5l-10 5" },
  stale: { line: "M10 2a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM10 5.6V10l3 2" },
  offline: { line: "M10 2a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM4.6 4.6l10.8 10.8" },
  // actions
  back: { line: "M12.5 4 6.5 10l6 6" },
  forward: { line: "M7.5 4l6 6-6 6" },
  up: { line: "M4 12.5l6-6 6 6" },
  down: { line: "M4 7.5l6 6 6-6" },
  search: { line: "M8.6 3a5.6 5.6 0 1 0 0 11.2A5.6 5.6 0 0 0 8.6 3zM13 13l4.2 4.2" },
  filter: { line: "M2.5 5h15M5.5 10h9M8.5 15h3" },
  check: { line: "M3.5 10.5 8 15l8.5-9.5" },
  person: { line: "M10 3.2a3.3 3.3 0 1 0 0 6.6 3.3 3.3 0 0 0 0-6.6zM3.4 17c.6-3.4 3.2-5 6.6-5s6 1.6 6.6 5" },
  bell: { line: "M4.5 14.5h11l-1.4-2V8.4a4.1 4.1 0 0 0-8.2 0v4.1zM8.4 17h3.2M3 3l14 14" },
  comment: { line: "M3 4h14v9.5H9L5.5 17v-3.5H3z" },
  eye: { line: EYE },
  correct: { line: "M3 17l1-4L13.5 3.5l3 3L7 16zM11.5 5.5l3 3" },
  file: { line: "M10 2.5v10M6 9l4 4 4-4M3.5 14v3.5h13V14" },
  play: { solid: "M5 2.8v14.4L17 10z" },
  pause: { solid: "M4.5 3h4v14h-4zM11.5 3h4v14h-4z" },
  onset: { solid: "M5 2h10l-5 7z", line: "M10 8v10" },
  help: { line: "M7 7.4a3 3 0 1 1 4.4 2.7c-.9.5-1.4 1-1.4 2.1M10 15.2v.2" },
  cameras: { line: "M2.5 5.5h10v9h-10zM12.5 9l5-2.6v7.2l-5-2.6" },
  lock: { line: "M5 9h10v8H5zM7 9V6.4a3 3 0 0 1 6 0V9" },
  close: { line: "M4.5 4.5l11 11M15.5 4.5l-11 11" },
};

/** An icon of 20 x 20 units; `label` is its accessible name, without one it is decorative. */
export function icon(name, label = null) {
  const shape = PATHS[name] ?? PATHS.info;
  const accessible = label === null ? { "aria-hidden": "true" } : { role: "img", "aria-label": label };
  const paths = Object.entries(shape).map(([kind, d]) => svg(`path.icon-${kind}`, { d }));
  return svg(`svg.icon.icon-${name}`, { viewBox: "0 0 20 20", focusable: "false", ...accessible }, paths);
}

/** The mark of a score family: a nabla for gradients, a dashed square for baselines. */
export function familyMark(family) {
  const classes = `family-mark family-mark-${family}`;
  return el("span", { class: classes, "aria-hidden": "true" }, family === "gradient" ? "∇" : null);
}
