/**
 * `--method vpn-tcp`: every program of this machine uses the pod's network for the cluster's addresses and names, and
 * this machine's own for everything else.
 *
 * Theory of operation. The helper (netns/, "The whole machine") runs as root and takes what goes to the ranges that it is
 * told of; it asks here for each connection as it does in a namespace. Questions to the machine's name servers are taken
 * likewise, and `split_dns.ts` says who answers them; no file of the resolver is changed, so whoever keeps it (a VPN,
 * NetworkManager, DHCP) goes on doing so. nsswitch.conf alone gets another one laid over it, where services of this
 * machine would answer before DNS is asked.
 *
 * Ranges that the session found come first. What turns up later (a Service outside of them, an address that the pod
 * resolved a name to) is added one by one, before a program hears of it where that can be.
 *
 * @module
 */
import { type Log, silentLog } from "@/log/mod.ts";
import type { Pod } from "@/pod/mod.ts";
import { messageOf } from "@/util/mod.ts";
import { connectHost } from "../connect_host.ts";
import { keepRecords } from "../dns/pod_records.ts";
import { interfaceAddresses, resolveOnHost } from "../host.ts";
import { canonicalAddress, type Endpoint } from "../inject/protocol.ts";
import { showNoFiles } from "../show_no_files.ts";
import type { Capture } from "../method.ts";
import { takeFirstLine } from "../namespace/first_line.ts";
import { parseOpening } from "../namespace/protocol.ts";
import type { Route } from "../namespace/route.ts";
import { closing, inLineTime, serveFlow } from "../namespace/serve_flow.ts";
import { type Captured, keepCaptured } from "./captured.ts";
import { addressesInPod, readClusterDomain } from "./cluster_names.ts";
import { forwardTo } from "./forward.ts";
import { keepRules } from "./keep_rules.ts";
import type { Machine } from "./machine.ts";
import { makeProbes } from "./probes.ts";
import { covers, isAddress, parseRange, type Range, rangeOf } from "./ranges.ts";
import { dnsFirst, parseResolvConf, type ResolvConf } from "./resolver_files.ts";
import { repeat } from "./repeat.ts";
import { makeSplit } from "./split_dns.ts";

/** Options of {@linkcode startVpn}. */
export interface VpnOptions {
  /** The helper, which is the capture's from now on. */
  readonly machine: Machine;
  /** Ranges (CIDR) of the cluster's Services and pods, as far as they are known. */
  readonly ranges: readonly string[];
  /** The namespace of the pod. */
  readonly namespace: string;
  /** Addresses, ranges and names that are the pod's too: `--also-proxy`. */
  readonly alsoProxy?: readonly string[];
  /** Addresses, ranges and names that stay on the host: the API server, what leads to it, `--never-proxy`. */
  readonly neverProxy?: readonly string[];
  /** Addresses of Services as they appear. */
  readonly later?: AsyncIterable<readonly string[]>;
  /** Whether the cluster is taken to ask this machine for names that it does not know. @default {that is found out} */
  readonly localCluster?: boolean;
  /** The host's own name. @default {Deno.hostname()} */
  readonly hostname?: string;
  /** The addresses of the host's interfaces, whenever it is called. @default {those of a second ago at most} */
  readonly ownAddresses?: () => readonly string[];
  /** Resolves a name on the host. @default {with its libc} */
  readonly resolve?: (name: string) => Promise<readonly string[]>;
  /** What tells of the machine's name servers. @default {"/etc/resolv.conf"} */
  readonly resolvConf?: string;
  /** What tells where names are looked for. @default {"/etc/nsswitch.conf"} */
  readonly nsswitchConf?: string;
  /** How often names that were given as words are resolved again. @default {30 s} */
  readonly namesMs?: number;
  /** How often it is looked whether others have taken the machine's rules away. @default {3 s} */
  readonly lookMs?: number;
  /** Tells the user what happened to the machine meanwhile. @default {the log has it} */
  readonly say?: (line: string) => void;
  readonly log?: Log;
  /** Stops the capture, as disposing it does. */
  readonly signal?: AbortSignal;
}

