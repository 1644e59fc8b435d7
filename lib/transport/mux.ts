import { type Log, silentLog } from "@/log/mod.ts";
import { abortable, closeQuietly, type Duplex, messageOf } from "@/util/mod.ts";
import {
  decodeCredit,
  decodeReset,
  encodeCredit,
  encodeReset,
  type Frame,
  FrameReader,
  FrameType,
  MAX_PAYLOAD_BYTES,
  ProtocolError,
  type Reset,
} from "./frame.ts";
import { FrameWriter } from "./frame_writer.ts";
import { MuxStream, StreamReset } from "./mux_stream.ts";

/** An end that has sent nothing for this long sends a PING. */
const HEARTBEAT_MS = 5_000;
/** A peer that was silent for this long is dead. */
const SILENCE_MS = 15_000;
/** How many streams of the peer may be open at a time. */
const MAX_STREAMS = 8192;
/** Enough that a read of a fast carrier is rarely cut. */
const READ_BYTES = 256 * 1024;

/** Options of {@linkcode openMux}. */
export interface MuxOptions {
  /** Which end this is: the host's streams have odd numbers, the agent's even ones. */
  role: "host" | "agent";
  /** What to do with a stream that the peer opens: it must be accepted or refused in the end. */
  onOpen: (incoming: Incoming) => void;
  log?: Log;
  /** @default {5 s} */
  heartbeatMs?: number;
  /** @default {15 s} */
  silenceMs?: number;
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

/** Many streams over one carrier. Disposing it says goodbye and ends them all. */
export interface Mux extends AsyncDisposable {
  /**
   * Opens a stream.
   *
   * @throws {StreamReset} when the peer refused it, or the link ended
   */
  open(request: Uint8Array, options?: { signal?: AbortSignal }): Promise<MuxStream>;
  /** Resolves when this end closed the link; rejects with the first reason when anything else did. */
  readonly closed: Promise<void>;
  /** How many streams are open or being opened, for tests of leaks. */
  readonly streamCount: number;
}

/** The link to the other end is gone. */
export class LinkLost extends Error {
  override readonly name = "LinkLost";
}

/** Starts the mux over a carrier whose handshake is done. The mux owns the carrier from here. */
export function openMux(carrier: Duplex, options: MuxOptions): Mux {
  return new LinkedMux(carrier, options);
}

class LinkedMux implements Mux {
  readonly closed: Promise<void>;
  readonly #carrier: Duplex;
  readonly #writer: FrameWriter;
  readonly #options: MuxOptions;
  readonly #log: Log;
  /** Streams that can carry DATA, by number. */
  readonly #open = new Map<number, MuxStream>();
  /** Streams that we asked for and the peer has not answered. */
  readonly #opening = new Map<number, PromiseWithResolvers<MuxStream>>();
  /** Streams that the peer asked for and we have not answered. */
  readonly #incoming = new Map<number, AbortController>();
  readonly #settled = Promise.withResolvers<void>();
  readonly #heartbeat: ReturnType<typeof setInterval>;
  #nextStream: number;
  #lastPeerStream = 0;
  #lastReadMs = performance.now();
  #ended: { error: Error } | undefined;
  #pongWaiting = false;
  /** We said goodbye: that the peer closes the carrier now is no loss. */
  #leaving = false;

  constructor(carrier: Duplex, options: MuxOptions) {
    this.#carrier = carrier;
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.#nextStream = options.role === "host" ? 1 : 2;
    this.closed = this.#settled.promise;
    this.closed.catch(() => {}); // who wants to know, asks; an unasked rejection is no crash
    this.#writer = new FrameWriter(carrier, (error) => this.#end(lost("Cannot write to the tunnel", error)));
    this.#heartbeat = setInterval(() => this.#beat(), Math.min(1000, options.heartbeatMs ?? HEARTBEAT_MS));
    this.#readFrames().then(
      () => this.#end(new LinkLost("The other end closed the tunnel")),
      (error) => this.#fail(error),
    );
  }

  get streamCount(): number {
    return this.#open.size + this.#opening.size + this.#incoming.size;
  }

