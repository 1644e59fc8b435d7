import { type Deployment, lastEnd, type Pod, podState } from "@/kube/mod.ts";
import { NEW_CONTAINER } from "../plan/plan.ts";

/** How far the proxy is, judged from what the API tells of it. */
export type ProxyState =
  | { readonly kind: "running"; readonly pod: string }
  /** On its way; `why` are the API's words where there is an obstacle that may pass. */
  | { readonly kind: "waiting"; readonly why?: string }
  /** It will not come to run without somebody's help; `why` are the API's words. */
  | { readonly kind: "failed"; readonly cause: FailureCause; readonly why: string; readonly pod?: string };

/** What can keep a proxy from running, each with its own words for the user. */
export type FailureCause = "image" | "quota" | "admission" | "configuration" | "crash" | "evicted" | "given up";

/** Judges the proxy by its Deployment, the newest of its pods, and the agent's container in that. */
export function judgeProxy(
  deployment: Deployment | undefined,
  pod: Pod | undefined,
  container = NEW_CONTAINER,
): ProxyState {
  if (pod !== undefined) return judgePod(pod, container);
  const failure = deployment?.status.conditions.find(({ type, status }) =>
    type === "ReplicaFailure" && status === "True"
  );
  if (failure === undefined) return { kind: "waiting" };
  // In a namespace that is a second old: its service account comes a moment later, and the pod with it.
  if (/error looking up service account/.test(failure.message)) return { kind: "waiting", why: failure.message };
  const cause = /exceeded quota|must specify limits/.test(failure.message) ? "quota" : "admission";
  return { kind: "failed", cause, why: failure.message };
}

function judgePod(pod: Pod, agent: string): ProxyState {
  const { name } = pod.metadata;
  const state = podState(pod, agent);
  const failed = (cause: FailureCause, why: string) => ({ kind: "failed", cause, why, pod: name } as const);
  if (state.kind === "failed" && state.trouble === "over" && state.reason === pod.status.reason) {
    return failed("evicted", state.why);
  }
  // An agent that ended has lost what the session had in it, even where it was started again.
  const ended = lastEnd(pod, agent);
  if (ended !== undefined) {
    return failed("crash", `the agent ended with exit code ${ended.exitCode}${ended.reason && ` (${ended.reason})`}`);
  }
  switch (state.kind) {
    case "ready":
    case "running":
      return { kind: "running", pod: name };
    case "waiting":
      return state.why === "" ? { kind: "waiting" } : { kind: "waiting", why: state.why };
    case "failed":
      return failed(state.trouble === "over" ? "crash" : state.trouble, state.why);
  }
}
