import type { Log } from "@/log/mod.ts";
import type { Pod } from "@/pod/mod.ts";
import { closeQuietly, type Duplex, messageOf, splice, writeAll } from "@/util/mod.ts";
import type { DnsResponder } from "../dns/answer.ts";
import { serveDns } from "../dns/serve.ts";
import type { Endpoint } from "../inject/protocol.ts";
import { serveHostDatagrams } from "./host_datagrams.ts";
import { servePodDatagrams } from "./pod_datagrams.ts";
import { formatAnswer, type Opening } from "./protocol.ts";
import { connectTo, type Route } from "./route.ts";

/** What a flow is served with. */
export interface FlowOptions {
  readonly pod: Pod;
  /** Where a destination leads. */
  route(to: Endpoint): Route;
  /** Who answers queries to a name server that was at `to`. */
  responder(to: Endpoint): DnsResponder;
  readonly log: Log;
  /** Ends every flow. */
  readonly signal: AbortSignal;
}

/** Serves a connection of a program, or its datagrams to one destination, to its end (netns/README.md). */
export async function serveFlow(
  conn: Duplex,
  { kind, to, from }: Opening & { kind: "tcp" | "udp" },
  { pod, route: routeOf, responder, log, signal }: FlowOptions,
): Promise<void> {
  const subject = `${kind} ${to.address} ${to.port}`;
  const route = routeOf(to);
  log.debug(`${subject}: ${route.kind}${"reason" in route ? ` (${route.reason})` : ""}`);
  const waiting = { signal, caller: () => ({ host: from.address, port: from.port }) };
  const refuse = (code: Parameters<typeof formatAnswer>[0]) => writeAll(conn, formatAnswer(code));
  if (route.kind === "nowhere") return await refuse(route.code);
  if (route.kind === "resolver") {
    await writeAll(conn, formatAnswer("ok"));
    return await serveDns(conn, { responder: responder(to), transport: kind, log });
  }
  if (kind === "udp") {
    if (route.kind === "pod") {
      const code = await servePodDatagrams(conn, route.to, { pod, ...waiting });
      return code === undefined ? undefined : await refuse(code);
    }
    await writeAll(conn, formatAnswer("ok"));
    return await serveHostDatagrams(conn, route.to, signal);
  }
  using given = untilGivenUp(conn, signal);
  const connected = await connectTo(route, pod, { ...waiting, signal: given.signal });
  if (given.isGivenUp()) {
    if (connected.code === undefined) closeQuietly(connected.duplex);
    return log.debug(`${subject}: given up by the program`);
  }
  if (connected.code !== undefined) {
    log.debug(`${subject}: ${connected.message}`);
    return await refuse(connected.code);
  }
  using _peer = closing([connected.duplex], signal);
  await writeAll(conn, formatAnswer("ok"));
  const reason = await splice(given.rest, connected.duplex);
  log.debug(`${subject}: closed${reason === undefined ? "" : `: ${messageOf(reason)}`}`);
}

/**
 * Waits beside something else for the end of a connection on which nothing is said yet: then its program has given up.
 * What was read for that is read again from `rest`.
 */
function untilGivenUp(conn: Duplex, signal: AbortSignal) {
  const controller = new AbortController();
  const stop = () => controller.abort(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  const buffer = new Uint8Array(4096);
  let isGivenUp = false;
  let isOver = false;
  const first = conn.read(buffer).then((count) => {
    if (count !== null || isOver) return count;
    isGivenUp = true;
    controller.abort(new Error("the program has given up"));
    return count;
  });
  first.catch(() => {}); // who reads `rest` hears of it
  let held: Uint8Array | undefined;
  const rest: Duplex = {
    ...plain(conn),
    async read(into) {
      if (held === undefined) {
        const count = await first;
        if (count === null) return null;
        held = buffer.subarray(0, count);
      }
      if (held.length === 0) return await conn.read(into);
      const count = Math.min(held.length, into.length);
      into.set(held.subarray(0, count));
      held = held.subarray(count);
      return count;
    },
  };
  return {
    signal: controller.signal,
    rest,
    isGivenUp: () => isGivenUp,
    [Symbol.dispose]() {
      isOver = true;
      signal.removeEventListener("abort", stop);
    },
  };
}

function plain(conn: Duplex): Duplex {
  return {
    read: (into) => conn.read(into),
    write: (bytes) => conn.write(bytes),
    closeWrite: () => conn.closeWrite(),
    close: () => conn.close(),
  };
}

/** Closes connections at the end of a scope, and when `signal` says so. */
export function closing(connections: readonly Duplex[], signal: AbortSignal): Disposable {
  const close = () => connections.forEach(closeQuietly);
  signal.addEventListener("abort", close, { once: true });
  if (signal.aborted) close();
  return {
    [Symbol.dispose]() {
      signal.removeEventListener("abort", close);
      close();
    },
  };
}

/** How long an opening may take to be read: it is on its way on the same machine. */
const LINE_MS = 10_000;

/** What `wait` gives, unless the connection takes too long to say it: then it is closed. */
export async function inLineTime<T>(conn: Duplex, wait: () => Promise<T>): Promise<T> {
  const timer = setTimeout(() => closeQuietly(conn), LINE_MS);
  try {
    return await wait();
  } finally {
    clearTimeout(timer);
  }
}
