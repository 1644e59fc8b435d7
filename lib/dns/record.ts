/**
 * Resource records: what each type's data is made of (RFC 1035, section 3.3; 3596 AAAA; 2782 SRV; 6672 DNAME; 9460
 * HTTPS; 3597 for
 * every type that is not known here).
 */
import ipaddr from "ipaddr.js";
import { DnsFormatError } from "./format_error.ts";
import { decodeName } from "./name.ts";
import type { Writer } from "./writer.ts";

/** Numbers of the types that have a shape here. */
export const TYPES = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  DNAME: 39,
  OPT: 41,
  HTTPS: 65,
  ANY: 255,
} as const;

/** A record's data. */
export type RecordData =
  | { readonly type: "A" | "AAAA"; readonly address: string }
  | { readonly type: "NS" | "CNAME" | "PTR" | "DNAME"; readonly target: string }
  | { readonly type: "MX"; readonly preference: number; readonly exchange: string }
  | {
    readonly type: "SRV";
    readonly priority: number;
    readonly weight: number;
    readonly port: number;
    readonly target: string;
  }
  | { readonly type: "TXT"; readonly texts: readonly Uint8Array<ArrayBuffer>[] }
  | {
    readonly type: "SOA";
    readonly primary: string;
    readonly mailbox: string;
    /** serial, refresh, retry, expire, minimum; all but the serial in seconds */
    readonly numbers: readonly [number, number, number, number, number];
  }
  | {
    readonly type: "HTTPS";
    readonly priority: number;
    readonly target: string;
    /** SvcParams as they stand on the wire. */
    readonly params: Uint8Array<ArrayBuffer>;
  }
  | { readonly type: "unknown"; readonly number: number; readonly bytes: Uint8Array<ArrayBuffer> };

/** A record of class IN. */
export interface DnsRecord {
  readonly name: string;
  /** How long it may be kept, in seconds. */
  readonly ttl: number;
  readonly data: RecordData;
}

/** The number of a record's type. */
export function typeNumber(data: RecordData): number {
  return data.type === "unknown" ? data.number : TYPES[data.type];
}

/**
 * Reads a record's data.
 *
 * @param message the whole message, for names that point back
 * @throws {DnsFormatError} when it is not what its type wants, to the byte
 */
export function decodeData(message: Uint8Array, type: number, start: number, end: number): RecordData {
  const view = new DataView(message.buffer, message.byteOffset, end);
  const short = (at: number) => {
    if (at + 2 > end) throw new DnsFormatError("a record is cut off");
    return view.getUint16(at);
  };
  const lastName = (at: number) => {
    const { name, end: behind } = decodeName(message.subarray(0, end), at);
    if (behind !== end) throw new DnsFormatError("a record has bytes behind its name");
    return name;
  };
  switch (type) {
    case TYPES.A:
    case TYPES.AAAA: {
      const bytes = message.slice(start, end);
      if (bytes.length !== (type === TYPES.A ? 4 : 16)) throw new DnsFormatError("an address of a wrong size");
      return { type: type === TYPES.A ? "A" : "AAAA", address: ipaddr.fromByteArray([...bytes]).toString() };
    }
    case TYPES.NS:
      return { type: "NS", target: lastName(start) };
    case TYPES.CNAME:
      return { type: "CNAME", target: lastName(start) };
    case TYPES.PTR:
      return { type: "PTR", target: lastName(start) };
    case TYPES.DNAME:
      return { type: "DNAME", target: lastName(start) };
    case TYPES.MX:
      return { type: "MX", preference: short(start), exchange: lastName(start + 2) };
    case TYPES.SRV: {
      const [priority, weight, port] = [short(start), short(start + 2), short(start + 4)];
      return { type: "SRV", priority, weight, port, target: lastName(start + 6) };
    }
    case TYPES.TXT:
      return { type: "TXT", texts: decodeTexts(message.slice(start, end)) };
    case TYPES.SOA:
      return decodeSoa(message.subarray(0, end), start);
    case TYPES.HTTPS: {
      const { name: target, end: behind } = decodeName(message.subarray(0, end), start + 2);
      return { type: "HTTPS", priority: short(start), target, params: message.slice(behind, end) };
    }
    default:
      return { type: "unknown", number: type, bytes: message.slice(start, end) };
  }
}

function decodeTexts(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>[] {
  const texts: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + (bytes[at] ?? 0);
    if (end > bytes.length) throw new DnsFormatError("a text is cut off");
    texts.push(bytes.slice(at + 1, end));
    at = end;
  }
  return texts;
}

function decodeSoa(message: Uint8Array, start: number): RecordData {
  const primary = decodeName(message, start);
  const mailbox = decodeName(message, primary.end);
  if (mailbox.end + 20 !== message.length) throw new DnsFormatError("an SOA record of a wrong size");
  const view = new DataView(message.buffer, message.byteOffset + mailbox.end, 20);
  const [serial, refresh, retry, expire, minimum] = [0, 4, 8, 12, 16].map((at) => view.getUint32(at));
  return {
    type: "SOA",
    primary: primary.name,
    mailbox: mailbox.name,
    numbers: [serial ?? 0, refresh ?? 0, retry ?? 0, expire ?? 0, minimum ?? 0],
  };
}

/**
 * Writes a record's data. Names are compressed in the types of RFC 1035 alone (RFC 3597, section 4).
 *
 * @throws {DnsFormatError} for a name, text or address that has no place in a message
 */
export function encodeData(data: RecordData, into: Writer): void {
  switch (data.type) {
    case "A":
    case "AAAA": {
      if (!ipaddr.isValid(data.address)) throw new DnsFormatError(`no address: ${data.address}`);
      const bytes = ipaddr.parse(data.address).toByteArray();
      if (bytes.length !== (data.type === "A" ? 4 : 16)) throw new DnsFormatError("an address of the other family");
      return into.bytes(new Uint8Array(bytes));
    }
    case "NS":
    case "CNAME":
    case "PTR":
      return into.name(data.target);
    case "MX":
      into.short(data.preference);
      return into.name(data.exchange);
    case "DNAME":
      return into.name(data.target, { compress: false });
    case "SRV":
      [data.priority, data.weight, data.port].forEach((number) => into.short(number));
      return into.name(data.target, { compress: false });
    case "TXT":
      for (const text of data.texts) {
        if (text.length > 255) throw new DnsFormatError("a text has at most 255 bytes");
        into.bytes(new Uint8Array([text.length, ...text]));
      }
      return;
    case "SOA":
      into.name(data.primary);
      into.name(data.mailbox);
      return data.numbers.forEach((number) => into.long(number));
    case "HTTPS":
      into.short(data.priority);
      into.name(data.target, { compress: false });
      return into.bytes(data.params);
    case "unknown":
      return into.bytes(data.bytes);
  }
}
