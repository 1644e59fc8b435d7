/**
 * DNS messages (RFC 1035, section 4) with EDNS (RFC 6891): bytes to exact values, and back.
 *
 * Invariant: pure. Whatever the bytes are, decoding ends in a message or a {@linkcode DnsFormatError}.
 */
import { DnsFormatError } from "./format_error.ts";
import { decodeName } from "./name.ts";
import { decodeData, type DnsRecord, encodeData, typeNumber, TYPES } from "./record.ts";
import { Writer } from "./writer.ts";

/** Response codes (RFC 1035, section 4.1.1; 6891 for BADVERS). */
export const RCODES = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5, BADVERS: 16 } as const;

/** Class IN; the only one that there is any more. */
export const CLASS_IN = 1;
/** Largest answer by UDP to who does not say more (RFC 1035, section 4.2.1). */
export const PLAIN_UDP_BYTES = 512;

/** Largest answer by UDP that crosses every path whole (DNS flag day 2020). */
export const SAFE_UDP_BYTES = 1232;

/** What is asked. */
export interface Question {
  readonly name: string;
  /** Number of a type, known here or not. */
  readonly type: number;
  /** Number of a class; {@linkcode CLASS_IN} but for oddities such as CHAOS. */
  readonly class: number;
}

/** What an OPT record says (RFC 6891, section 6.1). */
export interface Edns {
  /** Largest answer by UDP that its sender takes. */
  readonly udpBytes: number;
  readonly version: number;
  /** Whether signatures are wanted (RFC 3225). */
  readonly dnssecOk: boolean;
}

/** A message. */
export interface DnsMessage {
  readonly id: number;
  readonly isResponse: boolean;
  /** 0 for a query. */
  readonly opcode: number;
  readonly isAuthoritative: boolean;
  readonly isTruncated: boolean;
  readonly recursionDesired: boolean;
  readonly recursionAvailable: boolean;
  /** One of {@linkcode RCODES}, or any other number up to 4095. */
  readonly rcode: number;
  readonly questions: readonly Question[];
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  /** But for the OPT record, which is `edns`. */
  readonly additionals: readonly DnsRecord[];
  readonly edns?: Edns;
}

/** The query for one question, recursion wanted; without EDNS for servers that do not bear it (RFC 6891, section 7). */
export function queryFor(id: number, name: string, type: number, { edns = true } = {}): DnsMessage {
  return {
    id,
    isResponse: false,
    opcode: 0,
    isAuthoritative: false,
    isTruncated: false,
    recursionDesired: true,
    recursionAvailable: false,
    rcode: RCODES.NOERROR,
    questions: [{ name, type, class: CLASS_IN }],
    answers: [],
    authorities: [],
    additionals: [],
    ...(edns && { edns: { udpBytes: SAFE_UDP_BYTES, version: 0, dnssecOk: false } }),
  };
}

const HEADER_BYTES = 12;
const FLAG_RESPONSE = 0x8000;
const FLAG_AUTHORITATIVE = 0x0400;
const FLAG_TRUNCATED = 0x0200;
const FLAG_RECURSION_DESIRED = 0x0100;
const FLAG_RECURSION_AVAILABLE = 0x0080;
const FLAG_DNSSEC_OK = 0x8000;

/**
 * Reads a message. What stands behind its records is left alone, as other readers do.
 *
 * @throws {DnsFormatError} for what is none
 */
export function decodeMessage(bytes: Uint8Array): DnsMessage {
  if (bytes.length < HEADER_BYTES) throw new DnsFormatError("a message is cut off");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const flags = view.getUint16(2);
  let at = HEADER_BYTES;
  const questions: Question[] = [];
  for (let left = view.getUint16(4); left > 0; left--) {
    const { name, end } = decodeName(bytes, at);
    if (end + 4 > bytes.length) throw new DnsFormatError("a question is cut off");
    questions.push({ name, type: view.getUint16(end), class: view.getUint16(end + 2) });
    at = end + 4;
  }
  let edns: (Edns & { readonly extendedRcode: number }) | undefined;
  const [answers, authorities, additionals] = [6, 8, 10].map((offset) => {
    const records: DnsRecord[] = [];
    for (let left = view.getUint16(offset); left > 0; left--) {
      const raw = decodeRecord(bytes, at);
      at = raw.end;
      if (raw.record) records.push(raw.record);
      if (!raw.edns) continue;
      if (edns || offset !== 10) throw new DnsFormatError("an OPT record too many");
      edns = raw.edns;
    }
    return records;
  });
  return {
    id: view.getUint16(0),
    isResponse: (flags & FLAG_RESPONSE) !== 0,
    opcode: flags >> 11 & 15,
    isAuthoritative: (flags & FLAG_AUTHORITATIVE) !== 0,
    isTruncated: (flags & FLAG_TRUNCATED) !== 0,
    recursionDesired: (flags & FLAG_RECURSION_DESIRED) !== 0,
    recursionAvailable: (flags & FLAG_RECURSION_AVAILABLE) !== 0,
    rcode: (edns?.extendedRcode ?? 0) << 4 | flags & 15,
    questions,
    answers: answers ?? [],
    authorities: authorities ?? [],
    additionals: additionals ?? [],
    ...(edns && { edns: { udpBytes: edns.udpBytes, version: edns.version, dnssecOk: edns.dnssecOk } }),
  };
}

