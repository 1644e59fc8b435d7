import {
  authoritiesOf,
  daemonSets,
  deployments,
  type KubeClient,
  listContexts,
  loadKubeconfig,
  type Metadata,
  namespaces,
  type ObjectName,
  openKubeClient,
  pods,
  type PodTemplate,
  replicaSets,
  type Resource,
  serviceAccounts,
  statefulSets,
} from "@/kube/mod.ts";
import { leftSessions } from "@/session/mod.ts";
import { chooseAuthorities } from "./authorities.ts";
import type { Live, LiveWhere } from "./complete.ts";
import { sleep } from "@/util/mod.ts";

/** Somebody waits at the keyboard: what is not there by then is not offered. From the start of the program. */
const PATIENCE_MS = 300;

/** Aborts when it is time to answer with what is there. @param elapsedMs since the start of the program */
export function patience(elapsedMs = performance.now()): AbortSignal {
  return AbortSignal.timeout(Math.max(0, PATIENCE_MS - elapsedMs));
}

type Named = Resource<{ readonly metadata: Metadata }>;
type Templated = Resource<{ readonly metadata: Metadata; readonly spec: { readonly template: PodTemplate } }>;

/** Workloads whose pods are made after a template; a pod has none. */
const TEMPLATED: Readonly<Record<string, Templated>> = {
  deployment: deployments,
  statefulset: statefulSets,
  daemonset: daemonSets,
  replicaset: replicaSets,
};

/** How long what was asked may take to let go of its connections and programs when it is over. */
const LETTING_GO_MS = 100;

/**
 * What is there for completions: in silence, whatever goes wrong, and no longer than the signal lets it. No credential
 * plugin may ask anything, and none outlives the answer: disposing waits for that.
 */
export function openLive(
  { env, home, signal, topics }: {
    readonly env: Readonly<Record<string, string>>;
    readonly home: string;
    readonly signal: AbortSignal;
    readonly topics: readonly string[];
  },
): Live & AsyncDisposable {
  const asked: Promise<unknown>[] = [];
  const or = async (asking: Promise<readonly string[]>) => {
    asked.push(asking);
    const late = new Promise<readonly string[]>((resolve) => {
      if (signal.aborted) resolve([]);
      signal.addEventListener("abort", () => resolve([]), { once: true });
    });
    return await Promise.race([asking.catch(() => []), late]);
  };
  const ask = async <T>(
    { context, namespace }: LiveWhere,
    question: (kube: KubeClient, namespace: string) => Promise<T>,
  ) => {
    const config = await loadKubeconfig({ env, home, signal, ...(context !== undefined && { context }) });
    await using kube = openKubeClient(config, { runtimeAuthorities: chooseAuthorities(authoritiesOf(config)) });
    return await question(kube, namespace ?? config.namespace);
  };
  const names = (resource: Named, where: LiveWhere, isWanted = (_: Metadata) => true) =>
    ask(where, async (kube, namespace) => {
      const { items } = await kube.list(resource, resource.namespaced ? { namespace } : {}, { signal });
      return items.map(({ metadata }) => metadata).filter(isWanted).map(({ name }) => name).sort();
    });
  const specOf = async (kind: string, kube: KubeClient, where: ObjectName) => {
    const resource = TEMPLATED[kind];
    return resource === undefined
      ? (await kube.get(pods, where, { signal })).spec
      : (await kube.get(resource, where, { signal })).spec.template.spec;
  };
  const isOwn = ({ ownerReferences }: Metadata) => ownerReferences.length === 0;
  return {
    contexts: () => or(listContexts({ env, home, signal })),
    namespaces: (where) => or(names(namespaces, where)),
    serviceAccounts: (where) => or(names(serviceAccounts, where)),
    workloads(kind, where) {
      const resource = kind === "pod" ? pods : TEMPLATED[kind];
      // Pods and ReplicaSets that belong to something are made again by it: that is what can be swapped.
      const isWanted = kind === "pod" || kind === "replicaset" ? isOwn : undefined;
      return resource === undefined ? Promise.resolve([]) : or(names(resource, where, isWanted));
    },
    containers: (kind, name, where) =>
      or(ask(where, async (kube, namespace) => {
        const { containers } = await specOf(kind, kube, { namespace, name });
        return containers.map((container) => container.name);
      })),
    leftSessions: () => or(leftSessions({ env, home })),
    topics: () => topics,
    async [Symbol.asyncDispose]() {
      const settled = new AbortController();
      const over = Promise.allSettled(asked).then(() => settled.abort());
      await Promise.race([over, sleep(LETTING_GO_MS, settled.signal).catch(() => {})]);
    },
  };
}
