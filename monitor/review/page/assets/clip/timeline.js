// Scores over time: gradient scores as solid lines, plain baselines as dashed ones, the threshold at 1.

import { el, replace, svg } from "../dom.js";
import { pValue, ratio } from "../words.js";
import { familySign } from "../alerts/why.js";

const HEIGHT_PX = 190;
const EDGE = { left: 34, right: 10, top: 10, bottom: 22 };
const RATIO_TICKS = [0, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100];
const P_TICKS = [1, 0.1, 0.01, 0.001, 0.0001];
const MODES = {
  ratio: { field: "ratio", title: "Change ratio", scaled: (value) => Math.sqrt(Math.max(0, value)), said: ratio },
  p: { field: "p_value", title: "p-value", scaled: (value) => -Math.log10(Math.max(1e-5, value)), said: pValue },
};

/** Tells `scrub` with seconds from the origin. */
export class Timeline extends EventTarget {
  #catalog;
  #series = null;
  #times = [];
  #spans = {};
  #mode = "ratio";
  #hidden = new Set();
  #atS = null;
  #widthPx = 0;

  constructor(catalog, label) {
    super();
    this.#catalog = catalog;
    this.chart = svg("svg", { class: "chart", role: "img", "aria-label": label, height: HEIGHT_PX });
    this.modes = el("div", { class: "tabs small-tabs", role: "group", "aria-label": "What is shown" });
    this.legend = el("div", { class: "legend" });
    this.element = el(
      "section",
      { class: "timeline" },
      el("header", { class: "timeline-head" }, el("h2", {}, "Scores"), this.modes),
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

  /** `times` are seconds from an origin, one for each point of `series`; `spans` {from, to, onset, last} in the same. */
  show(series, times, spans) {
    this.#series = series;
    this.#times = times;
    this.#spans = spans;
    for (const score of series.scores) this.#catalog.family(score.name, score.family);
    this.#draw();
  }

  /** Moves the cursor, and tells the values there. */
  cursor(seconds) {
    this.#atS = seconds;
    this.#drawCursor();
  }

  #resize(widthPx) {
    if (Math.abs(widthPx - this.#widthPx) < 1) return;
    this.#widthPx = widthPx;
    this.#draw();
  }

  #shown() {
    const { field } = MODES[this.#mode];
    const order = { gradient: 0, baseline: 1, unknown: 2 };
    return this.#series.scores
      .filter((score) => score[field].some((value) => value !== null))
      .sort((a, b) => order[a.family] - order[b.family]);
  }

  #draw() {
    if (!this.#series || this.#widthPx === 0) return;
    const shown = this.#shown();
    const mode = MODES[this.#mode];
    const peak = shown
      .filter((score) => !this.#hidden.has(score.name))
      .flatMap((score) => score[mode.field])
      .reduce((most, value) => (value === null ? most : Math.max(most, mode.scaled(value))), 0);
    this.top = Math.max(peak * 1.06, mode.scaled(this.#mode === "ratio" ? 1.3 : 0.005));
    this.chart.setAttribute("viewBox", `0 0 ${this.#widthPx} ${HEIGHT_PX}`);
    this.cursorLine = svg("line", { class: "chart-cursor", y1: EDGE.top, y2: HEIGHT_PX - EDGE.bottom });
    this.dots = svg("g", {});
    replace(
      this.chart,
      this.#background(),
      this.#axes(),
      shown.map((score) => this.#line(score)),
      this.cursorLine,
      this.dots,
    );
    this.#drawLegend(shown);
    this.#drawCursor();
  }

  #x(seconds) {
    const { from, to } = this.#spans;
    return EDGE.left + ((seconds - from) / Math.max(1e-9, to - from)) * (this.#widthPx - EDGE.left - EDGE.right);
  }

  #y(value) {
    return (
      HEIGHT_PX - EDGE.bottom - (MODES[this.#mode].scaled(value) / this.top) * (HEIGHT_PX - EDGE.top - EDGE.bottom)
    );
  }

  #background() {
    const { onset, last } = this.#spans;
    if (onset === undefined) return null;
    const left = this.#x(onset);
    return [
      svg("rect", {
        class: "chart-alert",
        x: left,
        y: EDGE.top,
        width: Math.max(1, this.#x(last) - left),
        height: HEIGHT_PX - EDGE.top - EDGE.bottom,
      }),
      svg("text", { class: "chart-text", x: left + 4, y: EDGE.top + 10 }, "alert"),
    ];
  }

  #axes() {
    const { from, to } = this.#spans;
    const isRatio = this.#mode === "ratio";
    const right = this.#widthPx - EDGE.right;
    const levels = (isRatio ? RATIO_TICKS : P_TICKS)
      .filter((value) => MODES[this.#mode].scaled(value) <= this.top)
      .map((value) => [value, this.#y(value)]);
    const apart = levels.filter(
      ([value, y]) =>
        value === 1 ||
        levels.every(([other, otherY]) => (other <= value && !(other === 1)) || Math.abs(y - otherY) >= 13),
    );
    const step = [1, 2, 5, 10, 15, 30, 60, 120, 300].find((one) => (to - from) / one <= this.#widthPx / 70) ?? 600;
    const seconds = [];
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) seconds.push(at);
    return svg(
      "g",
      { class: "chart-axes" },
      apart.map(([value, y]) => [
        svg("line", {
          class: isRatio && value === 1 ? "chart-threshold" : "chart-grid",
          x1: EDGE.left,
          x2: right,
          y1: y,
          y2: y,
        }),
        svg(
          "text",
          {
            class: isRatio && value === 1 ? "chart-text chart-text-threshold" : "chart-text",
            x: EDGE.left - 5,
            y: y + 3.5,
            "text-anchor": "end",
          },
          String(value),
        ),
      ]),
      isRatio
        ? svg("text", { class: "chart-text chart-text-threshold", x: EDGE.left + 4, y: this.#y(1) - 4 }, "threshold")
        : null,
      seconds.map((at) =>
        svg(
          "text",
          { class: "chart-text", x: this.#x(at), y: HEIGHT_PX - 6, "text-anchor": "middle" },
          `${at < 0 ? "−" : at > 0 ? "+" : ""}${Math.abs(at)} s`,
        ),
      ),
    );
  }

  #line(score) {
    if (this.#hidden.has(score.name)) return null;
    const { field } = MODES[this.#mode];
    let path = "";
    let isDrawing = false;
    score[field].forEach((value, at) => {
      if (value !== null)
        path += `${isDrawing ? "L" : "M"}${this.#x(this.#times[at]).toFixed(1)} ${this.#y(value).toFixed(1)}`;
      isDrawing = value !== null;
    });
    return svg("path", { class: `line ${this.#lineClass(score)}`, d: path });
  }

  /** Family and place within it decide how a line looks, so that no two look alike. */
  #lineClass(score) {
    const family = this.#shown().filter((other) => other.family === score.family);
    const place = family.findIndex((other) => other.name === score.name);
    return `line-${score.family} line-${score.family}-${place % 4}`;
  }

  #drawCursor() {
    if (!this.cursorLine || this.#atS === null || this.#times.length === 0) return;
    const x = this.#x(this.#atS);
    this.cursorLine.setAttribute("x1", x);
    this.cursorLine.setAttribute("x2", x);
    const at = nearest(this.#times, this.#atS);
    const mode = MODES[this.#mode];
    for (const score of this.#shown()) {
      const value = this.legend.querySelector(`[data-score="${CSS.escape(score.name)}"]`);
      if (value) value.textContent = mode.said(score[mode.field][at]);
    }
    replace(
      this.dots,
      this.#shown()
        .filter((score) => !this.#hidden.has(score.name) && score[mode.field][at] !== null)
        .map((score) =>
          svg("circle", {
            class: `dot dot-${score.family}`,
            cx: this.#x(this.#times[at]),
            cy: this.#y(score[mode.field][at]),
            r: 3,
          }),
        ),
    );
  }

  #drawModes() {
    const focused = this.modes.contains(document.activeElement);
    replace(
      this.modes,
      Object.entries(MODES).map(([name, { title }]) =>
        el(
          "button",
          {
            class: "tab",
            type: "button",
            "aria-pressed": String(name === this.#mode),
            on: {
              click: () => {
                this.#mode = name;
                this.#drawModes();
                this.#draw();
              },
            },
          },
          title,
        ),
      ),
    );
    if (focused) this.modes.querySelector('[aria-pressed="true"]').focus();
  }

  #drawLegend(shown) {
    const focused = this.legend.contains(document.activeElement) ? document.activeElement.dataset.name : null;
    const group = (family, title, text) => {
      const members = shown.filter((score) => score.family === family);
      if (members.length === 0) return null;
      return el(
        "div",
        { class: `legend-group family-${family}` },
        el("h3", {}, familySign(family), title, el("span", { class: "muted" }, text)),
        members.map((score) => this.#legendRow(score)),
      );
    };
    replace(
      this.legend,
      group("gradient", "Gradient scores", "what the networks' gradients say"),
      group("baseline", "Plain baselines", "what could be said without gradients"),
      group("unknown", "Other scores", ""),
    );
    if (focused) this.legend.querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus();
  }

  #legendRow(score) {
    const isHidden = this.#hidden.has(score.name);
    const toggle = () => {
      if (!this.#hidden.delete(score.name)) this.#hidden.add(score.name);
      this.#draw();
    };
    return el(
      "button",
      {
        class: "legend-row",
        type: "button",
        "data-name": score.name,
        "aria-pressed": String(!isHidden),
        title: this.#catalog.what(score.name),
        on: { click: toggle },
      },
      svg(
        "svg",
        { class: "legend-line", viewBox: "0 0 26 10", "aria-hidden": "true" },
        svg("path", { class: `line ${this.#lineClass(score)}`, d: "M1 5H25" }),
      ),
      el("span", { class: "legend-label" }, this.#catalog.label(score.name)),
      el("span", { class: "legend-value number", "data-score": score.name }, "–"),
      el("span", { class: "legend-what" }, this.#catalog.what(score.name)),
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

function nearest(times, wanted) {
  return times.reduce((best, time, at) => (Math.abs(time - wanted) < Math.abs(times[best] - wanted) ? at : best), 0);
}
