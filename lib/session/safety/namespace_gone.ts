import { configMaps, isNamespaceTerminating, isNotFound, type KubeClient } from "@/kube/mod.ts";
import { deadline } from "@/util/mod.ts";

/** Whoever asks stands before the end of a session. */
const ANSWER_MS = 2_000;

/** Whether a create was refused because its namespace is gone or on its way. */
export function isNamespaceGone(error: unknown): boolean {
  return isNotFound(error) || isNamespaceTerminating(error);
}

/**
 * What became of a namespace, as the end of a sentence; undefined while it is there, or when nothing can be learned.
 * Asked by a create that the server only tries: a session has the right to that, and seldom one to read namespaces. It
 * does not throw.
 */
export async function whatBecameOf(namespace: string, kube: KubeClient): Promise<string | undefined> {
  using late = deadline(ANSWER_MS, () => new Error("The API server does not answer"));
  const { signal } = late;
  try {
    await kube.create(configMaps, { metadata: { generateName: "telepresence-", namespace } }, { dryRun: true, signal });
    return undefined;
  } catch (error) {
    if (isNotFound(error)) return "it was deleted";
    return isNamespaceTerminating(error) ? "it is being deleted" : undefined;
  }
}
