/**
 * Datagrams of carried programs. For each peer there is a relay: a socket of the host's loopback to which the shim has
 * datagrams sent in the peer's place (shim/datagrams.c, "How a datagram reaches the pod"). Each source that sends to it
 * has a flow of its own in the pod; what comes back goes to the source, from the relay.
 *
 * A relay's port stands for its peer in the memory of programs, so it is never given to another one while the session
 * lives. Every user of the machine can send to it: what comes from a socket of another user is dropped.
 */
import { createSocket, type Socket } from "node:dgram";
import { DialError, type Pod } from "@/pod/mod.ts";
import { type Log, silentLog } from "@/log/mod.ts";
import { messageOf } from "@/util/mod.ts";
import { RESOLVER } from "../dns/resolver.ts";
import type { DnsResponder } from "../dns/answer.ts";
import { parseAddress } from "./abandoned.ts";
import { canonicalAddress, type Endpoint } from "./protocol.ts";

/** Where relays are, which nothing else uses (shim/README.md, "Relays"). */
const ADDRESS = { 4: "127.84.80.1", 6: "::1" } as const;
/** How many peers a session can have: each is a descriptor. */
const MOST_RELAYS = 2048;
/** How many sources a relay serves at a time; the one that sent last the longest ago gives way. */
const MOST_FLOWS = 1024;
/** How many datagrams may wait in one direction of a flow; what comes then is lost, as it would be. */
const MOST_WAITING = 256;

/** The family of a relay, by what the program's socket can reach. */
export type RelayFamily = 4 | 6;

/** The relays of a session. Disposing them closes all. */
export interface Relays extends AsyncDisposable {
  /**
   * The port of the relay that stands for a peer.
   *
   * @throws {DialError} EMFILE when there are too many, or what the machine says
   */
  portFor(peer: Endpoint, family: RelayFamily): Promise<number>;
  /** The peer that a relay stands for. */
  peerOf(port: number, family: RelayFamily): Endpoint | undefined;
}

/** What relays need. */
export interface RelaysOptions {
  readonly pod: Pick<Pod, "datagrams">;
  /** Answers what is sent to the name server. */
  readonly responder: DnsResponder;
  /** Whether the socket that sends from there is one of the session's user. @default {as /proc/net tells} */
  readonly isOurs?: (from: Endpoint) => Promise<boolean>;
  readonly log?: Log;
}

/** One relay. */
interface Relay {
  readonly socket: Socket;
  readonly peer: Endpoint;
  readonly port: number;
}

/** What takes the datagrams of one source; its end is told by the promise. */
interface Flow {
  readonly push: (bytes: Uint8Array) => void;
  readonly end: AbortController;
}

/** Opens no relay yet. */
export function openRelays(options: RelaysOptions): Relays {
  const relays = new Map<string, Promise<Relay>>();
  const byPort = new Map<string, Endpoint>();
  const ending = new AbortController();
  const running = new Set<Promise<void>>();
  return {
    async portFor(peer, family) {
      const key = `${family} ${peer.address} ${peer.port}`;
      const known = relays.get(key);
      if (known) return (await known).port;
      if (relays.size >= MOST_RELAYS) throw new DialError("EMFILE", `${MOST_RELAYS} peers have datagrams already`);
      const opening = openRelay(peer, family, { ...options, signal: ending.signal, running });
      relays.set(key, opening);
      try {
        const { port } = await opening;
        byPort.set(`${family} ${port}`, peer);
        return port;
      } catch (error) {
        relays.delete(key);
        throw new DialError("EMFILE", `Cannot open a relay: ${messageOf(error)}`);
      }
    },
    peerOf: (port, family) => byPort.get(`${family} ${port}`),
    async [Symbol.asyncDispose]() {
      ending.abort(new Error("inject-tcp has ended"));
      await Promise.allSettled(running);
      for (const relay of await Promise.allSettled(relays.values())) {
        if (relay.status !== "fulfilled") continue;
        await new Promise<void>((resolve) => relay.value.socket.close(() => resolve()));
      }
    },
  };
}

