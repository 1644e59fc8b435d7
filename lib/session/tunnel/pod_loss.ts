import { isNotFound, type KubeClient, lastEnd, type Pod, pods, podState } from "@/kube/mod.ts";
import { LinkLost } from "@/transport/mod.ts";
import { deadline } from "@/util/mod.ts";

/** How long the API server may take to say what became of a pod. */
const ANSWER_MS = 4_000;

/** The one run of an agent that a tunnel leads to: a restarted container or a new pod of the same name is another. */
export interface AgentRun {
  readonly namespace: string;
  readonly pod: string;
  /** The agent's container. */
  readonly container: string;
  readonly uid: string;
  /** Empty where the node does not tell it. */
  readonly containerId: string;
}

/** Which run of the agent a pod has now. */
export async function findAgentRun(
  kube: KubeClient,
  where: { namespace: string; pod: string; container: string; signal: AbortSignal },
): Promise<AgentRun> {
  const { namespace, pod, container, signal } = where;
  const { metadata: { uid }, status } = await kube.get(pods, { namespace, name: pod }, { signal });
  const found = status.containerStatuses.find(({ name }) => name === container);
  return { namespace, pod, container, uid, containerId: found?.containerID ?? "" };
}

/**
 * What became of the agent's run, when it is known to be over; undefined when it goes on or nothing can be learned.
 * It does not throw.
 */
export async function findLoss(kube: KubeClient, run: AgentRun): Promise<LinkLost | undefined> {
  using late = deadline(ANSWER_MS, () => new Error("The API server does not answer"));
  try {
    const found = await kube.get(pods, { namespace: run.namespace, name: run.pod }, { signal: late.signal });
    const words = describeLoss(found, run);
    return words === undefined ? undefined : new LinkLost(words);
  } catch (error) {
    if (!isNotFound(error)) return undefined; // not reachable, not allowed: nothing is known
    return new LinkLost(`The proxy's pod "${run.pod}" was deleted`);
  }
}

/** Pure: why the run is over, judged by the pod as it is now; undefined while it goes on. */
export function describeLoss(found: Pod, run: AgentRun): string | undefined {
  const { metadata, status } = found;
  const pod = `The proxy's pod "${run.pod}"`;
  if (metadata.uid !== run.uid) return `${pod} was replaced by another of the same name`;
  const state = podState(found, run.container);
  const isOver = state.kind === "failed" && state.trouble === "over";
  if (isOver && state.reason === status.reason) return `${pod} was taken away: ${state.why}`;
  if (metadata.deletionTimestamp) return `${pod} is being deleted`;
  const container = status.containerStatuses.find(({ name }) => name === run.container);
  const same = container?.containerID === run.containerId || run.containerId === "";
  const ended = same ? container?.state.terminated : lastEnd(found, run.container);
  if (ended !== undefined) {
    const why = ended.reason && ended.reason !== "Error" && ended.reason !== "Completed" ? ` (${ended.reason})` : "";
    return `The agent in pod "${run.pod}" ended with exit code ${ended.exitCode}${why}`;
  }
  return same ? undefined : `The agent in pod "${run.pod}" was restarted`;
}
