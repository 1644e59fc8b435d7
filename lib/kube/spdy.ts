/**
 * As much of SPDY/3.1 as a port-forward takes: the client opens two streams on a connection and moves bytes on them.
 * {@link https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/}
 *
 * Theory of operation. Kubernetes knows SPDY in Go's spdystream, which has no flow windows: back-pressure is that of the
 * connection, so nothing here counts credit. Headers of answers say nothing that we use and are skipped unread, so no
 * inflater with the protocol's dictionary is needed; our own go out as a zlib stream of stored blocks, each followed by
 * an empty one, which is what makes an inflater hand out all that it has.
 *
 * As in `websocket.ts`, reading is pulled, nothing is read that nobody asked for, and a ping is answered without waiting.
 *
 * @module
 */
import { type Duplex, writeAll } from "@/util/mod.ts";
import { type ByteReader, ProtocolError } from "./byte_reader.ts";

/** Control frames: section 2.6. */
const SYN_STREAM = 1;
const RST_STREAM = 3;
const PING = 6;
const GOAWAY = 7;
/** SPDY/3.1 says version 3 on the wire. */
const VERSION = 3;
const FLAG_FIN = 1;
const HEADER_BYTES = 8;
/** Longest payload of a data frame that we send; as that of a WebSocket. */
const MAX_SEND_BYTES = 128 * 1024;

/** A piece of a stream: where a data frame, or the end of a stream, has come. */
export interface SpdyEvent {
  readonly stream: number;
  readonly kind: "data" | "end" | "reset";
}

/** One SPDY connection, the client's end. */
export class SpdyConnection {
  readonly #duplex: Duplex;
  readonly #reader: ByteReader;
  #nextStream = 1;
  #first = true;
  /** Bytes of the current data frame that are still to come, and what follows them. */
  #left = 0;
  #ended: SpdyEvent | undefined;
  #sent: Promise<void> = Promise.resolve();
  readonly #buffer = new Uint8Array(HEADER_BYTES + MAX_SEND_BYTES);

  /** @param reader in front of `duplex` */
  constructor(duplex: Duplex, reader: ByteReader) {
    this.#duplex = duplex;
    this.#reader = reader;
  }

  /** Opens a stream. @returns its number */
  async open(headers: Readonly<Record<string, string>>): Promise<number> {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    const block = this.#compress(encodeHeaders(headers));
    const payload = new Uint8Array(10 + block.length); // stream, associated stream, priority and slot: all zero but one
    new DataView(payload.buffer).setUint32(0, stream);
    payload.set(block, 10);
    await this.#send(controlFrame(SYN_STREAM, payload));
    return stream;
  }

  /** Sends some of `bytes`, and says how many: waits until the connection has taken them. */
  async write(stream: number, bytes: Uint8Array): Promise<number> {
    const part = bytes.length > MAX_SEND_BYTES ? bytes.subarray(0, MAX_SEND_BYTES) : bytes;
    const sent = this.#sent.then(async () => {
      dataHeader(this.#buffer, stream, 0, part.length);
      this.#buffer.set(part, HEADER_BYTES);
      await writeAll(this.#duplex, this.#buffer.subarray(0, HEADER_BYTES + part.length));
    });
    this.#sent = sent.catch(() => {});
    await sent;
    return part.length;
  }

  /** Ends our direction of a stream. */
  async end(stream: number): Promise<void> {
    const frame = new Uint8Array(HEADER_BYTES);
    dataHeader(frame, stream, FLAG_FIN, 0);
    await this.#send(frame);
  }

  /** Gives the connection up. */
  close(): void {
    this.#duplex.close();
  }

