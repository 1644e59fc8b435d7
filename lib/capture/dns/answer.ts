/**
 * Answers DNS queries as the pod sees the world: records of every type, addresses too, by `Pod.resolve`, with the pod's
 * hosts file, search list and ndots, each kept as long as it says. What cannot be asked there is answered "not
 * implemented", at which resolvers go on without it; never with an answer of the host's.
 *
 * `Pod.lookup`, the pod's getaddrinfo, is what the getaddrinfo of carried programs asks. It is no source of records: it
 * tells no time for which its addresses hold, no alias and no SOA. What it does, that both families are of one name of
 * the search list, the agent's resolver does as well; sources of an nsswitch.conf beside files and dns are not asked.
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
import { isNowhere } from "./resolver.ts";
import { canBeAsked, encodeResponse, malformed, refusalOf, type Result } from "./respond.ts";

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

/** Makes a responder that asks `pod`. */
export function makeResponder(pod: Pick<Pod, "resolve">, options: ResponderOptions = {}): DnsResponder {
  const { log = silentLog, signal, now, ownNames = () => Promise.resolve(undefined) } = options;
  const podRecords = keepRecords(pod, { ...(now && { now }), ...(signal && { signal }) });

  const resolve = async (question: Question): Promise<Result> => {
    if (!canBeAsked(question)) return { rcode: RCODES.NOTIMP, answers: [] };
    if (isNowhere(question.name)) return { rcode: RCODES.NXDOMAIN, answers: [] };
    const own = isOfAddresses(question) ? await ownNames(question.name) : undefined;
    return own === undefined ? await resolveInPod(question) : ownRecords(question, own);
  };

  const resolveInPod = async ({ name, type }: Question): Promise<Result> => {
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

function isOfAddresses({ type }: Question): boolean {
  return type === TYPES.A || type === TYPES.AAAA;
}

/** Addresses of the host's, which keeps them itself: whoever wants them again asks again. */
function ownRecords({ name, type }: Question, addresses: readonly string[]): Result {
  const wanted = type === TYPES.A ? "A" as const : "AAAA" as const;
  const answers = addresses.filter((address) => address.includes(":") === (wanted === "AAAA"))
    .map((address): DnsRecord => ({ name, ttl: 0, data: { type: wanted, address } }));
  return { rcode: RCODES.NOERROR, answers };
}
