import ipaddr from "ipaddr.js";
import { canonicalAddress } from "./protocol.ts";

/** How long a verdict stands: the host's own addresses change when it joins a network, which takes longer. */
const VERDICT_MS = 500;
/** How many addresses are remembered at a time. */
const MOST_VERDICTS = 1024;

/** What stays on the host. */
export interface Policy {
  /** Why connections to an address stay on the host; undefined when they go through the pod. */
  address(address: string): string | undefined;
  /**
   * Why a name is resolved on the host; undefined when the pod resolves it. What an excluded name resolves to there is
   * excluded from then on.
   */
  name(name: string): Promise<string | undefined>;
}

/** What a policy is made of. */
export interface PolicyOptions {
  /** Addresses, ranges (CIDR) and names that are never proxied, beside the host's own: the API server, `--never-proxy`. */
  readonly neverProxy: readonly string[];
  /** The host's own name. */
  readonly hostname: string;
  /** The addresses of the host's interfaces; they change while a session runs. */
  readonly ownAddresses: () => readonly string[];
  /** Resolves a name on the host; rejects or gives nothing where it cannot. */
  readonly resolve: (name: string) => Promise<readonly string[]>;
  /** A clock in milliseconds. @default {performance.now} */
  readonly now?: () => number;
}

/** Everything goes through the pod but what means this host, and what the caller excludes. */
export function makePolicy(options: PolicyOptions): Policy {
  const { neverProxy, hostname, ownAddresses, resolve, now = () => performance.now() } = options;
  const own = new Set(["localhost", plainName(hostname)]);
  const excluded = new Set<string>();
  const resolved = new Set<string>();
  const ranges: Array<[ipaddr.IPv4 | ipaddr.IPv6, number]> = [];
  for (const entry of neverProxy) {
    const range = parseRange(entry);
    if (range === undefined) excluded.add(plainName(entry));
    else ranges.push(range);
  }
  const judge = (address: string): string | undefined => {
    const parsed = ipaddr.process(address);
    if (parsed.range() === "loopback" || parsed.range() === "unspecified") return "loopback";
    if (ownAddresses().some((each) => canonicalAddress(each) === parsed.toString())) return "the host's own address";
    if (resolved.has(parsed.toString())) return "never proxied";
    return ranges.some(([base, bits]) => contains(base, bits, parsed)) ? "never proxied" : undefined;
  };
  const verdicts = new Map<string, string | undefined>();
  let judgedMs = -Infinity;
  return {
    address(address) {
      if (now() - judgedMs >= VERDICT_MS || verdicts.size >= MOST_VERDICTS) {
        verdicts.clear();
        judgedMs = now();
      }
      if (!verdicts.has(address)) verdicts.set(address, judge(address));
      return verdicts.get(address);
    },
    async name(name) {
      const plain = plainName(name);
      if (own.has(plain)) return "the host's own name";
      if (!excluded.has(plain)) return undefined;
      // Before the program hears of the name, so that its connection finds the addresses excluded.
      for (const address of await resolve(plain).catch(() => [])) resolved.add(canonicalAddress(address) ?? address);
      verdicts.clear();
      return "never proxied";
    },
  };
}

function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

/** An address or CIDR; undefined for what is a name. */
function parseRange(entry: string): [ipaddr.IPv4 | ipaddr.IPv6, number] | undefined {
  if (ipaddr.isValidCIDR(entry)) return ipaddr.parseCIDR(entry);
  if (!ipaddr.isValid(entry)) return undefined;
  const address = ipaddr.process(entry);
  return [address, address.kind() === "ipv4" ? 32 : 128];
}

function contains(base: ipaddr.IPv4 | ipaddr.IPv6, bits: number, address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  return base.kind() === address.kind() && address.match(base, bits);
}
