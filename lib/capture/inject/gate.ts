import { type Log, silentLog } from "@/log/mod.ts";
import { acceptAll, type Duplex, messageOf } from "@/util/mod.ts";
import { connDuplex } from "./conn_duplex.ts";
import { canonicalAddress, type Endpoint } from "./protocol.ts";

/** How long a connection waits for its claim, and a claim for its connection: both are on their way on loopback. */
const CLAIM_MS = 5_000;

/** How many connections may wait for a claim; the oldest goes first, so that a flood by others has an end. */
const MOST_UNCLAIMED = 1024;

/** Options of {@linkcode openGate}. */
export interface GateOptions {
  /** How long a connection and its claim wait for each other. @default {5000} */
  readonly claimMs?: number;
  /** How many connections may wait; the oldest goes first. @default {1024} */
  readonly mostUnclaimed?: number;
  readonly log?: Log;
}

/**
 * Loopback listeners that hold what they accept until it is claimed. Everybody on the machine can connect to them; only
 * who can name the source address over the private control socket gets a connection.
 */
export interface Gate extends Disposable {
  readonly port4: number;
  /** 0 where the host has no IPv6. */
  readonly port6: number;
  /** The connection that comes from an endpoint; undefined when none comes in time. */
  claim(from: Endpoint): Promise<Duplex | undefined>;
  /** Resolves at disposal; rejects when a listener fails. */
  readonly closed: Promise<void>;
}

/** Opens the gate on 127.0.0.1 and, where there is one, ::1. */
export function openGate(options: GateOptions = {}): Gate {
  const { claimMs = CLAIM_MS, mostUnclaimed = MOST_UNCLAIMED, log = silentLog } = options;
  using stack = new DisposableStack();
  const held = new Map<string, Deno.TcpConn>();
  const claims = new Map<string, (conn: Deno.TcpConn) => void>();
  const timers = new Set<ReturnType<typeof setTimeout>>();

  const later = (act: () => void) => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      act();
    }, claimMs);
    timers.add(timer);
    return timer;
  };
  const cancel = (timer: ReturnType<typeof setTimeout>) => {
    clearTimeout(timer);
    timers.delete(timer);
  };
  const drop = (key: string, conn: Deno.TcpConn) => {
    if (held.get(key) !== conn) return;
    held.delete(key);
    conn.close();
  };
  const hold = (conn: Deno.TcpConn) => {
    try {
      conn.setNoDelay();
    } catch {
      return conn.close(); // reset since it was accepted
    }
    const { hostname: address, port } = conn.remoteAddr;
    const key = keyOf({ address, port });
    const take = claims.get(key);
    if (take) return take(conn);
    const before = held.get(key);
    if (before) drop(key, before); // it was reset: the kernel has given its port to somebody else
    const [oldest] = held;
    if (held.size >= mostUnclaimed && oldest) drop(...oldest);
    held.set(key, conn);
    later(() => drop(key, conn));
  };

  const listeners = ["127.0.0.1", "::1"].map((hostname) => listenOn(hostname));
  const [v4, v6] = listeners;
  for (const listener of listeners) if (listener) stack.use(listener);
  if (!v4) throw new Error("Cannot listen on 127.0.0.1");
  const { promise: closed, resolve, reject } = Promise.withResolvers<void>();
  closed.catch(() => {}); // whoever cares awaits it
  for (const listener of listeners) {
    if (listener) {
      acceptAll(listener, hold, (error) => log.debug(`cannot accept: ${messageOf(error)}`)).catch(reject);
    }
  }

  stack.defer(() => {
    for (const timer of timers) clearTimeout(timer);
    for (const conn of held.values()) conn.close();
    held.clear();
    resolve();
  });
  const owned = stack.move();
  return {
    port4: v4.addr.port,
    port6: v6?.addr.port ?? 0,
    closed,
    async claim(from) {
      const key = keyOf(from);
      const waiting = held.get(key);
      if (waiting) {
        held.delete(key);
        return connDuplex(waiting);
      }
      const { promise, resolve } = Promise.withResolvers<Deno.TcpConn | undefined>();
      claims.set(key, resolve);
      const timer = later(() => resolve(undefined));
      const conn = await promise;
      claims.delete(key);
      cancel(timer);
      return conn && connDuplex(conn);
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

function listenOn(hostname: string): Deno.TcpListener | undefined {
  try {
    return Deno.listen({ hostname, port: 0, tcpBacklog: 4096 });
  } catch (error) {
    if (hostname === "::1") return undefined; // a host without IPv6
    throw error;
  }
}

function keyOf({ address, port }: Endpoint): string {
  return `${canonicalAddress(address) ?? address} ${port}`;
}
