/**
 * The codec of link segments: the only place that knows their offsets. Layout: spec.md, "Segment".
 *
 * @module
 */
import { ProtocolError, putUint32, uint32At } from "./frame.ts";

/** Kind, length, place, acknowledgement and number. */
export const SEGMENT_HEADER_BYTES = 20;
/** The longest segment with its header: what one message of a port-forward carries well (measured: ARCHITECTURE.md). */
export const MAX_SEGMENT_BYTES = 131072;
/** The longest body. */
export const MAX_BODY_BYTES = MAX_SEGMENT_BYTES - SEGMENT_HEADER_BYTES;

/** Kinds of segments, by their numbers on the wire. The first two are the lanes, whose segments are numbered. */
export const SegmentKind = { EXPRESS: 0, BULK: 1, ACK: 2, PING: 3, PONG: 4, BYE: 5 } as const;
/** The number of a kind of segment. */
export type SegmentKind = typeof SegmentKind[keyof typeof SegmentKind];
/** A kind whose segments are numbered, acknowledged and sent again. */
export type Lane = typeof SegmentKind.EXPRESS | typeof SegmentKind.BULK;

/** What stands before a body. */
export interface SegmentHeader {
  readonly kind: SegmentKind;
  /** Of a lane's segment: which one it is on its carrier, from 0, modulo 2^32. */
  readonly place: number;
  /** How many segments of both lanes the sender has taken from this carrier, modulo 2^32. */
  readonly acknowledged: number;
  /** Of a lane's segment: which one it is in its lane, from 0. Of PING and PONG: the token. */
  readonly number: number;
}

/** A segment as it arrived. `body` is a view that is valid until the next step of the iteration. */
export interface Segment extends SegmentHeader {
  readonly body: Uint8Array;
}

/** Whether a segment belongs to a lane. */
export function isLane(kind: SegmentKind): kind is Lane {
  return kind === SegmentKind.EXPRESS || kind === SegmentKind.BULK;
}

/** Writes the header of a body of `length` bytes to the front of `into`. */
export function encodeSegmentHeader(header: SegmentHeader, length: number, into: Uint8Array): void {
  putUint32(into, 0, header.kind << 24 | length);
  putUint32(into, 4, header.place);
  putUint32(into, 8, header.acknowledged);
  putUint32(into, 12, Math.floor(header.number / 2 ** 32));
  putUint32(into, 16, header.number);
}

/** A whole segment. */
export function encodeSegment(header: SegmentHeader, body: Uint8Array = new Uint8Array()): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES + body.length);
  encodeSegmentHeader(header, body.length, bytes);
  bytes.set(body, SEGMENT_HEADER_BYTES);
  return bytes;
}

/**
 * Cuts bytes into segments, however they arrive. Holds at most one incomplete segment.
 *
 * A read may end anywhere, after the header's last byte too: tests cut at every byte.
 */
export class SegmentReader {
  /** Bytes of an incomplete segment, at the front; it grows to what the carrier's segments need. */
  #held = new Uint8Array(4096);
  #heldBytes = 0;

  /**
   * Yields the segments that `bytes` completes. A body is a view: valid until the next step of the iteration.
   *
   * @throws {ProtocolError} on a kind or a length that the specification does not have
   */
  *push(bytes: Uint8Array): Generator<Segment> {
    let offset = 0;
    while (this.#heldBytes > 0 && offset < bytes.length) {
      const wanted = this.#heldBytes < SEGMENT_HEADER_BYTES ? SEGMENT_HEADER_BYTES : segmentLength(this.#held, 0);
      offset += this.#hold(bytes.subarray(offset, offset + wanted - this.#heldBytes));
      if (this.#heldBytes < SEGMENT_HEADER_BYTES || this.#heldBytes < segmentLength(this.#held, 0)) continue;
      const segment = segmentAt(this.#held, 0, this.#heldBytes);
      this.#heldBytes = 0;
      yield segment;
    }
    while (bytes.length - offset >= SEGMENT_HEADER_BYTES) {
      const end = offset + segmentLength(bytes, offset);
      if (end > bytes.length) break;
      yield segmentAt(bytes, offset, end);
      offset = end;
    }
    this.#hold(bytes.subarray(offset));
  }

  #hold(part: Uint8Array): number {
    const filled = this.#heldBytes + part.length;
    if (filled > this.#held.length) {
      const grown = new Uint8Array(filled <= 16384 ? 16384 : MAX_SEGMENT_BYTES);
      grown.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = grown;
    }
    this.#held.set(part, this.#heldBytes);
    this.#heldBytes = filled;
    return part.length;
  }
}

/** The checked length, with its header, of the segment whose header stands at `offset`. */
function segmentLength(bytes: Uint8Array, offset: number): number {
  const kind = bytes[offset] ?? 0;
  const length = uint32At(bytes, offset) & 0xffffff;
  if (kind > SegmentKind.BYE) throw new ProtocolError(`Unknown kind of segment: ${kind}`);
  const bodiless = kind === SegmentKind.ACK || kind === SegmentKind.PING || kind === SegmentKind.PONG;
  if (length > (bodiless ? 0 : MAX_BODY_BYTES)) {
    throw new ProtocolError(`Wrong length of a segment of kind ${kind}: ${length}`);
  }
  return SEGMENT_HEADER_BYTES + length;
}

function segmentAt(bytes: Uint8Array, offset: number, end: number): Segment {
  const number = uint32At(bytes, offset + 12) * 2 ** 32 + uint32At(bytes, offset + 16);
  if (!Number.isSafeInteger(number)) throw new ProtocolError("Wrong number of a segment");
  return {
    kind: bytes[offset] as SegmentKind, // segmentLength has refused all others
    place: uint32At(bytes, offset + 4),
    acknowledged: uint32At(bytes, offset + 8),
    number,
    body: bytes.subarray(offset + SEGMENT_HEADER_BYTES, end),
  };
}
