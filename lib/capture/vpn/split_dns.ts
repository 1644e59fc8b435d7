/**
 * Split DNS: every question of the machine comes here; what means something in the cluster is answered from the pod, and
 * everything else by the very server that was asked, byte for byte.
 *
 * Theory of operation. For a question there are three cases.
 *
 *  - *host*: the machine's own names, the API server's, `--never-proxy`. Nobody else is asked.
 *  - *pod*: names of the cluster's domain, `.svc`, `--also-proxy`, and the reverse names of captured addresses.
 *  - *both*, for all others. The host's server is asked, and at the same time the pod, but only for what its search list
 *    makes of the name inside the cluster's domain: `web` and `web.other` are Services, `example.com` is none. Such an
 *    answer comes first. When the host's server knows no such name, the pod is asked for it as it is: only the cluster
 *    may know it.
 *
 * An address that the pod gave is captured before the program hears of it, so that its connection finds the way, in
 * whatever range it is. Public addresses that the cluster only refers to (an ExternalName) keep their way.
 *
 * A cluster on this very machine may forward what it does not know to the machine's resolver, and so to us. Such a loop
 * is looked for at the start (`probes.ts`), and again when a question comes that is on its way to the pod already; while
 * there is one, or may be, the pod is asked for names of its own domain alone, which it forwards to nobody, and such a
 * question is answered by the host.
 *
 * @module
 */
import { CLASS_IN, decodeMessage, DnsFormatError, type DnsMessage, type DnsRecord, RCODES } from "@/dns/mod.ts";
import { type Log, silentLog } from "@/log/mod.ts";
import { type DnsAnswer, LookupError } from "@/pod/mod.ts";
import { abortable, deadline, messageOf } from "@/util/mod.ts";
import type { PodRecords } from "../dns/pod_records.ts";
import { encodeResponse, type Result } from "../dns/respond.ts";
import { addressesOf } from "./cluster_names.ts";
import { meantByMusl } from "./musl_query.ts";
import { isPrivate } from "./ranges.ts";

/** What the cluster's names end with, and in which namespace the pod is. */
export interface ClusterNames {
  /** `cluster.local` in most clusters. */
  readonly domain: string;
  readonly namespace: string;
}

/** What the split goes by. */
export interface SplitOptions {
  readonly records: PodRecords;
  readonly cluster: ClusterNames;
  /** Names that are the host's own business, whatever the cluster says. */
  isHosts(name: string): boolean;
  /** Names of `--also-proxy`: they and what is below them are the pod's. */
  readonly alsoProxy: readonly string[];
  /** Domains of the machine's search list under which its servers know every name. */
  isWildcard(domain: string): boolean;
  /** Domains of the machine's search list. */
  searchList(): readonly string[];
  /** Whether an address is led to the pod already. */
  isCaptured(address: string): boolean;
  /** Leads addresses to the pod, before anybody hears of them. */
  capture(addresses: readonly string[]): Promise<void>;
  /** Leaves addresses alone, likewise. */
  exclude(addresses: readonly string[]): Promise<void>;
  /** Whether the cluster asks this machine for what it does not know, or may do so. */
  loops(): boolean;
  /** Finds out whether it does so now. */
  suspectLoop(): Promise<boolean>;
  readonly log?: Log;
}

/** Asks the server that the program asked. @returns its answer; undefined when there is none */
export type Forward = (query: Uint8Array, transport: "udp" | "tcp") => Promise<Uint8Array<ArrayBuffer> | undefined>;

/** How long the pod may take for a name that the host's server knows. */
const POD_MS = 1_500;
/**
 * RFC 1035, section 3.3.2. CoreDNS asks itself for one by a name of its own when it starts, and ends when that comes back
 * (its plugin `loop`): what another machine asks for is not to be the reason.
 */
const HINFO = 13;
/** A name of so many dots is asked for as it is first, in a pod (ndots:5). */
const NDOTS = 5;

/** Answers one query as the split says. */
export type SplitResponder = (
  query: Uint8Array,
  transport: "udp" | "tcp",
  forward: Forward,
) => Promise<Uint8Array<ArrayBuffer> | undefined>;

