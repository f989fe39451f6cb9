// One camera of the overview: its newest picture with the overlay, its state, and its scores.

import { cameraPath, get, isFailure } from "../api.js";
import { drawAnnotations } from "../clip/annotations.js";
import { clearedContext } from "../clip/canvas.js";
import { el, replace } from "../dom.js";
import { formatRatio } from "../format.js";
import { formatDuration } from "../times.js";
import { ageOf, drawState, drawTrouble, isDead, largestRatio, openAlertsLink, stateOf } from "./camera_state.js";
import { forgetButton } from "./forget.js";
import { Sparkline } from "./sparkline.js";

const LIVE_WITHIN_S = 5;
const OLD_AFTER_S = 10;
const PICTURE_INTERVAL_MS = 800; // at least, between two pictures of one camera

/** Shows a camera's `status`; loads pictures only while `isVisible`; a dead camera can be `forgotten` by some roles. */
export class CameraCard {
  isVisible = false;
  status;
  #shownFrameNs = null;
  #isLoading = false;
  #loadedAtMs = 0;
  #hasScores = false;

  constructor(status, role, forgotten) {
    this.status = status;
    const { streamId } = status;
    this.picture = el("img.card-picture.layer", { alt: "", width: 320, height: 180, hidden: true });
    this.marks = el("canvas.card-marks.layer", { "aria-hidden": "true" });
    this.blank = el("span.card-blank.muted", "No picture yet");
    this.badge = el("span.state-badge.level");
    this.age = el("span.card-age.number");
    this.alerts = el("span");
    this.ratio = el("span.number.card-ratio");
    this.trouble = el("p.card-trouble", { hidden: true });
    this.forget = el("span", { hidden: true }, forgetButton(streamId, role, forgotten));
    this.sparkline = new Sparkline();
    this.element = el(
      "article.camera-card",
      el(
        "a.card-link",
        { href: `/cameras/${streamId}`, "aria-label": `${streamId}: show the camera` },
        el("div.card-stage", this.blank, this.picture, this.marks, this.badge, this.age),
      ),
      el(
        "div.card-text",
        el("div.card-line.apart", el("h2", streamId), this.alerts, this.forget),
        this.trouble,
        el("div.card-spark.level", this.sparkline.element, this.ratio),
      ),
    );
    this.draw();
  }

  /** Takes a newer status. */
  update(status) {
    const isNewReport = status.reportNs !== this.status.reportNs;
    this.status = status;
    if (isNewReport && status.reportNs) this.sparkline.add(status.reportNs, largestRatio(status));
    this.draw();
    if (this.isVisible) this.refresh();
  }

  draw() {
    const { status } = this;
    const state = stateOf(status);
    if (this.element.dataset.state !== state) {
      this.element.dataset.state = state;
      drawState(this.badge, state);
    }
    const ageS = ageOf(status.frameNs);
    this.age.textContent = ageS === Infinity ? "" : ageS < LIVE_WITHIN_S ? "live" : `${formatDuration(ageS)} old`;
    this.age.classList.toggle("is-old", ageS >= OLD_AFTER_S);
    replace(this.alerts, openAlertsLink(status, "&state=open"));
    this.forget.hidden = !isDead(status);
    const largest = largestRatio(status);
    this.ratio.textContent = formatRatio(largest);
    this.ratio.classList.toggle("is-over", largest !== null && largest >= 1);
    drawTrouble(this.trouble, status);
  }

  /** Loads the newest picture and its overlay, unless they are shown or being loaded already. */
  async refresh() {
    this.#fillSparkline();
    const { streamId, frameNs } = this.status;
    if (this.#isLoading || document.visibilityState !== "visible") return;
    if (frameNs === null || frameNs === this.#shownFrameNs) return;
    if (performance.now() - this.#loadedAtMs < PICTURE_INTERVAL_MS) return;
    this.#isLoading = true;
    try {
      const next = new Image();
      next.src = `/api/v1${cameraPath(streamId)}/thumbnail.jpg?at=${frameNs}`;
      const [overlay] = await Promise.all([get(`${cameraPath(streamId)}/overlay`).catch(() => null), next.decode()]);
      this.picture.src = next.src;
      this.picture.hidden = false;
      this.blank.hidden = true;
      this.picture.alt = `Newest picture of ${streamId}`;
      this.#drawMarks(overlay);
      this.#shownFrameNs = frameNs;
    } catch (error) {
      if (error.name !== "EncodingError") throw error; // a broken picture: the next one may be valid
    } finally {
      this.#isLoading = false;
      this.#loadedAtMs = performance.now();
    }
  }

  #drawMarks(overlay) {
    const context = clearedContext(this.marks);
    const { widthPx, heightPx } = this.status;
    if (context === null || overlay === null || !widthPx) return;
    const { clientWidth, clientHeight } = this.marks;
    const scale = Math.max(clientWidth / widthPx, clientHeight / heightPx); // the picture covers its box
    context.translate((clientWidth - scale * widthPx) / 2, (clientHeight - scale * heightPx) / 2);
    drawAnnotations(context, overlay, scale);
  }

  async #fillSparkline() {
    if (this.#hasScores) return;
    this.#hasScores = true;
    try {
      this.sparkline.fill(await get(`${cameraPath(this.status.streamId)}/scores?max_points=240`));
    } catch (error) {
      this.#hasScores = !isFailure(error);
    }
  }
}
