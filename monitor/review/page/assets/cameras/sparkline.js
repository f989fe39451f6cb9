// The largest change ratio of the last ten minutes, against its threshold.

import { replace, svg } from "../dom.js";
import { msOf, nowMs } from "../times.js";

const SPAN_S = 600;
const WIDTH = 240;
const HEIGHT = 44;
const MAX_POINTS = 700;

/** A line that grows at its right edge. */
export class Sparkline {
  #points = []; // [ms, ratio]

  constructor() {
    this.element = svg("svg", {
      class: "sparkline",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
    });
    this.draw(); // it has a name before its first point
  }

  /** Points of `ScoreSeries`: at each time the largest ratio of all scores. */
  fill(series) {
    const ratios = series.scores.map((score) => score.ratio);
    this.#points = series.published_ns
      .map((ns, at) => [msOf(ns), Math.max(...ratios.map((column) => column[at] ?? -1))])
      .filter(([, value]) => value >= 0);
    this.draw();
  }

  /** One point more. */
  add(ns, value) {
    const ms = msOf(ns);
    if (value === null || (this.#points.length > 0 && ms <= this.#points.at(-1)[0])) return;
    this.#points.push([ms, value]);
    if (this.#points.length > MAX_POINTS) this.#points.shift();
    this.draw();
  }

  draw() {
    const top = Math.max(1.4, ...this.#points.map(([, value]) => value));
    const now = nowMs();
    const y = (value) => HEIGHT - 2 - Math.sqrt(value / top) * (HEIGHT - 6);
    const x = (ms) => WIDTH - ((now - ms) / 1000 / SPAN_S) * WIDTH;
    const shown = this.#points.filter(([ms]) => now - ms < 1000 * SPAN_S);
    const line = shown
      .map(
        ([ms, value], at) =>
          `${at === 0 || ms - shown[at - 1][0] > 5000 ? "M" : "L"}${x(ms).toFixed(1)} ${y(value).toFixed(1)}`,
      )
      .join("");
    const peak = shown.length > 0 ? Math.max(...shown.map(([, value]) => value)).toFixed(2) : null;
    this.element.setAttribute(
      "aria-label",
      peak === null
        ? "No scores in the last ten minutes"
        : `Largest change ratio of the last ten minutes: ${peak} times the threshold`,
    );
    replace(
      this.element,
      svg("line", { class: "spark-threshold", x1: 0, x2: WIDTH, y1: y(1), y2: y(1) }),
      line ? svg("path", { class: "spark-line", d: line }) : null,
    );
  }
}
