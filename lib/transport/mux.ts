import { abortable } from "@/util/mod.ts";
import {
  decodeCredit,
  decodeOffset,
  decodeReset,
  encodeCredit,
  encodeOffset,
  encodeOpening,
  encodeReset,
  type Frame,
  FrameType,
  MAX_PAYLOAD_BYTES,
  OFFSET_BYTES,
  ProtocolError,
  type Reset,
} from "./frame.ts";
import type { FrameTaker, Link } from "./link.ts";
import { MuxStream, StreamReset } from "./mux_stream.ts";
import { WindowBudget } from "./window.ts";

/** How many streams of each end may be open at a time. */
export const MAX_STREAMS = 8192;
/** How many OPENs of ours may be unanswered at a time; more wait for their turn. */
export const MAX_OPENING = 1024;
/** What the requests of all OPENs that we have not answered may have in sum. */
const MAX_REQUESTS_BYTES = 4 * 1024 * 1024;

/** Options of {@linkcode openMux}. */
export interface MuxOptions {
  /** Which end this is: the host's streams have odd numbers, the agent's even ones. */
  role: "host" | "agent";
  /** What to do with a stream that the peer opens: it must be accepted or refused in the end. */
  onOpen: (incoming: Incoming) => void;
  /** The memory behind its windows. @default {its own, with nothing known of the path} */
  budget?: WindowBudget;
}

/** A stream that the peer wants to open. */
export interface Incoming {
  /** What for: the bytes that the peer gave to `open`. */
  readonly request: Uint8Array;
  /** Aborts when the peer gave up or the link ended; nobody needs to answer then. */
  readonly signal: AbortSignal;
  /** Opens it; `reply` comes with the acceptance. */
  accept(reply?: Uint8Array): MuxStream;
  /** Refuses it, for a reason. */
  refuse(reset: Reset): void;
}

/** Many streams over one link. Disposing it says goodbye and ends them all. */
export interface Mux extends AsyncDisposable {
  /**
   * Opens a stream.
   *
   * @throws {StreamReset} when the peer refused it, {LinkLost} when the link ended, the signal's reason
   */
  open(request: Uint8Array, options?: { signal?: AbortSignal }): Promise<MuxStream>;
  /** Resolves when this end closed the link; rejects with the first reason when anything else did. */
  readonly closed: Promise<void>;
  /** How many streams are open or being opened, for tests of leaks. */
  readonly streamCount: number;
}

/** Starts the mux over a link, which it owns from here. */
export function openMux(link: Link, options: MuxOptions): Mux {
  const mux = new LinkedMux(link, options);
  link.start(mux);
  return mux;
}

/** A stream of ours that the peer has not answered. */
interface Opening {
  readonly stream: MuxStream;
  readonly answer: PromiseWithResolvers<MuxStream>;
}

/** A stream of the peer that we have not answered. */
interface Asked {
  readonly gone: AbortController;
  readonly requestBytes: number;
}

class LinkedMux implements Mux, FrameTaker {
  readonly #link: Link;
  readonly #onOpen: MuxOptions["onOpen"];
  readonly #budget: WindowBudget;
  /** Streams that can carry DATA, by number. */
  readonly #open = new Map<number, MuxStream>();
  /** Streams that we asked for and the peer has not answered. */
  readonly #opening = new Map<number, Opening>();
  /** Those that wait until they may ask. */
  readonly #queue: (() => void)[] = [];
  /** Streams that the peer asked for and we have not answered. */
  readonly #incoming = new Map<number, Asked>();
  #requestBytes = 0;
  #nextStream: number;
  #lastPeerStream = 0;
  #ended: { error: Error } | undefined;

  constructor(link: Link, options: MuxOptions) {
    this.#link = link;
    this.#onOpen = options.onOpen;
    this.#budget = options.budget ?? new WindowBudget();
    this.#nextStream = options.role === "host" ? 1 : 2;
  }

  get closed(): Promise<void> {
    return this.#link.closed;
  }

  get streamCount(): number {
    return this.#open.size + this.#opening.size + this.#incoming.size;
  }

