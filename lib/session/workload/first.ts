import { isForbidden, isNotFound, type KubeClient, KubeError, persistentVolumeClaims, pods } from "@/kube/mod.ts";
import type { Original } from "./original.ts";

/** What is known about the cluster, beside the workload, when it is decided who goes first. */
export interface Facts {
  /** Access modes of the claims in the template, by their names. */
  readonly accessModes: Readonly<Record<string, readonly string[]>>;
  /** The API server's words when the namespace's quota has no room for the proxy beside the original. */
  readonly overQuota?: string;
}

/** A row: what stands in the way of both being there, in the words for the user; undefined when it does not. */
type Obstacle = (original: Original, facts: Facts) => string | undefined;

/** Why the original has to go before the proxy can come: the first row that applies is told. */
const OBSTACLES: readonly Obstacle[] = [
  ({ kind }) => kind === "statefulset" ? "its pods have names and volumes of their own" : undefined,
  ({ kind }) => kind === "daemonset" ? "a DaemonSet's pod has its node for itself" : undefined,
  ({ kind }) => kind === "pod" ? "a bare Pod cannot be scaled" : undefined,
  ({ template }) => template.spec.hostNetwork ? "its pod uses the node's network" : undefined,
  ({ template }) => {
    const port = template.spec.containers.flatMap(({ ports }) => ports).find((one) => one["hostPort"] !== undefined);
    return port && `its pod has port ${port["hostPort"]} of the node`;
  },
  (original, { accessModes }) => {
    const alone = claimsOf(original).find((claim) => {
      const modes = accessModes[claim];
      return modes !== undefined && !modes.some((mode) => mode === "ReadWriteMany" || mode === "ReadOnlyMany");
    });
    return alone && `its volume "${alone}" can be used on one node at a time`;
  },
  ({ template }) => {
    const required = antiAffinityOf(template.spec["affinity"]);
    const itself = required.some(({ labelSelector }) => matches(labelSelector, template.metadata.labels));
    return itself ? "its pods may not be on a node with each other" : undefined;
  },
  (_original, { overQuota }) => overQuota && `the namespace's quota has no room for both (${overQuota})`,
];

/** Why the original has to go before the proxy can come; undefined where both can be there for a moment. */
export function whyOriginalFirst(original: Original, facts: Facts): string | undefined {
  for (const obstacle of OBSTACLES) {
    const why = obstacle(original, facts);
    if (why !== undefined) return why;
  }
  return undefined;
}

/** What reading facts needs. */
export interface FactsOptions {
  readonly kube: KubeClient;
  readonly namespace: string;
  readonly signal: AbortSignal;
}

/** Asks the cluster for the facts; what we may not see does not count. */
export async function readFacts(
  original: Original,
  template: { readonly metadata: { readonly labels: Readonly<Record<string, string>> }; readonly spec: unknown },
  options: FactsOptions,
): Promise<Facts> {
  const { kube, namespace, signal } = options;
  const claims = await Promise.all(
    claimsOf(original).map(async (name) => {
      try {
        const { spec } = await kube.get(persistentVolumeClaims, { namespace, name }, { signal });
        return [[name, spec.accessModes] as const];
      } catch (error) {
        if (!isForbidden(error) && !isNotFound(error)) throw error;
        return [];
      }
    }),
  );
  const overQuota = await wordsOfQuota(template, options);
  return { accessModes: Object.fromEntries(claims.flat()), ...(overQuota !== undefined && { overQuota }) };
}

/** Lets the API server judge the proxy's pod, without making it. */
async function wordsOfQuota(
  { metadata, spec }: {
    readonly metadata: { readonly labels: Readonly<Record<string, string>> };
    readonly spec: unknown;
  },
  { kube, namespace, signal }: FactsOptions,
): Promise<string | undefined> {
  const name = `telepresence-${crypto.randomUUID().slice(0, 8)}`;
  const pod = { metadata: { name, namespace, labels: metadata.labels }, spec };
  try {
    await kube.create(pods, pod, { dryRun: true, signal });
    return undefined;
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    // Everything else that is wrong with the pod is told when its controller tries to make it.
    return /exceeded quota: (.*)$/.exec(error.words)?.[1];
  }
}

/** Names of the persistent volume claims that pods of the template use. */
export function claimsOf({ template }: Original): string[] {
  const volumes = (template.spec["volumes"] ?? []) as { persistentVolumeClaim?: { claimName: string } }[];
  return volumes.flatMap(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName ?? []);
}

interface Selector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: readonly string[];
  }[];
}

function antiAffinityOf(affinity: unknown): { labelSelector?: Selector }[] {
  const { podAntiAffinity } = (affinity ?? {}) as {
    podAntiAffinity?: { requiredDuringSchedulingIgnoredDuringExecution?: { labelSelector?: Selector }[] };
  };
  return podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
}

function matches(selector: Selector | undefined, labels: Readonly<Record<string, string>>): boolean {
  if (selector === undefined) return false;
  const all = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
  return all && (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
    const value = labels[key];
    switch (operator) {
      case "In":
        return value !== undefined && values.includes(value);
      case "NotIn":
        return value === undefined || !values.includes(value);
      case "Exists":
        return value !== undefined;
      case "DoesNotExist":
        return value === undefined;
      default:
        return false;
    }
  });
}
