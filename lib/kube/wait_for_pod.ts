import { UserError } from "@/util/mod.ts";
import type { KubeClient } from "./kube_client.ts";
import { events, type Pod, pods } from "./objects.ts";
import { podState } from "./pod_state.ts";

/** Which pod is waited for, and how far it must be. */
export interface PodWait {
  /** @default {the configuration's namespace} */
  readonly namespace?: string;
  /** As in `kubectl -l`; of several pods the newest one counts, so that a replaced pod is followed. */
  readonly labelSelector: string;
  /** @default {"ready"} */
  readonly until?: "ready" | "running";
  /** Told what is in the way and may pass, in the API's words: each once. */
  readonly onObstacle?: (words: string) => void;
  /** Ends the wait. */
  readonly signal?: AbortSignal;
}

/**
 * Waits until a pod runs or is ready. What stands in its way is told from its conditions, the states of its containers
 * and the warnings of its events (which alone tell of a volume that cannot be mounted).
 *
 * @throws {UserError} when the pod will not come to run without somebody's help; the signal's reason
 */
export async function waitForPod(kube: KubeClient, wait: PodWait): Promise<Pod> {
  const { namespace = kube.config.namespace, labelSelector, until = "ready", onObstacle = () => {}, signal } = wait;
  const done = new AbortController();
  const either = signal ? AbortSignal.any([signal, done.signal]) : done.signal;
  const told = new Set<string>();
  const tell = (words: string) => {
    if (words === "" || told.has(words)) return;
    told.add(words);
    onObstacle(words);
  };
  const known = new Map<string, Pod>();
  const warning = watchWarnings(kube, namespace, known, tell, either);
  try {
    for await (const { type, object } of kube.watch(pods, { namespace, labelSelector }, { signal: either })) {
      if (type === "DELETED" || object.metadata.deletionTimestamp) known.delete(object.metadata.uid);
      else known.set(object.metadata.uid, object);
      const pod = newest(known);
      if (pod === undefined) continue;
      const state = podState(pod);
      if (state.kind === "ready" || state.kind === "running" && until === "running") return pod;
      if (state.kind === "failed") throw failure(pod, state.why);
      tell(state.why);
    }
    throw new TypeError("Cannot wait for a pod: the watch ended"); // it ends by throwing alone
  } finally {
    done.abort();
    await warning;
  }
}

/** Tells the warnings of the pods that are known. What fails here fails nobody: events are an extra. */
async function watchWarnings(
  kube: KubeClient,
  namespace: string,
  known: ReadonlyMap<string, Pod>,
  tell: (words: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const fieldSelector = "involvedObject.kind=Pod,type=Warning";
  try {
    for await (const { object } of kube.watch(events, { namespace, fieldSelector }, { signal })) {
      const { involvedObject, reason, message } = object;
      if (known.has(involvedObject.uid)) tell(`${reason}: ${message}`);
    }
  } catch {
    // The wait is over, or we may not see events.
  }
}

function newest(known: ReadonlyMap<string, Pod>): Pod | undefined {
  const age = ({ metadata }: Pod) => metadata.creationTimestamp ?? "";
  return [...known.values()].sort((a, b) => age(a) < age(b) ? -1 : age(a) > age(b) ? 1 : 0).at(-1);
}

function failure({ metadata }: Pod, why: string): UserError {
  const place = `--namespace ${metadata.namespace ?? "default"}`;
  return new UserError(`Cannot wait for pod "${metadata.name}": it will not run: ${why}`, {
    hints: [`kubectl describe pod ${metadata.name} ${place}`, `kubectl logs ${metadata.name} ${place} --previous`],
  });
}