  async open(request: Uint8Array, options: { signal?: AbortSignal } = {}): Promise<MuxStream> {
    options.signal?.throwIfAborted();
    if (this.#ended) throw this.#ended.error;
    if (request.length > MAX_PAYLOAD_BYTES) throw new RangeError(`Cannot open a stream: its request is too long`);
    const stream = this.#nextStream;
    this.#nextStream += 2;
    const answer = Promise.withResolvers<MuxStream>();
    this.#opening.set(stream, answer);
    this.#send(FrameType.OPEN, stream, request);
    try {
      return await abortable(answer.promise, options.signal);
    } catch (error) {
      if (this.#opening.delete(stream)) this.#sendReset(stream, { code: "ECONNABORTED", message: "Given up" });
      // The answer may have come in the very turn in which the signal fired: then the stream is nobody's.
      else answer.promise.then((opened) => opened.close(), () => {});
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) {
      this.#leaving = true;
      this.#send(FrameType.GOAWAY, 0, new TextEncoder().encode("The other end is done"));
      // What is still to be written goes out, but a carrier that takes nothing does not hold up the end.
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, 1000);
      const goodbye = this.#writer.drained().then(() => this.#carrier.closeWrite()).catch(() => {});
      await Promise.race([goodbye, late.promise]);
      clearTimeout(timer);
      this.#end(undefined);
    }
    await this.closed.catch(() => {});
  }

  async #readFrames(): Promise<void> {
    const reader = new FrameReader();
    const buffer = new Uint8Array(READ_BYTES);
    for (let count; (count = await this.#carrier.read(buffer)) !== null;) {
      this.#lastReadMs = performance.now();
      for (const frame of reader.push(buffer.subarray(0, count))) this.#take(frame);
    }
  }

  /** Dispatches one frame. @throws {ProtocolError} when the specification forbids it */
  #take({ type, stream, payload }: Frame): void {
    if (this.#ended) return;
    switch (type) {
      case FrameType.DATA:
        return this.#known(stream)?.receive(payload);
      case FrameType.CREDIT:
        return this.#known(stream)?.grant(decodeCredit(payload));
      case FrameType.FIN:
        return this.#known(stream)?.finish();
      case FrameType.OPEN:
        return this.#takeOpen(stream, payload.slice());
      case FrameType.ACCEPT:
        return this.#takeAccept(stream, payload.slice());
      case FrameType.RESET:
        return this.#takeReset(stream, new StreamReset(decodeReset(payload)));
      case FrameType.PING:
        return this.#takePing(payload.slice());
      case FrameType.PONG:
        return;
      case FrameType.GOAWAY:
        return this.#end(new LinkLost(`The other end closed the tunnel: ${new TextDecoder().decode(payload)}`));
    }
  }

  /** The stream of a frame; undefined when it was closed here already, so that the frame is just late. */
  #known(stream: number): MuxStream | undefined {
    const known = this.#open.get(stream);
    if (known === undefined && (!this.#wasOpened(stream) || this.#incoming.has(stream) || this.#opening.has(stream))) {
      throw new ProtocolError(`A frame for stream ${stream}, which is not open`);
    }
    return known;
  }

  #wasOpened(stream: number): boolean {
    return stream > 0 && (this.#isOurs(stream) ? stream < this.#nextStream : stream <= this.#lastPeerStream);
  }

  #isOurs(stream: number): boolean {
    return stream % 2 === this.#nextStream % 2;
  }

