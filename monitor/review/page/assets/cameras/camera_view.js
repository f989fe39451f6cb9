// One camera: its newest frame with the overlay, ten minutes of scores, health, corrections, and its newest report.

import { cameraPath, get, isFailure } from "../api.js";
import { drawAnnotations } from "../clip/annotations.js";
import { Timeline } from "../clip/timeline.js";
import { buttonLink, definitions, loadFailure, notice, skeletons } from "../controls.js";
import { CameraCorrections } from "../corrections/camera_corrections.js";
import { CorrectionsCard } from "../corrections/corrections_card.js";
import { RegionLayer, regionSwitch } from "../corrections/regions.js";
import { el, replace } from "../dom.js";
import { humanize, humanizeLower } from "../format.js";
import { icon } from "../icons.js";
import { msOf, nowMs } from "../times.js";
import { drawState, drawTrouble, isDead, openAlertsLink, stateOf, statusOf, updated } from "./camera_state.js";
import { forgetButton } from "./forget.js";
import { HealthCard } from "./health_card.js";

const SCORES_INTERVAL_MS = 2_000;
const RELOAD_INTERVAL_MS = 5_000; // for health and the newest report

/** The view at `/cameras/<id>`. */
export class CameraView {
  title = "Camera";
  #app;
  #id = null;
  #status = null;
  #camera = null;
  #isLoading = false;
  #shownNs = null;
  #timers = [];
  #listening = new AbortController();
  #corrections;

