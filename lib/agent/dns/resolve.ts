import ipaddr from "ipaddr.js";
import { DnsFormatError, type DnsMessage, type DnsRecord, labelsOf, RCODES, TYPES } from "@/dns/mod.ts";
import { type DnsAnswer, LookupError } from "@/pod/mod.ts";
import { deadline, messageOf } from "@/util/mod.ts";
import { askServer } from "./ask_server.ts";
import { candidates, type Hosts, parseHosts, parseResolvConf, type ResolverSettings } from "./settings.ts";

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
  if (!isName(name)) throw new LookupError("EAI_NONAME", `Cannot look up "${name}": it is no name`);
  const known = fromHosts(name, type, parseHosts(await readText(hosts)));
  if (known !== undefined) return known;
  const settings = parseResolvConf(await readText(resolvConf));
  let empty: DnsAnswer | undefined;
  let failed: unknown;
  // Where a domain of the search list makes it too long, that candidate is passed over, as by libc.
  for (const candidate of candidates(name, settings).filter(isName)) {
    try {
      const { rcode, answers, authorities } = await ask(candidate, type, settings, options);
      const answer: DnsAnswer = { rcode, name: candidate, records: answers, authority: authorities };
      if (rcode === RCODES.NOERROR && answers.length > 0) return answer;
      if (rcode === RCODES.NOERROR && await hasOtherFamily(candidate, type, settings, options)) return answer;
      // That the name is there without records of the type says more than that another does not exist.
      if (empty === undefined || empty.rcode !== RCODES.NOERROR) empty = answer;
    } catch (error) {
      options.signal?.throwIfAborted();
      failed = error;
    }
  }
  if (empty !== undefined && (failed === undefined || empty.rcode === RCODES.NOERROR)) return empty;
  throw new LookupError("EAI_AGAIN", `No name server of the pod answers for "${name}": ${messageOf(failed)}`);
}

/** Whether it has a place in a message. */
function isName(name: string): boolean {
  try {
    labelsOf(name);
    return true;
  } catch (error) {
    if (error instanceof DnsFormatError) return false;
    throw error;
  }
}

/**
 * Whether a name has addresses, though not of the family that was asked for. Then it is the one that is meant: as
 * getaddrinfo takes both families from one name of the search list, no AAAA of a host of the world may stand beside the
 * A of a Service that is called as it.
 */
async function hasOtherFamily(name: string, type: number, settings: ResolverSettings, options: ResolveOptions) {
  if (!isAddressType(type)) return false;
  const other = type === TYPES.A ? TYPES.AAAA : TYPES.A;
  try {
    return (await ask(name, other, settings, options)).answers.length > 0;
  } catch {
    options.signal?.throwIfAborted();
    return true; // it may be the one, so no later one may stand for it
  }
}

/** Asks the servers in their order until one has an answer that is one. */
async function ask(
  name: string,
  type: number,
  { servers, timeoutMs, attempts }: ResolverSettings,
  { signal, port }: ResolveOptions,
): Promise<DnsMessage> {
  let last: unknown;
  for (let attempt = 0; attempt < attempts; attempt++) {
    for (const server of servers) {
      using late = deadline(timeoutMs, () => new Error(`${server} did not answer within ${timeoutMs / 1000} s`));
      const waiting = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]);
      try {
        const where = { server, ...(port !== undefined && { port }) };
        const message = await askServer({ name, type, ...where, signal: waiting });
        if (message.rcode === RCODES.NOERROR || message.rcode === RCODES.NXDOMAIN) return message;
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
  const records = type === TYPES.PTR
    ? [...names].filter(([address]) => reverseName(address) === plain)
      .map(([, target]): DnsRecord => ({ name: plain, ttl: 0, data: { type: "PTR", target } }))
    : addressRecords(plain, type, addresses.get(plain) ?? []);
  const isKnown = type === TYPES.PTR ? records.length > 0 : addresses.has(plain) && isAddressType(type);
  return isKnown ? { rcode: RCODES.NOERROR, name: plain, records, authority: [] } : undefined;
}

function isAddressType(type: number): boolean {
  return type === TYPES.A || type === TYPES.AAAA;
}

/** The addresses that are of this type, as records. */
function addressRecords(name: string, type: number, addresses: readonly string[]): DnsRecord[] {
  const wanted = type === TYPES.A ? "A" : "AAAA";
  return addresses.filter((address) => isAddressType(type) && address.includes(":") === (wanted === "AAAA"))
    .map((address) => ({ name, ttl: 0, data: { type: wanted, address: address.split("%")[0] ?? address } }));
}

/** The name under which an address has its PTR (RFC 1035, section 3.5; RFC 3596, section 2.5). */
export function reverseName(address: string): string {
  const bytes = ipaddr.parse(address).toByteArray();
  if (bytes.length === 4) return `${bytes.reverse().join(".")}.in-addr.arpa`;
  const nibbles = bytes.flatMap((byte) => [byte >> 4, byte & 15]).reverse();
  return `${nibbles.map((nibble) => nibble.toString(16)).join(".")}.ip6.arpa`;
}

async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