/** Makes a responder. */
export function makeSplit(options: SplitOptions): SplitResponder {
  const { records, cluster, log = silentLog } = options;
  const domain = cluster.domain.toLowerCase();
  const underWay = new Map<string, number>();

  /** Asks the pod, unless that question is on its way in a loop; what went wrong there is no answer. */
  const askPod = async (name: string, type: number): Promise<DnsAnswer | "failed" | "loop"> => {
    const key = `${type} ${name}`;
    const before = underWay.get(key) ?? 0;
    const mayComeBack = before > 0 && !isBelow(name.replace(/\.$/, ""), domain);
    if (mayComeBack && options.loops()) return "loop";
    underWay.set(key, before + 1);
    try {
      const asked = records.ask(name, type);
      if (!mayComeBack) return await asked;
      // Another program that asks for the same has the pod's answer; in a loop there is none, as it waits for ours.
      const inLoop = options.suspectLoop().then((found): DnsAnswer | "loop" | Promise<DnsAnswer> =>
        found ? "loop" : asked
      );
      return await Promise.race([asked, inLoop]);
    } catch (error) {
      log.debug(`dns ${name} (type ${type}): ${messageOf(error)}`);
      if (error instanceof LookupError && error.code === "EAI_NONAME") {
        return { rcode: RCODES.NXDOMAIN, name, records: [], authority: [] };
      }
      return "failed";
    } finally {
      const left = (underWay.get(key) ?? 1) - 1;
      if (left > 0) underWay.set(key, left);
      else underWay.delete(key);
    }
  };
  /** What the cluster's own domain has for a name that does not end with it. */
  const askSearched = async (name: string, type: number): Promise<DnsAnswer | "nothing" | "failed"> => {
    const asked = searched(name, cluster).map((each) => askPod(each, type));
    let otherwise: "nothing" | "failed" = "nothing";
    for (const answer of asked) {
      const found = await answer;
      if (typeof found === "object" && found.rcode === RCODES.NOERROR) return found;
      if (found === "failed") otherwise = "failed";
    }
    return otherwise;
  };
  /** The pod's answer as one to what was asked; its addresses lead to the pod from now on. */
  const answerOf = async (found: DnsAnswer, name: string, whole: boolean): Promise<Result> => {
    const addresses = found.records.flatMap((record) =>
      // What the cluster's domain has is the cluster's; what it refers to may be anybody's.
      addressesOf(record).filter((address) => whole || isBelow(record.name.toLowerCase(), domain) || isPrivate(address))
    );
    await options.capture(addresses);
    const own = found.name.toLowerCase();
    const renamed = (record: DnsRecord) => record.name.toLowerCase() === own ? { ...record, name } : record;
    return {
      rcode: found.rcode,
      answers: found.records.map(renamed),
      authorities: found.authority,
    };
  };

  return async (asSent, transport, forward) => {
    const bytes = meantByMusl(asSent) ?? asSent;
    const query = readQuery(bytes);
    if (query === undefined) return await forward(bytes, transport);
    const { name: asked, type } = query.questions[0] ?? { name: "", type: 0 };
    const name = asked.toLowerCase();
    const respond = (result: Result) => encodeResponse(query, result, transport);
    if (options.isHosts(name)) {
      const answer = await forward(bytes, transport);
      if (answer !== undefined) await options.exclude(addressesIn(answer));
      return answer;
    }

    const own = ownNameOf(name, options);
    if (own !== undefined) {
      const found = await askPod(own.name, type);
      if (typeof found === "object") return respond(await answerOf(found, asked, own.whole));
      if (found === "failed") return respond({ rcode: RCODES.SERVFAIL, answers: [] });
      return await forward(bytes, transport);
    }
    const inside = askSearched(bareName(name, options), type);
    const forwarded = forward(bytes, transport);
    const found = await insideFirst(inside, forwarded);
    if (typeof found === "object") return respond(await answerOf(found, asked, false));
    const host = await forwarded;
    const rcode = rcodeOf(host);
    if (rcode === RCODES.NOERROR) return host;
    if (found === "failed") return respond({ rcode: RCODES.SERVFAIL, answers: [] });
    if (rcode !== RCODES.NXDOMAIN || !name.includes(".") || type === HINFO || options.loops()) return host;
    const asItIs = await askPod(`${name}.`, type);
    // A name without such a record is there all the same: musl takes "no such name" for IPv6 as the end for IPv4 too.
    if (typeof asItIs !== "object" || asItIs.rcode !== RCODES.NOERROR) return host;
    return respond(await answerOf(asItIs, asked, false));
  };
}