  async open(request: Uint8Array, options: { signal?: AbortSignal } = {}): Promise<MuxStream> {
    options.signal?.throwIfAborted();
    this.#throwIfEnded();
    if (request.length > MAX_PAYLOAD_BYTES - 4) throw new RangeError("Cannot open a stream: its request is too long");
    // No wait where there is room: opens of the same turn must see each other's numbers.
    while (this.#opening.size >= MAX_OPENING) await this.#turn(options.signal);
    const number = this.#nextStream;
    this.#nextStream += 2;
    const window = this.#budget.first(this.streamCount, this.#link.pathMs);
    const answer = Promise.withResolvers<MuxStream>();
    const stream = this.#makeStream(number, window);
    this.#opening.set(number, { stream, answer });
    this.#send(FrameType.OPEN, number, encodeOpening(window, request));
    try {
      return await abortable(answer.promise, options.signal);
    } catch (error) {
      if (this.#answered(number)) {
        const reset = { code: "ECONNABORTED", message: "Given up" };
        this.#sendReset(number, reset);
        stream.fail(new StreamReset(reset)); // what its window has of the budget goes back
      } else {
        // The answer may have come in the very turn in which the signal fired: then the stream is nobody's.
        answer.promise.then((opened) => opened.close(), () => {});
      }
      throw error;
    }
  }

  /** Waits until an OPEN was answered. @throws the end's reason, or the signal's */
  async #turn(signal: AbortSignal | undefined): Promise<void> {
    const turn = Promise.withResolvers<void>();
    this.#queue.push(turn.resolve);
    try {
      await abortable(turn.promise, signal);
    } catch (error) {
      const at = this.#queue.indexOf(turn.resolve);
      if (at >= 0) this.#queue.splice(at, 1);
      else this.#queue.shift()?.(); // our turn had come: it is the next one's
      throw error;
    }
    this.#throwIfEnded();
  }

  #throwIfEnded(): void {
    if (this.#ended) throw this.#ended.error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#link[Symbol.asyncDispose]();
  }

  /** The link tells: a frame came. @throws {ProtocolError} when the specification forbids it */
  take({ type, stream, payload }: Frame): void {
    switch (type) {
      case FrameType.DATA:
        return this.#receiver(stream)?.receive(decodeOffset(payload), payload.subarray(OFFSET_BYTES));
      case FrameType.CREDIT:
        return this.#known(stream)?.grant(decodeCredit(payload));
      case FrameType.FIN:
        return this.#known(stream)?.finish(decodeOffset(payload));
      case FrameType.OPEN:
        return this.#takeOpen(stream, decodeCredit(payload), payload.slice(4));
      case FrameType.ACCEPT:
        return this.#takeAccept(stream, decodeCredit(payload), payload.slice(4));
      case FrameType.RESET:
        return this.#takeReset(stream, new StreamReset(decodeReset(payload)));
    }
  }

