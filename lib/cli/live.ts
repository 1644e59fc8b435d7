import {
  authoritiesOf,
  daemonSets,
  deployments,
  listContexts,
  loadKubeconfig,
  type Metadata,
  namespaces,
  openKubeClient,
  pods,
  replicaSets,
  type Resource,
  serviceAccounts,
  statefulSets,
} from "@/kube/mod.ts";
import { leftSessions } from "@/session/mod.ts";
import { chooseAuthorities } from "./authorities.ts";
import type { Live, LiveWhere } from "./complete.ts";

/** Somebody waits at the keyboard: what is not there by then is not offered. From the start of the program. */
export const PATIENCE_MS = 300;

type Named = Resource<{ readonly metadata: Metadata }>;

const WORKLOADS: Readonly<Record<string, Named>> = {
  deployment: deployments,
  statefulset: statefulSets,
  daemonset: daemonSets,
  replicaset: replicaSets,
  pod: pods,
};

/**
 * What is there for completions: in silence, whatever goes wrong, and no longer than the signal lets it. No credential
 * plugin may ask anything.
 */
export function openLive(
  { env, home, signal, topics }: {
    readonly env: Readonly<Record<string, string>>;
    readonly home: string;
    readonly signal: AbortSignal;
    readonly topics: readonly string[];
  },
): Live {
  const or = async (asking: Promise<readonly string[]>) => {
    const late = new Promise<readonly string[]>((resolve) => {
      if (signal.aborted) resolve([]);
      signal.addEventListener("abort", () => resolve([]), { once: true });
    });
    return await Promise.race([asking.catch(() => []), late]);
  };
  const names = async (resource: Named, { context, namespace }: LiveWhere, isWanted = (_: Metadata) => true) => {
    const config = await loadKubeconfig({ env, home, signal, ...(context !== undefined && { context }) });
    await using kube = openKubeClient(config, { runtimeAuthorities: chooseAuthorities(authoritiesOf(config)) });
    const where = { namespace: namespace ?? config.namespace };
    const { items } = await kube.list(resource, resource.namespaced ? where : {}, { signal });
    return items.map(({ metadata }) => metadata).filter(isWanted).map(({ name }) => name).sort();
  };
  const isOwn = ({ ownerReferences }: Metadata) => ownerReferences.length === 0;
  return {
    contexts: () => or(listContexts({ env, home, signal })),
    namespaces: (where) => or(names(namespaces, where)),
    serviceAccounts: (where) => or(names(serviceAccounts, where)),
    workloads(kind, where) {
      const resource = WORKLOADS[kind];
      // Pods and ReplicaSets that belong to something are made again by it: that is what can be swapped.
      const isWanted = kind === "pod" || kind === "replicaset" ? isOwn : undefined;
      return resource === undefined ? Promise.resolve([]) : or(names(resource, where, isWanted));
    },
    leftSessions: () => or(leftSessions({ env, home })),
    topics: () => topics,
  };
}
