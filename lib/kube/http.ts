/**
 * HTTP/1.1 (RFC 9112) over one connection: requests one after another, bodies as reads with back-pressure, upgrades.
 *
 * Why not `fetch`: it can neither take another server name, nor skip the check of a certificate, nor show the answer to
 * a refused upgrade, and it takes proxies from the process's own environment. All of these come from the connection
 * here (`dial.ts`), so requests and streams behave the same.
 *
 * @module
 */
import { type Duplex, UserError, writeAll } from "@/util/mod.ts";
import { type ByteReader, ProtocolError } from "./byte_reader.ts";

/** What is asked. */
export interface HttpRequest {
  readonly method: string;
  /** Path with query, as it goes on the wire. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>> | readonly (readonly [string, string])[];
  readonly body?: Uint8Array | undefined;
}

/** The start of an answer. */
export interface HttpHead {
  readonly status: number;
  readonly headers: Headers;
}

/** An answer whose body is read as it comes. */
export interface HttpResponse extends HttpHead {
  /** Reads some of the body; `null` at its end. @throws {ProtocolError} when the connection ends before the body does */
  read(into: Uint8Array): Promise<number | null>;
  /** Whether the body was read to its end and the connection can carry another request. */
  readonly reusable: boolean;
}

/** Longest head of an answer that is taken; Go's own servers and clients stop at 1 MiB. */
const MAX_HEAD_BYTES = 256 * 1024;

/** Sends one request. */
export async function sendRequest(duplex: Duplex, request: HttpRequest): Promise<void> {
  const lines = [`${request.method} ${request.target} HTTP/1.1`];
  const headers = Array.isArray(request.headers) ? request.headers : Object.entries(request.headers);
  for (const [name, value] of headers) {
    // A value that ends the line would let whoever chose it write headers of his own.
    if (/[\r\n\0]/.test(name + value)) throw new UserError(`Cannot send the header "${name}": it has a line break`);
    lines.push(`${name}: ${value}`);
  }
  if (request.body !== undefined) lines.push(`Content-Length: ${request.body.length}`);
  const head = new TextEncoder().encode(lines.join("\r\n") + "\r\n\r\n");
  if (request.body === undefined) return await writeAll(duplex, head);
  const whole = new Uint8Array(head.length + request.body.length); // one write: one TLS record, one packet
  whole.set(head);
  whole.set(request.body, head.length);
  await writeAll(duplex, whole);
}

/**
 * Reads the head of the answer; interim answers (1xx) are skipped, but for 101.
 *
 * @returns null when the connection ended before a first byte: the peer had closed it
 * @throws {ProtocolError} when it is not HTTP/1.x
 */
export async function readHead(reader: ByteReader): Promise<HttpHead | null> {
  for (let first = true;; first = false) {
    const line = await reader.readLine();
    if (line === null) {
      if (first && reader.buffered.length === 0) return null;
      throw new ProtocolError("Connection ended in the middle of an HTTP answer");
    }
    const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(line)?.[1]);
    if (!status) throw new ProtocolError(`Peer does not speak HTTP/1.1: "${line.slice(0, 60)}"`);
    const headers = await readHeaders(reader);
    if (status >= 200 || status === 101) return { status, headers };
  }
}

/** Wraps the body that follows `head` in the framing that the head names (RFC 9112, section 6.3). */
export function openBody(reader: ByteReader, head: HttpHead, method: string): HttpResponse {
  const keep = !/\bclose\b/i.test(head.headers.get("connection") ?? "");
  const coding = head.headers.get("transfer-encoding");
  const length = head.headers.get("content-length");
  if (method === "HEAD" || head.status === 204 || head.status === 304) return fixedBody(reader, head, 0, keep);
  if (coding !== null) return chunkedBody(reader, head, keep);
  if (length === null) return restBody(reader, head);
  if (!/^\d{1,15}$/.test(length)) throw new ProtocolError(`Peer sent a Content-Length of "${length.slice(0, 40)}"`);
  return fixedBody(reader, head, Number(length), keep);
}

async function readHeaders(reader: ByteReader): Promise<Headers> {
  const headers = new Headers();
  for (let bytes = 0;;) {
    const line = await reader.readLine();
    if (line === null) throw new ProtocolError("Connection ended in the middle of an HTTP answer");
    if (line === "") return headers;
    bytes += line.length;
    const colon = line.indexOf(":");
    if (bytes > MAX_HEAD_BYTES || colon <= 0) throw new ProtocolError("Peer sent a malformed HTTP header");
    try {
      headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
    } catch {
      throw new ProtocolError(`Peer sent a malformed HTTP header: "${line.slice(0, 40)}"`);
    }
  }
}

function fixedBody(reader: ByteReader, head: HttpHead, length: number, keep: boolean): HttpResponse {
  let left = length;
  return {
    ...head,
    get reusable() {
      return keep && left === 0;
    },
    async read(into) {
      if (left === 0) return null;
      const count = await reader.read(into.subarray(0, left));
      if (count === null) throw new ProtocolError(`Connection ended ${left} bytes before the end of an HTTP answer`);
      left -= count;
      return count;
    },
  };
}

function chunkedBody(reader: ByteReader, head: HttpHead, keep: boolean): HttpResponse {
  let left = 0;
  let state: "size" | "data" | "data-end" | "end" = "size";
  const line = async () => {
    const text = await reader.readLine();
    if (text === null) throw new ProtocolError("Connection ended in the middle of an HTTP answer");
    return text;
  };
  return {
    ...head,
    get reusable() {
      return keep && state === "end";
    },
    async read(into) {
      if (state === "end") return null;
      if (state === "data-end") {
        if (await line() !== "") throw new ProtocolError("Peer sent a malformed HTTP chunk");
        state = "size";
      }
      if (state === "size") {
        const size = /^([0-9a-f]{1,12})\s*(?:;|$)/i.exec(await line())?.[1];
        if (size === undefined) throw new ProtocolError("Peer sent a malformed HTTP chunk size");
        left = parseInt(size, 16);
        if (left === 0) {
          while (await line() !== ""); // trailers
          state = "end";
          return null;
        }
        state = "data";
      }
      const count = await reader.read(into.subarray(0, left));
      if (count === null) throw new ProtocolError("Connection ended in the middle of an HTTP answer");
      left -= count;
      if (left === 0) state = "data-end";
      return count;
    },
  };
}

function restBody(reader: ByteReader, head: HttpHead): HttpResponse {
  return { ...head, reusable: false, read: (into) => reader.read(into) };
}
