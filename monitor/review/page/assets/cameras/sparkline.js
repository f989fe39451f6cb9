// A small chart of the largest change ratio in the last ten minutes, with its threshold.

import { replace, svg } from "../dom.js";
import { msOf, nowMs } from "../times.js";

const SPAN_S = 600;
const WIDTH = 240;
const HEIGHT = 44;
const MAX_POINTS = 700;
const MAX_GAP_MS = 5_000; // a longer gap interrupts the line

/** A line that new points extend at its right end. */
export class Sparkline {
  #points = []; // [ms, ratio]

  constructor() {
    this.element = svg("svg.sparkline", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
    });
    this.draw(); // sets the accessible name, which it needs without points too
  }

  /** Takes the points of the API's `ScoreSeries`: at each time the largest ratio of all scores. */
  fill(series) {
    const ratios = series.scores.map((score) => score.ratio);
    this.#points = series.published_ns
      .map((ns, at) => [msOf(ns), Math.max(...ratios.map((column) => column[at] ?? -1))])
      .filter(([, value]) => value >= 0);
    this.draw();
  }

  /** Adds a newer point. */
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
    const isStart = (at) => at === 0 || shown[at][0] - shown[at - 1][0] > MAX_GAP_MS;
    const point = ([ms, value], at) => `${isStart(at) ? "M" : "L"}${x(ms).toFixed(1)} ${y(value).toFixed(1)}`;
    const line = shown.map(point).join("");
    const peak = Math.max(...shown.map(([, value]) => value)).toFixed(2);
    const label = `Largest change ratio of the last ten minutes: ${peak} times the threshold`;
    this.element.setAttribute("aria-label", line ? label : "No scores in the last ten minutes");
    replace(
      this.element,
      svg("line.spark-threshold", { x1: 0, x2: WIDTH, y1: y(1), y2: y(1) }),
      line ? svg("path.line.spark-line", { d: line }) : null,
    );
  }
}
