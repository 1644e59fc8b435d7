/**
 * The way to the agent, for as long as there is one: over the loss of connections (the link's business) and over the
 * loss of its pod (ours). A proxy's pod may be evicted, drained from its node, deleted, or its agent be killed; its
 * Deployment then makes another, in which nothing is known of us but our key. Nor is there in an agent that has waited
 * for us in vain: a machine that was asleep for minutes comes back to the same pod with a link that is forgotten.
 *
 * @module
 */
import { messageOf, sleep, unfold, UserError } from "@/util/mod.ts";
import { type LinkedPod, openLastingPod } from "@/pod/mod.ts";
import { LinkUnknown } from "@/transport/mod.ts";
import { openTunnel, type Tunnel, type TunnelOptions } from "./open_tunnel.ts";
import type { Plan } from "../plan/plan.ts";
import { type AgentRun, findLoss } from "./pod_loss.ts";

/** The cluster tells what became of a pod a moment after its connections are gone. */
const TOLD_WITHIN_MS = 2_000;
const PAUSE_MS = 250;

/** Whose pod it is. */
export interface Followed {
  /** The proxy's pod, as it is by now. */
  readonly pod: string;
  /**
   * Waits for the pod that comes after a run of the agent, or for that run's successor in the same pod.
   *
   * @throws {UserError} that says why none comes
   */
  follow(run: AgentRun, signal: AbortSignal): Promise<void>;
}

/** What is to be done anew in each new pod, in this order. */
export type Again = (signal: AbortSignal) => Promise<void>;

/** What lasting needs, beside what a tunnel needs. */
export interface LastingTunnelOptions extends TunnelOptions {
  readonly say: (line: string) => void;
  /** Filled while the session acquires things. */
  readonly again: readonly Again[];
}

/**
 * Opens the tunnel to the proxy's agent. When the run of the agent at its other end is known to be over, its successor
 * is waited for, and the user is told; when it goes on and has forgotten us, another tunnel leads to it.
 *
 * @throws as {@linkcode openTunnel}
 */
export async function openLastingTunnel(
  plan: Plan,
  proxy: Followed,
  options: LastingTunnelOptions,
): Promise<LinkedPod> {
  const { say, again } = options;
  const log = options.log.room("NET");
  let tunnel = await openTunnel(plan, proxy.pod, options);
  return openLastingPod(tunnel.pod, {
    log,
    async next(loss, signal) {
      const why = await findEnd(tunnel.run, loss, options, signal);
      if (why === undefined) {
        say(
          "The agent has given us up, as nothing came from here for longer than it waits (--grace). Connecting anew ...",
        );
        tunnel = await openTunnel(plan, proxy.pod, { ...options, signal });
      } else {
        say(`${why}. Waiting for the one that comes after it ...`);
        tunnel = await openNext(plan, proxy, tunnel.run, { ...options, signal });
      }
      return tunnel.pod;
    },
    async attached(signal) {
      for (const each of again) await each(signal);
      say(`Connected to the proxy's pod "${proxy.pod}". Connections that were open are broken, new ones work.`);
    },
  });
}

/** Why the run is over; undefined when it goes on without us. @throws the loss itself, when nothing explains it */
async function findEnd(
  run: AgentRun,
  loss: unknown,
  { kube }: LastingTunnelOptions,
  signal: AbortSignal,
): Promise<string | undefined> {
  const end = performance.now() + TOLD_WITHIN_MS;
  for (;;) {
    const found = await findLoss(kube, run);
    if (found !== undefined) return found.message;
    if (performance.now() > end) {
      if (unfold(loss).some((each) => each instanceof LinkUnknown)) return undefined;
      throw loss;
    }
    await sleep(PAUSE_MS, signal);
  }
}

/** Follows until a tunnel is open: a pod that is found may be gone before it answers. */
async function openNext(
  plan: Plan,
  proxy: Followed,
  past: AgentRun,
  options: LastingTunnelOptions,
): Promise<Tunnel> {
  const { log, signal } = options;
  for (let run = past;;) {
    await proxy.follow(run, signal);
    try {
      return await openTunnel(plan, proxy.pod, { ...options, past: run, onRun: (found) => run = found });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof UserError) || run === past || await findLoss(options.kube, run) === undefined) throw error;
      log.info(`The next one is lost, too: ${messageOf(error)}`);
    }
  }
}
