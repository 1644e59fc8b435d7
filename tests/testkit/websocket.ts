/**
 * The server's half of a WebSocket as nodes speak it (golang.org/x/net/websocket under the kubelet's streaming server):
 * with that library's peculiarities, because they are what a client must live with.
 *
 * @module
 */
import type { Connection } from "./connection.ts";

/** Opcodes: RFC 6455, section 5.2. */
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;
/** Close codes: RFC 6455, section 7.4.1. */
const NORMAL = 1000;
const PROTOCOL_ERROR = 1002;
/** `DefaultMaxPayloadBytes` of that library. */
const MAX_PAYLOAD_BYTES = 32 * 1024 * 1024;

/** The server's answer to a client that may have a WebSocket; the line is there even where it is empty. */
export async function acceptWebSocket(connection: Connection, key: string, protocol: string): Promise<void> {
  const bytes = new TextEncoder().encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  const accept = new Uint8Array(await crypto.subtle.digest("SHA-1", bytes)).toBase64();
  await connection.write(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ${protocol}\r\n\r\n`,
  );
}

/**
 * The next data frame's payload. **A frame, not a message**: the library hands fragments up one by one, so the second
 * frame's first byte is taken for a channel. Pings are answered on the way and count for nothing else.
 *
 * @returns null when the client has closed, is gone, or broke the rules (it was told)
 */
export async function readFrame(connection: Connection): Promise<Uint8Array | null> {
  for (;;) {
    const head = await connection.readBytes(2);
    if (head === null) return null;
    const [first = 0, second = 0] = head;
    const masked = (second & 0x80) !== 0;
    if (!masked) {
      await sendClose(connection, PROTOCOL_ERROR);
      return null;
    }
    const length = await readLength(connection, second & 0x7f);
    if (length === null || length > MAX_PAYLOAD_BYTES) return null;
    const key = await connection.readBytes(4);
    const payload = key === null ? null : (await connection.readBytes(length))?.slice() ?? null;
    if (key === null || payload === null) return null;
    for (let index = 0; index < payload.length; index++) payload[index] = (payload[index] ?? 0) ^ (key[index & 3] ?? 0);
    const opcode = first & 0x0f;
    if (opcode === CLOSE) return null;
    if (opcode === PING) await sendFrame(connection, PONG, payload);
    else if (opcode !== PONG && payload.length > 0) return payload;
  }
}

async function readLength(connection: Connection, short: number): Promise<number | null> {
  if (short < 126) return short;
  const bytes = await connection.readBytes(short === 126 ? 2 : 8);
  if (bytes === null) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return short === 126 ? view.getUint16(0) : Number(view.getBigUint64(0));
}

/** Sends one message of a channel. */
export async function sendMessage(connection: Connection, channel: number, bytes: Uint8Array): Promise<void> {
  const payload = new Uint8Array(1 + bytes.length);
  payload[0] = channel;
  payload.set(bytes, 1);
  await sendFrame(connection, BINARY, payload);
}

/** Says that this is the end. */
export async function sendClose(connection: Connection, code = NORMAL): Promise<void> {
  await sendFrame(connection, CLOSE, new Uint8Array([code >> 8, code & 0xff]));
}

async function sendFrame(connection: Connection, opcode: number, payload: Uint8Array): Promise<void> {
  const { length } = payload;
  const head = length < 126 ? [length] : length < 65536 ? [126, length >> 8, length & 0xff] : [
    127,
    ...new Uint8Array(new BigUint64Array([BigInt(length)]).buffer).reverse(),
  ];
  const frame = new Uint8Array(1 + head.length + length);
  frame.set([0x80 | opcode, ...head]);
  frame.set(payload, 1 + head.length);
  await connection.write(frame);
}
