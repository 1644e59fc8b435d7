/**
 * WebSocket (RFC 6455), the client's half, over a connection that `api.ts` upgraded.
 *
 * Theory of operation. Reading is pulled: `next` steps to the next message, `read` gives its bytes as they come, and
 * nothing is read from the connection that nobody asked for, so a slow reader slows the peer down. A message is never
 * held as a whole and no length that the peer names is allocated. Control frames between (and inside) messages are
 * dealt with on the way: a ping is answered without waiting, because waiting for the peer to read the pong while the
 * peer waits for us to read would stop both for good.
 *
 * Writing is one frame per message (some servers take the second frame of a message for a message of its own), masked
 * with a fresh key, one write at a time.
 *
 * @module
 */
import { type Duplex, writeAll } from "@/util/mod.ts";
import type { Api, ApiRequest } from "./api.ts";
import { type ByteReader, ProtocolError } from "./byte_reader.ts";

/** Opcodes: RFC 6455, section 5.2. */
const CONTINUATION = 0x0;
const TEXT = 0x1;
const BINARY = 0x2;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;

/** Longest payload of {@linkcode WebSocketStream.send}: longer ones gain nothing and delay what waits behind them. */
export const MAX_SEND_BYTES = 128 * 1024;

/** Payloads start here in the send buffer, so that the mask can be laid over whole aligned words. */
const PAYLOAD_AT = 16;

/** Close code of a normal end: RFC 6455, section 7.4.1. */
const NORMAL_CLOSURE = 1000;

/** How the peer ended the stream; code 1005 where its Close named none. */
export interface CloseReason {
  readonly code: number;
  readonly reason: string;
}

/**
 * Asks for a WebSocket.
 *
 * @param protocols subprotocols in the order of preference
 * @throws {KubeError} when the upgrade is refused, {ProtocolError} when the server breaks the handshake's rules
 */
export async function openWebSocket(
  api: Api,
  request: Pick<ApiRequest, "path" | "query" | "action" | "access">,
  protocols: readonly [string, ...string[]],
  options: { signal?: AbortSignal | undefined } = {},
): Promise<WebSocketStream> {
  const key = crypto.getRandomValues(new Uint8Array(16)).toBase64();
  const { duplex, reader, headers } = await api.upgrade({
    ...request,
    method: "GET",
    headers: [
      ["Connection", "Upgrade"],
      ["Upgrade", "websocket"],
      ["Sec-WebSocket-Version", "13"],
      ["Sec-WebSocket-Key", key],
      ["Sec-WebSocket-Protocol", protocols.join(", ")],
    ],
  }, options.signal);
  const protocol = headers.get("sec-websocket-protocol") ?? "";
  const accepted = headers.get("sec-websocket-accept") === await acceptKey(key);
  if (accepted && protocols.includes(protocol)) return new WebSocketStream(duplex, reader, protocol);
  duplex.close();
  throw new ProtocolError(
    accepted
      ? `Cannot ${request.action}: the server chose the subprotocol "${protocol}" of ${protocols.join(", ")}`
      : `Cannot ${request.action}: the server's WebSocket handshake has a wrong Sec-WebSocket-Accept`,
  );
}

/** The answer to a key: RFC 6455, section 4.2.2. */
export async function acceptKey(key: string): Promise<string> {
  const text = new TextEncoder().encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  return new Uint8Array(await crypto.subtle.digest("SHA-1", text)).toBase64();
}

/** An open WebSocket, as the client sees it. */
export class WebSocketStream {
  /** The subprotocol that the server chose. */
  readonly protocol: string;
  readonly #duplex: Duplex;
  readonly #reader: ByteReader;
  /** Bytes of the current data frame that are still to come. */
  #left = 0;
  /** Whether the current frame is the last one of its message. */
  #final = true;
  /** The peer's Close, once it came. */
  #closed: CloseReason | undefined;
  #closing = false;
  #ponging = false;
  /** The end of the writes so far: the next one waits for it. */
  #sent: Promise<void> = Promise.resolve();
  #buffer = new Uint8Array(PAYLOAD_AT + 256);

