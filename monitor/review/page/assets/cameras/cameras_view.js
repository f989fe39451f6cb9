// All cameras at a glance, the worst first.

import { ApiError, get } from "../api.js";
import { el, notice, replace, skeletons } from "../dom.js";
import { icon } from "../icons.js";
import { announce } from "../toasts.js";
import { CAMERA_STATES, words } from "../words.js";
import { CameraCard } from "./camera_card.js";
import { byUrgency, factsOf, newerFacts, stateOf } from "./camera_state.js";

const LIST_AGAIN_MS = 15_000; // for cameras that are new, and what sources say of themselves
const DRAW_AGAIN_MS = 1_000; // ages grow

/** The view behind `/cameras`. */
export class CamerasView {
  title = "Cameras";
  #app;
  #cards = new Map();
  #timers = [];
  #hearing = new AbortController();
  #seen;

  constructor(app) {
    this.#app = app;
    this.summary = el("div", { class: "state-summary" });
    this.grid = el("div", { class: "camera-grid" });
    this.state = el("div", {}, skeletons(6, "skeleton-card"));
    this.element = el(
      "div",
      { class: "page cameras" },
      el("header", { class: "page-head" }, el("h1", {}, "Cameras"), this.summary),
      this.state,
      this.grid,
    );
    this.#seen = new IntersectionObserver((entries) => this.#see(entries), { rootMargin: "100px" });
    const { signal } = this.#hearing;
    app.live.addEventListener("cameras", ({ detail }) => this.#hear(detail.cameras), { signal });
    app.live.addEventListener("reset", () => this.#ask(), { signal });
    document.addEventListener("visibilitychange", () => this.#refresh(), { signal });
    this.#timers = [setInterval(() => this.#ask(), LIST_AGAIN_MS), setInterval(() => this.#draw(), DRAW_AGAIN_MS)];
    this.#ask();
  }

  act() {
    return false;
  }

  close() {
    this.#timers.forEach(clearInterval);
    this.#hearing.abort();
    this.#seen.disconnect();
  }

  async #ask() {
    try {
      const { cameras } = await get("/cameras");
      const known = new Set(cameras.map((camera) => camera.stream_id));
      for (const [id, card] of this.#cards) if (!known.has(id)) this.#drop(id, card);
      for (const camera of cameras) this.#learn(factsOf(camera));
      if (cameras.length === 0)
        replace(
          this.state,
          notice(
            icon("cameras"),
            "No camera has been seen",
            "A camera appears here with its first frame or report. gradwatch replay and gradwatch attach bring them.",
          ),
        );
      else this.state.replaceChildren();
      this.#order();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (this.#cards.size === 0)
        replace(
          this.state,
          notice(
            icon("offline"),
            "The cameras did not come",
            error.message,
            el("button", { class: "button", type: "button", on: { click: () => this.#ask() } }, "Try again"),
          ),
        );
    }
  }

  #hear(events) {
    let isUnknown = false;
    for (const event of events) {
      const card = this.#cards.get(event.stream_id);
      if (card) this.#learn(newerFacts(card.facts, event));
      else isUnknown = true;
    }
    if (isUnknown) this.#ask();
    this.#order();
  }

  #learn(facts) {
    const known = this.#cards.get(facts.streamId);
    if (known) {
      const before = stateOf(known.facts);
      known.learn(facts);
      const now = stateOf(facts);
      if (before !== now && CAMERA_STATES.indexOf(now) < CAMERA_STATES.indexOf("calibrating"))
        announce(`${facts.streamId} is ${words(now).toLowerCase()}`);
      return;
    }
    const card = new CameraCard(facts);
    this.#cards.set(facts.streamId, card);
    this.#seen.observe(card.element);
    this.grid.append(card.element);
  }

  #drop(id, card) {
    this.#cards.delete(id);
    this.#seen.unobserve(card.element);
    card.element.remove();
  }

  #see(entries) {
    for (const { target, isIntersecting } of entries) {
      const card = [...this.#cards.values()].find((one) => one.element === target);
      if (!card) continue;
      card.isVisible = isIntersecting;
      if (isIntersecting) card.refresh();
    }
  }

  #refresh() {
    for (const card of this.#cards.values()) if (card.isVisible) card.refresh();
  }

  #draw() {
    for (const card of this.#cards.values()) card.draw();
    this.#refresh();
    this.#order();
  }

  /** Puts the worst first; not while somebody points at a card or is within one. */
  #order() {
    const cards = [...this.#cards.values()].sort((a, b) => byUrgency(a.facts, b.facts));
    const counts = Map.groupBy(cards, (card) => stateOf(card.facts));
    const text = CAMERA_STATES.filter((state) => counts.has(state))
      .map((state) => `${state}=${counts.get(state).length}`)
      .join();
    if (this.summary.dataset.text !== text) {
      this.summary.dataset.text = text;
      replace(
        this.summary,
        CAMERA_STATES.filter((state) => counts.has(state)).map((state) =>
          el(
            "span",
            { class: "state-count", "data-state": state },
            icon(state),
            `${counts.get(state).length} ${words(state).toLowerCase()}`,
          ),
        ),
      );
    }
    if (this.grid.matches(":hover, :focus-within")) return;
    cards.forEach((card, at) => {
      if (this.grid.children[at] !== card.element) this.grid.insertBefore(card.element, this.grid.children[at] ?? null);
    });
  }
}
