import { type DnsAnswer, type DnsRecord, LookupError, RCODE } from "@/pod/mod.ts";
import { deadline, messageOf } from "@/util/mod.ts";
import { askServer } from "./ask_server.ts";
import { DnsFormatError, type DnsMessage, encodeName } from "./message.ts";
import { candidates, type Hosts, parseHosts, parseResolvConf, type ResolverSettings } from "./settings.ts";

/** Types of records that the hosts file knows. */
const A = 1;
const PTR = 12;
const AAAA = 28;

/** Where the pod's resolver is described, and where its servers listen. */
export interface ResolveOptions {
  readonly signal?: AbortSignal;
  /** @default {"/etc/resolv.conf"} */
  readonly resolvConf?: string;
  /** @default {"/etc/hosts"} */
  readonly hosts?: string;
  /** @default {53} */
  readonly port?: number;
}

/**
 * Looks up records of any type as a process in the pod would: hosts file first, then its name servers, with search list
 * and ndots. The files are read each time: the kubelet may change them.
 *
 * @returns also an answer without records: the name may be there without that type, or not at all
 * @throws {LookupError} EAI_AGAIN when no server answers, EAI_NONAME when it cannot be a name
 */
export async function resolve(name: string, type: number, options: ResolveOptions = {}): Promise<DnsAnswer> {
  const { resolvConf = "/etc/resolv.conf", hosts = "/etc/hosts" } = options;
  const known = fromHosts(name, type, parseHosts(await readText(hosts)));
  if (known !== undefined) return known;
  const settings = parseResolvConf(await readText(resolvConf));
  let empty: DnsAnswer | undefined;
  let failed: unknown;
  for (const candidate of candidates(name, settings)) {
    try {
      const { rcode, answers, authority } = await ask(candidate, type, settings, options);
      const answer: DnsAnswer = { rcode, name: candidate, records: answers, authority };
      if (rcode === RCODE.NOERROR && answers.length > 0) return answer;
      // That the name is there without records of the type says more than that another does not exist.
      if (empty === undefined || empty.rcode !== RCODE.NOERROR) empty = answer;
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof DnsFormatError) throw new LookupError("EAI_NONAME", error.message);
      failed = error;
    }
  }
  if (empty !== undefined && (failed === undefined || empty.rcode === RCODE.NOERROR)) return empty;
  throw new LookupError("EAI_AGAIN", `No name server of the pod answers for "${name}": ${messageOf(failed)}`);
}

/** Asks the servers in their order until one has an answer that is one. */
async function ask(
  name: string,
  type: number,
  { servers, timeoutMs, attempts }: ResolverSettings,
  { signal, port }: ResolveOptions,
): Promise<DnsMessage> {
  encodeName(name);
  let last: unknown;
  for (let attempt = 0; attempt < attempts; attempt++) {
    for (const server of servers) {
      using late = deadline(timeoutMs, () => new Error(`${server} did not answer within ${timeoutMs / 1000} s`));
      const waiting = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]);
      try {
        const where = { server, ...(port !== undefined && { port }) };
        const message = await askServer({ name, type, ...where, signal: waiting });
        if (message.rcode === RCODE.NOERROR || message.rcode === RCODE.NXDOMAIN) return message;
        last = new Error(`${server} answered with code ${message.rcode}`);
      } catch (error) {
        signal?.throwIfAborted();
        last = error;
      }
    }
  }
  throw last;
}

/** What the hosts file says; undefined when it says nothing of the name. */
function fromHosts(name: string, type: number, { addresses, names }: Hosts): DnsAnswer | undefined {
  const plain = name.replace(/\.$/, "").toLowerCase();
  const found = addresses.get(plain);
  const records: DnsRecord[] = [];
  if (type === PTR) {
    for (const [address, host] of names) {
      if (reverseName(address) === plain) records.push({ name: plain, type, ttl: 0, data: encodeName(host) });
    }
    if (records.length === 0) return undefined;
  } else if (found === undefined || (type !== A && type !== AAAA)) {
    return undefined;
  }
  for (const address of found ?? []) {
    if (address.includes(":") === (type === AAAA)) {
      records.push({ name: plain, type, ttl: 0, data: addressBytes(address) });
    }
  }
  return { rcode: RCODE.NOERROR, name: plain, records, authority: [] };
}

/** The name under which an address has its PTR (RFC 1035, section 3.5; RFC 3596, section 2.5). */
export function reverseName(address: string): string {
  const bytes = [...addressBytes(address)];
  if (bytes.length === 4) return `${bytes.reverse().join(".")}.in-addr.arpa`;
  const nibbles = bytes.flatMap((byte) => [byte >> 4, byte & 15]).reverse();
  return `${nibbles.map((nibble) => nibble.toString(16)).join(".")}.ip6.arpa`;
}

/** The bytes of an address in text; a zone is left out. */
export function addressBytes(address: string): Uint8Array {
  if (!address.includes(":")) return new Uint8Array(address.split(".").map(Number));
  const [head = "", tail] = (address.split("%")[0] ?? "").split("::");
  const groups = (part: string) => part === "" ? [] : part.split(":").flatMap(toGroups);
  const [first, last] = [groups(head), groups(tail ?? "")];
  const zeros = Array<number>(Math.max(0, 8 - first.length - last.length)).fill(0);
  return new Uint8Array([...first, ...zeros, ...last].flatMap((group) => [group >> 8, group & 0xff]));
}

/** One part of an IPv6 address: a group, or an IPv4 address as two. */
function toGroups(part: string): number[] {
  if (!part.includes(".")) return [parseInt(part, 16)];
  const [a = 0, b = 0, c = 0, d = 0] = part.split(".").map(Number);
  return [a << 8 | b, c << 8 | d];
}

async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
