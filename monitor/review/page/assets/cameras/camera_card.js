// One camera of the wall: its newest picture with the overlay, its state in a word and a shape, and its scores.

import { ApiError, get } from "../api.js";
import { drawAnnotations } from "../clip/annotations.js";
import { el, replace } from "../dom.js";
import { icon } from "../icons.js";
import { ago, duration } from "../times.js";
import { plural, ratio, words } from "../words.js";
import { ageOf, largestRatio, stateOf } from "./camera_state.js";
import { Sparkline } from "./sparkline.js";

const LEAST_WAIT_MS = 800; // between two pictures of one camera

/** Shows `facts`; asks for pictures only while `isVisible`. */
export class CameraCard {
  isVisible = false;
  facts;
  #shownFrameNs = null;
  #isLoading = false;
  #loadedAtMs = 0;
  #hasScores = false;
  #size = null;

  constructor(facts) {
    this.facts = facts;
    this.picture = el("img", { class: "card-picture", alt: "", width: 320, height: 180, hidden: true });
    this.marks = el("canvas", { class: "card-marks", "aria-hidden": "true" });
    this.blank = el("span", { class: "card-blank muted" }, "No picture yet");
    this.badge = el("span", { class: "state-badge" });
    this.age = el("span", { class: "card-age number" });
    this.alerts = el("span", { class: "card-alerts" });
    this.ratio = el("span", { class: "number card-ratio" });
    this.trouble = el("p", { class: "card-trouble", hidden: true });
    this.sparkline = new Sparkline();
    this.element = el(
      "article",
      { class: "camera-card" },
      el(
        "a",
        { class: "card-link", href: `/cameras/${facts.streamId}`, "aria-label": `${facts.streamId}: show the camera` },
        el("div", { class: "card-stage" }, this.blank, this.picture, this.marks, this.badge, this.age),
      ),
      el(
        "div",
        { class: "card-text" },
        el("div", { class: "card-line" }, el("h2", {}, facts.streamId), this.alerts),
        this.trouble,
        el("div", { class: "card-spark" }, this.sparkline.element, this.ratio),
      ),
    );
    this.draw();
  }

  /** Newer facts. */
  learn(facts) {
    const isNewReport = facts.reportNs !== this.facts.reportNs;
    this.facts = facts;
    if (isNewReport && facts.reportNs) this.sparkline.add(facts.reportNs, largestRatio(facts));
    this.draw();
    if (this.isVisible) this.refresh();
  }

  draw() {
    const { facts } = this;
    const state = stateOf(facts);
    if (this.element.dataset.state !== state) {
      this.element.dataset.state = state;
      replace(this.badge, icon(state), words(state));
    }
    const ageS = ageOf(facts.frameNs);
    this.age.textContent = ageS === Infinity ? "" : ageS < 5 ? "live" : `${duration(ageS)} old`;
    this.age.classList.toggle("is-old", ageS >= 10);
    replace(
      this.alerts,
      facts.openAlerts > 0
        ? el(
            "a",
            {
              class: "tag tag-open",
              href: `/alerts?review=any&state=open&camera=${encodeURIComponent(facts.streamId)}`,
            },
            plural(facts.openAlerts, "open alert"),
          )
        : null,
    );
    const largest = largestRatio(facts);
    this.ratio.textContent = ratio(largest);
    this.ratio.classList.toggle("is-over", largest !== null && largest >= 1);
    const trouble = troubleOf(facts.health);
    this.trouble.hidden = trouble === "";
    this.trouble.textContent = trouble;
  }

  /** Asks for the newest picture and its overlay, unless one is on its way or was just there. */
  async refresh() {
    this.#fillSparkline();
    if (this.#isLoading || document.visibilityState !== "visible") return;
    if (
      this.facts.frameNs === null ||
      this.facts.frameNs === this.#shownFrameNs ||
      performance.now() - this.#loadedAtMs < LEAST_WAIT_MS
    )
      return;
    this.#isLoading = true;
    const wanted = this.facts.frameNs;
    try {
      const next = new Image();
      next.src = `/api/v1/cameras/${encodeURIComponent(this.facts.streamId)}/thumbnail.jpg?at=${wanted}`;
      const [overlay] = await Promise.all([
        get(`/cameras/${encodeURIComponent(this.facts.streamId)}/overlay`).catch(() => null),
        next.decode(),
      ]);
      this.picture.src = next.src;
      this.#size = [next.naturalWidth, next.naturalHeight];
      this.picture.hidden = false;
      this.blank.hidden = true;
      this.picture.alt = `Newest picture of ${this.facts.streamId}`;
      this.#drawMarks(overlay);
      this.#shownFrameNs = wanted;
    } catch (error) {
      if (error.name !== "EncodingError" && !(error instanceof ApiError)) throw error; // the next picture may be whole
    } finally {
      this.#isLoading = false;
      this.#loadedAtMs = performance.now();
    }
  }

  #drawMarks(overlay) {
    const { clientWidth, clientHeight } = this.picture;
    const density = Math.min(2, devicePixelRatio);
    this.marks.width = Math.round(clientWidth * density);
    this.marks.height = Math.round(clientHeight * density);
    if (overlay === null || !this.facts.widthPx) return;
    const context = this.marks.getContext("2d");
    const scale = Math.max(clientWidth / this.facts.widthPx, clientHeight / this.facts.heightPx); // the picture covers its box
    context.scale(density, density);
    context.translate((clientWidth - scale * this.facts.widthPx) / 2, (clientHeight - scale * this.facts.heightPx) / 2);
    drawAnnotations(context, overlay, scale);
  }

  async #fillSparkline() {
    if (this.#hasScores) return;
    this.#hasScores = true;
    try {
      this.sparkline.fill(await get(`/cameras/${encodeURIComponent(this.facts.streamId)}/scores?max_points=240`));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#hasScores = false;
    }
  }
}

/** What the source says is wrong with its camera; "" where nothing is. */
export function troubleOf(health) {
  if (!health || health.state !== "begin") return "";
  const detail = health.detail ? `: ${health.detail}` : "";
  return `${words(health.disturbance)} since ${health.since_ns ? ago(health.since_ns).replace(" ago", "") : "a while"}${detail}`;
}
