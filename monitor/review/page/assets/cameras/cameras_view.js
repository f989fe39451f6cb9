// All cameras at a glance: those with open alerts first, then those that are live, then dead ones.

import { get, isFailure } from "../api.js";
import { loadFailure, notice, skeletons } from "../controls.js";
import { el, replace } from "../dom.js";
import { CAMERA_STATES, humanizeLower } from "../format.js";
import { icon } from "../icons.js";
import { outage, unreadable } from "../live.js";
import { announce } from "../toasts.js";
import { CameraCard } from "./camera_card.js";
import { byUrgency, stateOf, statusOf, updated } from "./camera_state.js";

const RELOAD_INTERVAL_MS = 15_000; // for new cameras and for what sources report
const DRAW_INTERVAL_MS = 1_000; // for ages
const ANNOUNCED_STATES = ["alerting", "offline", "stale"];

/** The view at `/cameras`. */
export class CamerasView {
  title = "Cameras";
  #cards = new Map();
  #isEmpty = false; // as the server said last
  #app;
  #timers;
  #listening = new AbortController();
  #observer;

  constructor(app) {
    this.#app = app;
    this.summary = el("div.state-summary.beside.wrap");
    this.grid = el("div.camera-grid");
    this.state = el("div", skeletons(6, "skeleton-card"));
    const head = el("header.page-head.level.wrap", el("h1", "Cameras"), this.summary);
    this.element = el("div.page.cameras", head, this.state, this.grid);
    this.#observer = new IntersectionObserver((entries) => this.#setVisible(entries), { rootMargin: "100px" });
    const { signal } = this.#listening;
    app.live.addEventListener("cameras", ({ detail }) => this.#updateAll(detail.cameras), { signal });
    app.live.addEventListener("reset", () => this.#load(), { signal });
    app.live.addEventListener("connection", () => this.#explain(), { signal });
    document.addEventListener("visibilitychange", () => this.#refresh(), { signal });
    this.#timers = [
      setInterval(() => this.#load(), RELOAD_INTERVAL_MS),
      setInterval(() => this.#draw(), DRAW_INTERVAL_MS),
    ];
    this.#load();
  }

  close() {
    this.#timers.forEach(clearInterval);
    this.#listening.abort();
    this.#observer.disconnect();
  }

  async #load() {
    try {
      const { cameras } = await get("/cameras");
      const known = new Set(cameras.map((camera) => camera.stream_id));
      for (const [id, card] of this.#cards) if (!known.has(id)) this.#drop(id, card);
      for (const camera of cameras) this.#update(statusOf(camera));
      this.#isEmpty = cameras.length === 0;
      replace(this.state);
      this.#explain();
      this.#sort();
    } catch (error) {
      if (isFailure(error) && this.#cards.size === 0)
        replace(this.state, loadFailure("the cameras", error.message, this.#load.bind(this)));
    }
  }

  #explain() {
    if (this.#isEmpty) replace(this.state, this.#none());
  }

  /** Why there are no cameras: the server cannot read, or nothing has been published. */
  #none() {
    const { live } = this.#app;
    if (outage(live) !== null) return notice("offline", "No cameras known", "They appear once the broker responds.");
    const frames = unreadable(live).find(({ name }) => name === "frames");
    if (frames) return notice("offline", "No cameras known", frames.error);
    const text =
      "Nobody has published a frame. Start a camera with gradwatch attach, or play a recording with gradwatch replay.";
    return notice("cameras", "No cameras yet", text);
  }

  #updateAll(events) {
    let isUnknown = false;
    for (const event of events) {
      const card = this.#cards.get(event.stream_id);
      if (card) this.#update(updated(card.status, event));
      else isUnknown = true;
    }
    if (isUnknown) this.#load();
    this.#sort();
  }

  #update(status) {
    const known = this.#cards.get(status.streamId);
    if (known) {
      const before = stateOf(known.status);
      known.update(status);
      const now = stateOf(status);
      if (before !== now && ANNOUNCED_STATES.includes(now)) announce(`${status.streamId} is ${humanizeLower(now)}`);
      return;
    }
    const { role } = this.#app.session;
    const card = new CameraCard(status, role, () => this.#drop(status.streamId, card));
    this.#cards.set(status.streamId, card);
    this.#observer.observe(card.element);
    this.grid.append(card.element);
  }

  #drop(id, card) {
    this.#cards.delete(id);
    this.#observer.unobserve(card.element);
    card.element.remove();
  }

  #setVisible(entries) {
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
    this.#sort();
  }

  /** Sorts by urgency, but not while somebody points at a card or has the focus in one. */
  #sort() {
    const cards = [...this.#cards.values()].sort((a, b) => byUrgency(a.status, b.status));
    this.#summarize(Map.groupBy(cards, (card) => stateOf(card.status)));
    if (this.grid.matches(":hover, :focus-within")) return;
    cards.forEach((card, at) => {
      if (this.grid.children[at] !== card.element) this.grid.insertBefore(card.element, this.grid.children[at] ?? null);
    });
  }

  #summarize(byState) {
    const states = CAMERA_STATES.filter((state) => byState.has(state));
    const counts = states.map((state) => `${byState.get(state).length} ${humanizeLower(state)}`);
    if (this.summary.dataset.text === counts.join()) return;
    this.summary.dataset.text = counts.join();
    replace(
      this.summary,
      states.map((state, at) => el("span.state-count.level", { "data-state": state }, icon(state), counts[at])),
    );
  }
}
