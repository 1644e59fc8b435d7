/**
 * Answers DNS queries as the pod sees the world: addresses by `Pod.lookup`, so with all that its libc knows, every other
 * type by `Pod.resolve`; both with the pod's hosts file, search list and ndots. What cannot be asked there is answered
 * "not implemented", at which resolvers go on without it; never with an answer of the host's.
 */
import {
  CLASS_IN,
  decodeMessage,
  DnsFormatError,
  type DnsMessage,
  type DnsRecord,
  type Question,
  RCODES,
  TYPES,
} from "@/dns/mod.ts";
import { type Log, silentLog } from "@/log/mod.ts";
import { LookupError, type Pod } from "@/pod/mod.ts";
import { messageOf } from "@/util/mod.ts";
import { keepRecords } from "./pod_records.ts";
import { canBeAsked, encodeResponse, malformed, refusalOf, type Result } from "./respond.ts";

/** How long an address may be kept, in seconds: that of CoreDNS for Services, since getaddrinfo tells none. */
const TTL_SECONDS = 5;
/** How many names are remembered. */
const MOST_NAMES = 1024;

/** Answers queries. */
export interface DnsResponder {
  /**
   * Answers a query.
   *
   * @param query a message as it came
   * @param transport by which the answer goes, which bounds its size
   * @returns the answer; undefined for what nobody answers: a message that is no query, or too broken to have an id
   */
  answer(query: Uint8Array, transport: "udp" | "tcp"): Promise<Uint8Array<ArrayBuffer> | undefined>;
}

/** What a responder needs. */
export interface ResponderOptions {
  /** Whether a name is the host's own business, and its addresses there. */
  readonly ownNames?: (name: string) => Promise<readonly string[] | undefined>;
  readonly log?: Log;
  readonly signal?: AbortSignal;
  /** Milliseconds of a clock that only goes forwards. @default {performance.now} */
  readonly now?: () => number;
}

/** What a name is: its addresses, or why it has none. */
type Found = { readonly addresses: readonly string[] } | { readonly rcode: number };

/** Makes a responder that asks `pod`. */
export function makeResponder(pod: Pick<Pod, "lookup" | "resolve">, options: ResponderOptions = {}): DnsResponder {
  const { log = silentLog, signal, now = () => performance.now(), ownNames = () => Promise.resolve(undefined) } =
    options;
  const podRecords = keepRecords(pod, { now, ...(signal && { signal }) });
  const known = new Map<string, { readonly until: number; readonly found: Promise<Found> }>();

  const ask = async (name: string): Promise<Found> => {
    const own = await ownNames(name);
    if (own) return { addresses: own };
    try {
      return await pod.lookup(name, { ...(signal && { signal }) });
    } catch (error) {
      log.debug(`dns ${name}: ${messageOf(error)}`);
      const isUnknown = error instanceof LookupError && ["EAI_NONAME", "EAI_FAMILY"].includes(error.code);
      return { rcode: isUnknown ? RCODES.NXDOMAIN : RCODES.SERVFAIL };
    }
  };
  /** Both families in one: programs ask for A and AAAA at once, and must not hear that one of them makes no name. */
  const find = (name: string): Promise<Found> => {
    const key = name.toLowerCase();
    const before = known.get(key);
    if (before && before.until > now()) return before.found;
    const entry = { until: now() + TTL_SECONDS * 1000, found: ask(name) };
    entry.found.then((found) => {
      if ("rcode" in found && known.get(key) === entry) known.delete(key); // a Service may come the next moment
    });
    known.delete(key);
    known.set(key, entry);
    const [oldest] = known.keys();
    if (known.size > MOST_NAMES && oldest !== undefined) known.delete(oldest);
    return entry.found;
  };
  const resolve = async (question: Question): Promise<Result> => {
    const { name, type } = question;
    if (!canBeAsked(question)) return { rcode: RCODES.NOTIMP, answers: [] };
    if (type !== TYPES.A && type !== TYPES.AAAA) return await resolveRecords(question);
    const found = await find(name);
    if ("rcode" in found) return { rcode: found.rcode, answers: [] };
    const wanted = type === TYPES.A ? "A" as const : "AAAA" as const;
    const answers = found.addresses.filter((address) => address.includes(":") === (wanted === "AAAA"))
      .map((address): DnsRecord => ({ name, ttl: TTL_SECONDS, data: { type: wanted, address } }));
    return { rcode: RCODES.NOERROR, answers };
  };

  const resolveRecords = async ({ name, type }: Question): Promise<Result> => {
    try {
      const { rcode, name: found, records, authority } = await podRecords.ask(name, type);
      // Where the search list gave the answer, it is the answer to what was asked all the same.
      const isFound = (record: DnsRecord) => record.name.toLowerCase() === found.toLowerCase();
      const renamed = (record: DnsRecord) => isFound(record) ? { ...record, name } : record;
      return { rcode, answers: records.map(renamed), authorities: authority };
    } catch (error) {
      log.debug(`dns ${name} (type ${type}): ${messageOf(error)}`);
      const isNoName = error instanceof LookupError && error.code === "EAI_NONAME";
      return { rcode: isNoName ? RCODES.NXDOMAIN : RCODES.SERVFAIL, answers: [] };
    }
  };

  return {
    async answer(bytes, transport) {
      let query: DnsMessage;
      try {
        query = decodeMessage(bytes);
      } catch (error) {
        if (!(error instanceof DnsFormatError)) throw error;
        return malformed(bytes);
      }
      if (query.isResponse) return undefined;
      const result = refusalOf(query) ?? await resolve(query.questions[0] ?? { name: "", type: 0, class: CLASS_IN });
      return encodeResponse(query, result, transport);
    },
  };
}
