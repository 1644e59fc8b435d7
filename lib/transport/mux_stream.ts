import type { Duplex } from "@/util/mod.ts";
import { MAX_CREDIT_BYTES, MAX_DATA_BYTES, ProtocolError, type Reset } from "./frame.ts";
import type { WindowBudget } from "./window.ts";

/** What a stream may have sent lately and still be in the express lane. */
const EXPRESS_BYTES = 256 * 1024;
/** How fast a stream's past is forgotten: one that says less than this is never bulk. */
const FORGET_BYTES_PER_MS = 8 * 1024;
/** A window grows when half of it is used up within this many round trips. */
const GROW_ROUND_TRIPS = 2;
/** Up to here what came in little pieces is put together: kept apart, a piece of one byte costs two hundred. */
const JOINED_BYTES = 1024;

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
  data(position: number, payload: Uint8Array, bulk: boolean): Promise<void>;
  credit(bytes: number): void;
  /** Ends our direction, which has so many bytes. */
  fin(position: number): void;
  reset(reset: Reset): void;
  /** Both directions are over: the number can be forgotten. */
  done(): void;
  /** The path's round trip in milliseconds. */
  roundTripMs(): number;
  readonly budget: WindowBudget;
}

/** A read that waits for bytes. */
interface Reading {
  readonly into: Uint8Array;
  readonly done: PromiseWithResolvers<number | null>;
}

/**
 * One stream: a duplex with a window for each direction.
 *
 * States are two ends of stream (`#finSent`, `#finAt` reached) and one abrupt end (`#error`): when both ends or the
 * abrupt one have come, the stream is done. Bytes that arrived before an end of stream are read before it is told.
 *
 * Positions count the bytes of a direction from its beginning. DATA may arrive in any order (its segments travel on
 * several carriers), so what is ahead of a gap waits in `#early`.
 */
export class MuxStream implements Duplex {
  readonly #port: StreamPort;
  #reply: Uint8Array = new Uint8Array();
  readonly #received: Uint8Array[] = [];
  #receivedBytes = 0;
  /** By position, what came before what it follows. */
  readonly #early = new Map<number, Uint8Array>();
  #earlyBytes = 0;
  /** Where the last of it ends. */
  #earlyEnd = 0;
  /** Positions of receiving: up to here read, here without a gap, and what the peer may send up to. */
  #readAt = 0;
  #receivedAt = 0;
  #grantedAt: number;
  /** How large the receive window was at first, and is. */
  readonly #firstWindow: number;
  #window: number;
  #creditMs = performance.now();
  /** Where the peer's direction ends, when it has said so. */
  #finAt: number | undefined;
  /** Positions of sending: what was handed on, and what the peer takes. */
  #sentAt = 0;
  #takenUpTo = 0;
  #recentBytes = 0;
  #recentMs = 0;
  #finSent = false;
  #done = false;
  #error: Error | undefined;
  #reading: Reading | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;
  #closedHere = false;
  #onOver: ((error: Error | undefined) => void) | undefined;

  /** @param window how much the peer was told that it may send */
  constructor(port: StreamPort, window: number) {
    this.#port = port;
    this.#firstWindow = this.#window = this.#grantedAt = window;
  }

  /** The answer that came with ACCEPT; empty on the accepting side. */
  get reply(): Uint8Array {
    return this.#reply;
  }

  /** Bytes that were handed on. */
  get sentBytes(): number {
    return this.#sentAt;
  }

  /** Bytes that came. */
  get receivedBytes(): number {
    return this.#receivedAt;
  }

