/**
 * Who else has a hand on the workload: autoscalers, GitOps. Nothing of theirs is changed; the user is told what they
 * will do meanwhile.
 *
 * @module
 */
import {
  horizontalPodAutoscalers,
  isForbidden,
  isNotFound,
  type KeptObject,
  type KubeClient,
  type Resource,
  untyped,
} from "@/kube/mod.ts";
import type { Original } from "./original.ts";

/** KEDA's, where it is installed. */
const scaledObjects: Resource<KeptObject> = untyped({
  group: "keda.sh",
  version: "v1alpha1",
  plural: "scaledobjects",
  kind: "ScaledObject",
  namespaced: true,
  parse: (value) => value,
});

/** What Argo CD, Flux and Helm leave on what they keep, and what that will mean. */
const MARKS: readonly { readonly name: string; readonly value?: RegExp; readonly sentence: string }[] = [
  {
    name: "argocd.argoproj.io/tracking-id",
    sentence: "Argo CD keeps it: with self-heal it scales the original up again beside the proxy",
  },
  {
    name: "argocd.argoproj.io/instance",
    sentence: "Argo CD keeps it: with self-heal it scales the original up again beside the proxy",
  },
  {
    name: "kustomize.toolkit.fluxcd.io/name",
    sentence: "Flux keeps it: where its manifest has a number of replicas, the next reconciliation scales it up again",
  },
  {
    name: "helm.toolkit.fluxcd.io/name",
    sentence: "Flux keeps it: the next upgrade of the release scales it up again",
  },
  {
    name: "app.kubernetes.io/managed-by",
    value: /^Helm$/,
    sentence: "Helm keeps it: an upgrade of the release meanwhile scales it up again",
  },
];

/** Sentences about those who will notice. */
export async function tellKeepers(
  original: Original,
  { kube, namespace, signal }: { kube: KubeClient; namespace: string; signal: AbortSignal },
): Promise<string[]> {
  const target = (spec: unknown) => {
    const { scaleTargetRef } = spec as { scaleTargetRef?: { kind?: string; name?: string } };
    const kind = (scaleTargetRef?.kind ?? "Deployment").toLowerCase(); // KEDA's default
    return kind === original.kind && scaleTargetRef?.name === original.name;
  };
  const [autoscalers, scaled] = await Promise.all([
    visible(() => kube.list(horizontalPodAutoscalers, { namespace }, { signal })),
    visible(() => kube.list(scaledObjects, { namespace }, { signal })),
  ]);
  return [
    ...scaled.filter(({ spec }) => target(spec)).map(({ metadata: { name } }) =>
      `KEDA's ScaledObject "${name}" may scale ${original.kind} ${original.name} up beside the proxy: ` +
      `kubectl annotate scaledobject ${name} --namespace ${namespace} autoscaling.keda.sh/paused=true holds it`
    ),
    ...autoscalers.filter(({ spec }) => target(spec)).map(({ metadata: { name } }) =>
      `HorizontalPodAutoscaler "${name}" stands still while ${original.kind} ${original.name} has no pods, and goes on ` +
      "from the number it had"
    ),
    ...sentencesOfMarks(original),
  ];
}

/** What the workload's labels and annotations say about who keeps it. */
export function sentencesOfMarks({ kind, name, labels, annotations }: Original): string[] {
  const marks = { ...labels, ...annotations };
  const found = MARKS.filter((mark) => {
    const value = marks[mark.name];
    return value !== undefined && (mark.value?.test(value) ?? true);
  });
  return [...new Set(found.map(({ sentence }) => `About ${kind} ${name}: ${sentence}`))];
}

async function visible<T>(list: () => Promise<{ items: T[] }>): Promise<T[]> {
  try {
    return (await list()).items;
  } catch (error) {
    if (isForbidden(error) || isNotFound(error)) return [];
    throw error;
  }
}
