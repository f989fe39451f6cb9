// The encoded pictures of a clip: a bounded cache that loads a few frames ahead.

const MAX_BYTES = 96 * 1024 * 1024;
const MAX_AHEAD = 10;
const PARALLEL_REQUESTS = 3;

/** Pictures by URL. */
export class Frames {
  #blobs = new Map(); // URL -> promise of a Blob, the oldest first
  #sizes = new Map();
  #heldBytes = 0;
  #abort = new AbortController();

  /** The picture of a URL. Rejects if it cannot be loaded. */
  picture(url) {
    const known = this.#blobs.get(url);
    if (known) return known;
    const promise = this.#load(url);
    this.#blobs.set(url, promise);
    promise.catch(() => this.#blobs.delete(url));
    return promise;
  }

  /** Loads the next pictures, a few at a time. */
  async prefetch(urls) {
    const waiting = urls
      .filter((url) => url !== null && !this.#blobs.has(url))
      .slice(0, MAX_AHEAD)
      .reverse();
    const work = async () => {
      for (let url = waiting.pop(); url; url = waiting.pop()) await this.picture(url).catch(() => null);
    };
    await Promise.all(Array.from({ length: PARALLEL_REQUESTS }, work));
  }

  close() {
    this.#abort.abort();
    this.#blobs.clear();
  }

  async #load(url) {
    const response = await fetch(url, { signal: this.#abort.signal });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const blob = await response.blob();
    this.#sizes.set(url, blob.size);
    this.#heldBytes += blob.size;
    for (const oldest of this.#blobs.keys()) {
      if (this.#heldBytes <= MAX_BYTES || oldest === url) break;
      this.#blobs.delete(oldest);
      this.#heldBytes -= this.#sizes.get(oldest) ?? 0;
    }
    return blob;
  }
}
