// The corrections in force at one camera, kept up to date by server events. The API calls them verdicts.

import { get, isFailure, post, remove } from "../api.js";

const RETRY_MS = 2_000; // while one is not published yet, or a request failed: no event tells when that changes

/** Dispatches `change` when `list` (newest first; null: not loaded yet) has changed. */
export class CameraCorrections extends EventTarget {
  list = null;
  streamId = null;
  #loading = null;
  #timer = 0;

  constructor(live, signal = undefined) {
    super();
    const onEvent = ({ detail }) => detail.verdict.stream_id === this.streamId && this.#load();
    live.addEventListener("verdict", onEvent, { signal });
    live.addEventListener("reset", () => this.streamId !== null && this.#load(), { signal });
    signal?.addEventListener("abort", () => this.follow(null));
  }

  /** Follows another camera, or none for null. */
  follow(streamId) {
    if (streamId === this.streamId) return;
    this.#loading?.abort();
    clearTimeout(this.#timer);
    this.streamId = streamId;
    this.#set(null);
    if (streamId !== null) this.#load();
  }

  /** The muted regions, newest first. */
  get mutes() {
    return (this.list ?? []).filter((correction) => correction.kind === "mute_region");
  }

  /** The newest correction of a track; undefined if there is none. */
  ofTrack(runId, trackId) {
    return this.list?.find((correction) => correction.run_id === runId && correction.track_id === trackId);
  }

  /** Submits a correction. Resolves to the stored one; rejects with ApiError. */
  async submit(body) {
    const stored = await post("/verdicts", body);
    this.#load();
    return stored;
  }

  /** Withdraws a correction. Rejects with ApiError. */
  async withdraw(correction) {
    await remove(`/verdicts/${encodeURIComponent(correction.verdict_id)}`);
    this.#load();
  }

  async #load() {
    this.#loading?.abort();
    const { signal } = (this.#loading = new AbortController());
    clearTimeout(this.#timer);
    let mustRetry = true;
    try {
      const { verdicts } = await get(`/verdicts?camera=${encodeURIComponent(this.streamId)}`, signal);
      mustRetry = verdicts.some((correction) => !correction.published);
      this.#set(verdicts);
    } catch (error) {
      if (!isFailure(error)) return;
    }
    if (mustRetry && !signal.aborted) this.#timer = setTimeout(() => this.#load(), RETRY_MS);
  }

  #set(list) {
    if (JSON.stringify(list) === JSON.stringify(this.list)) return; // a redraw would disturb the focus
    this.list = list;
    this.dispatchEvent(new CustomEvent("change"));
  }
}
