import { deployments, isNotFound, type KubeClient, type Pod, podState } from "@/kube/mod.ts";
import { UserError } from "@/util/mod.ts";
import type { Plan } from "../plan/plan.ts";
import { whyNoPodComes } from "../workload/no_pod.ts";
import type { AgentRun } from "./pod_loss.ts";

/**
 * Pure: a pod as one that comes after a run of the agent, or undefined while it has that run alone. In the pod of the
 * run itself, its container is another run once it was started again; that the one before it ended is no news then.
 */
export function asSuccessor(pod: Pod, past: AgentRun): Pod | undefined {
  if (pod.metadata.uid !== past.uid) return pod;
  const { containerStatuses } = pod.status;
  const container = containerStatuses.find(({ name }) => name === past.container);
  const { state, containerID = "" } = container ?? { state: {} };
  const isStartedAgain = containerID !== past.containerId && state.running !== undefined;
  const isGivenUp = podState(pod, past.container).kind === "failed" && state.waiting !== undefined;
  if (!isStartedAgain && !isGivenUp) return undefined;
  const fresh = containerStatuses.map((each) =>
    each === container && isStartedAgain ? { ...each, lastState: {} } : each
  );
  return { ...pod, status: { ...pod.status, containerStatuses: fresh } };
}

/**
 * Sees that the proxy's Deployment is still there to make another pod.
 *
 * @throws {UserError} when it is not: then none will come
 */
export async function requireDeployment(
  { namespace, name }: Plan,
  { kube, signal }: { readonly kube: KubeClient; readonly signal: AbortSignal },
): Promise<void> {
  const found = await kube.get(deployments, { namespace, name }, { signal }).catch((error) => {
    if (isNotFound(error)) return undefined;
    throw error;
  });
  const why = whyNoPodComes(found);
  if (why !== undefined) throw new UserError(`No other pod of the proxy comes: deployment "${name}" ${why}`);
}
