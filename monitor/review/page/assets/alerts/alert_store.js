// The alerts of the list: pages from the server, kept up to date by events. New ones wait until somebody wants them.

import { ApiError, get } from "../api.js";

const PAGE = 100;
const COUNTS_EVERY_MS = 2_000;
const MAX_WAITING = 100_000; // ids alone

/** Tells `change` when the list or what is said of it has changed. */
export class AlertStore extends EventTarget {
  filter = null;
  alerts = []; // newest first
  counts = null;
  waiting = new Set(); // ids of new alerts that are not in the list yet
  isLoading = false;
  error = null;
  #cursor = null;
  #asked = null;
  #countTimer = 0;
  #countedAtMs = 0;
  #prependsDirectly;

  /** `prependsDirectly()` says whether a new alert may move the list without disturbing anybody. */
  constructor(live, prependsDirectly) {
    super();
    this.#prependsDirectly = prependsDirectly;
    live.addEventListener("alert", ({ detail }) => this.#arrive(detail));
    live.addEventListener("review", ({ detail }) => this.update(detail.alert));
    live.addEventListener("reset", () => this.filter && this.load(this.filter));
  }

  get hasMore() {
    return this.#cursor !== null;
  }

  /** The first page of a filter's list. */
  async load(filter) {
    this.filter = filter;
    this.#asked?.abort();
    this.#asked = new AbortController();
    this.isLoading = true;
    this.error = null;
    this.#changed();
    try {
      const [page, counts] = await Promise.all([this.#page(null), this.#askCounts()]);
      this.alerts = page.alerts;
      this.#cursor = page.next_cursor;
      this.counts = counts;
      this.waiting.clear();
    } catch (error) {
      if (error.name === "AbortError") return; // another filter is on its way
      if (!(error instanceof ApiError)) throw error;
      this.error = error;
    }
    this.isLoading = false;
    this.#changed();
  }

  /** The page after the last one. */
  async loadMore() {
    if (this.isLoading || this.#cursor === null) return;
    this.isLoading = true;
    try {
      const page = await this.#page(this.#cursor);
      const known = new Set(this.alerts.map((alert) => alert.alert_id));
      this.alerts = [...this.alerts, ...page.alerts.filter((alert) => !known.has(alert.alert_id))];
      this.#cursor = page.next_cursor;
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof ApiError)) throw error;
    }
    this.isLoading = false;
    this.#changed();
  }

  /** Puts newer facts in the place of older ones; `reviewed` is kept where they don't tell it. */
  update(alert) {
    const at = this.alerts.findIndex((known) => known.alert_id === alert.alert_id);
    if (at >= 0) {
      const review = { reviewed: this.alerts[at].review.reviewed, ...alert.review };
      this.alerts[at] = { ...this.alerts[at], ...alert, review };
    }
    this.#recount();
    this.#changed();
  }

  #arrive({ is_new: isNew, muted, alert }) {
    this.update(alert);
    if (!isNew || this.filter === null || !this.filter.matches(alert)) return;
    if (this.alerts.some((known) => known.alert_id === alert.alert_id)) return;
    if (this.waiting.size === 0 && this.#prependsDirectly()) {
      this.alerts = [{ ...alert, review: { reviewed: false, ...alert.review } }, ...this.alerts];
    } else if (this.waiting.size < MAX_WAITING) {
      this.waiting.add(alert.alert_id);
    }
    this.#changed();
    if (!muted) this.dispatchEvent(new CustomEvent("raised", { detail: alert }));
  }

  #page(cursor) {
    const query = this.filter.asked;
    query.set("limit", PAGE);
    if (cursor !== null) query.set("cursor", cursor);
    return get(`/alerts?${query}`, this.#asked.signal);
  }

  #askCounts() {
    return get(`/alerts/counts?${this.filter.asked}`, this.#asked.signal);
  }

  /** Asks for the counts again, soon but not often. */
  #recount() {
    if (this.#countTimer || this.filter === null) return;
    const delayMs = Math.max(150, this.#countedAtMs + COUNTS_EVERY_MS - performance.now());
    this.#countTimer = setTimeout(async () => {
      this.#countedAtMs = performance.now();
      try {
        this.counts = await this.#askCounts();
        this.#changed();
      } catch (error) {
        if (error.name !== "AbortError" && !(error instanceof ApiError)) throw error;
      } finally {
        this.#countTimer = 0;
      }
    }, delayMs);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