const HOST = Symbol("the host's server has answered");

/** What the pod has; what the host's server knows is not held up for long by a pod that is slow or lost. */
async function insideFirst<T>(inside: Promise<T>, host: Promise<Uint8Array | undefined>): Promise<T | "nothing"> {
  const first = await Promise.race([inside, host.then(() => HOST)]);
  if (first !== HOST) return first as T;
  if (rcodeOf(await host) !== RCODES.NOERROR) return await inside;
  using late = deadline(POD_MS, () => new Error("the pod takes too long"));
  return await abortable(inside, late.signal).catch(() => "nothing" as const);
}

/** A query about one name, as it can be split; undefined for whatever else it is. */
function readQuery(bytes: Uint8Array): DnsMessage | undefined {
  try {
    const message = decodeMessage(bytes);
    const isPlain = !message.isResponse && message.opcode === 0 && message.questions.length === 1;
    return isPlain && message.questions[0]?.class === CLASS_IN ? message : undefined;
  } catch (error) {
    if (!(error instanceof DnsFormatError)) throw error;
    return undefined;
  }
}

/** What the pod alone is asked for; `whole` says that every address of the answer is meant. */
function ownNameOf(name: string, options: SplitOptions): { name: string; whole: boolean } | undefined {
  const { cluster: { domain }, alsoProxy, isCaptured, loops } = options;
  if (isBelow(name, domain)) return { name: `${name}.`, whole: false };
  if (isBelow(name, "svc")) return { name: `${name}.${domain}.`, whole: false };
  const address = addressOfReverse(name);
  if (address !== undefined && isCaptured(address)) return { name: `${name}.`, whole: false };
  const isWanted = alsoProxy.some((each) => isBelow(name, each));
  return isWanted && !loops() ? { name: `${name}.`, whole: true } : undefined;
}

/** The names that a pod's search list makes of one inside of the cluster's domain, in its order. */
function searched(name: string, { domain, namespace }: ClusterNames): string[] {
  const dots = name.split(".").length - 1;
  if (name === "" || dots >= NDOTS) return [];
  const inNamespace = `${name}.${namespace}.svc.${domain}.`;
  return dots === 0 ? [inNamespace] : [inNamespace, `${name}.svc.${domain}.`];
}

/**
 * The name that the user typed, where libc has put a domain of the machine's search list behind it and the machine's
 * servers know every name of that domain: they would say that it is there, and libc ask no more.
 */
function bareName(name: string, { searchList, isWildcard }: SplitOptions): string {
  const domain = searchList().find((each) => name.endsWith(`.${each}`) && isWildcard(each));
  return domain === undefined ? name : name.slice(0, -domain.length - 1);
}

/** Whether a name is a domain or in it. */
export function isBelow(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`);
}

/** The address that a name of in-addr.arpa or ip6.arpa is about, if it is a whole one. */
export function addressOfReverse(name: string): string | undefined {
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name);
  if (v4 !== null) return v4.slice(1).reverse().join(".");
  const v6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name);
  return v6?.[1]?.split(".").slice(0, 32).reverse().join("").replace(/(.{4})(?!$)/g, "$1:");
}

function addressesIn(answer: Uint8Array): string[] {
  try {
    return decodeMessage(answer).answers.flatMap(({ data }) =>
      data.type === "A" || data.type === "AAAA" ? [data.address] : []
    );
  } catch (error) {
    if (!(error instanceof DnsFormatError)) throw error;
    return [];
  }
}

function rcodeOf(answer: Uint8Array | undefined): number | undefined {
  return answer === undefined || answer.length < 12 ? undefined : (answer[3] ?? 0) & 15;
}
