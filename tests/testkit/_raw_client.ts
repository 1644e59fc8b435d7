/**
 * A client so plain that it can break every rule: for what `conformance_test.ts` asks of an API server.
 *
 * @module
 */
import type { ClusterConfig } from "@/kube/mod.ts";
import { closeQuietly, writeAll } from "@/util/mod.ts";

/** Who asks. */
export type Caller = "developer" | "unknown";

/** An answer, its body as text and as what it says. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body's fields; empty where it is no JSON. */
  readonly body: Record<string, unknown>;
}

/** A request as it stands. */
export interface RawRequest {
  readonly method?: string;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly headers?: Record<string, string>;
  /** `unknown` has a token that nobody gave out. @default {"developer"} */
  readonly as?: Caller;
}

/** Makes requests to one server. Disposing it closes its connections. */
export interface RawClient extends Disposable {
  ask(path: string, request?: RawRequest): Promise<RawAnswer>;
  /** The lines of a watch, until `enough` of them are there. @throws after 10 s */
  watch(path: string, enough: number, meanwhile?: () => Promise<void>): Promise<WatchLine[]>;
  upgrade(path: string, protocols: string | undefined): Promise<RawSocket>;
}

/** An event of a watch, as far as the tests look at it. */
export interface WatchLine {
  readonly type: string;
  readonly object: {
    readonly metadata: {
      readonly name?: string;
      readonly resourceVersion?: string;
      readonly labels?: Record<string, string>;
      readonly annotations?: Record<string, string>;
    };
  };
}

/** A frame of the server. */
export interface RawFrame {
  readonly opcode: number;
  readonly final: boolean;
  readonly payload: Uint8Array;
}

/** What a handshake gave. */
export interface RawSocket extends Disposable {
  readonly status: number;
  readonly head: string;
  /** The next frame; null at the end of the connection. @throws after 5 s without one */
  read(): Promise<RawFrame | null>;
  send(opcode: number, payload: readonly number[], flags?: { final?: boolean; masked?: boolean }): Promise<void>;
  /** Bytes as they are. */
  sendRaw(bytes: Uint8Array): Promise<void>;
}

const WAIT_MS = 10_000;

/** Opens a client for a cluster with a client certificate. */
export function openRawClient({ server, tls }: ClusterConfig): RawClient {
  const caCerts = tls.caCerts === undefined ? [] : [tls.caCerts];
  const known = Deno.createHttpClient({ caCerts, ...tls.clientCertificate });
  const stranger = Deno.createHttpClient({ caCerts });
  return {
    async ask(path, { method = "GET", body, contentType = "application/json", headers = {}, as = "developer" } = {}) {
      const response = await fetch(server + path, {
        client: as === "developer" ? known : stranger,
        method,
        headers: {
          ...headers,
          ...(as === "unknown" && { Authorization: "Bearer nobody-gave-this-out" }),
          ...(body !== undefined && { "Content-Type": contentType }),
        },
        ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, headers: response.headers, text, body: parse(text) };
    },
    async watch(path, enough, meanwhile = () => Promise.resolve()) {
      const late = new AbortController();
      const timer = setTimeout(() => late.abort(new Error(`Waited in vain for ${enough} events of ${path}`)), WAIT_MS);
      try {
        const response = await fetch(server + path, { client: known, signal: late.signal });
        const acting = meanwhile();
        const lines: WatchLine[] = [];
        let rest = "";
        for await (const text of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
          const [last = "", ...whole] = (rest + text).split("\n").reverse();
          rest = last;
          lines.push(...whole.reverse().filter((line) => line !== "").map((line) => JSON.parse(line)));
          if (lines.length >= enough) break;
        }
        await acting;
        return lines;
      } finally {
        clearTimeout(timer);
        late.abort();
      }
    },
    upgrade: (path, protocols) => upgrade({ server, caCerts, ...tls.clientCertificate }, path, protocols),
    [Symbol.dispose]() {
      known.close();
      stranger.close();
    },
  };
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

async function upgrade(
  { server, ...tls }: { server: string; caCerts: string[]; cert?: string; key?: string },
  path: string,
  protocols: string | undefined,
): Promise<RawSocket> {
  const { hostname, port, host } = new URL(server);
  const { cert, key, caCerts } = tls;
  const keyPair = cert !== undefined && key !== undefined ? { cert, key } : {};
  const conn = await Deno.connectTls({ hostname, port: Number(port), caCerts, ...keyPair });
  await writeAll(
    conn,
    new TextEncoder().encode([
      `GET ${path} HTTP/1.1`,
      `Host: ${host}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", // the one of RFC 6455, section 1.3
      ...(protocols === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocols}`]),
      "",
      "",
    ].join("\r\n")),
  );
  let held = new Uint8Array();
  const fill = async (): Promise<boolean> => {
    const buffer = new Uint8Array(64 * 1024);
    const count = await inTime(conn.read(buffer).catch(() => null), conn);
    if (count === null) return false;
    const both = new Uint8Array(held.length + count);
    both.set(held);
    both.set(buffer.subarray(0, count), held.length);
    held = both;
    return true;
  };
  const take = async (count: number): Promise<Uint8Array | null> => {
    while (held.length < count) if (!await fill()) return null;
    const taken = held.slice(0, count);
    held = held.slice(count);
    return taken;
  };
  let head = "";
  while (!head.endsWith("\r\n\r\n")) {
    const byte = await take(1);
    if (byte === null) break;
    head += String.fromCharCode(...byte);
  }
  return {
    head,
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]),
    async read() {
      const start = await take(2);
      if (start === null) return null;
      const [first = 0, second = 0] = start;
      let length = second & 0x7f;
      if (length >= 126) {
        const bytes = await take(length === 126 ? 2 : 8);
        if (bytes === null) return null;
        length = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
      }
      const payload = await take(length);
      return payload === null ? null : { opcode: first & 15, final: (first & 0x80) !== 0, payload };
    },
    async send(opcode, payload, { final = true, masked = true } = {}) {
      const mask = [1, 2, 3, 4];
      const data = masked ? payload.map((byte, index) => byte ^ (mask[index & 3] ?? 0)) : payload;
      const start = [(final ? 0x80 : 0) | opcode, (masked ? 0x80 : 0) | payload.length, ...(masked ? mask : [])];
      await writeAll(conn, new Uint8Array([...start, ...data]));
    },
    sendRaw: (bytes) => writeAll(conn, bytes),
    [Symbol.dispose]: () => closeQuietly(conn),
  };
}

async function inTime<T>(promise: Promise<T>, conn: Deno.TlsConn): Promise<T> {
  const timer = setTimeout(() => closeQuietly(conn), WAIT_MS); // the read ends with it
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}
