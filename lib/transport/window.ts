import { ProtocolError } from "./frame.ts";

/** A stream's window before anything is known of its path (spec.md, "Flow control"). */
export const FIRST_WINDOW_BYTES = 256 * 1024;
/** What a path is taken to carry, from which its streams are given as large a window at once as earlier ones needed. */
const KNOWN_BYTES_PER_MS = 50_000;
/** The largest that a window grows to: the fastest paths are full with it (measured: ARCHITECTURE.md). */
export const MAX_WINDOW_BYTES = 32 * 1024 * 1024;
/** Buffers of what came are of this size, and used again, from half of it on; what is less gets one that fits. */
const CHUNK_BYTES = 128 * 1024;
/** How many of them are kept for the next bytes. */
const KEPT_CHUNKS = 16;
/** How many pieces may wait for what is before them: each costs more than its bytes (spec.md, "Limits"). */
const MAX_EARLY = 131072;
/** What all windows of a mux may have grown by, in sum. */
const GROWTH_BYTES = 64 * 1024 * 1024;

/**
 * The memory behind all receive windows of one mux: what its peer may make it hold when no reader reads.
 *
 * First windows get smaller the more streams there are, growth comes from one budget, so the sum is bounded whatever
 * the peer does.
 */
export class WindowBudget {
  #left = GROWTH_BYTES;
  /** The largest window that a stream has needed. */
  #needed = FIRST_WINDOW_BYTES;
  readonly #chunks: Uint8Array[] = [];
  #early = 0;

  /**
   * The first window of one more stream beside `openStreams`, on a path that takes `pathMs` there and back. Where earlier
   * streams needed a larger one, it need not grow again from the smallest, which takes a second on a long path; but one
   * stream gets no more than a small part of what there is.
   */
  first(openStreams: number, pathMs: number): number {
    if (openStreams >= 1024) return FIRST_WINDOW_BYTES / 16;
    if (openStreams >= 256) return FIRST_WINDOW_BYTES / 4;
    const known = Math.floor(Math.min(this.#needed, pathMs * KNOWN_BYTES_PER_MS, FIRST_WINDOW_BYTES + this.#left / 16));
    const window = Math.max(FIRST_WINDOW_BYTES, known);
    this.#left -= window - FIRST_WINDOW_BYTES;
    return window;
  }

  /** Twice the window, or as much more as there is. */
  grow(window: number): number {
    const more = Math.min(window, this.#left, MAX_WINDOW_BYTES - window);
    this.#left -= more;
    return window + more;
  }

  /** One more piece of a stream waits for what is before it. @throws {ProtocolError} when they are too many */
  takeEarly(): void {
    if (this.#early >= MAX_EARLY) throw new ProtocolError("Too much DATA before what it follows");
    this.#early++;
  }

  /** So many pieces wait no longer. */
  releaseEarly(count: number): void {
    this.#early -= count;
  }

  /**
   * A copy of `bytes`, to be kept until it is read. Buffers of bulk are used again: left to the garbage collector they
   * would be some 50 MB at a time, and as many pages for the kernel to clear.
   */
  keep(bytes: Uint8Array): Uint8Array {
    if (bytes.length < CHUNK_BYTES / 2 || bytes.length > CHUNK_BYTES) return bytes.slice();
    const chunk = (this.#chunks.pop() ?? new Uint8Array(CHUNK_BYTES)).subarray(0, bytes.length);
    chunk.set(bytes);
    return chunk;
  }

  /** Takes back what `keep` gave, or the rest of it: nobody looks at it any more. */
  drop(chunk: Uint8Array): void {
    const { buffer } = chunk;
    if (buffer.byteLength === CHUNK_BYTES && this.#chunks.length < KEPT_CHUNKS) {
      this.#chunks.push(new Uint8Array(buffer));
    }
  }

  /** Takes back what a window has beyond its first size, and beyond that of any first one. */
  release(window: number, first: number): void {
    this.#left += window - Math.min(first, FIRST_WINDOW_BYTES);
    this.#needed = Math.max(this.#needed, window);
  }
}
