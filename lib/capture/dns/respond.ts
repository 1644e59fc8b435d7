/** Answers as messages: what every responder does with a query and a result. */
import {
  CLASS_IN,
  type DnsMessage,
  type DnsRecord,
  encodeMessage,
  PLAIN_UDP_BYTES,
  type Question,
  RCODES,
  SAFE_UDP_BYTES,
  TYPES,
} from "@/dns/mod.ts";

/** What differs from one answer to the next. */
export type Result = Pick<DnsMessage, "rcode" | "answers"> & { readonly authorities?: readonly DnsRecord[] };

/** The answer to a query, cut to what its transport carries. */
export function encodeResponse(
  query: DnsMessage,
  result: Result,
  transport: "udp" | "tcp",
): Uint8Array<ArrayBuffer> {
  const mostBytes = transport === "tcp"
    ? 65535
    : Math.min(SAFE_UDP_BYTES, Math.max(PLAIN_UDP_BYTES, query.edns?.udpBytes ?? PLAIN_UDP_BYTES));
  return encodeMessage({ ...responseTo(query), ...result }, mostBytes);
}

/** Types from 128 to 255 are questions that are no records (RFC 6895, section 3.1): transfers, and "any" (RFC 8482). */
export function canBeAsked({ type, class: klass }: Question): boolean {
  return klass === CLASS_IN && type !== 0 && type !== TYPES.OPT && (type < 128 || type > 255);
}

/** Why a query is not even looked at. */
export function refusalOf({ opcode, questions, edns }: DnsMessage): Result | undefined {
  if (opcode !== 0) return { rcode: RCODES.NOTIMP, answers: [] };
  if (edns && edns.version > 0) return { rcode: RCODES.BADVERS, answers: [] };
  return questions.length === 1 ? undefined : { rcode: RCODES.FORMERR, answers: [] };
}

function responseTo({ id, opcode, recursionDesired, questions, edns }: DnsMessage): DnsMessage {
  return {
    id,
    isResponse: true,
    opcode,
    isAuthoritative: false,
    isTruncated: false,
    recursionDesired,
    recursionAvailable: true,
    rcode: RCODES.NOERROR,
    questions,
    answers: [],
    authorities: [],
    additionals: [],
    ...(edns && { edns: { udpBytes: SAFE_UDP_BYTES, version: 0, dnssecOk: false } }),
  };
}

/**
 * The header of a query that could not be read, as an answer that says so.
 *
 * @returns undefined for what nobody answers: no query, or one that is too short to have an id
 */
export function malformed(query: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  if (query.length < 12 || ((query[2] ?? 0) & 0x80) !== 0) return undefined;
  const answer = new Uint8Array(12);
  answer.set(query.subarray(0, 2));
  answer[2] = 0x80 | (query[2] ?? 0) & 0x79;
  answer[3] = 0x80 | RCODES.FORMERR;
  return answer;
}
