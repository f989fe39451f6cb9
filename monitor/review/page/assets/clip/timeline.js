// Scores over time: gradient scores as solid lines, plain baselines as dashed ones, the threshold at 1.

import { tab } from "../controls.js";
import { el, keepFocus, replace, svg } from "../dom.js";
import { formatPValue, formatRatio } from "../format.js";
import { familyMark } from "../icons.js";
import { FAMILIES } from "../score_catalog.js";

const HEIGHT_PX = 206;
const EDGE = { left: 44, right: 10, top: 26, bottom: 22 };
const MIN_TICK_GAP_PX = 13;
const TIME_STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300];
const MODES = {
  ratio: {
    field: "ratio",
    title: "Change ratio",
    axis: "× threshold",
    ticks: [0, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100],
    minTop: 1.3,
    scaled: (value) => Math.sqrt(Math.max(0, value)),
    format: formatRatio,
  },
  p: {
    field: "p_value",
    title: "p-value",
    axis: "p-value, log scale; rarer is higher",
    ticks: [1, 0.1, 0.01, 0.001, 1e-4, 1e-5],
    tickTexts: { 1e-4: "10⁻⁴", 1e-5: "10⁻⁵" },
    minTop: 0.005,
    scaled: (value) => -Math.log10(Math.max(1e-5, value)),
    format: formatPValue,
  },
};
const EXPLANATIONS = {
  gradient: "from the networks' gradients",
  baseline: "computed without gradients",
  unknown: "",
};

/** Dispatches `scrub` with the seconds from the origin at which the pointer is. */
export class Timeline extends EventTarget {
  #catalog;
  #series = null;
  #times = [];
  #spans = {};
  #mode = MODES.ratio;
  #hidden = new Set();
  #cursorS = null;
  #widthPx = 0;
  #top = 0; // of the chart, scaled