  constructor(app) {
    this.#app = app;
    this.element = el("div.page.camera");
    const { signal } = this.#listening;
    app.live.addEventListener("cameras", ({ detail }) => this.#update(detail.cameras), { signal });
    this.#corrections = new CameraCorrections(app.live, signal);
    this.#corrections.addEventListener("change", () => this.#drawCorrections());
  }

  show({ id }) {
    if (id === this.#id) return;
    this.#id = id;
    this.title = id;
    this.picture = el("canvas.stage-picture.layer", { role: "img", "aria-label": `Newest picture of ${id}` });
    this.marks = el("canvas.stage-marks.layer", { "aria-hidden": "true" });
    this.regions = new RegionLayer();
    this.stage = el("figure.stage", this.picture, this.regions.element, this.marks);
    new ResizeObserver(() => this.#drawRegions()).observe(this.stage);
    this.overlays = el(
      "div.overlay-switches.beside.wrap",
      { role: "group", "aria-label": "Overlays", hidden: true },
      regionSwitch(this.regions),
    );
    this.correctionsCard = new CorrectionsCard(
      this.#corrections,
      this.#app.session.role,
      () => this.#camera?.report ?? null,
    );
    this.#corrections.follow(id);
    this.timeline = new Timeline(this.#app.scores, `Scores of ${id} in the last ten minutes`);
    replace(this.element, skeletons(1, "skeleton-head"), skeletons(1, "skeleton-picture"));
    this.#load();
    this.#timers.forEach(clearInterval);
    const whileVisible = (act) => () => document.visibilityState === "visible" && act();
    this.#timers = [
      setInterval(
        whileVisible(() => this.#loadScores()),
        SCORES_INTERVAL_MS,
      ),
      setInterval(
        whileVisible(() => this.#reload()),
        RELOAD_INTERVAL_MS,
      ),
    ];
  }

  close() {
    this.#timers.forEach(clearInterval);
    this.#listening.abort();
  }

  async #load() {
    try {
      this.#camera = await get(cameraPath(this.#id));
      this.#status = statusOf(this.#camera);
    } catch (error) {
      if (isFailure(error)) this.#drawError(error);
      return;
    }
    this.#build();
    this.#refresh();
    this.#loadScores();
  }

  /** Brings the health and the newest report up to date. */
  async #reload() {
    if (this.#camera === null) return;
    try {
      this.#camera = await get(cameraPath(this.#id));
      this.#status = statusOf(this.#camera);
      this.#draw();
    } catch (error) {
      isFailure(error); // the last known state stays; the next interval tries again
    }
  }

  #drawError(error) {
    const list = buttonLink("/cameras", "Back to the cameras");
    const text = "It has sent nothing recently, or the address is wrong.";
    replace(
      this.element,
      error.status === 404
        ? notice("search", "Camera not found", text, list)
        : loadFailure("the camera", error.message, null, list),
      this.correctionsCard.element, // corrections of a silent camera are still in force
    );
  }

  #build() {
    this.badge = el("span.state-badge.level");
    this.alerts = el("span");
    this.trouble = el("p.callout.callout-warning.beside", { hidden: true });
    this.health = new HealthCard();
    this.report = el("section.card.details.stack", { "aria-labelledby": "camera-report" });
    const leave = () => this.#app.router.go("/cameras");
    this.forget = el("span", { hidden: true }, forgetButton(this.#id, this.#app.session.role, leave));
    const back = { class: "icon-only quiet", "aria-label": "Back to the cameras" };
    replace(
      this.element,
      el(
        "header.page-head.level.wrap",
        buttonLink("/cameras", icon("back"), back),
        el("h1", this.#id),
        this.badge,
        this.alerts,
        this.forget,
      ),
      this.trouble,
      el(
        "div.camera-body",
        el("div", this.stage, this.overlays, this.correctionsCard.element),
        el("div.stack", el("section.card", this.timeline.element), this.health.element, this.report),
      ),
    );
    this.#draw();
    this.#drawCorrections();
  }

  #update(events) {
    const event = events.find((one) => one.stream_id === this.#id);
    if (!event || !this.#status) return;
    this.#status = updated(this.#status, event);
    this.#draw();
    this.#refresh();
  }

  #draw() {
    const state = stateOf(this.#status);
    this.element.dataset.state = state;
    drawState(this.badge, state);
    const all = () => el("a.tag", { href: `/alerts?review=any&camera=${encodeURIComponent(this.#id)}` }, "All alerts");
    replace(this.alerts, openAlertsLink(this.#status, "") ?? all());
    drawTrouble(this.trouble, this.#status, icon("warning"));
    this.forget.hidden = !isDead(this.#status);
    this.health.show(this.#camera);
    replace(this.report, newestReport(this.#camera));
  }

  async #refresh() {
    if (this.#isLoading || document.visibilityState !== "visible" || this.#status.frameNs === this.#shownNs) return;
    this.#isLoading = true;
    const wanted = this.#status.frameNs;
    const path = cameraPath(this.#id);
    try {
      const [response, overlay] = await Promise.all([
        fetch(`/api/v1${path}/frame`),
        get(`${path}/overlay`).catch(() => null),
      ]);
      if (!response.ok) return;
      this.#drawPicture(await createImageBitmap(await response.blob()), overlay);
      this.#shownNs = wanted;
    } catch (error) {
      // no response, or a broken picture: the next one may be valid
      if (!(error instanceof TypeError) && error.name !== "InvalidStateError") throw error;
    } finally {
      this.#isLoading = false;
    }
  }

  #drawPicture(bitmap, overlay) {
    const { width, height } = bitmap;
    this.stage.style.setProperty("aspect-ratio", `${width} / ${height}`);
    for (const canvas of [this.picture, this.marks]) Object.assign(canvas, { width, height });
    this.picture.getContext("2d").drawImage(bitmap, 0, 0);
    this.#drawRegions();
    if (overlay) drawAnnotations(this.marks.getContext("2d"), overlay, 1);
    bitmap.close();
  }

  #drawCorrections() {
    if (this.#id === null) return;
    this.correctionsCard.draw();
    this.correctionsCard.element.hidden = this.#camera === null && !(this.#corrections.list?.length > 0);
    this.overlays.hidden = this.#corrections.mutes.length === 0;
    this.regions.show(this.#corrections.mutes);
  }

  #drawRegions() {
    this.regions.draw(this.stage.clientWidth / this.picture.width, this.#camera?.report?.capture_ns ?? null);
  }

  async #loadScores() {
    try {
      const series = await get(`${cameraPath(this.#id)}/scores?max_points=300`);
      const now = nowMs();
      const times = series.published_ns.map((ns) => (msOf(ns) - now) / 1000);
      const from = Math.max(-600, Math.min(-60, times[0] ?? -60));
      this.timeline.show(series, times, { from, to: 0 });
      this.timeline.cursor(times.at(-1) ?? 0);
    } catch (error) {
      isFailure(error); // the next interval tries again
    }
  }
}

function newestReport({ report, tags }) {
  const latency = ([stage, ms]) => [`${humanize(stage)}, ms`, ms === null ? "–" : ms.toFixed(1)];
  const tag = ([name, value]) => [`Recording: ${humanizeLower(name)}`, String(value)];
  const entries = report && [
    ["Frame", report.seq],
    ["Run", report.run_id],
    ["Outcome", humanize(report.outcome) + (report.cause ? `: ${humanizeLower(report.cause)}` : "")],
    ...Object.entries(report.latency_ms).map(latency),
    ["Models", report.models_id],
    ["Calibration", report.calibration_id || "–"],
    ["Configuration", report.configuration_id],
    ...Object.entries(tags).map(tag),
  ];
  return [
    el("h2", { id: "camera-report" }, "Newest report"),
    report ? definitions("pairs ids stack", entries) : el("p.muted", "No report yet."),
  ];
}
