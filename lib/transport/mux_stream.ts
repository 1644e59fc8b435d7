import type { Duplex } from "@/util/mod.ts";
import { MAX_PAYLOAD_BYTES, ProtocolError, type Reset } from "./frame.ts";

/** What each direction of a stream may have under way (spec.md, "Flow control"). */
export const WINDOW_BYTES = 1024 * 1024;

/** The stream was ended from one side before both had finished; `code` is the name of an errno. */
export class StreamReset extends Error {
  override readonly name = "StreamReset";
  readonly code: string;
  constructor({ code, message }: Reset) {
    super(message || code);
    this.code = code;
  }
}

/** What a stream asks of its mux. */
export interface StreamPort {
  /** Writes one DATA frame, when its turn has come. */
  data(payload: Uint8Array): Promise<void>;
  credit(bytes: number): void;
  fin(): void;
  reset(reset: Reset): void;
  /** Both directions are over: the number can be forgotten. */
  done(): void;
}

/**
 * One stream: a duplex with a window for each direction.
 *
 * States are two ends of stream (`#finSent`, `#finReceived`) and one abrupt end (`#error`): when both ends or the
 * abrupt one have come, the stream is done. Bytes that arrived before an end of stream are read before it is told.
 */
export class MuxStream implements Duplex {
  /** The answer that came with ACCEPT; empty on the accepting side. */
  readonly reply: Uint8Array;
  readonly #port: StreamPort;
  readonly #received: Uint8Array[] = [];
  #receivedBytes = 0;
  #owedCredit = 0;
  #receiveWindow = WINDOW_BYTES;
  #sendWindow = WINDOW_BYTES;
  #finReceived = false;
  #finSent = false;
  #done = false;
  #error: Error | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  constructor(port: StreamPort, reply: Uint8Array) {
    this.#port = port;
    this.reply = reply;
  }

  /** Reads what came. @throws {StreamReset} when the peer ended the stream, {LinkLost} when the link was lost */
  async read(into: Uint8Array): Promise<number | null> {
    while (this.#receivedBytes === 0) {
      if (this.#error) throw this.#error;
      if (this.#finReceived) return null;
      await new Promise<void>((resolve) => this.#wakeReader = resolve);
    }
    let count = 0;
    while (count < into.length) {
      const chunk = this.#received[0];
      if (chunk === undefined) break;
      const part = chunk.subarray(0, into.length - count);
      into.set(part, count);
      count += part.length;
      if (part.length === chunk.length) this.#received.shift();
      else this.#received[0] = chunk.subarray(part.length);
    }
    this.#receivedBytes -= count;
    this.#giveCredit(count);
    return count;
  }

  /** Writes when the window has room and the stream's turn has come. @throws as `read`; {TypeError} after `closeWrite` */
  async write(bytes: Uint8Array): Promise<number> {
    if (this.#finSent) throw new TypeError("Cannot write to a stream after its end was sent");
    while (this.#sendWindow === 0 && !this.#error) {
      await new Promise<void>((resolve) => this.#wakeWriter = resolve);
    }
    if (this.#error) throw this.#error;
    const part = bytes.subarray(0, Math.min(this.#sendWindow, MAX_PAYLOAD_BYTES));
    this.#sendWindow -= part.length;
    if (part.length > 0) await this.#port.data(part);
    return part.length;
  }

  closeWrite(): Promise<void> {
    if (!this.#finSent && !this.#error) {
      this.#finSent = true;
      this.#port.fin();
      this.#settle();
    }
    return Promise.resolve();
  }

  close(): void {
    this.reset({ code: "ECONNRESET", message: "Connection reset by the other end of the tunnel" });
  }

  /** Ends the stream abruptly and tells the peer why; after an orderly end it does nothing. */
  reset(reset: Reset): void {
    if (this.#done) return;
    this.#port.reset(reset);
    this.fail(new StreamReset({ code: "ECONNABORTED", message: "Connection was closed here" }));
  }

  /** The mux tells: bytes came. @throws {ProtocolError} when they are more than was granted, or came after FIN */
  receive(payload: Uint8Array): void {
    if (this.#finReceived) throw new ProtocolError("DATA after FIN");
    if (payload.length > this.#receiveWindow) throw new ProtocolError("DATA beyond the window of its stream");
    if (payload.length === 0) return;
    this.#receiveWindow -= payload.length;
    this.#received.push(payload.slice());
    this.#receivedBytes += payload.length;
    this.#wake();
  }

  /** The mux tells: the peer takes more. @throws {ProtocolError} when that is more than a window */
  grant(bytes: number): void {
    this.#sendWindow += bytes;
    if (this.#sendWindow > WINDOW_BYTES) throw new ProtocolError("CREDIT beyond the window of its stream");
    this.#wakeWriter?.();
  }

  /** The mux tells: the peer has finished. @throws {ProtocolError} the second time */
  finish(): void {
    if (this.#finReceived) throw new ProtocolError("FIN after FIN");
    this.#finReceived = true;
    this.#wake();
    this.#settle();
  }

  /** The mux tells: the stream is over, for `error`. What was received can not be read any more. */
  fail(error: Error): void {
    if (this.#done) return;
    this.#error = error;
    this.#received.length = 0;
    this.#receivedBytes = 0;
    this.#done = true;
    this.#wake();
    this.#wakeWriter?.();
    this.#port.done();
  }

  /** Credit goes back in large pieces: a frame for each half window instead of one for each read. */
  #giveCredit(count: number): void {
    this.#owedCredit += count;
    if (this.#owedCredit < WINDOW_BYTES / 2 || this.#finReceived || this.#error) return;
    this.#receiveWindow += this.#owedCredit;
    this.#port.credit(this.#owedCredit);
    this.#owedCredit = 0;
  }

  #settle(): void {
    if (this.#done || !this.#finSent || !this.#finReceived) return;
    this.#done = true;
    this.#port.done();
  }

  #wake(): void {
    this.#wakeReader?.();
    this.#wakeReader = undefined;
  }
}
