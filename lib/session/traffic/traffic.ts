/**
 * The connections of a session as they are, and their sums. It only keeps references: bytes are counted by the streams
 * themselves, and nothing is computed before somebody asks.
 *
 * @module
 */
import type { Flow, Observer } from "@/pod/mod.ts";

/** What went over a session's tunnel. */
export interface Totals {
  /** Connections (and flows of datagrams) from here that the pod opened. */
  readonly opened: number;
  /** Connections that it refused, and names that it could not resolve. */
  readonly failed: number;
  /** Connections that came to exposed ports. */
  readonly accepted: number;
  /** Bytes to the pod. */
  readonly sent: number;
  /** Bytes from the pod. */
  readonly received: number;
}

/** What a session knows of its connections. */
export interface Traffic {
  /** For the pod's client. */
  readonly observer: Observer;
  totals(): Totals;
  /** Those that are under way, and what ended or failed a short while ago; oldest first. */
  flows(): Flow[];
  /** The name by which an address was asked for, if it was. */
  nameOf(address: string): string | undefined;
  /** Calls back at each change of a flow, until disposed of. */
  listen(listener: Observer): Disposable;
}

/** How long what failed stays to be seen, in milliseconds. */
export const FAILED_MS = 30_000;
/** How long what ended well stays to be seen. */
export const ENDED_MS = 5_000;
/** How many flows that are over are kept, and how many names. */
const MOST_OVER = 500;
const MOST_NAMES = 2000;

/** Keeps the account of a session. */
export function watchTraffic(now: () => number = Date.now): Traffic {
  const live = new Set<Flow>();
  const over: Flow[] = [];
  const names = new Map<string, string>();
  const listeners = new Set<Observer>();
  const sums = { opened: 0, failed: 0, accepted: 0, sent: 0, received: 0 };
  const observer: Observer = (flow) => {
    if (flow.until === undefined) {
      live.add(flow);
      if (flow.state === "open") sums[flow.kind === "exposed" ? "accepted" : "opened"]++;
    } else if (live.delete(flow)) {
      if (flow.state === "failed") sums.failed++;
      sums.sent += flow.sent;
      sums.received += flow.received;
      over.push(flow);
      if (over.length > MOST_OVER) over.shift();
      for (const address of flow.answer ?? []) {
        names.delete(address); // the latest question is the one that a connection follows
        names.set(address, flow.peer.host);
      }
      for (const [oldest] of names) {
        if (names.size <= MOST_NAMES) break;
        names.delete(oldest);
      }
    }
    for (const listener of listeners) listener(flow);
  };
  return {
    observer,
    totals() {
      let { sent, received } = sums;
      for (const flow of live) [sent, received] = [sent + flow.sent, received + flow.received];
      return { ...sums, sent, received };
    },
    flows() {
      const isRecent = ({ state, until = 0 }: Flow) => now() - until < (state === "failed" ? FAILED_MS : ENDED_MS);
      return [...over.filter(isRecent), ...live].sort((a, b) => a.id - b.id);
    },
    nameOf: (address) => names.get(address),
    listen(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
  };
}