/** What means this machine's own links whatever range it is in: link-local addresses, multicast, broadcast. */
const LINK_RANGES: readonly Range[] = [
  { base: "169.254.0.0", bits: 16 },
  { base: "224.0.0.0", bits: 4 },
  { base: "255.255.255.255", bits: 32 },
  { base: "fe80::", bits: 10 },
  { base: "ff00::", bits: 8 },
];
/** Where name servers listen. */
const DNS_PORT = 53;
/** How often it is looked whether the machine has other name servers now: it may have moved to another network. */
const RESOLV_CONF_MS = 2_000;
/** A look costs some calls to the kernel, and some programs where rules are those of iptables. */
const LOOK_MS = 3_000;
/** How often names that were given as words are resolved again. */
const NAMES_MS = 30_000;

/**
 * Starts carrying this machine.
 *
 * @throws {UserError} when it cannot be, or a name of `--also-proxy` is none; the machine is then as it was
 */
export async function startVpn(pod: Pod, options: VpnOptions): Promise<Capture> {
  const { machine, neverProxy = [], alsoProxy = [], log = silentLog, signal } = options;
  const { say = (line) => log.info(line) } = options;
  const { hostname = Deno.hostname(), ownAddresses = interfaceAddresses(), resolve = resolveOnHost } = options;
  await using stack = new AsyncDisposableStack();
  stack.use(machine);
  const ending = new AbortController();
  const end = () => ending.abort(new Error("vpn-tcp has ended"));
  const isOwn = (address: string) => ownAddresses().some((own) => canonicalAddress(own) === canonicalAddress(address));
  const captured = keepCaptured(machine, isOwn, log);
  const never = sortWords(neverProxy);
  const also = sortWords(alsoProxy);

  const resolver = keepResolver(options.resolvConf ?? "/etc/resolv.conf", machine);
  const probes = makeProbes({ machine, pod, log, signal: ending.signal });
  const cluster = { domain: await readClusterDomain(pod, { signal: ending.signal }), namespace: options.namespace };
  const split = makeSplit({
    records: keepRecords(pod, { signal: ending.signal }),
    cluster,
    isHosts: (name) => ["localhost", hostname.toLowerCase(), ...never.names].includes(name),
    alsoProxy: also.names,
    isWildcard: probes.isWildcard,
    searchList: () => resolver.current().search,
    isCaptured: captured.has,
    capture: captured.add,
    exclude: (addresses) => captured.exclude(addresses.map(rangeOf)),
    loops: () => options.localCluster ?? probes.loops(),
    suspectLoop: async () => options.localCluster ?? await probes.suspectLoop(),
    log,
  });
  const route = (to: Endpoint): Route => {
    if (to.port === DNS_PORT && resolver.has(to.address)) return { kind: "resolver" };
    if (captured.has(to.address)) return { kind: "pod", to };
    return { kind: "nowhere", code: "ECONNREFUSED", reason: "not led to the pod" };
  };
  const responder = ({ address }: Endpoint) => ({
    answer: (query: Uint8Array, transport: "udp" | "tcp") =>
      probes.answer(query) ?? split(query, transport, forwardTo(machine, address, log)),
  });
  const flows = { pod, route, responder, log, signal: ending.signal };
  const serving = new Set<Promise<void>>();
  machine.serve((conn) => {
    const serve = async () => {
      using _open = closing([conn], ending.signal);
      const first = await inLineTime(conn, () => takeFirstLine(conn));
      const opening = first && parseOpening(first.line);
      if (opening?.kind === "tcp" || opening?.kind === "udp") await serveFlow(first?.rest ?? conn, opening, flows);
    };
    const call: Promise<void> = serve()
      .catch((error) => log.debug(`vpn-tcp: ${messageOf(error)}`))
      .finally(() => serving.delete(call));
    serving.add(call);
  });
  stack.defer(async () => {
    end();
    await Promise.allSettled(serving);
  });

  const excludeNames = async () => {
    const found = await Promise.all(never.names.map((name) => resolve(name).catch(() => [])));
    await captured.exclude(found.flat().map(rangeOf));
  };
  const captureNames = async () => await captured.add(await addressesInPod(pod, also.names, { signal: ending.signal }));
  await captured.exclude(never.ranges);
  await excludeNames();
  // What is given by hand is meant, wherever it is; what was found only where nobody said otherwise.
  const found = options.ranges.flatMap((range) => parseRange(range) ?? []);
  await captured.addRanges([...also.ranges, ...found]);
  await captured.exclude(LINK_RANGES.filter((link) => [...also.ranges, ...found].some((range) => covers(range, link))));
  await captureNames();
  await resolver.read();
  await withhold(machine, [cluster.domain, "svc", ...also.names], log);
  machine.whenWoken(() => {
    say("This session was stopped: meanwhile this machine's own servers alone answered for names");
  });
  const nsswitch = keepNsswitch(machine, options.nsswitchConf ?? "/etc/nsswitch.conf");
  await nsswitch.lay();
  await probes.begin(resolver.current());

  const tell = (error: unknown) => log.info(`vpn-tcp: ${messageOf(error)}`);
  stack.use(repeat(resolver.read, RESOLV_CONF_MS, tell));
  const rules = {
    gone: async () => [...await machine.gone(), ...await nsswitch.gone()],
    restore: async () => {
      await machine.tell("restore");
      await nsswitch.lay();
    },
  };
  stack.use(keepRules(rules, { say, lookMs: options.lookMs ?? LOOK_MS, log }));
  stack.use(repeat(() => Promise.all([excludeNames(), captureNames()]), options.namesMs ?? NAMES_MS, tell));
  void followServices(captured, options.later, log);
  signal?.addEventListener("abort", end, { once: true });
  stack.defer(() => signal?.removeEventListener("abort", end));
  const owned = stack.move();
  return {
    closed: machine.closed,
    show: showNoFiles("--method vpn-tcp"),
    environment: (inherited) => ({ ...inherited }),
    command: (words) => words,
    connect: connectHost,
    published: [],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Words of `--also-proxy` and `--never-proxy`: ranges, and names without their last dot. */
export function sortWords(words: readonly string[]): { ranges: Range[]; names: string[] } {
  const ranges = words.flatMap((word) => parseRange(word) ?? []);
  const names = words.filter((word) => parseRange(word) === undefined)
    .map((word) => word.toLowerCase().replace(/\.$/, ""));
  return { ranges, names };
}

/** The machine's name servers as they are now; all that were seen lead here. */
function keepResolver(path: string, machine: Machine) {
  const seen = new Set<string>();
  let text: string | undefined;
  let current: ResolvConf = parseResolvConf("");
  return {
    current: () => current,
    has: (address: string) => seen.has(address),
    /** Reads the file; one that is not there for a moment changes nothing. */
    async read() {
      const found = await Deno.readTextFile(path).catch(() => undefined);
      if (found === text || (found === undefined && text !== undefined)) return;
      text = found ?? "";
      current = parseResolvConf(text);
      for (const server of current.servers) {
        const address = canonicalAddress(server) ?? server;
        if (seen.has(address)) continue;
        seen.add(address);
        await machine.tell("names", address).catch((error) => {
          if (!address.includes(":")) throw error; // a machine without IPv6 does not ask it either
        });
      }
    },
  };
}

/** Keeps names of the cluster from this machine's servers while this process is stopped: they would deny them. */
async function withhold(machine: Machine, domains: readonly string[], log: Log): Promise<void> {
  for (const domain of domains) {
    // Of more than the helper keeps, the rest is denied by then; that is no reason not to begin.
    await machine.tell("withhold", domain.toLowerCase()).catch((error) => log.info(messageOf(error)));
  }
}

/** Has names looked for in DNS before services of this machine answer in its place; nothing where that is so. */
function keepNsswitch(machine: Machine, path: string) {
  const own = `${machine.directory}/nsswitch.conf`;
  let laid: string | undefined;
  /** What the file should have in place of its text; undefined where that is right as it is, or there is no file. */
  const wanted = async () => {
    const text = await Deno.readTextFile(path).catch(() => "");
    return text === laid ? undefined : dnsFirst(text);
  };
  return {
    async lay() {
      const text = await wanted();
      if (text === undefined) return;
      await Deno.writeTextFile(own, text);
      await Deno.chmod(own, 0o644); // every user of the machine reads it where it is laid over, and nobody enters its directory
      await machine.tell("bind", own, path);
      laid = text;
    },
    /** Whether what was laid over the file is not there any more. */
    gone: async () => laid !== undefined && await wanted() !== undefined ? [`what was laid over ${path}`] : [],
  };
}

/** Leads the addresses of Services that appear to the pod. */
async function followServices(
  captured: Captured,
  later: AsyncIterable<readonly string[]> | undefined,
  log: Log,
): Promise<void> {
  try {
    for await (const addresses of later ?? []) await captured.add(addresses.filter(isAddress));
  } catch (error) {
    log.info(`Services that are new are found by their names alone: ${messageOf(error)}`);
  }
}
