import type { Deployment } from "@/kube/mod.ts";

/** Pure: why a Deployment makes no pod, as the end of a sentence; undefined when it does. */
export function whyNoPodComes(deployment: Deployment | undefined): string | undefined {
  if (deployment === undefined || deployment.metadata.deletionTimestamp) return "was deleted";
  return deployment.spec.replicas === 0 ? "was scaled to 0" : undefined;
}
