import { type KubeClient, type Pod, pods } from "@/kube/mod.ts";
import { SESSION_LABEL } from "../labels.ts";
import type { Original } from "./original.ts";

/**
 * The pods that a workload has, to be asked what its template does not say. The proxy of the session before ours has the
 * same labels until it is gone, and whoever asked it would hear of the agent; what is ending answers no more.
 */
export async function podsOf(
  { kind, name, template }: Original,
  { kube, namespace, signal }: { readonly kube: KubeClient; readonly namespace: string; readonly signal: AbortSignal },
): Promise<Pod[]> {
  const labels = Object.entries(template.metadata.labels);
  if (labels.length === 0 && kind !== "pod") return [];
  const labelSelector = labels.map(([key, value]) => `${key}=${value}`).join();
  const { items } = await kube.list(pods, { namespace, ...(labelSelector && { labelSelector }) }, { signal });
  return items.filter(({ metadata }) => {
    const isOthers = kind === "pod" && metadata.name !== name;
    return !isOthers && metadata.labels[SESSION_LABEL] === undefined && metadata.deletionTimestamp === undefined;
  });
}
