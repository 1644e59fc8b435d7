/**
 * Small servers on loopback for this room's tests: raw enough to answer with any bytes at all.
 *
 * @module
 */
import { type Duplex, writeAll } from "@/util/mod.ts";
import { ByteReader } from "./byte_reader.ts";
import type { ClusterConfig } from "./cluster_config.ts";
import { setNoDelay } from "./no_delay.ts";
import { acceptKey } from "./websocket.ts";

/** A file of `testdata/tls`. */
export function tlsFile(name: string): string {
  return Deno.readTextFileSync(new URL(`./testdata/tls/${name}`, import.meta.url));
}

/** A request as the server got it. */
export interface SeenRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Headers;
  readonly body: string;
}

/** What an answer is made of. */
export interface Answer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  /** Text as it is, or a value as JSON. */
  readonly body?: unknown;
}

/** A request that is answered by hand, byte by byte. */
export interface RawExchange {
  readonly request: SeenRequest;
  readonly conn: Duplex;
  readonly reader: ByteReader;
}

/** A server that answers each request as it is told, and keeps what it saw. */
export interface TestServer extends AsyncDisposable {
  readonly port: number;
  /** The configuration that goes there; `over` replaces parts of it. */
  config(over?: Partial<ClusterConfig>): ClusterConfig;
  readonly seen: SeenRequest[];
  /** Connections that were opened so far. */
  readonly connections: number;
  /** Closes the connections that are open now, as a restarted server does. */
  drop(): void;
}

/** Options of {@linkcode startServer}. */
export interface TestServerOptions {
  /** Name of the certificate in `testdata/tls`, or none for a server without TLS. @default {"server"} */
  certificate?: string | null;
  hostname?: string;
  /** Gives the answer to a request, or takes the connection over and answers by hand (undefined). */
  answer(exchange: RawExchange): Answer | undefined | Promise<Answer | undefined>;
}

/** Starts a server on a free port. */
export function startServer(options: TestServerOptions): TestServer {
  const { certificate = "server", hostname = "127.0.0.1", answer } = options;
  const listener = certificate === null ? Deno.listen({ port: 0, hostname }) : Deno.listenTls({
    port: 0,
    hostname,
    cert: tlsFile(`${certificate}.pem`),
    key: tlsFile(`${certificate}.key`),
  });
  const { port } = listener.addr as Deno.NetAddr;
  const seen: SeenRequest[] = [];
  const open = new Set<Deno.Conn>();
  let connections = 0;

  const serving = (async () => {
    const tasks: Promise<void>[] = [];
    try {
      for await (const conn of listener) {
        connections++;
        open.add(conn);
        tasks.push(serve(conn, seen, answer).finally(() => open.delete(conn)));
      }
    } finally {
      await Promise.allSettled(tasks);
    }
  })();
  const drop = () => {
    for (const conn of open) quietly(() => conn.close());
  };
  return {
    port,
    seen,
    get connections() {
      return connections;
    },
    drop,
    config: (over = {}) => ({
      contextName: "test",
      clusterName: "test",
      userName: "tester",
      namespace: "default",
      server: `${certificate === null ? "http" : "https"}://${
        hostname.includes(":") ? `[${hostname}]` : hostname
      }:${port}`,
      tls: { skipVerify: false, caCerts: tlsFile("authority.pem") },
      credentials: { kind: "none" },
      ...over,
    }),
    async [Symbol.asyncDispose]() {
      listener.close();
      drop();
      await serving;
    },
  };
}

async function serve(conn: Deno.Conn, seen: SeenRequest[], answer: TestServerOptions["answer"]): Promise<void> {
  const duplex: Duplex = conn as Deno.TcpConn | Deno.TlsConn;
  const reader = new ByteReader(duplex);
  await setNoDelay(conn as Deno.TcpConn);
  try {
    for (let request; (request = await readRequest(reader)) !== undefined;) {
      seen.push(request);
      const given = await answer({ request, conn: duplex, reader });
      if (given === undefined) break;
      await writeAll(duplex, encodeAnswer(given));
    }
  } catch {
    // The client went away, which is what many tests are about.
  } finally {
    quietly(() => conn.close());
  }
}

/** An answer's bytes, with its length. */
export function encodeAnswer({ status = 200, headers = {}, body = "" }: Answer): Uint8Array {
  const bytes = new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body));
  const lines = [`HTTP/1.1 ${status} Whatever`, `Content-Length: ${bytes.length}`];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  const head = new TextEncoder().encode(lines.join("\r\n") + "\r\n\r\n");
  return new Uint8Array([...head, ...bytes]);
}