  #takeOpen(stream: number, request: Uint8Array): void {
    if (this.#isOurs(stream) || stream <= this.#lastPeerStream) {
      throw new ProtocolError(`Wrong number in OPEN: ${stream}`);
    }
    this.#lastPeerStream = stream;
    if (this.#open.size + this.#incoming.size >= MAX_STREAMS) {
      return this.#sendReset(stream, { code: "EMFILE", message: "Too many streams are open" });
    }
    const gone = new AbortController();
    this.#incoming.set(stream, gone);
    this.#options.onOpen({
      request,
      signal: gone.signal,
      accept: (reply = new Uint8Array()) => {
        const accepted = this.#addStream(stream, new Uint8Array());
        if (this.#incoming.delete(stream)) this.#send(FrameType.ACCEPT, stream, reply);
        else {accepted.fail(
            this.#ended?.error ?? new StreamReset({ code: "ECONNABORTED", message: "The other end gave up" }),
          );}
        return accepted;
      },
      refuse: (reset) => {
        if (this.#incoming.delete(stream)) this.#sendReset(stream, reset);
      },
    });
  }

  #takeAccept(stream: number, reply: Uint8Array): void {
    const answer = this.#opening.get(stream);
    if (answer === undefined) {
      if (!this.#isOurs(stream) || !this.#wasOpened(stream) || this.#open.has(stream)) {
        throw new ProtocolError(`ACCEPT for stream ${stream}, which was not asked for`);
      }
      return; // given up in the meantime: our RESET is under way
    }
    this.#opening.delete(stream);
    answer.resolve(this.#addStream(stream, reply));
  }

  #takeReset(stream: number, reset: StreamReset): void {
    const answer = this.#opening.get(stream);
    const incoming = this.#incoming.get(stream);
    if (answer) {
      this.#opening.delete(stream);
      answer.reject(reset);
    } else if (incoming) {
      this.#incoming.delete(stream);
      incoming.abort(reset);
    } else {
      this.#known(stream)?.fail(reset);
    }
  }

  #takePing(payload: Uint8Array): void {
    if (this.#pongWaiting) return; // a peer that pings without reading does not fill our memory
    this.#pongWaiting = true;
    this.#send(FrameType.PONG, 0, payload);
    this.#writer.drained().then(() => this.#pongWaiting = false);
  }

  #addStream(stream: number, reply: Uint8Array): MuxStream {
    const added = new MuxStream({
      data: (payload) => this.#writer.data(stream, payload),
      credit: (bytes) => this.#send(FrameType.CREDIT, stream, encodeCredit(bytes)),
      fin: () => this.#send(FrameType.FIN, stream, new Uint8Array()),
      reset: (reset) => this.#sendReset(stream, reset),
      done: () => this.#open.delete(stream),
    }, reply);
    this.#open.set(stream, added);
    return added;
  }

  #send(type: FrameType, stream: number, payload: Uint8Array): void {
    this.#writer.control({ type, stream, payload });
  }

  #sendReset(stream: number, reset: Reset): void {
    this.#send(FrameType.RESET, stream, encodeReset(reset));
  }

  #beat(): void {
    const { heartbeatMs = HEARTBEAT_MS, silenceMs = SILENCE_MS } = this.#options;
    const now = performance.now();
    if (now - this.#lastReadMs > silenceMs) {
      this.#end(new LinkLost(`The other end has been silent for ${Math.round(silenceMs / 1000)} s`));
    } else if (now - this.#writer.lastWriteMs >= heartbeatMs) {
      this.#send(FrameType.PING, 0, new Uint8Array(8));
    }
  }

  /** Reading failed: a fault of the peer is told to it, a lost carrier cannot be. */
  #fail(error: unknown): void {
    if (!(error instanceof ProtocolError)) return this.#end(lost("Cannot read from the tunnel", error));
    this.#log.info(`The other end broke the protocol: ${error.message}`);
    this.#send(FrameType.GOAWAY, 0, new TextEncoder().encode(error.message));
    this.#writer.drained().finally(() => this.#end(error));
  }

  /** The one end of the link: everything that waits is told. `error` is undefined when we wanted it. */
  #end(error: Error | undefined): void {
    if (this.#ended) return;
    const reason = error ?? new LinkLost("The tunnel was closed");
    this.#ended = { error: reason };
    clearInterval(this.#heartbeat);
    this.#writer.fail(reason);
    for (const answer of this.#opening.values()) answer.reject(reason);
    for (const incoming of this.#incoming.values()) incoming.abort(reason);
    this.#opening.clear();
    this.#incoming.clear();
    for (const stream of [...this.#open.values()]) stream.fail(reason);
    closeQuietly(this.#carrier);
    if (error === undefined || this.#leaving) return this.#settled.resolve();
    this.#log.info(`Tunnel ended: ${error.message}`);
    this.#settled.reject(error);
  }
}

function lost(what: string, cause: unknown): LinkLost {
  return new LinkLost(`${what}: ${messageOf(cause)}`, { cause });
}