  /**
   * Steps to the next data frame or end of a stream; what was not read of the current frame is skipped.
   *
   * @returns undefined when the peer ended the connection, between two frames
   * @throws {ProtocolError} at what is no SPDY, or an end in the middle of a frame
   */
  async next(): Promise<SpdyEvent | undefined> {
    const skipped = new Uint8Array(this.#left === 0 ? 0 : 16 * 1024);
    while (this.#left > 0) await this.read(skipped);
    if (this.#ended !== undefined) {
      const event = this.#ended;
      this.#ended = undefined;
      return event;
    }
    while (await this.#reader.need(HEADER_BYTES)) {
      const header = this.#reader.buffered.slice(0, HEADER_BYTES);
      const view = new DataView(header.buffer);
      const length = view.getUint32(4) & 0xffffff;
      const flags = view.getUint8(4);
      this.#reader.consume(HEADER_BYTES);
      this.#left = length;
      if ((view.getUint8(0) & 0x80) === 0) {
        const stream = view.getUint32(0);
        if ((flags & FLAG_FIN) !== 0) this.#ended = { stream, kind: "end" };
        return { stream, kind: "data" };
      }
      if ((view.getUint16(0) & 0x7fff) !== VERSION) throw new ProtocolError("Peer does not speak SPDY/3.1");
      const event = await this.#control(view.getUint16(2), flags, length);
      if (event !== undefined) return event;
    }
    if (this.#reader.buffered.length > 0) throw lost();
    return undefined;
  }

  /** Reads some of the current data frame; `null` at its end. */
  async read(into: Uint8Array): Promise<number | null> {
    if (this.#left === 0) return null;
    const count = await this.#reader.read(this.#left < into.length ? into.subarray(0, this.#left) : into);
    if (count === null) throw lost();
    this.#left -= count;
    return count;
  }

  async #control(type: number, flags: number, length: number): Promise<SpdyEvent | undefined> {
    const known = new Uint8Array(Math.min(length, 8));
    for (let filled = 0; filled < known.length;) filled += await this.read(known.subarray(filled)) ?? 0;
    const skipped = new Uint8Array(1024); // headers, settings and whatever else we have no use for
    while (this.#left > 0) await this.read(skipped);
    const first = known.length >= 4 ? new DataView(known.buffer).getUint32(0) : 0;
    if (type === GOAWAY) return undefined; // no new streams: ours go on to their ends
    if (type === PING && first % 2 === 0) this.#send(controlFrame(PING, known.subarray(0, 4))).catch(() => {});
    if (type === RST_STREAM) return { stream: first & 0x7fffffff, kind: "reset" };
    if ((flags & FLAG_FIN) !== 0) return { stream: first & 0x7fffffff, kind: "end" };
    return undefined;
  }

  #send(frame: Uint8Array): Promise<void> {
    const sent = this.#sent.then(() => writeAll(this.#duplex, frame));
    this.#sent = sent.catch(() => {});
    return sent;
  }

  /** zlib (RFC 1950) without compression: stored blocks (RFC 1951, section 3.2.4). */
  #compress(block: Uint8Array): Uint8Array {
    const start = this.#first ? [0x78, 0x01] : [];
    this.#first = false;
    const { length } = block;
    const stored = [0, length & 0xff, length >> 8, ~length & 0xff, ~length >> 8 & 0xff];
    return new Uint8Array([...start, ...stored, ...block, 0, 0, 0, 0xff, 0xff]);
  }
}

/** Names and values with their lengths before them: section 2.6.10. */
function encodeHeaders(headers: Readonly<Record<string, string>>): Uint8Array {
  const entries = Object.entries(headers);
  const bytes: number[] = [0, 0, 0, entries.length];
  for (const text of entries.flat()) {
    const encoded = new TextEncoder().encode(text);
    bytes.push(0, 0, encoded.length >> 8, encoded.length & 0xff, ...encoded);
  }
  return new Uint8Array(bytes);
}

function controlFrame(type: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(frame.buffer);
  view.setUint16(0, 0x8000 | VERSION);
  view.setUint16(2, type);
  view.setUint32(4, payload.length);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

function dataHeader(frame: Uint8Array, stream: number, flags: number, length: number): void {
  const view = new DataView(frame.buffer, frame.byteOffset, HEADER_BYTES);
  view.setUint32(0, stream);
  view.setUint32(4, length);
  view.setUint8(4, flags);
}

function lost(): ProtocolError {
  return new ProtocolError("Connection was lost: the peer ended it in the middle of a SPDY frame");
}
