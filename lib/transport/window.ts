/** A stream's window before anything is known of its path (spec.md, "Flow control"). */
export const FIRST_WINDOW_BYTES = 256 * 1024;
/** The largest that a window grows to: the fastest paths are full with it (measured: ARCHITECTURE.md). */
export const MAX_WINDOW_BYTES = 32 * 1024 * 1024;
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

  /** The first window of one more stream beside `openStreams`. */
  first(openStreams: number): number {
    if (openStreams < 256) return FIRST_WINDOW_BYTES;
    return openStreams < 1024 ? FIRST_WINDOW_BYTES / 4 : FIRST_WINDOW_BYTES / 16;
  }

  /** Twice the window, or as much more as there is. */
  grow(window: number): number {
    const more = Math.min(window, this.#left, MAX_WINDOW_BYTES - window);
    this.#left -= more;
    return window + more;
  }

  /** Takes back what a window had grown by. */
  release(bytes: number): void {
    this.#left += bytes;
  }
}
