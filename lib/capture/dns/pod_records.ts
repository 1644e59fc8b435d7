/**
 * The pod's records, kept as long as they say (RFC 1035, section 3.2.1; RFC 2308, section 5): a program that asks for
 * the same name again and again hears it from here.
 */
import { type DnsRecord, RCODES } from "@/dns/mod.ts";
import type { DnsAnswer, Pod } from "@/pod/mod.ts";

/** Longest time that something is kept, in seconds: a session is not a resolver. */
const MOST_SECONDS = 300;
/** Longest time that a name is taken not to be there: a Service may come the next moment. */
const MOST_ABSENT_SECONDS = 5;
/** How many answers are kept. */
const MOST_ANSWERS = 4096;

/** Asks the pod. */
export interface PodRecords {
  /**
   * Records of a name, with the time that they may still be kept.
   *
   * @param name as the pod's resolver is asked; with a last dot, no search list is applied
   * @throws {LookupError} as `Pod.resolve` does
   */
  ask(name: string, type: number): Promise<DnsAnswer>;
}

/** Options of {@linkcode keepRecords}. */
export interface KeepOptions {
  readonly signal?: AbortSignal;
  /** Milliseconds of a clock that only goes forwards. @default {performance.now} */
  readonly now?: () => number;
}

interface Kept {
  readonly answer: Promise<DnsAnswer>;
  /** When it came, and how long it may be kept, once it has come. */
  came?: number;
  until: number;
}

/** Asks `pod`, each question once at a time and once in its answer's time. */
export function keepRecords(pod: Pick<Pod, "resolve">, options: KeepOptions = {}): PodRecords {
  const { signal, now = () => performance.now() } = options;
  const kept = new Map<string, Kept>();
  const begin = (key: string, name: string, type: number): Kept => {
    const entry: Kept = { answer: pod.resolve(name, type, { ...(signal && { signal }) }), until: Infinity };
    entry.answer.then((answer) => {
      entry.came = now();
      entry.until = entry.came + secondsOf(answer) * 1000;
    }, () => kept.get(key) === entry && kept.delete(key));
    kept.delete(key);
    kept.set(key, entry);
    const [oldest] = kept.keys();
    if (kept.size > MOST_ANSWERS && oldest !== undefined) kept.delete(oldest);
    return entry;
  };
  return {
    async ask(name, type) {
      const key = `${type} ${name.toLowerCase()}`;
      const before = kept.get(key);
      const entry = before !== undefined && before.until > now() ? before : begin(key, name, type);
      const answer = await entry.answer;
      const age = Math.floor((now() - (entry.came ?? now())) / 1000);
      const aged = (record: DnsRecord) => ({ ...record, ttl: Math.max(0, record.ttl - age) });
      return age === 0
        ? answer
        : { ...answer, records: answer.records.map(aged), authority: answer.authority.map(aged) };
    },
  };
}

/** How long an answer may be kept, in seconds. */
function secondsOf({ rcode, records, authority }: DnsAnswer): number {
  if (rcode === RCODES.NOERROR && records.length > 0) return Math.min(MOST_SECONDS, ...records.map(({ ttl }) => ttl));
  return Math.min(MOST_ABSENT_SECONDS, ...authority.flatMap(secondsOfAbsence));
}

/** What an SOA says of names that are not there (RFC 2308, section 5). */
function secondsOfAbsence({ ttl, data }: DnsRecord): number[] {
  return data.type === "SOA" ? [Math.min(ttl, data.numbers[4])] : [];
}