  constructor(catalog, label) {
    super();
    this.#catalog = catalog;
    this.chart = svg("svg.chart", { role: "img", "aria-label": label, height: HEIGHT_PX });
    this.cursorLine = svg("line.chart-cursor", { y1: EDGE.top, y2: HEIGHT_PX - EDGE.bottom });
    this.dots = svg("g");
    this.modes = el("div.tabs.small-tabs", { role: "group", "aria-label": "Quantity" });
    this.legend = el("div.legend");
    this.element = el(
      "section.timeline.stack",
      el("header.apart", el("h2", "Scores"), this.modes),
      this.chart,
      this.legend,
    );
    new ResizeObserver(([entry]) => this.#resize(entry.contentRect.width)).observe(this.chart);
    const scrub = (event) => event.buttons === 1 && this.#scrub(event);
    this.chart.addEventListener("pointerdown", (event) => {
      this.chart.setPointerCapture(event.pointerId);
      scrub(event);
    });
    this.chart.addEventListener("pointermove", scrub);
    this.#drawModes();
  }

  /** `times`: seconds from an origin of each point of `series`; `spans` {from, to, onset, last, peak} likewise. */
  show(series, times, spans) {
    this.#series = series;
    this.#times = times;
    this.#spans = spans;
    for (const score of series.scores) this.#catalog.family(score.name, score.family);
    this.#draw();
  }

  /** Moves the cursor and shows the values there. */
  cursor(seconds) {
    this.#cursorS = seconds;
    this.#drawCursor();
  }

  #resize(widthPx) {
    if (Math.abs(widthPx - this.#widthPx) < 1) return;
    this.#widthPx = widthPx;
    this.#draw();
  }

  /** The scores that have values in this mode, by family. */
  get #scores() {
    const order = Object.keys(FAMILIES);
    return this.#series.scores
      .filter((score) => score[this.#mode.field].some((value) => value !== null))
      .sort((a, b) => order.indexOf(a.family) - order.indexOf(b.family));
  }

  /** Those of them that are not switched off. */
  get #visible() {
    return this.#scores.filter((score) => !this.#hidden.has(score.name));
  }

  #draw() {
    if (!this.#series || this.#widthPx === 0) return;
    const { scaled, field, minTop } = this.#mode;
    const peak = this.#visible
      .flatMap((score) => score[field])
      .reduce((most, value) => (value === null ? most : Math.max(most, scaled(value))), 0);
    this.#top = Math.max(peak * 1.06, scaled(minTop));
    this.chart.setAttribute("viewBox", `0 0 ${this.#widthPx} ${HEIGHT_PX}`);
    replace(
      this.chart,
      this.#background(),
      this.#axes(),
      this.#visible.map((score) => this.#line(score)),
      this.cursorLine,
      this.dots,
    );
    this.#drawLegend();
    this.#drawCursor();
  }

  #x(seconds) {
    const { from, to } = this.#spans;
    return EDGE.left + ((seconds - from) / Math.max(1e-9, to - from)) * (this.#widthPx - EDGE.left - EDGE.right);
  }

  #y(value) {
    return HEIGHT_PX - EDGE.bottom - (this.#mode.scaled(value) / this.#top) * (HEIGHT_PX - EDGE.top - EDGE.bottom);
  }

  #background() {
    const { onset, last, peak } = this.#spans;
    if (onset === undefined) return null;
    const x = this.#x(onset);
    const width = Math.max(1, this.#x(last) - x);
    const height = HEIGHT_PX - EDGE.top - EDGE.bottom;
    return [
      svg("rect.chart-alert", { x, y: EDGE.top, width, height }),
      svg("text.chart-text", { x: x + 4, y: EDGE.top + 10 }, "alert"),
      peak === null ? null : this.#peakMark(this.#x(peak)),
    ];
  }

  #peakMark(x) {
    return [
      svg("line.chart-peak", { x1: x, x2: x, y1: EDGE.top, y2: HEIGHT_PX - EDGE.bottom }),
      svg("text.chart-text", { x: x + 4, y: EDGE.top + 22 }, "peak"),
    ];
  }

  #axes() {
    const { from, to } = this.#spans;
    const isRatio = this.#mode === MODES.ratio;
    const step = TIME_STEPS_S.find((one) => (to - from) / one <= this.#widthPx / 70) ?? 600;
    const seconds = [];
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) seconds.push(at);
    const threshold = { class: "chart-text chart-text-threshold", x: EDGE.left + 4, y: this.#y(1) - 4 };
    return svg(
      "g",
      svg("text.chart-text", { x: 0, y: 12 }, this.#mode.axis),
      this.#ticks().map(([value, y]) => this.#gridLine(value, y, isRatio && value === 1)),
      isRatio ? svg("text", threshold, "threshold") : null,
      seconds.map((at) => {
        const sign = at < 0 ? "−" : at > 0 ? "+" : "";
        const place = { x: this.#x(at), y: HEIGHT_PX - 6, "text-anchor": "middle" };
        return svg("text.chart-text", { ...place }, `${sign}${Math.abs(at)} s`);
      }),
    );
  }

  /** [value, y] of the ticks that fit; where they are too close, 1 and the larger ones win. */
  #ticks() {
    const ticks = this.#mode.ticks
      .filter((value) => this.#mode.scaled(value) <= this.#top)
      .map((value) => [value, this.#y(value)]);
    return ticks.filter(
      ([value, y]) =>
        value === 1 ||
        ticks.every(([other, otherY]) => (other <= value && other !== 1) || Math.abs(y - otherY) >= MIN_TICK_GAP_PX),
    );
  }

  #gridLine(value, y, isThreshold) {
    const line = { class: isThreshold ? "chart-threshold" : "chart-grid", y1: y, y2: y };
    const text = { class: isThreshold && "chart-text-threshold", y: y + 3.5 };
    return [
      svg("line", { ...line, x1: EDGE.left, x2: this.#widthPx - EDGE.right }),
      svg(
        "text.chart-text",
        { ...text, x: EDGE.left - 5, "text-anchor": "end" },
        this.#mode.tickTexts?.[value] ?? String(value),
      ),
    ];
  }

  #line(score) {
    let path = "";
    let isDrawing = false;
    score[this.#mode.field].forEach((value, at) => {
      if (value !== null)
        path += `${isDrawing ? "L" : "M"}${this.#x(this.#times[at]).toFixed(1)} ${this.#y(value).toFixed(1)}`;
      isDrawing = value !== null;
    });
    return svg("path.line", { class: this.#lineClass(score), d: path });
  }

  /** The style of a line: by family and by the place within it, so that no two lines look alike. */
  #lineClass(score) {
    const family = this.#scores.filter((other) => other.family === score.family);
    const place = family.findIndex((other) => other.name === score.name);
    return `line-${score.family} line-${score.family}-${place % 4}`;
  }

  #drawCursor() {
    if (!this.#series || this.#widthPx === 0 || this.#cursorS === null || this.#times.length === 0) return;
    const x = this.#x(this.#cursorS);
    this.cursorLine.setAttribute("x1", x);
    this.cursorLine.setAttribute("x2", x);
    const at = indexOfNearest(this.#times, this.#cursorS);
    const { field, format } = this.#mode;
    for (const score of this.#scores) {
      const value = this.legend.querySelector(`[data-score="${CSS.escape(score.name)}"]`);
      if (value) value.textContent = format(score[field][at]);
    }
    const dot = (score) =>
      svg(`circle.dot.dot-${score.family}`, {
        cx: this.#x(this.#times[at]),
        cy: this.#y(score[field][at]),
        r: 3,
      });
    replace(this.dots, this.#visible.filter((score) => score[field][at] !== null).map(dot));
  }

  #drawModes() {
    const choose = (mode) => {
      this.#mode = mode;
      this.#drawModes();
      this.#draw();
    };
    const modeTab = ([name, mode]) => tab(name, mode === this.#mode, () => choose(mode), mode.title);
    keepFocus(this.modes, () => replace(this.modes, Object.entries(MODES).map(modeTab)));
  }

  #drawLegend() {
    const group = ([family, title]) => {
      const members = this.#scores.filter((score) => score.family === family);
      if (members.length === 0) return null;
      return el(
        `div.legend-group.family-${family}`,
        el("h3", familyMark(family), title, el("span.muted", EXPLANATIONS[family])),
        members.map((score) => this.#legendRow(score)),
      );
    };
    keepFocus(this.legend, () => replace(this.legend, Object.entries(FAMILIES).map(group)));
  }

  #legendRow(score) {
    const what = this.#catalog.what(score.name);
    const toggle = () => {
      if (!this.#hidden.delete(score.name)) this.#hidden.add(score.name);
      this.#draw();
    };
    return el(
      "button.legend-row",
      {
        type: "button",
        "data-name": score.name,
        "aria-pressed": String(!this.#hidden.has(score.name)),
        title: what,
        on: { click: toggle },
      },
      svg(
        "svg.legend-line",
        { viewBox: "0 0 26 10", "aria-hidden": "true" },
        svg("path.line", { class: this.#lineClass(score), d: "M1 5H25" }),
      ),
      el("span.legend-label", this.#catalog.label(score.name)),
      el("span.legend-value.number", { "data-score": score.name }, "–"),
      el("span.legend-what.muted.small", what),
    );
  }

  #scrub(event) {
    if (!this.#series) return;
    const { left } = this.chart.getBoundingClientRect();
    const { from, to } = this.#spans;
    const share = (event.clientX - left - EDGE.left) / (this.#widthPx - EDGE.left - EDGE.right);
    this.dispatchEvent(new CustomEvent("scrub", { detail: from + Math.min(1, Math.max(0, share)) * (to - from) }));
  }
}

function indexOfNearest(times, wanted) {
  return times.reduce((best, time, at) => (Math.abs(time - wanted) < Math.abs(times[best] - wanted) ? at : best), 0);
}
