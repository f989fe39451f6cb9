// The pictures of a clip, as compressed bytes within a bound; a few ahead are fetched before they are needed.

const MAX_BYTES = 96 * 1024 * 1024;
const AHEAD = 10;
const AT_ONCE = 3;

/** Pictures by address. */
export class Frames {
  #blobs = new Map(); // address -> promise of a Blob, the oldest first
  #sizes = new Map();
  #heldBytes = 0;
  #abort = new AbortController();

  /** The picture behind an address. Rejects where it can't be had. */
  picture(url) {
    const known = this.#blobs.get(url);
    if (known) return known;
    const promise = this.#fetch(url);
    this.#blobs.set(url, promise);
    promise.catch(() => this.#blobs.delete(url));
    return promise;
  }

  /** Fetches what will be wanted next, a few at a time. */
  async prefetch(urls) {
    const waiting = urls
      .filter((url) => url !== null && !this.#blobs.has(url))
      .slice(0, AHEAD)
      .reverse();
    const work = async () => {
      for (let url = waiting.pop(); url; url = waiting.pop()) await this.picture(url).catch(() => null);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  close() {
    this.#abort.abort();
    this.#blobs.clear();
  }

  async #fetch(url) {
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
