/**
 * Datagrams on a stream: each with its size before it, in two bytes, high one first. The shape of DNS over TCP (RFC
 * 1035, section 4.2.2), which netns/ uses for all datagrams.
 */
import { type Duplex, readFull, UnexpectedEnd } from "@/util/mod.ts";

/** Largest content of a frame. */
export const MOST_FRAME_BYTES = 65535;

/** A frame around some bytes. @throws {RangeError} when they are too many */
export function toFrame(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (bytes.length > MOST_FRAME_BYTES) throw new RangeError(`A frame holds ${MOST_FRAME_BYTES} bytes: ${bytes.length}`);
  const frame = new Uint8Array(2 + bytes.length);
  new DataView(frame.buffer).setUint16(0, bytes.length);
  frame.set(bytes, 2);
  return frame;
}

/**
 * The contents of frames, in order.
 *
 * @throws {UnexpectedEnd} when the stream ends within one
 */
export async function* readFrames(duplex: Pick<Duplex, "read">): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const size = new Uint8Array(2);
  while (await readFull(duplex, size)) {
    const content = new Uint8Array(new DataView(size.buffer).getUint16(0));
    if (content.length > 0 && !await readFull(duplex, content)) throw new UnexpectedEnd(0, content.length);
    yield content;
  }
}
