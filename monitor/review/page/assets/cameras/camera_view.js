// One camera, large: its newest frame with the overlay, ten minutes of scores, and what it is judged by.

import { ApiError, get } from "../api.js";
import { pairs } from "../alerts/facts.js";
import { drawAnnotations } from "../clip/annotations.js";
import { Timeline } from "../clip/timeline.js";
import { el, notice, replace, skeletons } from "../dom.js";
import { icon } from "../icons.js";
import { ago, moment, msOf, nowMs } from "../times.js";
import { CameraVerdicts } from "../verdicts/camera_verdicts.js";
import { CorrectionsCard } from "../verdicts/corrections_card.js";
import { RegionLayer, regionSwitch } from "../verdicts/regions.js";
import { plural, words } from "../words.js";
import { troubleOf } from "./camera_card.js";
import { factsOf, newerFacts, stateOf } from "./camera_state.js";

const SCORES_AGAIN_MS = 2_000;

/** The view behind `/cameras/<id>`. */
export class CameraView {
  title = "Camera";
  #app;
  #id = null;
  #facts = null;
  #camera = null;
  #isLoading = false;
  #shownNs = null;
  #timer = 0;
  #hearing = new AbortController();
  #verdicts;

  constructor(app) {
    this.#app = app;
    this.element = el("div", { class: "page camera" });
    const { signal } = this.#hearing;
    app.live.addEventListener("cameras", ({ detail }) => this.#hear(detail.cameras), { signal });
    this.#verdicts = new CameraVerdicts(app.live, signal);
    this.#verdicts.addEventListener("change", () => this.#drawVerdicts());
  }

  show({ id }) {
    if (id === this.#id) return;
    this.#id = id;
    this.title = id;
    this.picture = el("canvas", { class: "stage-picture", role: "img", "aria-label": `Newest picture of ${id}` });
    this.marks = el("canvas", { class: "stage-marks", "aria-hidden": "true" });
    this.regions = new RegionLayer();
    this.stage = el("figure", { class: "stage" }, this.picture, this.regions.element, this.marks);
    new ResizeObserver(() => this.#drawRegions()).observe(this.stage);
    this.overlays = el("div", { class: "overlay-switches", role: "group", "aria-label": "Overlays", hidden: true });
    this.corrections = new CorrectionsCard(
      this.#verdicts,
      this.#app.session.role,
      () => this.#camera?.report ?? null,
    );
    replace(this.overlays, regionSwitch(this.regions));
    this.#verdicts.follow(id);
    this.timeline = new Timeline(this.#app.scores, `Scores of ${id} in the last ten minutes`);
    replace(this.element, skeletons(1, "skeleton-head"), skeletons(1, "skeleton-picture"));
    this.#ask();
    clearInterval(this.#timer);
    this.#timer = setInterval(() => document.visibilityState === "visible" && this.#askScores(), SCORES_AGAIN_MS);
  }

  act() {
    return false;
  }

  close() {
    clearInterval(this.#timer);
    this.#hearing.abort();
  }

  get #path() {
    return `/cameras/${encodeURIComponent(this.#id)}`;
  }

  async #ask() {
    try {
      this.#camera = await get(this.#path);
      this.#facts = factsOf(this.#camera);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const list = el("a", { class: "button", href: "/cameras" }, "To the cameras");
      return replace(
        this.element,
        error.status === 404
          ? notice(
              icon("search"),
              "There is no such camera",
              "Nothing has come from it lately, or the address is mistyped.",
              list,
            )
          : notice(icon("offline"), "The camera did not come", error.message, list),
        this.corrections.element, // they hold for a camera that is silent too
      );
    }
    this.#build();
    this.#refresh();
    this.#askScores();
  }

  #build() {
    this.badge = el("span", { class: "state-badge" });
    this.alerts = el("span");
    this.trouble = el("p", { class: "callout callout-warning", hidden: true });
    replace(
      this.element,
      el(
        "header",
        { class: "page-head" },
        el(
          "a",
          { class: "button icon-only quiet", href: "/cameras", "aria-label": "Back to the cameras" },
          icon("back"),
        ),
        el("h1", {}, this.#id),
        this.badge,
        this.alerts,
      ),
      this.trouble,
      el(
        "div",
        { class: "camera-body" },
        el("div", {}, this.stage, this.overlays, this.corrections.element),
        el("div", { class: "stack" }, el("section", { class: "card" }, this.timeline.element), this.#reportCard()),
      ),
    );
    this.#draw();
    this.#drawVerdicts();
  }

  #reportCard() {
    const { report, health, tags } = this.#camera;
    const entries = report
      ? [
          ["Frame", report.seq],
          ["Run", report.run_id],
          ["Outcome", words(report.outcome)],
          ...Object.entries(report.latency_ms).map(([stage, ms]) => [
            `${words(stage)}, ms`,
            ms === null ? "–" : ms.toFixed(1),
          ]),
          ["Models", report.models_id],
          ["Calibration", report.calibration_id || "–"],
          ["Configuration", report.configuration_id],
        ]
      : [];
    const known = Object.entries(tags).map(([name, value]) => [
      `Recording: ${words(name).toLowerCase()}`,
      String(value),
    ]);
    return el(
      "section",
      { class: "card facts", "aria-labelledby": "camera-facts" },
      el("h2", { id: "camera-facts" }, "Newest report"),
      entries.length > 0
        ? pairs(
            [...entries, ...known].map(([name, value]) => [name, String(value)]),
            "pairs ids",
          )
        : el("p", { class: "muted" }, "No report has come."),
      health
        ? el(
            "p",
            { class: "muted small" },
            `The source said: ${words(health.disturbance ?? "something").toLowerCase()} (${words(health.state ?? "")}), `,
            health.at_ns ? el("time", { title: moment(health.at_ns) }, ago(health.at_ns)) : null,
          )
        : null,
    );
  }

  #hear(events) {
    const event = events.find((one) => one.stream_id === this.#id);
    if (!event || !this.#facts) return;
    this.#facts = newerFacts(this.#facts, event);
    this.#draw();
    this.#refresh();
  }

  #draw() {
    const state = stateOf(this.#facts);
    this.element.dataset.state = state;
    replace(this.badge, icon(state), words(state));
    const count = this.#facts.openAlerts;
    replace(
      this.alerts,
      el(
        "a",
        {
          class: count > 0 ? "tag tag-open" : "tag",
          href: `/alerts?review=any&camera=${encodeURIComponent(this.#id)}`,
        },
        count > 0 ? plural(count, "open alert") : "All its alerts",
      ),
    );
    const trouble = troubleOf(this.#facts.health);
    this.trouble.hidden = trouble === "";
    replace(this.trouble, icon("warning"), trouble);
  }

  async #refresh() {
    if (this.#isLoading || document.visibilityState !== "visible" || this.#facts.frameNs === this.#shownNs) return;
    this.#isLoading = true;
    const wanted = this.#facts.frameNs;
    try {
      const [response, overlay] = await Promise.all([
        fetch(`/api/v1${this.#path}/frame`),
        get(`${this.#path}/overlay`).catch(() => null),
      ]);
      if (!response.ok) return;
      const bitmap = await createImageBitmap(await response.blob());
      this.#paint(bitmap, overlay);
      this.#shownNs = wanted;
    } catch (error) {
      if (!(error instanceof TypeError) && error.name !== "InvalidStateError") throw error; // the next picture may come whole
    } finally {
      this.#isLoading = false;
    }
  }

  #paint(bitmap, overlay) {
    const { width, height } = bitmap;
    this.stage.style.setProperty("aspect-ratio", `${width} / ${height}`);
    for (const canvas of [this.picture, this.marks]) Object.assign(canvas, { width, height });
    this.picture.getContext("2d").drawImage(bitmap, 0, 0);
    this.#drawRegions();
    if (overlay) drawAnnotations(this.marks.getContext("2d"), overlay, 1);
    bitmap.close();
  }

  #drawVerdicts() {
    if (this.#id === null) return;
    this.corrections.draw();
    this.corrections.element.hidden = this.#camera === null && !(this.#verdicts.list?.length > 0);
    this.overlays.hidden = this.#verdicts.mutes.length === 0;
    this.regions.show(this.#verdicts.mutes);
  }

  #drawRegions() {
    this.regions.draw(this.stage.clientWidth / this.picture.width, this.#camera?.report?.capture_ns ?? null);
  }

  async #askScores() {
    try {
      const series = await get(`${this.#path}/scores?max_points=300`);
      const now = nowMs();
      const times = series.published_ns.map((ns) => (msOf(ns) - now) / 1000);
      const from = Math.max(-600, Math.min(-60, times[0] ?? -60));
      this.timeline.show(series, times, { from, to: 0 });
      this.timeline.cursor(times.at(-1) ?? 0);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }
}
