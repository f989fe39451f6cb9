// The alerts of the list: pages from the server, kept up to date by events.

import { get, isFailure } from "../api.js";

const PAGE = 100;
const COUNTS_EVERY_MS = 2_000;
const MAX_WAITING = 100_000; // ids only

/** Dispatches `change` when anything here has changed, and `raised` for each new alert that is not muted. */
export class AlertStore extends EventTarget {
  filter = null;
  alerts = []; // newest first
  counts = null;
  waiting = new Set(); // ids of new alerts that are not in the list yet
  isLoading = false;
  error = null;
  #cursor = null;
  #loading = null;
  #countTimer = 0;
  #countedAtMs = 0;
  #mayPrepend;

  /** `mayPrepend()` returns whether a new alert may shift the list without disturbing anybody. */
  constructor(live, mayPrepend) {
    super();
    this.#mayPrepend = mayPrepend;
    live.addEventListener("alert", ({ detail }) => this.#receive(detail));
    live.addEventListener("review", ({ detail }) => this.update(detail.alert));
    live.addEventListener("reset", () => this.filter && this.load(this.filter));
  }

  get hasMore() {
    return this.#cursor !== null;
  }

  /** Loads the first page of a filter's list. */
  async load(filter) {
    this.filter = filter;
    this.#loading?.abort();
    this.#loading = new AbortController();
    this.isLoading = true;
    this.error = null;
    this.#changed();
    try {
      const [page, counts] = await Promise.all([this.#loadPage(null), this.#loadCounts()]);
      this.alerts = page.alerts;
      this.#cursor = page.next_cursor;
      this.counts = counts;
      this.waiting.clear();
    } catch (error) {
      if (!isFailure(error)) return; // another filter is being loaded
      this.error = error;
    }
    this.isLoading = false;
    this.#changed();
  }

  /** Loads the next page. */
  async loadMore() {
    if (this.isLoading || this.#cursor === null) return;
    this.isLoading = true;
    try {
      const page = await this.#loadPage(this.#cursor);
      const known = new Set(this.alerts.map((alert) => alert.alert_id));
      this.alerts = [...this.alerts, ...page.alerts.filter((alert) => !known.has(alert.alert_id))];
      this.#cursor = page.next_cursor;
    } catch (error) {
      if (!isFailure(error)) return;
    }
    this.isLoading = false;
    this.#changed();
  }

  /** Replaces a listed alert by a newer version; `reviewed` is kept if that does not contain it. */
  update(alert) {
    const at = this.alerts.findIndex((known) => known.alert_id === alert.alert_id);
    if (at >= 0) {
      const review = { reviewed: this.alerts[at].review.reviewed, ...alert.review };
      this.alerts[at] = { ...this.alerts[at], ...alert, review };
    }
    this.#recount();
    this.#changed();
  }

  #receive({ is_new: isNew, muted, alert }) {
    this.update(alert);
    if (!isNew || this.filter === null || !this.filter.matches(alert)) return;
    if (this.alerts.some((known) => known.alert_id === alert.alert_id)) return;
    if (this.waiting.size === 0 && this.#mayPrepend()) {
      this.alerts = [{ ...alert, review: { reviewed: false, ...alert.review } }, ...this.alerts];
    } else if (this.waiting.size < MAX_WAITING) {
      this.waiting.add(alert.alert_id);
    }
    this.#changed();
    if (!muted) this.dispatchEvent(new CustomEvent("raised", { detail: alert }));
  }

  #loadPage(cursor) {
    const query = this.filter.apiQuery;
    query.set("limit", PAGE);
    if (cursor !== null) query.set("cursor", cursor);
    return get(`/alerts?${query}`, this.#loading.signal);
  }

  #loadCounts() {
    return get(`/alerts/counts?${this.filter.apiQuery}`, this.#loading.signal);
  }

  /** Schedules a reload of the counts, at most one every `COUNTS_EVERY_MS`. */
  #recount() {
    if (this.#countTimer || this.filter === null) return;
    const delayMs = Math.max(150, this.#countedAtMs + COUNTS_EVERY_MS - performance.now());
    this.#countTimer = setTimeout(async () => {
      this.#countedAtMs = performance.now();
      try {
        this.counts = await this.#loadCounts();
        this.#changed();
      } catch (error) {
        isFailure(error); // the next event tries again
      } finally {
        this.#countTimer = 0;
      }
    }, delayMs);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
