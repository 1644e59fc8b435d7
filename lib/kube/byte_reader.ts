import { type Duplex, UserError } from "@/util/mod.ts";

/**
 * The peer sent what is no message of the protocol at hand, or ended in the middle of one. Told to the user rather than
 * as our bug: something on the way to the server speaks otherwise, or broke off.
 */
export class ProtocolError extends UserError {
  override readonly name = "ProtocolError";
}

/**
 * A buffer in front of a connection, so that parsers ask for lines and bytes rather than for reads. It reads from the
 * connection only when asked for what it does not have, and never holds more than its size: back-pressure is kept,
 * and no length that a peer names is allocated.
 */
export class ByteReader {
  readonly #source: Pick<Duplex, "read">;
  readonly #buffer: Uint8Array;
  #start = 0;
  #end = 0;
  #ended = false;

  /** @param size bytes of the buffer; also the longest line or peek there can be */
  constructor(source: Pick<Duplex, "read">, size = 64 * 1024) {
    this.#source = source;
    this.#buffer = new Uint8Array(size);
  }

  /** Bytes that are here already; valid until the next call of any other method. */
  get buffered(): Uint8Array {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  /** Drops the first `count` of the buffered bytes. */
  consume(count: number): void {
    this.#start += count;
    if (this.#start === this.#end) this.#start = this.#end = 0;
  }

  /** Adds to the buffered bytes what one read of the connection gives. @returns false at the end of the stream */
  async fill(): Promise<boolean> {
    if (this.#ended) return false;
    if (this.#start > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    if (this.#end === this.#buffer.length) throw new ProtocolError("Peer sent a line or header that is too long");
    const count = await this.#source.read(this.#buffer.subarray(this.#end));
    if (count === null) {
      this.#ended = true;
      return false;
    }
    this.#end += count;
    return true;
  }

  /** Waits until at least `count` bytes are buffered. @returns false when the stream ends before */
  async need(count: number): Promise<boolean> {
    while (this.#end - this.#start < count) {
      if (!await this.fill()) return false;
    }
    return true;
  }

  /** Reads what is here or, with nothing here, what the next read of the connection gives; `null` at the end. */
  async read(into: Uint8Array): Promise<number | null> {
    if (this.#start === this.#end) {
      // A large read goes past the buffer: no copy.
      if (into.length >= this.#buffer.length) return this.#ended ? null : await this.#source.read(into);
      if (!await this.fill()) return null;
    }
    const count = Math.min(into.length, this.#end - this.#start);
    into.set(this.#buffer.subarray(this.#start, this.#start + count));
    this.consume(count);
    return count;
  }

  /**
   * Reads a line without its end (LF, maybe with CR before it), as Latin-1.
   *
   * @returns null when the stream ends before the line does
   * @throws {ProtocolError} when the line is longer than the buffer
   */
  async readLine(): Promise<string | null> {
    for (let searched = 0;;) {
      const bytes = this.buffered;
      const at = bytes.indexOf(0x0a, searched);
      if (at >= 0) {
        const line = bytes.subarray(0, bytes[at - 1] === 0x0d ? at - 1 : at);
        let text = "";
        for (const byte of line) text += String.fromCharCode(byte);
        this.consume(at + 1);
        return text;
      }
      searched = bytes.length;
      if (!await this.fill()) return null;
    }
  }
}
