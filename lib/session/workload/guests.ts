/**
 * Who uses the proxies that are there (`--deployment`). Such a session changes nothing in the cluster, so the cluster
 * knows nothing of it; the proxy's agent does, and whoever may use the proxy may ask that.
 *
 * @module
 */
import { deployments, type KubeClient, pods, podState } from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import { openPod, type PodSession } from "@/pod/mod.ts";
import { greetAgent } from "@/transport/mod.ts";
import { deadline, UserError } from "@/util/mod.ts";
import { joinCommand } from "../proxy/manifest.ts";
import { type Existing, PROXY_LABEL, readExisting } from "./existing.ts";

/** How long one proxy may take to answer: who asks for the status does not wait for a node that is away. */
const ANSWER_MS = 5_000;

/** A proxy, and who uses it or why that is not known. */
export interface Guests {
  readonly namespace: string;
  readonly proxy: string;
  readonly sessions: readonly PodSession[];
  readonly problem?: unknown;
}

/** What asking needs. */
export interface GuestsOptions {
  readonly kube: KubeClient;
  readonly version: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/**
 * Asks every proxy that was installed by `telepresence agent-manifest`. One that does not answer keeps nobody waiting
 * for long, and is told with the reason.
 *
 * @throws {KubeError} when Deployments cannot be listed
 */
export async function readGuests(
  where: { readonly namespace?: string; readonly allNamespaces?: boolean },
  options: GuestsOptions,
): Promise<Guests[]> {
  const { kube, signal } = options;
  const { items } = await kube.list(deployments, { ...where, labelSelector: PROXY_LABEL }, { signal });
  const running = items.filter(({ spec, metadata }) => spec.replicas !== 0 && !metadata.deletionTimestamp);
  return await Promise.all(running.map(async ({ metadata: { name, namespace = "" } }) => {
    using late = deadline(ANSWER_MS, () => new UserError(`its agent did not answer within ${ANSWER_MS / 1000} s`));
    const within = { ...options, namespace, signal: AbortSignal.any([signal, late.signal]) };
    try {
      return { namespace, proxy: name, sessions: await askAgent(await readExisting(name, within), within) };
    } catch (problem) {
      signal.throwIfAborted();
      return { namespace, proxy: name, sessions: [], problem };
    }
  }));
}

async function askAgent(
  { podSelector, container, agentPort, key }: Existing,
  { kube, namespace, version, log, signal }: GuestsOptions & { readonly namespace: string },
): Promise<readonly PodSession[]> {
  const { items } = await kube.list(pods, { namespace, labelSelector: podSelector }, { signal });
  const runs = ["running", "ready"];
  const pod = items.find((each) => !each.metadata.deletionTimestamp && runs.includes(podState(each, container).kind));
  if (pod === undefined) throw new UserError("it has no pod that runs");
  const exec = { container, command: joinCommand({ agentPort }) };
  const carrier = await kube.portForward({ namespace, name: pod.metadata.name }, agentPort, { signal, exec });
  await greetAgent(carrier, key, { version, signal });
  await using agent = openPod(carrier, { log });
  return await agent.sessions({ signal });
}