  /** Calls back once when the stream is over, with the error that ended it; an end that was ours is none. */
  onOver(tell: (error: Error | undefined) => void): void {
    if (this.#done) tell(this.#closedHere ? undefined : this.#error);
    else this.#onOver = tell;
  }

  /** Reads what came. @throws {StreamReset} when the peer ended the stream, {LinkLost} when the link was lost */
  async read(into: Uint8Array): Promise<number | null> {
    if (this.#receivedBytes > 0) return this.#readReceived(into);
    if (this.#error) throw this.#error;
    if (this.#isReceived()) return null;
    const done = Promise.withResolvers<number | null>();
    this.#reading = { into, done };
    return await done.promise;
  }

  /** Waits for bytes, the end or an error. */
  async ready(): Promise<void> {
    if (this.#receivedBytes > 0 || this.#error || this.#isReceived()) return;
    await new Promise<void>((resolve) => this.#wakeReader = resolve);
  }

  /** Writes when the window has room and the stream's turn has come. @throws as `read`; {TypeError} after `closeWrite` */
  async write(bytes: Uint8Array): Promise<number> {
    if (this.#finSent) throw new TypeError("Cannot write to a stream after its end was sent");
    while (this.#sentAt === this.#takenUpTo && !this.#error) {
      await new Promise<void>((resolve) => this.#wakeWriter = resolve);
    }
    if (this.#error) throw this.#error;
    const part = bytes.subarray(0, Math.min(this.#takenUpTo - this.#sentAt, MAX_DATA_BYTES));
    if (part.length === 0) return 0;
    const position = this.#sentAt;
    this.#sentAt += part.length;
    await this.#port.data(position, part, this.#isBulk(part.length));
    if (this.#error) throw this.#error;
    return part.length;
  }

  closeWrite(): Promise<void> {
    if (!this.#finSent && !this.#error) {
      this.#finSent = true;
      this.#port.fin(this.#sentAt);
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
    this.#closedHere = true;
    this.#port.reset(reset);
    this.fail(new StreamReset({ code: "ECONNABORTED", message: "Connection was closed here" }));
  }

  /** The mux tells: the peer has accepted the stream, with an answer and a first credit. */
  accepted(reply: Uint8Array, credit: number): void {
    this.#reply = reply;
    this.grant(credit);
  }

  /** The mux tells: bytes came. @throws {ProtocolError} when they are more than was granted, or came already */
  receive(position: number, payload: Uint8Array): void {
    const end = position + payload.length;
    if (end > this.#grantedAt) throw new ProtocolError("DATA beyond the window of its stream");
    if (end > (this.#finAt ?? Infinity)) throw new ProtocolError("DATA after FIN");
    if (position < this.#receivedAt || this.#early.has(position)) throw new ProtocolError("DATA that came already");
    if (payload.length === 0 || this.#done) return;
    if (position > this.#receivedAt) {
      this.#port.budget.takeEarly();
      this.#early.set(position, this.#port.budget.keep(payload));
      this.#earlyBytes += payload.length;
      this.#earlyEnd = Math.max(this.#earlyEnd, end);
      return this.#requireApart();
    }
    this.#append(payload, false);
    for (let next; (next = this.#early.get(this.#receivedAt)) !== undefined;) {
      this.#early.delete(this.#receivedAt);
      this.#port.budget.releaseEarly(1);
      this.#earlyBytes -= next.length;
      this.#append(next, true);
    }
    this.#requireApart();
    this.#settle();
  }

  /** The mux tells: the peer takes more. @throws {ProtocolError} when that is more than any window */
  grant(bytes: number): void {
    this.#takenUpTo += bytes;
    if (this.#takenUpTo - this.#sentAt > MAX_CREDIT_BYTES) throw new ProtocolError("CREDIT beyond every window");
    this.#wakeWriter?.();
  }

  /** The mux tells: the peer's direction has so many bytes. @throws {ProtocolError} the second time, or when more came */
  finish(position: number): void {
    if (this.#finAt !== undefined) throw new ProtocolError("FIN after FIN");
    const came = Math.max(this.#receivedAt, this.#earlyEnd);
    if (position < came || position > this.#grantedAt) throw new ProtocolError("FIN at a wrong place");
    this.#finAt = position;
    this.#settle();
  }

  /** The mux tells: the stream is over, for `error`. What was received can not be read any more. */
  fail(error: Error): void {
    if (this.#done) return;
    this.#error = error;
    this.#received.length = 0;
    this.#receivedBytes = 0;
    this.#finishStream();
    this.#reading?.done.reject(error);
    this.#reading = undefined;
    this.#wakeReader?.();
    this.#wakeWriter?.();
  }

  /** Takes bytes that follow what came; straight to the reader when one waits. */
  #append(bytes: Uint8Array, owned: boolean): void {
    this.#receivedAt += bytes.length;
    let rest = bytes;
    if (this.#reading !== undefined) {
      const { into, done } = this.#reading;
      this.#reading = undefined;
      const part = bytes.subarray(0, into.length);
      into.set(part);
      rest = bytes.subarray(part.length);
      this.#giveCredit(part.length);
      done.resolve(part.length);
    }
    if (rest.length === 0) {
      if (owned) this.#port.budget.drop(bytes);
      return;
    }
    if (!this.#join(rest)) this.#received.push(owned ? rest : this.#port.budget.keep(rest));
    else if (owned) this.#port.budget.drop(bytes);
    this.#receivedBytes += rest.length;
    this.#wakeReader?.();
  }

  /** Puts a little piece behind the last one, where that is little too. @returns whether it did */
  #join(piece: Uint8Array): boolean {
    const last = this.#received.at(-1);
    if (last === undefined || last.length + piece.length > JOINED_BYTES) return false;
    const joined = new Uint8Array(last.length + piece.length);
    joined.set(last);
    joined.set(piece, last.length);
    this.#received[this.#received.length - 1] = joined;
    this.#port.budget.drop(last);
    return true;
  }

  /** What is early fits between what has come without a gap and its own end, unless pieces of it lie over others. */
  #requireApart(): void {
    if (this.#earlyBytes > 0 && this.#receivedAt + this.#earlyBytes > this.#earlyEnd) {
      throw new ProtocolError("DATA that overlaps");
    }
  }

  #readReceived(into: Uint8Array): number {
    let count = 0;
    while (count < into.length) {
      const chunk = this.#received[0];
      if (chunk === undefined) break;
      const part = chunk.subarray(0, into.length - count);
      into.set(part, count);
      count += part.length;
      if (part.length === chunk.length) {
        this.#received.shift();
        this.#port.budget.drop(chunk);
      } else this.#received[0] = chunk.subarray(part.length);
    }
    this.#receivedBytes -= count;
    this.#giveCredit(count);
    return count;
  }

  /**
   * Credit goes back in large pieces: a frame for each half window instead of one for each read. A window that was
   * used up within the path's round trips holds the stream back, so it grows.
   */
  #giveCredit(count: number): void {
    this.#readAt += count;
    const owed = () => this.#readAt + this.#window - this.#grantedAt;
    if (owed() < this.#window / 2 || this.#finAt !== undefined || this.#error) return;
    const now = performance.now();
    if (now - this.#creditMs < GROW_ROUND_TRIPS * this.#port.roundTripMs()) {
      this.#window = this.#port.budget.grow(this.#window);
    }
    this.#creditMs = now;
    const credit = owed();
    this.#grantedAt += credit;
    this.#port.credit(credit);
  }

  /** Whether what is written now goes with the bulk: only a stream that says much does. */
  #isBulk(count: number): boolean {
    const now = performance.now();
    this.#recentBytes = Math.max(0, this.#recentBytes - (now - this.#recentMs) * FORGET_BYTES_PER_MS) + count;
    this.#recentMs = now;
    return this.#recentBytes > EXPRESS_BYTES;
  }

  /** Whether all of the peer's direction has come. */
  #isReceived(): boolean {
    return this.#finAt === this.#receivedAt;
  }

  #settle(): void {
    if (!this.#isReceived()) return;
    if (this.#receivedBytes === 0) {
      this.#reading?.done.resolve(null);
      this.#reading = undefined;
      this.#wakeReader?.();
    }
    if (!this.#done && this.#finSent) this.#finishStream();
  }

  #finishStream(): void {
    this.#done = true;
    this.#port.budget.releaseEarly(this.#early.size);
    this.#early.clear();
    this.#port.budget.release(this.#window, this.#firstWindow);
    this.#port.done();
    this.#onOver?.(this.#closedHere ? undefined : this.#error);
  }
}
