import type { Duplex } from "./duplex.ts";

/** What each direction holds before `write` waits. @default {64 KiB} */
export interface DuplexPairOptions {
  capacityBytes?: number;
  /** The most that one `read` gives, to test every way in which bytes can be cut. @default {no limit} */
  chunkBytes?: number;
}

/** A connection in memory: what one end writes the other reads, with back-pressure, half-close and reset. */
export function duplexPair(options: DuplexPairOptions = {}): [Duplex, Duplex] {
  const there = new Pipe(options);
  const back = new Pipe(options);
  const end = (incoming: Pipe, outgoing: Pipe): Duplex => ({
    read: (into) => incoming.read(into),
    write: (bytes) => outgoing.write(bytes),
    closeWrite: () => Promise.resolve(outgoing.end()),
    close: () => {
      outgoing.reset();
      incoming.reset();
    },
  });
  return [end(back, there), end(there, back)];
}

class Pipe {
  readonly #capacity: number;
  readonly #chunk: number;
  #held = new Uint8Array();
  #ended = false;
  #broken = false;
  #changed = Promise.withResolvers<void>();

  constructor({ capacityBytes = 64 * 1024, chunkBytes = Infinity }: DuplexPairOptions) {
    this.#capacity = capacityBytes;
    this.#chunk = chunkBytes;
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#held.length === 0) {
      if (this.#ended) return null;
      if (this.#broken) throw new Deno.errors.ConnectionReset("Connection reset by peer");
      await this.#changed.promise;
    }
    const count = Math.min(into.length, this.#held.length, this.#chunk);
    into.set(this.#held.subarray(0, count));
    this.#held = this.#held.slice(count);
    this.#change();
    return count;
  }

  async write(bytes: Uint8Array): Promise<number> {
    while (this.#held.length >= this.#capacity && !this.#ended && !this.#broken) await this.#changed.promise;
    if (this.#ended || this.#broken) throw new Deno.errors.BrokenPipe("Broken pipe");
    const part = bytes.subarray(0, this.#capacity - this.#held.length);
    const held = new Uint8Array(this.#held.length + part.length);
    held.set(this.#held);
    held.set(part, this.#held.length);
    this.#held = held;
    this.#change();
    return part.length;
  }

  end(): void {
    if (!this.#broken) this.#ended = true;
    this.#change();
  }

  /** After an orderly end that was read it is too late to reset. */
  reset(): void {
    if (!this.#ended) this.#broken = true;
    this.#change();
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