  /** @param reader in front of `duplex` */
  constructor(duplex: Duplex, reader: ByteReader, protocol: string) {
    this.#duplex = duplex;
    this.#reader = reader;
    this.protocol = protocol;
  }

  /** How the peer ended the stream; undefined before it did. */
  get closed(): CloseReason | undefined {
    return this.#closed;
  }

  /**
   * Steps to the next message; what was not read of the current one is skipped.
   *
   * @returns false when the peer ended the stream in order
   * @throws {ProtocolError} when the connection ends without a Close, or at a broken frame
   */
  async next(): Promise<boolean> {
    const skipped = new Uint8Array(this.#final && this.#left === 0 ? 0 : 16 * 1024);
    while (!this.#final || this.#left > 0) await this.read(skipped);
    return await this.#frame(false);
  }

  /** Reads some of the current message; `null` at its end. @throws as {@linkcode WebSocketStream.next} */
  async read(into: Uint8Array): Promise<number | null> {
    while (this.#left === 0) {
      if (this.#final) return null;
      if (!await this.#frame(true)) throw new ProtocolError("Peer closed a WebSocket in the middle of a message");
    }
    const count = await this.#reader.read(this.#left < into.length ? into.subarray(0, this.#left) : into);
    if (count === null) throw lost();
    this.#left -= count;
    return count;
  }

  /** The rest of the current message. @throws {ProtocolError} when it is longer than `limit` bytes */
  async readMessage(limit: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(limit + 1);
    let filled = 0;
    for (let count; (count = await this.read(bytes.subarray(filled))) !== null;) {
      filled += count;
      if (filled > limit) throw new ProtocolError(`Peer sent a message of more than ${limit} bytes`);
    }
    return bytes.subarray(0, filled);
  }

  /**
   * Sends one binary message: a channel's byte (where there are channels), then `bytes`, {@linkcode MAX_SEND_BYTES} at
   * most. Waits for the connection to take it.
   */
  async send(channel: number | undefined, bytes: Uint8Array): Promise<void> {
    await this.#write(BINARY, bytes, channel);
  }

  /** Sends what one message takes of `bytes`. @returns how many that were */
  async sendSome(channel: number, bytes: Uint8Array): Promise<number> {
    const part = bytes.length > MAX_SEND_BYTES ? bytes.subarray(0, MAX_SEND_BYTES) : bytes;
    await this.send(channel, part);
    return part.length;
  }

  /** Tells the peer that we are done, after all that was sent; what the peer still sends can be read. */
  async sendClose(): Promise<void> {
    if (this.#closing) return await this.#sent;
    this.#closing = true;
    await this.#write(CLOSE, new Uint8Array([NORMAL_CLOSURE >> 8, NORMAL_CLOSURE & 0xff]));
  }

  /** Gives the connection up. */
  close(): void {
    this.#closing = true;
    this.#duplex.close();
  }

  /** Reads frames up to the header of the next data frame. @returns false at the peer's Close */
  async #frame(inside: boolean): Promise<boolean> {
    while (this.#closed === undefined) {
      if (!await this.#reader.need(2)) throw lost();
      const [first = 0, second = 0] = this.#reader.buffered;
      const opcode = first & 0x0f;
      if ((first & 0x70) !== 0) throw new ProtocolError("Peer sent a WebSocket frame with reserved bits");
      if ((second & 0x80) !== 0) throw new ProtocolError("Peer sent a masked WebSocket frame");
      const final = (first & 0x80) !== 0;
      const length = await this.#length(second & 0x7f);
      if (opcode >= CLOSE) {
        if (!final || length > 125) throw new ProtocolError("Peer sent a broken WebSocket control frame");
        await this.#control(opcode, length);
        continue;
      }
      const right = inside ? opcode === CONTINUATION : opcode === TEXT || opcode === BINARY;
      if (!right) throw new ProtocolError(`Peer sent a WebSocket frame out of order: opcode ${opcode}`);
      this.#left = length;
      this.#final = final;
      return true;
    }
    return false;
  }

  /** Takes a frame's header off the buffer and gives the payload's length. */
  async #length(short: number): Promise<number> {
    const size = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (!await this.#reader.need(size)) throw lost();
    const { buffered } = this.#reader;
    const view = new DataView(buffered.buffer, buffered.byteOffset, size);
    const length = size === 2 ? short : size === 4 ? view.getUint16(2) : Number(view.getBigUint64(2));
    if (length > Number.MAX_SAFE_INTEGER) throw new ProtocolError("Peer sent a WebSocket frame that is too long");
    this.#reader.consume(size);
    return length;
  }

  async #control(opcode: number, length: number): Promise<void> {
    if (!await this.#reader.need(length)) throw lost();
    const payload = this.#reader.buffered.slice(0, length);
    this.#reader.consume(length);
    if (opcode === PING && !this.#ponging) this.#answer(PONG, payload);
    if (opcode !== CLOSE) return;
    const code = payload.length >= 2 ? new DataView(payload.buffer).getUint16(0) : 1005;
    this.#closed = { code, reason: new TextDecoder().decode(payload.subarray(2)) };
    if (!this.#closing) this.#answer(CLOSE, payload.subarray(0, 2));
    this.#closing = true;
  }

  /** Sends a control frame when the writes before it are through, and lets nobody wait for it. */
  #answer(opcode: number, payload: Uint8Array): void {
    this.#ponging = opcode === PONG;
    const done = () => {
      this.#ponging = false;
    };
    this.#write(opcode, payload).then(done, done); // a broken connection is told to whoever reads or writes next
  }

  #write(opcode: number, bytes: Uint8Array, channel?: number): Promise<void> {
    const sent = this.#sent.then(() => writeAll(this.#duplex, this.#encode(opcode, bytes, channel)));
    this.#sent = sent.catch(() => {});
    return sent;
  }

  /** One whole masked frame, in the buffer that the next one will use. */
  #encode(opcode: number, bytes: Uint8Array, channel: number | undefined): Uint8Array {
    const head = channel === undefined ? 0 : 1;
    const length = head + bytes.length;
    if (this.#buffer.length < PAYLOAD_AT + length + 3) {
      this.#buffer = new Uint8Array(PAYLOAD_AT + (length <= 4096 ? 4096 : MAX_SEND_BYTES + 4));
    }
    const buffer = this.#buffer;
    const view = new DataView(buffer.buffer);
    if (channel !== undefined) buffer[PAYLOAD_AT] = channel;
    buffer.set(bytes, PAYLOAD_AT + head);

    const start = PAYLOAD_AT - 4 - (length < 126 ? 2 : length < 65536 ? 4 : 10);
    view.setUint8(start, 0x80 | opcode);
    view.setUint8(start + 1, 0x80 | (length < 126 ? length : length < 65536 ? 126 : 127));
    if (length >= 65536) view.setBigUint64(start + 2, BigInt(length));
    else if (length >= 126) view.setUint16(start + 2, length);

    crypto.getRandomValues(buffer.subarray(PAYLOAD_AT - 4, PAYLOAD_AT));
    maskWords(buffer, length);
    return buffer.subarray(start, PAYLOAD_AT + length);
  }
}

/** Lays the key that stands before the payload over it, a word at a time (RFC 6455, section 5.3). */
function maskWords(buffer: Uint8Array, length: number): void {
  const words = new Uint32Array(buffer.buffer, PAYLOAD_AT - 4, 1 + Math.ceil(length / 4));
  const key = words[0] ?? 0;
  for (let at = 1; at < words.length; at++) words[at] = (words[at] ?? 0) ^ key;
}

function lost(): ProtocolError {
  return new ProtocolError("Connection was lost: the peer ended it without closing the WebSocket");
}
