// The corrections of one camera that are in force, kept true by the server's events.

import { ApiError, get, post, remove } from "../api.js";

const AGAIN_MS = 2_000; // while the broker has not taken one, or no answer came: no event tells of that

/** Tells `change` when `list` (newest first; null: not known yet) is another. */
export class CameraVerdicts extends EventTarget {
  list = null;
  streamId = null;
  #asked = null;
  #timer = 0;

  constructor(live, signal = undefined) {
    super();
    const again = ({ detail }) => detail.verdict.stream_id === this.streamId && this.#ask();
    live.addEventListener("verdict", again, { signal });
    live.addEventListener("reset", () => this.streamId !== null && this.#ask(), { signal });
    signal?.addEventListener("abort", () => this.follow(null));
  }

  /** From now on those of another camera; null: of none. */
  follow(streamId) {
    if (streamId === this.streamId) return;
    this.#asked?.abort();
    clearTimeout(this.#timer);
    this.streamId = streamId;
    this.#show(null);
    if (streamId !== null) this.#ask();
  }

  /** Muted regions, newest first. */
  get mutes() {
    return (this.list ?? []).filter((verdict) => verdict.kind === "mute_region");
  }

  /** The newest word on a track, undefined where nobody has said one. */
  ofTrack(runId, trackId) {
    return this.list?.find((verdict) => verdict.run_id === runId && verdict.track_id === trackId);
  }

  /** Gives a verdict; the server's answer. Raises ApiError. */
  async give(body) {
    const given = await post("/verdicts", body);
    this.#ask();
    return given;
  }

  /** Takes one back. Raises ApiError. */
  async takeBack(verdict) {
    await remove(`/verdicts/${encodeURIComponent(verdict.verdict_id)}`);
    this.#ask();
  }

  async #ask() {
    this.#asked?.abort();
    const asked = (this.#asked = new AbortController());
    clearTimeout(this.#timer);
    let mustAgain = true;
    try {
      const { verdicts } = await get(`/verdicts?camera=${encodeURIComponent(this.streamId)}`, asked.signal);
      mustAgain = verdicts.some((verdict) => !verdict.published);
      this.#show(verdicts);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof ApiError)) throw error;
    }
    if (mustAgain && !asked.signal.aborted) this.#timer = setTimeout(() => this.#ask(), AGAIN_MS);
  }

  #show(list) {
    if (JSON.stringify(list) === JSON.stringify(this.list)) return; // what is focused must not be drawn anew
    this.list = list;
    this.dispatchEvent(new CustomEvent("change"));
  }
}