async function readRequest(reader: ByteReader): Promise<SeenRequest | undefined> {
  const first = await reader.readLine();
  if (first === null) return undefined;
  const [method = "", target = ""] = first.split(" ");
  const headers = new Headers();
  for (let line; (line = await reader.readLine());) {
    const colon = line.indexOf(":");
    headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  const length = Number(headers.get("content-length") ?? 0);
  let body = "";
  const decoder = new TextDecoder();
  for (let left = length; left > 0;) {
    const buffer = new Uint8Array(left);
    const count = await reader.read(buffer) ?? 0;
    left -= count || left;
    body += decoder.decode(buffer.subarray(0, count), { stream: true });
  }
  return { method, url: new URL(target, "http://server"), headers, body };
}

/** The server's side of a WebSocket handshake. */
export async function acceptWebSocket({ request, conn }: RawExchange, protocol: string): Promise<void> {
  const accept = await acceptKey(request.headers.get("sec-websocket-key") ?? "");
  await writeText(
    conn,
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ${protocol}\r\n\r\n`,
  );
}

/** A frame as a server sends it. */
export function serverFrame(opcode: number, payload: Uint8Array | readonly number[], final = true): Uint8Array {
  const head = [(final ? 0x80 : 0) | opcode];
  const { length } = payload;
  if (length < 126) head.push(length);
  else if (length < 65536) head.push(126, length >> 8, length & 255);
  else head.push(127, 0, 0, 0, 0, length >>> 24, length >> 16 & 255, length >> 8 & 255, length & 255);
  const frame = new Uint8Array(head.length + length);
  frame.set(head);
  frame.set(payload, head.length);
  return frame;
}

/** A frame of a client, unmasked; undefined at the end of the connection. */
export async function readClientFrame(
  reader: ByteReader,
): Promise<{ opcode: number; final: boolean; masked: boolean; payload: Uint8Array } | undefined> {
  if (!await reader.need(2)) return undefined;
  const [first = 0, second = 0] = reader.buffered;
  let length = second & 0x7f;
  const size = length < 126 ? 2 : length === 126 ? 4 : 10;
  if (!await reader.need(size + 4)) return undefined;
  const head = reader.buffered.slice(0, size + 4);
  const view = new DataView(head.buffer);
  if (size === 4) length = view.getUint16(2);
  if (size === 10) length = Number(view.getBigUint64(2));
  reader.consume(size + 4);
  const payload = new Uint8Array(length);
  for (let filled = 0; filled < length;) {
    const count = await reader.read(payload.subarray(filled));
    if (count === null) return undefined;
    filled += count;
  }
  for (let at = 0; at < length; at++) payload[at] = (payload[at] ?? 0) ^ (head[size + (at & 3)] ?? 0);
  return { opcode: first & 15, final: (first & 0x80) !== 0, masked: (second & 0x80) !== 0, payload };
}

/** Writes text. */
export async function writeText(conn: Pick<Duplex, "write">, text: string): Promise<void> {
  await writeAll(conn, new TextEncoder().encode(text));
}

/** Reads to the end of the stream. */
export async function readAll(source: Pick<Duplex, "read">): Promise<Uint8Array> {
  const parts: number[] = [];
  const buffer = new Uint8Array(16 * 1024);
  for (let count; (count = await source.read(buffer)) !== null;) parts.push(...buffer.subarray(0, count));
  return new Uint8Array(parts);
}

function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // It is closed already.
  }
}

/** A connection whose peer sends `bytes` in pieces that end at `cuts`, and takes whatever it is sent. */
export function scriptedDuplex(bytes: Uint8Array, cuts: readonly number[] = []): Duplex & { readonly sent: number[] } {
  const ends = [...cuts, bytes.length];
  let at = 0;
  const sent: number[] = [];
  return {
    sent,
    read(into) {
      while (ends[0] !== undefined && ends[0] <= at) ends.shift();
      const [end] = ends;
      if (end === undefined) return Promise.resolve(null);
      const part = bytes.subarray(at, Math.min(end, at + into.length));
      into.set(part);
      at += part.length;
      return Promise.resolve(part.length);
    },
    write(part) {
      for (const byte of part) sent.push(byte);
      return Promise.resolve(part.length);
    },
    closeWrite: () => Promise.resolve(),
    close() {},
  };
}

/** Ways to cut `length` bytes: whole, at each place, and into single bytes. */
export function cuttings(length: number): number[][] {
  const places = Array.from({ length: Math.max(0, length - 1) }, (_, index) => index + 1);
  return [[], places, ...places.map((place) => [place])];
}

/** Bytes of a generator that gives the same ones for the same seed (mulberry32). */
export function randomBytes(length: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, 1 | state);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return (mixed ^ mixed >>> 14) & 255;
  });
}
