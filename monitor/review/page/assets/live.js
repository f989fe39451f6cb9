// What happens as it happens: the server's events, whether they still come, and how the broker stands.

import { ApiError, get } from "./api.js";
import { learnClock, msOf, nowMs } from "./times.js";

const EVENTS = ["hello", "reset", "alert", "review", "cameras", "health", "verdict"];
const STATUS_INTERVAL_MS = 10_000;
const MAX_WAIT_MS = 15_000;

/**
 * Events of the server as `CustomEvent`s named as they are, with the JSON as detail; `reset` says that events were
 * missed for good. `standing` tells how the connection (`connecting | live | gone`) and the broker stand.
 */
export class Live extends EventTarget {
  connection = "connecting";
  sinceMs = nowMs();
  status = null;
  #source = null;
  #lastId = null;
  #waitMs = 500;
  #boot = null;

  start() {
    this.#open();
    this.#ask();
    setInterval(() => this.#ask(), STATUS_INTERVAL_MS);
    addEventListener("online", () => this.#reopen());
    addEventListener("pagehide", () => this.#source?.close());
    addEventListener("pageshow", (event) => event.persisted && this.#reopen());
  }

  /** Tries again now. */
  retry() {
    this.#waitMs = 500;
    this.#reopen();
    this.#ask();
  }

  #open() {
    const after = this.#lastId === null ? "" : `?after=${encodeURIComponent(this.#lastId)}`;
    const source = new EventSource(`/api/v1/events${after}`);
    this.#source = source;
    source.onopen = () => {
      this.#waitMs = 500;
      this.#stand("live");
    };
    source.onerror = () => {
      this.#stand("gone");
      // A browser comes back by itself after a broken connection, but not after an answer that is an error.
      if (source.readyState === EventSource.CLOSED)
        setTimeout(() => source === this.#source && this.#reopen(), this.#wait());
    };
    for (const name of EVENTS) source.addEventListener(name, (event) => this.#take(name, event));
  }

  #reopen() {
    this.#source?.close();
    this.#open();
  }

  #wait() {
    this.#waitMs = Math.min(2 * this.#waitMs, MAX_WAIT_MS);
    return this.#waitMs;
  }

  #take(name, event) {
    if (event.lastEventId) this.#lastId = event.lastEventId;
    const detail = JSON.parse(event.data);
    if (name === "health" && this.status) {
      this.status.broker = detail.broker;
      this.#tell("standing", this);
    }
    // A `hello` of another process than before comes where the first connection was never answered.
    const isOther = name === "hello" && this.#boot !== null && detail.boot !== this.#boot;
    if (detail.boot) this.#boot = detail.boot;
    this.#tell(isOther ? "reset" : name, detail);
  }

  async #ask() {
    try {
      this.status = await get("/status");
      learnClock(this.status.now_ns);
      if (this.connection === "gone" && this.#source?.readyState === EventSource.OPEN) this.#stand("live");
      this.#tell("standing", this);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 0) this.#stand("gone");
    }
  }

  #stand(connection) {
    if (connection === this.connection) return;
    this.connection = connection;
    this.sinceMs = nowMs();
    this.#tell("standing", this);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** Whether what is live on the page can't be, and since when: {what: "server" | "broker", sinceMs, error} or null. */
export function outage(live) {
  if (live.connection === "gone") return { what: "server", sinceMs: live.sinceMs, error: "" };
  const broker = live.status?.broker;
  return broker && !broker.ok ? { what: "broker", sinceMs: msOf(broker.since_ns), error: broker.error } : null;
}
