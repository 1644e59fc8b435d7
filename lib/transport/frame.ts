/**
 * The codec of mux frames: the only place that knows their offsets. Layout: spec.md, "Frame".
 *
 * @module
 */

/** Type, length and stream. */
export const HEADER_BYTES = 8;
/** The most that a frame carries (spec.md, "Limits"). */
export const MAX_PAYLOAD_BYTES = 65536;

/** Types of frames, by their numbers on the wire. */
export const FrameType = {
  DATA: 0,
  CREDIT: 1,
  OPEN: 2,
  ACCEPT: 3,
  FIN: 4,
  RESET: 5,
  PING: 6,
  PONG: 7,
  GOAWAY: 8,
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
  [0, MAX_PAYLOAD_BYTES],
  [4, 4],
  [0, MAX_PAYLOAD_BYTES],
  [0, MAX_PAYLOAD_BYTES],
  [0, 0],
  [1, MAX_PAYLOAD_BYTES],
  [8, 8],
  [8, 8],
  [0, MAX_PAYLOAD_BYTES],
];

/** Writes a frame into `into` at `offset` and returns the offset behind it. `into` must have the room. */
export function encodeFrame(frame: Frame, into: Uint8Array, offset = 0): number {
  const { type, stream, payload } = frame;
  into[offset] = type;
  into[offset + 1] = payload.length >>> 16;
  into[offset + 2] = payload.length >>> 8;
  into[offset + 3] = payload.length;
  into[offset + 4] = stream >>> 24;
  into[offset + 5] = stream >>> 16;
  into[offset + 6] = stream >>> 8;
  into[offset + 7] = stream;
  into.set(payload, offset + HEADER_BYTES);
  return offset + HEADER_BYTES + payload.length;
}

/**
 * Cuts bytes into frames, however they arrive. Holds at most one incomplete frame.
 *
 * A read may end anywhere, after the header's last byte too: tests cut at every byte.
 */
export class FrameReader {
  /** Bytes of an incomplete frame, at the front. */
  readonly #held = new Uint8Array(HEADER_BYTES + MAX_PAYLOAD_BYTES);
  #heldBytes = 0;

  /**
   * Yields the frames that `bytes` completes. A payload is a view: valid until the next step of the iteration.
   *
   * @throws {ProtocolError} on a type or a length that the specification does not have
   */
  *push(bytes: Uint8Array): Generator<Frame> {
    let offset = 0;
    while (this.#heldBytes > 0 && offset < bytes.length) {
      const wanted = this.#heldBytes < HEADER_BYTES ? HEADER_BYTES : HEADER_BYTES + lengthAt(this.#held, 0);
      const taken = bytes.subarray(offset, offset + wanted - this.#heldBytes);
      this.#held.set(taken, this.#heldBytes);
      this.#heldBytes += taken.length;
      offset += taken.length;
      if (this.#heldBytes < HEADER_BYTES) return;
      if (this.#heldBytes < HEADER_BYTES + lengthAt(this.#held, 0)) continue;
      const frame = frameAt(this.#held, 0);
      this.#heldBytes = 0;
      yield frame;
    }
    while (bytes.length - offset >= HEADER_BYTES) {
      const end = offset + HEADER_BYTES + lengthAt(bytes, offset);
      if (end > bytes.length) break;
      yield frameAt(bytes, offset);
      offset = end;
    }
    if (offset < bytes.length) {
      this.#held.set(bytes.subarray(offset));
      this.#heldBytes = bytes.length - offset;
    }
  }
}

/** The checked length of the frame whose header stands at `offset`. */
function lengthAt(bytes: Uint8Array, offset: number): number {
  const [type = 0, high = 0, middle = 0, low = 0] = bytes.subarray(offset, offset + 4);
  const length = high << 16 | middle << 8 | low;
  const [least, most] = LENGTHS[type] ?? [];
  if (least === undefined || most === undefined) throw new ProtocolError(`Unknown type of frame: ${type}`);
  if (length < least || length > most) throw new ProtocolError(`Wrong length of a frame of type ${type}: ${length}`);
  return length;
}

function frameAt(bytes: Uint8Array, offset: number): Frame {
  const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(offset + 4, offset + 8);
  const start = offset + HEADER_BYTES;
  return {
    type: bytes[offset] as FrameType, // lengthAt has refused all others
    stream: (a << 24 | b << 16 | c << 8 | d) >>> 0,
    payload: bytes.subarray(start, start + lengthAt(bytes, offset)),
  };
}

/** The payload of CREDIT. */
export function encodeCredit(bytes: number): Uint8Array {
  const payload = new Uint8Array(4);
  new DataView(payload.buffer).setUint32(0, bytes);
  return payload;
}

/** The bytes that a CREDIT gives. */
export function decodeCredit(payload: Uint8Array): number {
  return new DataView(payload.buffer, payload.byteOffset, payload.length).getUint32(0);
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
