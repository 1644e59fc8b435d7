/**
 * The wire format of DNS (RFC 1035): messages, names and records as exact values, and back. Both ends of the program
 * read and write it: the agent to ask the pod's name servers, the host to answer the programs that ask it.
 *
 * Invariant: pure; asks nobody and knows nothing of pods. Whatever the bytes are, reading them ends in a value or a
 * {@linkcode DnsFormatError}.
 *
 * @module
 */
export { DnsFormatError } from "./format_error.ts";
export {
  CLASS_IN,
  decodeMessage,
  type DnsMessage,
  type Edns,
  encodeMessage,
  PLAIN_UDP_BYTES,
  queryFor,
  type Question,
  RCODES,
  SAFE_UDP_BYTES,
} from "./message.ts";
export { labelsOf } from "./name.ts";
export { type DnsRecord, type RecordData, typeNumber, TYPES } from "./record.ts";
