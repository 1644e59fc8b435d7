/**
 * What the pod's resolver is told: `/etc/resolv.conf` (resolv.conf(5)) and `/etc/hosts` (hosts(5)), in which the kubelet
 * writes `hostAliases`.
 *
 * @module
 */

/** How names are looked for. */
export interface ResolverSettings {
  /** Addresses of name servers, at most three as in libc. */
  readonly servers: readonly string[];
  /** Domains that are tried behind a name. */
  readonly search: readonly string[];
  /** A name with so many dots is tried as it is first. */
  readonly ndots: number;
  /** How long one server is waited for. */
  readonly timeoutMs: number;
  /** How often all servers are asked. */
  readonly attempts: number;
}

/** Reads `resolv.conf`. What it does not say is as libc has it. */
export function parseResolvConf(text: string): ResolverSettings {
  const servers: string[] = [];
  let search: string[] = [];
  const options = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [keyword, ...words] = line.replace(/[#;].*$/, "").trim().split(/\s+/);
    if (keyword === "nameserver" && words[0] !== undefined) servers.push(words[0]);
    else if (keyword === "search" || keyword === "domain") search = words.filter((word) => word !== ".");
    else if (keyword === "options") {
      for (const word of words) {
        const [, name, value] = /^(ndots|timeout|attempts):(\d+)$/.exec(word) ?? [];
        if (name !== undefined) options.set(name, Number(value));
      }
    }
  }
  return {
    servers: servers.length === 0 ? ["127.0.0.1"] : servers.slice(0, 3),
    search: search.map((domain) => domain.replace(/\.$/, "")),
    ndots: Math.min(15, options.get("ndots") ?? 1),
    timeoutMs: 1000 * Math.min(30, Math.max(1, options.get("timeout") ?? 5)),
    attempts: Math.min(5, Math.max(1, options.get("attempts") ?? 2)),
  };
}

/** The names to ask for, in their order (resolv.conf(5), "search" and "ndots"). */
export function candidates(name: string, { search, ndots }: ResolverSettings): string[] {
  if (name.endsWith(".")) return [name.slice(0, -1)];
  const dots = name.split(".").length - 1;
  const searched = search.map((domain) => `${name}.${domain}`);
  return dots >= ndots ? [name, ...searched] : [...searched, name];
}

/** Names by address and back. */
export interface Hosts {
  /** Addresses of a name, in the order of the file; names in lower case. */
  readonly addresses: ReadonlyMap<string, readonly string[]>;
  /** The first name of an address. */
  readonly names: ReadonlyMap<string, string>;
}

/** Reads `hosts`. */
export function parseHosts(text: string): Hosts {
  const addresses = new Map<string, string[]>();
  const names = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [address, ...aliases] = line.replace(/#.*$/, "").trim().split(/\s+/);
    if (address === undefined || aliases[0] === undefined) continue;
    if (!names.has(address)) names.set(address, aliases[0]);
    for (const alias of aliases) {
      const known = addresses.get(alias.toLowerCase()) ?? [];
      addresses.set(alias.toLowerCase(), [...known, address]);
    }
  }
  return { addresses, names };
}
