import { ProtocolError } from "./frame.ts";

/** How far a segment may be ahead of the first one that is missing (spec.md, "Limits"). */
export const MAX_AHEAD = 65536;
/** What may be held back because something before it is missing (spec.md, "Limits"). */
const MAX_HELD_BYTES = 32 * 1024 * 1024;

/**
 * What one lane has received: each number is handed on once, whichever carrier brought it and however often.
 *
 * The express lane keeps the order of its numbers (what comes too early is held), the bulk lane does not: its frames
 * say where they belong in their streams.
 */
export class Arrivals {
  readonly #ordered: boolean;
  readonly #deliver: (body: Uint8Array) => void;
  /** The first number that has not come. */
  #next = 0;
  /** Numbers after the first missing one that have come; with their bodies where order counts. */
  readonly #ahead = new Map<number, Uint8Array | undefined>();
  #heldBytes = 0;

  /** @param deliver takes a body that is valid during the call only */
  constructor(ordered: boolean, deliver: (body: Uint8Array) => void) {
    this.#ordered = ordered;
    this.#deliver = deliver;
  }

  /** Takes a segment. @throws {ProtocolError} when it is too far ahead */
  take(number: number, body: Uint8Array): void {
    if (number < this.#next || this.#ahead.has(number)) return; // sent again because its carrier was lost
    if (number - this.#next >= MAX_AHEAD) throw new ProtocolError(`A segment is too far ahead: ${number}`);
    if (number === this.#next) {
      this.#next++;
      this.#deliver(body);
      this.#goOn();
    } else if (this.#ordered) {
      this.#heldBytes += body.length;
      if (this.#heldBytes > MAX_HELD_BYTES) throw new ProtocolError("Too much is held back for a missing segment");
      this.#ahead.set(number, body.slice());
    } else {
      this.#ahead.set(number, undefined);
      this.#deliver(body);
    }
  }

  /** The gap is closed: what waited for it follows. */
  #goOn(): void {
    while (this.#ahead.has(this.#next)) {
      const held = this.#ahead.get(this.#next);
      this.#ahead.delete(this.#next);
      this.#next++;
      if (held === undefined) continue;
      this.#heldBytes -= held.length;
      this.#deliver(held);
    }
  }
}
