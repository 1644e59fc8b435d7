/**
 * The codec of mux frames: the only place that knows their offsets. Layout: spec.md, "Frame".
 *
 * @module
 */

/** Type, length and stream. */
export const HEADER_BYTES = 8;
/** The most that a frame carries (spec.md, "Limits"): one such frame fills a segment. */
export const MAX_PAYLOAD_BYTES = 131044;
/** An offset in a stream: what DATA begins with, and what FIN is. */
export const OFFSET_BYTES = 8;
/**
 * The most bytes of a stream in one DATA that we send: its segment, with what SPDY and a WebSocket put before it, fills
 * eight records of TLS (16 KiB) and four reads of a node (32 KiB), and not a byte of the next ones.
 */
export const MAX_DATA_BYTES = 131004;

/** The most that a direction's sender may have leave to say at a time (spec.md, "Limits"). */
export const MAX_CREDIT_BYTES = 64 * 1024 * 1024;

/** Types of frames, by their numbers on the wire. */
export const FrameType = {
  DATA: 0,
  CREDIT: 1,
  OPEN: 2,
  ACCEPT: 3,
  FIN: 4,
  RESET: 5,
} as const;
/** The number of a type of frame. */
export type FrameType = typeof FrameType[keyof typeof FrameType];

/** One frame. `payload` may be a view of a buffer that is used again: copy what must stay. */
export interface Frame {
  readonly type: FrameType;
  readonly stream: number;
  readonly payload: Uint8Array;
}

/** The peer sent what the specification forbids; the link cannot go on. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** Which payload lengths each type has, `[least, most]`, by its number. */
const LENGTHS: readonly (readonly [number, number])[] = [
  [OFFSET_BYTES, MAX_PAYLOAD_BYTES],
  [4, 4],
  [4, MAX_PAYLOAD_BYTES],
  [4, MAX_PAYLOAD_BYTES],
  [OFFSET_BYTES, OFFSET_BYTES],
  [1, MAX_PAYLOAD_BYTES],
];

/** Writes a frame into `into` at `offset` and returns the offset behind it. `into` must have the room. */
export function encodeFrame(frame: Frame, into: Uint8Array, offset = 0): number {
  const { type, stream, payload } = frame;
  putUint32(into, offset, type << 24 | payload.length);
  putUint32(into, offset + 4, stream);
  into.set(payload, offset + HEADER_BYTES);
  return offset + HEADER_BYTES + payload.length;
}

/** Writes a DATA frame with `bytes`, which begin at `position` of their stream, and returns the offset behind it. */
export function encodeData(
  stream: number,
  position: number,
  bytes: Uint8Array,
  into: Uint8Array,
  offset: number,
): number {
  const length = OFFSET_BYTES + bytes.length;
  putUint32(into, offset, FrameType.DATA << 24 | length);
  putUint32(into, offset + 4, stream);
  encodeOffset(position, into, offset + HEADER_BYTES);
  into.set(bytes, offset + HEADER_BYTES + OFFSET_BYTES);
  return offset + HEADER_BYTES + length;
}

/**
 * The frames in the body of one segment, which has whole frames only. Payloads are views of `bytes`.
 *
 * @throws {ProtocolError} on a type or a length that the specification does not have, and on a cut frame
 */
export function* decodeFrames(bytes: Uint8Array): Generator<Frame> {
  for (let offset = 0; offset < bytes.length;) {
    if (bytes.length - offset < HEADER_BYTES) throw new ProtocolError("A frame is cut in its header");
    const start = offset + HEADER_BYTES;
    const end = start + lengthAt(bytes, offset);
    if (end > bytes.length) throw new ProtocolError("A frame is cut in its payload");
    yield {
      type: bytes[offset] as FrameType, // lengthAt has refused all others
      stream: uint32At(bytes, offset + 4),
      payload: bytes.subarray(start, end),
    };
    offset = end;
  }
}

/** The checked length of the frame whose header stands at `offset`. */
function lengthAt(bytes: Uint8Array, offset: number): number {
  const type = bytes[offset] ?? 0;
  const length = uint32At(bytes, offset) & 0xffffff;
  const [least, most] = LENGTHS[type] ?? [];
  if (least === undefined || most === undefined) throw new ProtocolError(`Unknown type of frame: ${type}`);
  if (length < least || length > most) throw new ProtocolError(`Wrong length of a frame of type ${type}: ${length}`);
  return length;
}

/** Writes the offset at which the bytes of a DATA begin, or at which FIN ends the stream. */
export function encodeOffset<T extends Uint8Array>(value: number, into: T, at = 0): T {
  putUint32(into, at, Math.floor(value / 2 ** 32));
  putUint32(into, at + 4, value);
  return into;
}

/** The offset at the front of a payload. @throws {ProtocolError} where no stream can be that long */
export function decodeOffset(payload: Uint8Array): number {
  const value = uint32At(payload, 0) * 2 ** 32 + uint32At(payload, 4);
  if (!Number.isSafeInteger(value)) throw new ProtocolError("Wrong offset in a stream");
  return value;
}

/** Four bytes of `bytes` as a number; the caller knows that they are there. */
export function uint32At(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 24 | (bytes[at + 1] ?? 0) << 16 | (bytes[at + 2] ?? 0) << 8 | (bytes[at + 3] ?? 0)) >>> 0;
}

/** Writes the low 32 bits of `value`. */
export function putUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** The payload of CREDIT. */
export function encodeCredit(bytes: number): Uint8Array {
  const payload = new Uint8Array(4);
  putUint32(payload, 0, bytes);
  return payload;
}

/** The bytes that a CREDIT gives; also what OPEN and ACCEPT begin with. @throws {ProtocolError} beyond the limit */
export function decodeCredit(payload: Uint8Array): number {
  const credit = uint32At(payload, 0);
  if (credit > MAX_CREDIT_BYTES) throw new ProtocolError("CREDIT beyond every window");
  return credit;
}

/** The payload of OPEN and of ACCEPT: the first credit, then a request or an answer. */
export function encodeOpening(credit: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(4 + body.length);
  putUint32(payload, 0, credit);
  payload.set(body, 4);
  return payload;
}

/** Why a stream was refused or ended: the name of an errno, and a sentence. */
export interface Reset {
  readonly code: string;
  readonly message: string;
}

/** The payload of RESET; a sentence too long for a frame is cut. */
export function encodeReset({ code, message }: Reset): Uint8Array {
  const encoder = new TextEncoder();
  const name = encoder.encode(code).subarray(0, 255);
  const sentence = encoder.encode(message).subarray(0, MAX_PAYLOAD_BYTES - 1 - name.length);
  const payload = new Uint8Array(1 + name.length + sentence.length);
  payload[0] = name.length;
  payload.set(name, 1);
  payload.set(sentence, 1 + name.length);
  return payload;
}

/** The reason in a RESET. @throws {ProtocolError} when the code is longer than the frame */
export function decodeReset(payload: Uint8Array): Reset {
  const [length = 0] = payload;
  if (1 + length > payload.length) throw new ProtocolError(`Wrong length of the code in a RESET: ${length}`);
  const decoder = new TextDecoder();
  return {
    code: decoder.decode(payload.subarray(1, 1 + length)),
    message: decoder.decode(payload.subarray(1 + length)),
  };
}
