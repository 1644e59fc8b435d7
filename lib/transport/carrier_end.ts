import { closeQuietly, type Duplex, spendTurn, writeAll } from "@/util/mod.ts";
import { ProtocolError } from "./frame.ts";
import type { Outgoing } from "./outbox.ts";
import {
  encodeSegment,
  encodeSegmentHeader,
  isLane,
  type Segment,
  SEGMENT_HEADER_BYTES,
  SegmentKind,
  SegmentReader,
} from "./segment.ts";

/** Enough that a read of a fast carrier is rarely cut. */
const READ_BYTES = 256 * 1024;
/** What may have come unacknowledged: an acknowledgement costs little, what is not acknowledged costs the peer memory. */
const ACK_BYTES = 256 * 1024;
const ACK_SEGMENTS = 64;
/**
 * What may be under way on a new carrier, at least what the peer acknowledges by itself. It grows with what is
 * acknowledged, as the window of the connection below does: what is handed to that one beyond its window stands before
 * it, for half a second on a long path, and the other carriers wait for it with all that follows.
 */
const FIRST_UNDER_WAY_BYTES = ACK_BYTES;
/** What takes longer to be acknowledged than this, and than so many times the path, stood in a queue: more makes it longer. */
const QUEUED_MS = 100;
/** Up to here it grows whatever the time: where processors are full, that takes long on the shortest path. */
const LITTLE_UNDER_WAY_BYTES = 8 * 1024 * 1024;
const QUEUED_PATHS = 3;
/** After how much that came the round trip is measured again. */
const MEASURE_BYTES = 1024 * 1024;

/** What a carrier's end asks of its link. */
export interface CarrierPort {
  /** The next numbered segment for this carrier, if there is one. */
  next(): Outgoing | undefined;
  /** A numbered segment came. @throws {ProtocolError} when the specification forbids it */
  take(segment: Segment): void;
  /** The peer has these. */
  acknowledged(outgoing: Outgoing): void;
  /** The peer ends the link. */
  bye(sentence: string): void;
}

/**
 * One carrier of a link, from one end: what was sent on it and is not acknowledged, what came, and when.
 *
 * Two loops, one that reads and one that writes; the first error of either ends both and is what `run` throws.
 */
export class CarrierEnd {
  readonly index: number;
  /** How long a PING took to be answered, in milliseconds, the last time; undefined before the first. */
  roundTripMs: number | undefined;
  /** The shortest of all: what the path itself takes, with the least of the queues before it; undefined before one. */
  pathMs: number | undefined;
  /** Bytes that came and went, for who wants to know whether the carriers are enough. */
  traffic = 0;
  readonly #duplex: Duplex;
  readonly #port: CarrierPort;
  /** In the order in which they were written. */
  #underWay: Outgoing[] = [];
  /** When each of them was. */
  #sentMs: number[] = [];
  #underWayBytes = 0;
  #mayBeUnderWay = FIRST_UNDER_WAY_BYTES;
  #acknowledgedCount = 0;
  #sentCount = 0;
  #takenCount = 0;
  #toldCount = 0;
  #untoldBytes = 0;
  #ackDue = false;
  #pongDue: number | undefined;
  #bye: Uint8Array | undefined;
  /** The first one measures the path before there is a queue. */
  #pingDue = true;
  #ping: { token: number; sentMs: number } | undefined;
  #nextToken = 1;
  #unmeasuredBytes = 0;
  #lastReadMs = performance.now();
  #lastWriteMs = performance.now();
  #wake: (() => void) | undefined;
  #woken = false;
  #onWritten: (() => void) | undefined;
  #ended: { error: unknown } | undefined;

  constructor(index: number, duplex: Duplex, port: CarrierPort) {
    this.index = index;
    this.#duplex = duplex;
    this.#port = port;
  }

  /** Bytes that were sent here and are not acknowledged. */
  get underWayBytes(): number {
    return this.#underWayBytes;
  }

  /** Whether it may be given bulk: no more than it has shown to carry. */
  get hasRoom(): boolean {
    return this.#underWayBytes < this.#mayBeUnderWay;
  }

