import { daemonSets, deployments, isNotFound, type KubeClient, pods, replicaSets, statefulSets } from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import { deadline, messageOf, sleep } from "@/util/mod.ts";
import type { Original } from "./original.ts";

/** How long the original's pods may take to end; then the proxy comes, and its own wait tells what is in its way. */
const AWAY_MS = 60_000;
const POLL_MS = 200;

/** What waiting needs. */
export interface AwayOptions {
  readonly kube: KubeClient;
  readonly log: Log;
  readonly namespace: string;
  readonly signal: AbortSignal;
}

/**
 * Waits until the original's pods are gone, not only told to go: until then they have their volumes, their ports of the
 * node and their share of the quota.
 */
export async function waitUntilAway(original: Original, options: AwayOptions): Promise<void> {
  using late = deadline(AWAY_MS, () => new Error(`not gone within ${AWAY_MS / 1000} s`));
  const signal = AbortSignal.any([options.signal, late.signal]);
  try {
    while (!await isAway(original, { ...options, signal })) await sleep(POLL_MS, signal);
  } catch (error) {
    options.signal.throwIfAborted();
    if (!late.signal.aborted) throw error;
    options.log.info(`Pods of ${original.kind}/${original.name}: ${messageOf(error)}`);
  }
}

async function isAway(original: Original, { kube, namespace, signal }: AwayOptions): Promise<boolean> {
  if (await countOf(original, { kube, namespace, signal }) > 0) return false;
  const labels = Object.entries(original.template.metadata.labels).map(([name, value]) => `${name}=${value}`);
  if (labels.length === 0) return true;
  const { items } = await kube.list(pods, { namespace, labelSelector: labels.join(",") }, { signal });
  return !items.some(({ metadata }) => metadata.deletionTimestamp); // others may have the same labels, and stay
}

/** How many pods the workload has, but for those that are ending. */
async function countOf(
  { kind, name }: Original,
  { kube, namespace, signal }: Omit<AwayOptions, "log">,
): Promise<number> {
  const where = { namespace, name };
  switch (kind) {
    case "deployment":
      return (await kube.get(deployments, where, { signal })).status.replicas;
    case "statefulset":
      return (await kube.get(statefulSets, where, { signal })).status.replicas;
    case "replicaset":
      return (await kube.get(replicaSets, where, { signal })).status.replicas;
    case "daemonset":
      return (await kube.get(daemonSets, where, { signal })).status.currentNumberScheduled;
    case "pod":
      return await kube.get(pods, where, { signal }).then(() => 1, (error) => {
        if (isNotFound(error)) return 0;
        throw error;
      });
  }
}
