import {
  type Capture,
  type Machine,
  openMachine,
  parseRange,
  type Range,
  requireNoOverlap,
  sortWords,
  startVpn,
  wordsOfRoot,
} from "@/capture/mod.ts";
import type { ClusterConfig, KubeClient } from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import type { Pod } from "@/pod/mod.ts";
import { findClusterRanges, followServices } from "./cluster_ranges.ts";
import type { Wanted } from "../plan/plan.ts";

/** What preparing needs. */
export interface VpnPreparation {
  /** The helper for this machine: the bytes of the program. */
  readonly helper: Uint8Array<ArrayBuffer>;
  /** Directories for it, the most wanted first. */
  readonly directories: readonly string[];
  readonly kube: KubeClient;
  readonly namespace: string;
  readonly wanted: Pick<Wanted, "alsoProxy" | "localCluster">;
  /** What stays on the host: the way to the cluster, and `--never-proxy`. */
  readonly neverProxy: readonly string[];
  readonly say: (line: string) => void;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** A machine that can be carried, and is not yet. Disposing it ends its helper. */
export interface PreparedVpn extends AsyncDisposable {
  start(pod: Pod, log: Log): Promise<Capture>;
}

/**
 * Starts the helper as root, finds the cluster's ranges and compares them with this machine's network. Nothing changes,
 * here or there.
 *
 * @throws {UserError} when there is no root, another session has the machine, or the ranges are this machine's too
 */
export async function prepareVpn(options: VpnPreparation): Promise<PreparedVpn> {
  const { helper, directories, kube, namespace, wanted, neverProxy, say, log, signal } = options;
  await using stack = new AsyncDisposableStack();
  if (wordsOfRoot().length > 0) {
    say("--method vpn-tcp changes this machine's routes and firewall rules until the session ends: sudo may ask you.");
  }
  const machine: Machine = stack.use(await openMachine({ helper, directories, log }));
  const { ranges, from } = await findClusterRanges({ kube, namespace, log, signal });
  const read = (texts: readonly string[]): Range[] => texts.flatMap((text) => parseRange(text) ?? []);
  // What is asked for by hand is meant, whatever else it is.
  const left = [...sortWords(neverProxy).ranges, ...sortWords(wanted.alsoProxy ?? []).ranges];
  requireNoOverlap(read(ranges), await machine.routes(), left).forEach(say);
  say(`Of this machine's connections these go to the cluster: ${ranges.join(", ") || "none yet"} (${from.join("; ")})`);
  const ending = new AbortController();
  stack.defer(() => ending.abort(new Error("the session has ended")));
  const owned = stack.move();
  return {
    start: (pod, room) =>
      startVpn(pod, {
        machine,
        ranges,
        namespace,
        alsoProxy: wanted.alsoProxy ?? [],
        neverProxy,
        later: followServices({ kube, namespace, log, signal: ending.signal }),
        ...(wanted.localCluster && { localCluster: true }),
        say,
        log: room,
      }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** What leads to the API server, by name or address: the server itself, and a proxy on the way. */
export function waysTo({ server, proxy }: Pick<ClusterConfig, "server" | "proxy">): string[] {
  return [server, ...(proxy === undefined ? [] : [proxy])]
    .map((address) => new URL(address).hostname.replace(/^\[|\]$/g, ""));
}
