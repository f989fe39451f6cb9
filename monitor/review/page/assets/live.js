// Server-sent events, the state of that connection, and the state of the broker.

import { get, isFailure } from "./api.js";
import { msOf, nowMs, setServerClock } from "./times.js";

const EVENTS = ["hello", "reset", "alert", "review", "cameras", "health", "verdict"];
const STATUS_INTERVAL_MS = 10_000;
const MAX_WAIT_MS = 15_000;

/**
 * Dispatches each server event as a `CustomEvent` of the same name with its JSON as detail; `reset` means that events
 * were lost. Dispatches `connection` when the connection (`connecting | live | gone`) or the broker's state may have
 * changed.
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
    this.#loadStatus();
    setInterval(() => this.#loadStatus(), STATUS_INTERVAL_MS);
    addEventListener("online", () => this.#reopen());
    addEventListener("pagehide", () => this.#source?.close());
    addEventListener("pageshow", (event) => event.persisted && this.#reopen());
  }

  /** Reconnects at once. */
  retry() {
    this.#waitMs = 500;
    this.#reopen();
    this.#loadStatus();
  }

  #open() {
    const after = this.#lastId === null ? "" : `?after=${encodeURIComponent(this.#lastId)}`;
    const source = new EventSource(`/api/v1/events${after}`);
    this.#source = source;
    source.onopen = () => {
      this.#waitMs = 500;
      this.#setConnection("live");
    };
    source.onerror = () => {
      this.#setConnection("gone");
      // Browsers reconnect by themselves after a broken connection, but not after an error response.
      if (source.readyState === EventSource.CLOSED)
        setTimeout(() => source === this.#source && this.#reopen(), this.#nextWaitMs());
    };
    for (const name of EVENTS) source.addEventListener(name, (event) => this.#receive(name, event));
  }

  #reopen() {
    this.#source?.close();
    this.#open();
  }

  #nextWaitMs() {
    this.#waitMs = Math.min(2 * this.#waitMs, MAX_WAIT_MS);
    return this.#waitMs;
  }

  #receive(name, event) {
    if (event.lastEventId) this.#lastId = event.lastEventId;
    const detail = JSON.parse(event.data);
    if (name === "health" && this.status) {
      this.status.broker = detail.broker;
      this.#emit("connection", this);
    }
    // A new server process sends `hello`, not `reset`, to a browser whose first connection never succeeded.
    const isRestart = name === "hello" && this.#boot !== null && detail.boot !== this.#boot;
    if (detail.boot) this.#boot = detail.boot;
    this.#emit(isRestart ? "reset" : name, detail);
  }

  async #loadStatus() {
    try {
      this.status = await get("/status");
      setServerClock(this.status.now_ns);
      if (this.connection === "gone" && this.#source?.readyState === EventSource.OPEN) this.#setConnection("live");
      this.#emit("connection", this);
    } catch (error) {
      if (isFailure(error) && error.status === 0) this.#setConnection("gone");
    }
  }

  #setConnection(connection) {
    if (connection === this.connection) return;
    this.connection = connection;
    this.sinceMs = nowMs();
    this.#emit("connection", this);
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** The server's threads that cannot read their topics, though the broker responds: [{name, topics, error}]. */
export function unreadable(live) {
  if (outage(live) !== null) return [];
  return (live.status?.following ?? []).filter(({ error }) => error !== "" && error !== "starting");
}

/** What keeps the page from being live: {what: "server" | "broker", sinceMs, error}, or null. */
export function outage(live) {
  if (live.connection === "gone") return { what: "server", sinceMs: live.sinceMs, error: "" };
  const broker = live.status?.broker;
  return broker && !broker.ok ? { what: "broker", sinceMs: msOf(broker.since_ns), error: broker.error } : null;
}