  /** The link tells: it is over. */
  end(error: Error): void {
    this.#ended = { error };
    for (const { stream, answer } of this.#opening.values()) {
      answer.reject(error);
      stream.fail(error);
    }
    for (const { gone } of this.#incoming.values()) gone.abort(error);
    this.#opening.clear();
    this.#incoming.clear();
    for (const stream of [...this.#open.values()]) stream.fail(error);
    for (const wake of this.#queue.splice(0)) wake();
  }

  /** The stream of a frame; undefined when it was closed here already, so that the frame is just late. */
  #known(stream: number): MuxStream | undefined {
    const known = this.#open.get(stream);
    if (known === undefined && (!this.#wasOpened(stream) || this.#incoming.has(stream) || this.#opening.has(stream))) {
      throw new ProtocolError(`A frame for stream ${stream}, which is not open`);
    }
    return known;
  }

  /** As `known`, for DATA: in the bulk lane it may overtake the ACCEPT that it follows. */
  #receiver(stream: number): MuxStream | undefined {
    return this.#opening.get(stream)?.stream ?? this.#known(stream);
  }

  #wasOpened(stream: number): boolean {
    return stream > 0 && (this.#isOurs(stream) ? stream < this.#nextStream : stream <= this.#lastPeerStream);
  }

  #isOurs(stream: number): boolean {
    return stream % 2 === this.#nextStream % 2;
  }

  #takeOpen(number: number, credit: number, request: Uint8Array): void {
    if (this.#isOurs(number) || number <= this.#lastPeerStream) {
      throw new ProtocolError(`Wrong number in OPEN: ${number}`);
    }
    this.#lastPeerStream = number;
    if (this.#incoming.size >= MAX_OPENING) throw new ProtocolError("Too many OPENs without an answer");
    if (this.#open.size + this.#incoming.size >= MAX_STREAMS) {
      return this.#sendReset(number, { code: "EMFILE", message: "Too many streams are open" });
    }
    if (this.#requestBytes + request.length > MAX_REQUESTS_BYTES) {
      return this.#sendReset(number, { code: "ENOBUFS", message: "Too much is asked at a time" });
    }
    const gone = new AbortController();
    this.#incoming.set(number, { gone, requestBytes: request.length });
    this.#requestBytes += request.length;
    this.#onOpen({
      request,
      signal: gone.signal,
      accept: (reply = new Uint8Array()) => {
        const window = this.#budget.first(this.streamCount, this.#link.pathMs);
        const accepted = this.#makeStream(number, window);
        if (this.#answer(number) !== undefined) {
          this.#open.set(number, accepted);
          this.#send(FrameType.ACCEPT, number, encodeOpening(window, reply));
          accepted.grant(credit);
        } else {
          const gaveUp = new StreamReset({ code: "ECONNABORTED", message: "The other end gave up" });
          accepted.fail(this.#ended?.error ?? gaveUp);
        }
        return accepted;
      },
      refuse: (reset) => {
        if (this.#answer(number) !== undefined) this.#sendReset(number, reset);
      },
    });
  }

  #takeAccept(number: number, credit: number, reply: Uint8Array): void {
    const opening = this.#opening.get(number);
    if (opening === undefined) {
      if (!this.#isOurs(number) || !this.#wasOpened(number) || this.#open.has(number)) {
        throw new ProtocolError(`ACCEPT for stream ${number}, which was not asked for`);
      }
      return; // given up in the meantime: our RESET is under way
    }
    this.#answered(number);
    this.#open.set(number, opening.stream);
    opening.stream.accepted(reply, credit);
    opening.answer.resolve(opening.stream);
  }

  #takeReset(number: number, reset: StreamReset): void {
    const opening = this.#opening.get(number);
    const asked = this.#answer(number);
    if (opening) {
      this.#answered(number);
      opening.stream.fail(reset); // what its window has of the budget goes back
      opening.answer.reject(reset);
    } else if (asked) {
      asked.gone.abort(reset);
    } else {
      this.#known(number)?.fail(reset);
    }
  }

  /** An OPEN of the peer waits for no answer of ours any more. @returns what it was, if it was still waiting */
  #answer(number: number): Asked | undefined {
    const asked = this.#incoming.get(number);
    if (this.#incoming.delete(number)) this.#requestBytes -= asked?.requestBytes ?? 0;
    return asked;
  }

  /** An OPEN of ours waits for no answer any more: the next may ask. @returns whether it was still waiting */
  #answered(number: number): boolean {
    const waited = this.#opening.delete(number);
    if (waited) this.#queue.shift()?.();
    return waited;
  }

  #makeStream(number: number, window: number): MuxStream {
    return new MuxStream({
      data: (position, payload, bulk) => this.#link.data({ stream: number, position, payload, bulk }),
      credit: (bytes) => this.#send(FrameType.CREDIT, number, encodeCredit(bytes)),
      fin: (position) => this.#send(FrameType.FIN, number, encodeOffset(position, new Uint8Array(OFFSET_BYTES))),
      reset: (reset) => this.#sendReset(number, reset),
      done: () => this.#open.delete(number),
      roundTripMs: () => this.#link.roundTripMs,
      budget: this.#budget,
    }, window);
  }

  #send(type: FrameType, stream: number, payload: Uint8Array): void {
    this.#link.control({ type, stream, payload });
  }

  #sendReset(stream: number, reset: Reset): void {
    this.#send(FrameType.RESET, stream, encodeReset(reset));
  }
}