  /** Carries until the carrier is lost; rejects with why. */
  async run(): Promise<never> {
    try {
      return await Promise.race([this.#read(), this.#write()]);
    } catch (error) {
      this.close(error); // the first reason; the other loop ends with its next step
      throw this.#ended?.error;
    }
  }

  /** There may be something to write. */
  kick(): void {
    this.#woken = true;
    this.#wake?.();
  }

  /** Gives the carrier up, for `error`. */
  close(error: unknown = new Error("The carrier was closed")): void {
    this.#ended ??= { error };
    closeQuietly(this.#duplex);
    this.kick();
    this.#onWritten?.();
  }

  /** What was sent here and is not known to have arrived; nothing of it is the carrier's business any more. */
  takeUnderWay(): Outgoing[] {
    return this.#underWay.splice(0);
  }

  /** Looks at the clock. @returns false when the peer has been silent for too long */
  beat({ heartbeatMs, silenceMs }: { heartbeatMs: number; silenceMs: number }): boolean {
    const now = performance.now();
    if (now - this.#lastReadMs > silenceMs) return false;
    this.#ackDue ||= this.#takenCount !== this.#toldCount;
    this.#pingDue ||= now - this.#lastWriteMs >= heartbeatMs;
    if (this.#ackDue || this.#pingDue) this.kick();
    return true;
  }

  /** Tells the peer that the link is over, behind what is written already. */
  sayBye(sentence: string): void {
    this.#bye = encodeSegment(this.#header(SegmentKind.BYE, 0), new TextEncoder().encode(sentence.slice(0, 1000)));
    this.kick();
  }

  /** Waits until the goodbye is written, and sends the end of stream. */
  async leave(): Promise<void> {
    while (this.#bye !== undefined && this.#ended === undefined) {
      await new Promise<void>((resolve) => this.#onWritten = resolve);
    }
    await this.#duplex.closeWrite();
  }

  async #read(): Promise<never> {
    const reader = new SegmentReader();
    const buffer = new Uint8Array(READ_BYTES);
    for (let count; (count = await this.#duplex.read(buffer)) !== null;) {
      if (this.#ended) throw this.#ended.error;
      this.#lastReadMs = performance.now();
      this.traffic += count;
      for (const segment of reader.push(buffer.subarray(0, count))) this.#take(segment);
      this.#measure(count);
      await spendTurn(count);
    }
    throw new Error("The other end closed the carrier");
  }

  /** Dispatches one segment. @throws {ProtocolError} when the specification forbids it */
  #take(segment: Segment): void {
    const { kind, place, acknowledged, number, body } = segment;
    this.#takeAcknowledged(acknowledged);
    if (isLane(kind)) {
      if (place !== this.#takenCount) throw new ProtocolError(`Segment ${this.#takenCount} of a carrier is missing`);
      this.#takenCount = next32(this.#takenCount);
      this.#untoldBytes += SEGMENT_HEADER_BYTES + body.length;
      if (this.#untoldBytes >= ACK_BYTES || minus32(this.#takenCount, this.#toldCount) >= ACK_SEGMENTS) {
        this.#ackDue = true;
        this.kick();
      }
      this.#port.take(segment);
    } else if (kind === SegmentKind.PING) {
      this.#pongDue = number; // one at a time: a peer that pings without reading does not fill our memory
      this.kick();
    } else if (kind === SegmentKind.PONG && number === this.#ping?.token) {
      this.roundTripMs = performance.now() - this.#ping.sentMs;
      this.pathMs = Math.min(this.pathMs ?? Infinity, this.roundTripMs);
      this.#ping = undefined;
    } else if (kind === SegmentKind.BYE) {
      this.#port.bye(new TextDecoder().decode(body));
    }
  }

  #takeAcknowledged(count: number): void {
    const news = minus32(count, this.#acknowledgedCount);
    if (news === 0) return;
    if (news > this.#underWay.length) throw new ProtocolError("A segment is acknowledged that was not sent");
    this.#acknowledgedCount = count;
    const [sentMs = 0] = this.#sentMs.splice(0, news);
    const isQueued = performance.now() - sentMs > Math.max(QUEUED_MS, QUEUED_PATHS * (this.pathMs ?? 0));
    for (const outgoing of this.#underWay.splice(0, news)) {
      this.#underWayBytes -= outgoing.bytes.length;
      if (!isQueued || this.#mayBeUnderWay < LITTLE_UNDER_WAY_BYTES) this.#mayBeUnderWay += outgoing.bytes.length;
      this.#port.acknowledged(outgoing);
    }
  }

  /** While much comes, the round trip is measured with the queues that it makes. */
  #measure(count: number): void {
    this.#unmeasuredBytes += count;
    if (this.#unmeasuredBytes < MEASURE_BYTES || this.#ping !== undefined) return;
    this.#unmeasuredBytes = 0;
    this.#pingDue = true;
    this.kick();
  }

  async #write(): Promise<never> {
    for (;;) {
      await undefined; // what is queued in the same turn of the event loop goes out together
      this.#woken = false;
      if (this.#ended) throw this.#ended.error;
      const bytes = this.#nextBytes();
      if (bytes === undefined) {
        this.#onWritten?.();
        if (!this.#woken) await new Promise<void>((resolve) => this.#wake = resolve);
        this.#wake = undefined;
        continue;
      }
      await writeAll(this.#duplex, bytes);
      this.#lastWriteMs = performance.now();
      this.traffic += bytes.length;
      await spendTurn(bytes.length);
    }
  }

  #nextBytes(): Uint8Array | undefined {
    if (this.#pongDue !== undefined) {
      const token = this.#pongDue;
      this.#pongDue = undefined;
      return encodeSegment(this.#header(SegmentKind.PONG, token));
    }
    if (this.#pingDue) {
      this.#pingDue = false;
      this.#ping = { token: this.#nextToken++, sentMs: performance.now() };
      return encodeSegment(this.#header(SegmentKind.PING, this.#ping.token));
    }
    const outgoing = this.#port.next();
    if (outgoing !== undefined) {
      const { lane, number, bytes } = outgoing;
      const header = { ...this.#header(lane, number), place: this.#sentCount };
      encodeSegmentHeader(header, bytes.length - SEGMENT_HEADER_BYTES, bytes);
      this.#sentCount = next32(this.#sentCount);
      this.#underWay.push(outgoing);
      this.#sentMs.push(performance.now());
      this.#underWayBytes += bytes.length;
      return bytes;
    }
    if (this.#bye !== undefined) {
      const bye = this.#bye;
      this.#bye = undefined;
      return bye;
    }
    return this.#ackDue ? encodeSegment(this.#header(SegmentKind.ACK, 0)) : undefined;
  }

  /** A header with the acknowledgement that every segment carries. */
  #header(kind: SegmentKind, number: number) {
    this.#toldCount = this.#takenCount;
    this.#untoldBytes = 0;
    this.#ackDue = false;
    return { kind, place: 0, acknowledged: this.#takenCount, number };
  }
}

function next32(value: number): number {
  return (value + 1) >>> 0;
}

/** The distance of two counts that wrap at 2^32. */
function minus32(a: number, b: number): number {
  return (a - b) >>> 0;
}
