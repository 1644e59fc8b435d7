import { isNotFound, type KubeClient, type Pod, pods } from "@/kube/mod.ts";
import { deadline, sleep, UserError } from "@/util/mod.ts";
import type { Plan } from "../plan/plan.ts";
import { judgeProxy } from "../proxy/proxy_state.ts";
import { failure } from "../proxy/wait_for_proxy.ts";
import { whatBecameOf } from "../safety/namespace_gone.ts";
import { TakenOver } from "../workload/take_over.ts";

/** The kubelet tells what became of a container a moment after its connections are gone. */
const TOLD_WITHIN_MS = 1_500;
const PAUSE_MS = 250;
/** How long we look at all: whoever waits here waits for the end of a session. */
const ASK_MS = 4_000;

/**
 * The error for a tunnel that was lost: with its cause as far as the cluster tells (the namespace or the pod was deleted,
 * it was evicted, its agent ended), or else with what the connection says of itself.
 */
export async function explainLoss(plan: Plan, name: string, kube: KubeClient, error: unknown): Promise<UserError> {
  const { namespace } = plan;
  const end = await whatBecameOf(namespace, kube); // first: all else that is lost is lost by that
  if (end !== undefined) {
    return new UserError(`Cannot go on in namespace "${namespace}": ${end}, and the proxy with it`);
  }
  if (error instanceof TakenOver) return error;
  const isKnown = error instanceof UserError && !isNotFound(error);
  const cause = isKnown ? error : await askCluster(plan, name, kube) ?? error;
  return new UserError("Proxy to Kubernetes exited. This is typically due to a lost connection.", { cause });
}

async function askCluster(plan: Plan, name: string, kube: KubeClient): Promise<UserError | undefined> {
  using late = deadline(ASK_MS, () => new UserError("the API server did not answer"));
  const { signal } = late;
  const start = performance.now();
  try {
    for (;;) {
      const pod = await kube.get(pods, { namespace: plan.namespace, name }, { signal });
      const why = await judge(plan, pod, kube, signal);
      if (why !== undefined || performance.now() - start > TOLD_WITHIN_MS) return why;
      await sleep(PAUSE_MS, signal);
    }
  } catch (error) {
    return isNotFound(error) ? podDeleted(plan, name) : undefined; // nobody can be asked: no more is known
  }
}

async function judge(plan: Plan, pod: Pod, kube: KubeClient, signal: AbortSignal): Promise<UserError | undefined> {
  if (pod.metadata.deletionTimestamp) return podDeleted(plan, pod.metadata.name);
  const state = judgeProxy(undefined, pod, plan.container);
  return state.kind === "failed" ? await failure(plan, state, { kube, signal }, "The proxy is gone") : undefined;
}

/** The error for a pod that somebody deleted. */
export function podDeleted({ namespace }: Plan, name: string): UserError {
  return new UserError(`The proxy's pod "${name}" was deleted`, {
    hints: [`kubectl get events --namespace ${namespace} --field-selector involvedObject.name=${name}`],
  });
}
