/**
 * DNS messages (RFC 1035, section 4): a query for one question, and what comes back. Names inside of records are
 * written out, so that a record means the same outside of its message.
 *
 * @module
 */
import type { DnsRecord } from "@/pod/mod.ts";

/** Class IN. */
const INTERNET = 1;
/** Type of the pseudo record of EDNS: RFC 6891. */
const OPT = 41;
/** How large an answer by UDP may be: DNS Flag Day 2020, below what is fragmented anywhere. */
const UDP_BYTES = 1232;
const HEADER_BYTES = 12;
const MAX_NAME_BYTES = 255;
const MAX_LABEL_BYTES = 63;

/** Bytes that are no answer to what was asked. */
export class DnsFormatError extends Error {
  override readonly name = "DnsFormatError";
}

/** The parts of an answer that matter to who asks. */
export interface DnsMessage {
  readonly id: number;
  readonly rcode: number;
  /** It did not fit: ask by TCP. */
  readonly truncated: boolean;
  readonly answers: readonly DnsRecord[];
  readonly authority: readonly DnsRecord[];
}

/**
 * The query for one question, recursion wanted, with EDNS unless it is not `wanted`.
 *
 * @throws {DnsFormatError} when the name is none (an empty or long label, more than 255 bytes)
 */
export function encodeQuery(id: number, name: string, type: number, edns = true): Uint8Array {
  const question = encodeName(name);
  const bytes = new Uint8Array(HEADER_BYTES + question.length + 4 + (edns ? 11 : 0));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, id);
  view.setUint16(2, 0x0100); // recursion desired
  view.setUint16(4, 1); // one question
  bytes.set(question, HEADER_BYTES);
  const end = HEADER_BYTES + question.length;
  view.setUint16(end, type);
  view.setUint16(end + 2, INTERNET);
  if (!edns) return bytes;
  view.setUint16(10, 1); // one additional record, of the root: its name is one zero byte
  view.setUint16(end + 5, OPT);
  view.setUint16(end + 7, UDP_BYTES);
  return bytes;
}

/** A name as labels. @throws {DnsFormatError} */
export function encodeName(name: string): Uint8Array {
  const labels = name === "." || name === "" ? [] : name.replace(/\.$/, "").split(".");
  const bytes: number[] = [];
  for (const label of labels) {
    const encoded = new TextEncoder().encode(label);
    if (encoded.length === 0 || encoded.length > MAX_LABEL_BYTES) throw new DnsFormatError(`No DNS name: "${name}"`);
    bytes.push(encoded.length, ...encoded);
  }
  bytes.push(0);
  if (bytes.length > MAX_NAME_BYTES) throw new DnsFormatError(`Longer than a DNS name can be: "${name}"`);
  return new Uint8Array(bytes);
}

/** @throws {DnsFormatError} when the bytes are cut, loop, or are no answer */
export function decodeMessage(bytes: Uint8Array): DnsMessage {
  const cursor = new Cursor(bytes);
  const id = cursor.uint16();
  const flags = cursor.uint16();
  if ((flags & 0x8000) === 0) throw new DnsFormatError("A query came instead of an answer");
  const [questions, answers, authority] = [cursor.uint16(), cursor.uint16(), cursor.uint16()];
  cursor.uint16(); // additional records say nothing that was asked
  for (let count = 0; count < questions; count++) {
    cursor.name();
    cursor.skip(4);
  }
  return {
    id,
    rcode: flags & 0x000f,
    truncated: (flags & 0x0200) !== 0,
    answers: Array.from({ length: answers }, () => cursor.record()),
    authority: Array.from({ length: authority }, () => cursor.record()),
  };
}

/** Records whose data has names, and where: bytes before the first name, how many names. */
const NAMES: Readonly<Record<number, { readonly before: number; readonly names: number }>> = {
  2: { before: 0, names: 1 }, // NS
  5: { before: 0, names: 1 }, // CNAME
  6: { before: 0, names: 2 }, // SOA
  12: { before: 0, names: 1 }, // PTR
  15: { before: 2, names: 1 }, // MX
  33: { before: 6, names: 1 }, // SRV
  39: { before: 0, names: 1 }, // DNAME
};

class Cursor {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  uint16(): number {
    this.#require(2);
    const value = this.#view.getUint16(this.#at);
    this.#at += 2;
    return value;
  }

  skip(count: number): void {
    this.#require(count);
    this.#at += count;
  }

  /** A name at the cursor, as text without the last dot; compression (section 4.1.4) is followed backwards only. */
  name(): string {
    const labels: string[] = [];
    let after: number | undefined;
    let length = 0;
    for (let before = this.#at + 1;;) {
      this.#require(1);
      const size = this.#bytes[this.#at] ?? 0;
      this.#at++;
      if (size === 0) break;
      if (size >= 0xc0) {
        this.#require(1);
        const target = (size & 0x3f) << 8 | (this.#bytes[this.#at] ?? 0);
        after ??= this.#at + 1;
        if (target >= before) throw new DnsFormatError("A compressed name does not point back");
        before = this.#at = target;
        continue;
      }
      this.#require(size);
      length += 1 + size;
      if (size > MAX_LABEL_BYTES || length >= MAX_NAME_BYTES) throw new DnsFormatError("A name is too long");
      labels.push(new TextDecoder().decode(this.#bytes.subarray(this.#at, this.#at + size)));
      this.#at += size;
    }
    if (after !== undefined) this.#at = after;
    return labels.join(".");
  }

  record(): DnsRecord {
    const name = this.name();
    const type = this.uint16();
    this.skip(2); // class
    this.#require(4);
    const ttl = this.#view.getUint32(this.#at);
    this.#at += 4;
    const length = this.uint16();
    this.#require(length);
    const end = this.#at + length;
    const data = this.#data(type, end);
    this.#at = end;
    return { name, type, ttl, data };
  }

  /** The data of a record, with its names written out. */
  #data(type: number, end: number): Uint8Array {
    const shape = NAMES[type];
    if (shape === undefined) return this.#bytes.slice(this.#at, end);
    const parts: number[] = [...this.#bytes.subarray(this.#at, this.#at + shape.before)];
    this.#at += shape.before;
    for (let count = 0; count < shape.names; count++) parts.push(...encodeName(this.name()));
    if (this.#at > end) throw new DnsFormatError("A record is longer than it says");
    return new Uint8Array([...parts, ...this.#bytes.subarray(this.#at, end)]);
  }

  #require(count: number): void {
    if (this.#at + count > this.#bytes.length) throw new DnsFormatError("The message is cut");
  }
}