async function openRelay(
  peer: Endpoint,
  family: RelayFamily,
  options: RelaysOptions & { readonly signal: AbortSignal; readonly running: Set<Promise<void>> },
): Promise<Relay> {
  const { log = silentLog, isOurs = isOwnSocket, running } = options;
  const socket = createSocket(family === 6 ? { type: "udp6", ipv6Only: true } : { type: "udp4" });
  const { promise: bound, resolve, reject } = Promise.withResolvers<void>();
  socket.on("error", (error) => {
    log.debug(`datagrams ${peer.address} ${peer.port}: ${error.message}`);
    reject(error);
  });
  socket.bind({ address: ADDRESS[family], port: 0 }, resolve);
  await bound;

  const flows = new Map<string, Flow>();
  const begin = (key: string, address: string, port: number): Flow => {
    const flow = flowFor(peer, (bytes) => socket.send(bytes, port, address), options);
    flows.set(key, flow);
    const [oldest] = flows.keys();
    if (flows.size > MOST_FLOWS && oldest !== undefined) flows.get(oldest)?.end.abort();
    const call: Promise<void> = flow.run(() => isOurs({ address, port }))
      .catch((error) => log.debug(`datagrams ${peer.address} ${peer.port} from ${port}: ${messageOf(error)}`))
      .finally(() => {
        if (flows.get(key) === flow) flows.delete(key);
        running.delete(call);
      });
    running.add(call);
    return flow;
  };
  socket.on("message", (bytes, { address, port }) => {
    if (options.signal.aborted) return;
    const key = `${address} ${port}`;
    const flow = flows.get(key) ?? begin(key, address, port);
    flows.delete(key); // the newest is the last
    flows.set(key, flow);
    flow.push(bytes);
  });
  return { socket, peer, port: socket.address().port };
}

/** The flow of one source: of queries to the name server, or of datagrams to a peer of the pod. */
function flowFor(
  peer: Endpoint,
  reply: (bytes: Uint8Array) => void,
  { pod, responder, signal }: RelaysOptions & { readonly signal: AbortSignal },
): Flow & { run(admit: () => Promise<boolean>): Promise<void> } {
  const end = new AbortController();
  const over = AbortSignal.any([signal, end.signal]);
  const waiting: Uint8Array[] = [];
  let wake = Promise.withResolvers<void>();
  const stop = () => wake.resolve();
  const next = async (): Promise<Uint8Array | undefined> => {
    while (waiting.length === 0 && !over.aborted) {
      wake = Promise.withResolvers();
      await wake.promise;
    }
    return over.aborted ? undefined : waiting.shift();
  };
  const toPeer = async () => {
    await using flow = await pod.datagrams({ host: peer.address, port: peer.port }, { signal: over });
    const sendAll = async () => {
      for (let bytes; (bytes = await next()) !== undefined;) await flow.send(bytes);
    };
    const receiveAll = async () => {
      for await (const bytes of flow.received()) reply(bytes);
      end.abort();
      stop();
    };
    await Promise.race([sendAll(), receiveAll()]);
  };
  /** Queries have no order: none waits for the answer to another. */
  const toResolver = async () => {
    const answering = new Set<Promise<void>>();
    for (let query; (query = await nextWithin()) !== undefined;) {
      const call: Promise<void> = responder.answer(query, "udp").then((answer) => {
        if (answer && !over.aborted) reply(answer);
      }).finally(() => answering.delete(call));
      answering.add(call);
    }
    await Promise.all(answering);
  };
  /** The next query; undefined when the source has been silent for as long as a query is repeated. */
  const nextWithin = async () => {
    const timer = setTimeout(() => {
      end.abort();
      stop();
    }, QUIET_MS);
    try {
      return await next();
    } finally {
      clearTimeout(timer);
    }
  };
  return {
    end,
    push(bytes) {
      if (waiting.length < MOST_WAITING) waiting.push(bytes);
      stop();
    },
    async run(admit) {
      over.addEventListener("abort", stop, { once: true });
      try {
        if (!await admit()) throw new Error("sent by a socket of another user");
        await (peer.address === RESOLVER.address ? toResolver() : toPeer());
      } finally {
        over.removeEventListener("abort", stop);
        end.abort();
      }
    },
  };
}

/** How long a source of queries is remembered. */
const QUIET_MS = 15_000;

async function isOwnSocket(from: Endpoint): Promise<boolean> {
  const read = (path: string) => Deno.readTextFile(path).catch(() => "");
  const owners = ownersOf(from, `${await read("/proc/net/udp")}\n${await read("/proc/net/udp6")}`);
  return owners.length > 0 && owners.every((owner) => owner === Deno.uid());
}

/**
 * The users whose sockets can have sent from there: those that are bound to the address, or to all. A port alone says
 * nothing, as everybody may have the same one at another address of the loopback.
 *
 * @param tables the text of `/proc/net/udp` and `/proc/net/udp6` (proc(5)): the second field is the local end in
 *   hexadecimal, the eighth the user
 */
export function ownersOf({ address, port }: Endpoint, tables: string): number[] {
  const wanted = canonicalAddress(address) ?? address;
  return tables.split("\n").map((line) => line.trim().split(/\s+/)).flatMap((fields) => {
    const [, words, digits] = /^([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})$/.exec(fields[1] ?? "") ?? [];
    if (words === undefined || parseInt(digits ?? "", 16) !== port) return [];
    const bound = parseAddress(words);
    return [wanted, "0.0.0.0", "::"].includes(bound) ? [Number(fields[7])] : [];
  });
}