/** A record, or an OPT record, or (of another class than IN) neither. */
function decodeRecord(bytes: Uint8Array, start: number) {
  const { name, end: at } = decodeName(bytes, start);
  if (at + 10 > bytes.length) throw new DnsFormatError("a record is cut off");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [type, klass, ttl, size] = [
    view.getUint16(at),
    view.getUint16(at + 2),
    view.getUint32(at + 4),
    view.getUint16(at + 8),
  ];
  const end = at + 10 + size;
  if (end > bytes.length) throw new DnsFormatError("a record is cut off");
  if (type === TYPES.OPT) {
    const version = ttl >>> 16 & 0xff;
    const edns = { udpBytes: klass, version, dnssecOk: (ttl & FLAG_DNSSEC_OK) !== 0, extendedRcode: ttl >>> 24 };
    return { edns, end };
  }
  if (klass !== CLASS_IN) return { end };
  // A TTL with its high bit set counts as none (RFC 2181, section 8).
  const record: DnsRecord = { name, ttl: ttl > 0x7fffffff ? 0 : ttl, data: decodeData(bytes, type, at + 10, end) };
  return { record, end };
}

/**
 * Writes a message. Records that do not fit in `mostBytes` are left out, the last ones first, and the message says that
 * it is truncated (RFC 2181, section 9): who wants them asks again by TCP.
 *
 * @param mostBytes the most that its transport carries; 65535 for TCP
 * @throws {DnsFormatError} for values that have no place in a message
 */
export function encodeMessage(message: DnsMessage, mostBytes = 65535): Uint8Array<ArrayBuffer> {
  const writer = new Writer();
  const counts = [message.questions.length, 0, 0, 0];
  writer.bytes(new Uint8Array(HEADER_BYTES));
  for (const { name, type, class: klass } of message.questions) {
    writer.name(name);
    writer.short(type);
    writer.short(klass);
  }
  const room = mostBytes - (message.edns ? 11 : 0);
  let isTruncated = message.isTruncated;
  for (const [index, records] of [message.answers, message.authorities, message.additionals].entries()) {
    for (const record of records) {
      const before = writer.length;
      if (!isTruncated) encodeRecord(record, writer);
      if (writer.length > room) {
        writer.cut(before);
        isTruncated = true;
      }
      if (!isTruncated) counts[index + 1] = (counts[index + 1] ?? 0) + 1;
    }
  }
  if (message.edns) {
    encodeEdns(message.edns, message.rcode, writer);
    counts[3] = (counts[3] ?? 0) + 1;
  }
  const bytes = writer.toBytes();
  const view = new DataView(bytes.buffer);
  view.setUint16(0, message.id);
  view.setUint16(2, flagsOf({ ...message, isTruncated }));
  counts.forEach((count, index) => view.setUint16(4 + 2 * index, count));
  return bytes;
}

function flagsOf(message: DnsMessage): number {
  return (message.isResponse ? FLAG_RESPONSE : 0) | message.opcode << 11 |
    (message.isAuthoritative ? FLAG_AUTHORITATIVE : 0) | (message.isTruncated ? FLAG_TRUNCATED : 0) |
    (message.recursionDesired ? FLAG_RECURSION_DESIRED : 0) |
    (message.recursionAvailable ? FLAG_RECURSION_AVAILABLE : 0) | message.rcode & 15;
}

function encodeRecord({ name, ttl, data }: DnsRecord, writer: Writer): void {
  writer.name(name);
  writer.short(typeNumber(data));
  writer.short(CLASS_IN);
  writer.long(ttl);
  writer.sized(() => encodeData(data, writer));
}

function encodeEdns({ udpBytes, version, dnssecOk }: Edns, rcode: number, writer: Writer): void {
  writer.name("");
  writer.short(TYPES.OPT);
  writer.short(udpBytes);
  writer.short(rcode >> 4 << 8 | version);
  writer.short(dnssecOk ? FLAG_DNSSEC_OK : 0);
  writer.short(0);
}
