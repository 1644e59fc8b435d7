import { UserError } from "@/util/mod.ts";
import type { KubeClient } from "./kube_client.ts";
import { events, type KubeEvent, type Pod, pods } from "./objects.ts";
import { podState } from "./pod_state.ts";

/** Which pod is waited for, and how far it must be. */
export interface PodWait {
  /** @default {the configuration's namespace} */
  readonly namespace?: string;
  /**
   * As in `kubectl -l`. Of several pods the newest one counts, so that a replaced pod is followed; one whose life is over
   * is waited on where a controller will replace it.
   */
  readonly labelSelector: string;
  /** The workload that makes the pods, by its name: what keeps it from making one (a quota, a policy) is told as well. */
  readonly madeBy?: string;
  /** The only container that counts. @default {all of them} */
  readonly container?: string;
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
  const { namespace = kube.config.namespace, labelSelector, container, until = "ready", signal } = wait;
  const done = new AbortController();
  const either = signal ? AbortSignal.any([signal, done.signal]) : done.signal;
  const told = new Set<string>();
  const tell = (words: string) => {
    if (words === "" || told.has(words)) return;
    told.add(words);
    wait.onObstacle?.(words);
  };
  const known = new Map<string, Pod>();
  const warning = Promise.all([
    tellWarnings(kube, namespace, known, tell, either),
    wait.madeBy === undefined ? undefined : tellUnmade(kube, namespace, { madeBy: wait.madeBy, known }, tell, either),
  ]);
  try {
    for await (const { type, object } of kube.watch(pods, { namespace, labelSelector }, { signal: either })) {
      if (type === "DELETED" || object.metadata.deletionTimestamp) known.delete(object.metadata.uid);
      else known.set(object.metadata.uid, object);
      const pod = newestPod(known.values());
      if (pod === undefined) continue;
      const state = podState(pod, container);
      if (state.kind === "ready" || state.kind === "running" && until === "running") return pod;
      if (state.kind === "failed" && !(state.trouble === "over" && isReplaced(pod))) throw failure(pod, state.why);
      tell(state.why);
    }
    throw new TypeError("Cannot wait for a pod: the watch ended"); // it ends by throwing alone
  } finally {
    done.abort();
    await warning;
  }
}

/** Tells the warnings of the pods that are known. */
async function tellWarnings(
  kube: KubeClient,
  namespace: string,
  known: ReadonlyMap<string, Pod>,
  tell: (words: string) => void,
  signal: AbortSignal,
): Promise<void> {
  for await (const { involvedObject, type, reason, message } of podEvents(kube, { namespace, signal })) {
    if (type === "Warning" && known.has(involvedObject.uid)) tell(`${reason}: ${message}`);
  }
}

/** Tells why a workload, or what it makes its pods by, could not make one, while there is none. */
async function tellUnmade(
  kube: KubeClient,
  namespace: string,
  { madeBy, known }: { madeBy: string; known: ReadonlyMap<string, Pod> },
  tell: (words: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const failures = eventsOf(kube, { namespace, fieldSelector: "reason=FailedCreate,type=Warning", signal });
  for await (const { involvedObject: { name }, reason, message } of failures) {
    const isOurs = name === madeBy || name.startsWith(`${madeBy}-`); // a Deployment's replica set
    if (isOurs && known.size === 0) tell(`${reason}: ${message}`);
  }
}

/**
 * Events of the pods of a namespace, the ones that are stored first: they alone tell of an image that is being pulled, a
 * volume that cannot be mounted or a sandbox that cannot be made. What fails here fails nobody, as events are an extra:
 * it ends when `signal` aborts, and when we may not see them.
 */
export async function* podEvents(
  kube: KubeClient,
  { namespace, signal }: { namespace: string; signal: AbortSignal },
): AsyncGenerator<KubeEvent, void, void> {
  yield* eventsOf(kube, { namespace, fieldSelector: "involvedObject.kind=Pod", signal });
}

async function* eventsOf(
  kube: KubeClient,
  { namespace, fieldSelector, signal }: { namespace: string; fieldSelector: string; signal: AbortSignal },
): AsyncGenerator<KubeEvent, void, void> {
  const changes = kube.watch(events, { namespace, fieldSelector }, { signal })[Symbol.asyncIterator]();
  for (;;) {
    const next = await changes.next().catch(() => undefined);
    if (next === undefined || next.done) return;
    if (next.value.type !== "DELETED") yield next.value.object;
  }
}

/** Of several pods the one that was made last: it is meant when one replaces another. */
export function newestPod(known: Iterable<Pod>): Pod | undefined {
  const age = ({ metadata }: Pod) => metadata.creationTimestamp ?? "";
  return [...known].sort((a, b) => age(a) < age(b) ? -1 : age(a) > age(b) ? 1 : 0).at(-1);
}

/** Whether somebody makes another pod when this one is over; a Job's pod ends because its work does. */
function isReplaced({ metadata }: Pod): boolean {
  return metadata.ownerReferences.some(({ controller, kind }) => controller && kind !== "Job");
}

function failure({ metadata }: Pod, why: string): UserError {
  const place = `--namespace ${metadata.namespace ?? "default"}`;
  return new UserError(`Cannot wait for pod "${metadata.name}": it will not run: ${why}`, {
    hints: [`kubectl describe pod ${metadata.name} ${place}`, `kubectl logs ${metadata.name} ${place} --previous`],
  });
}
