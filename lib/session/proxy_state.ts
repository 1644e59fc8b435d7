import type { Deployment, Pod } from "@/kube/mod.ts";
import { NEW_CONTAINER } from "./plan.ts";

/** How far the proxy is, judged from what the API tells of it. */
export type ProxyState =
  | { readonly kind: "running"; readonly pod: string }
  /** On its way; `why` are the API's words where there is an obstacle that may pass. */
  | { readonly kind: "waiting"; readonly why?: string }
  /** It will not come to run without somebody's help; `why` are the API's words. */
  | { readonly kind: "failed"; readonly cause: FailureCause; readonly why: string; readonly pod?: string };

/** What can keep a proxy from running, each with its own words for the user. */
export type FailureCause = "image" | "quota" | "admission" | "configuration" | "crash" | "evicted";

/** Reasons of a waiting container that do not pass by themselves, or not soon. */
const WAITING_FAILURES: Readonly<Record<string, FailureCause>> = {
  ErrImageNeverPull: "image",
  ImagePullBackOff: "image",
  InvalidImageName: "image",
  ImageInspectError: "image",
  RegistryUnavailable: "image",
  CreateContainerConfigError: "configuration",
  CreateContainerError: "configuration",
  RunContainerError: "configuration",
  CrashLoopBackOff: "crash",
};

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

function judgePod({ metadata: { name }, status }: Pod, agent: string): ProxyState {
  if (status.phase === "Failed" && status.reason !== "") {
    return { kind: "failed", cause: "evicted", why: `${status.reason}: ${status.message}`, pod: name };
  }
  const container = status.containerStatuses.find((candidate) => candidate.name === agent);
  if (container === undefined) return { kind: "waiting", ...unschedulable(status.conditions) };
  const { waiting, running, terminated } = container.state;
  const ended = terminated ?? container.lastState.terminated;
  if (ended !== undefined) {
    const why = `the agent ended with exit code ${ended.exitCode}${ended.reason && ` (${ended.reason})`}`;
    return { kind: "failed", cause: "crash", why, pod: name };
  }
  if (running !== undefined) return { kind: "running", pod: name };
  if (waiting === undefined) return { kind: "waiting" };
  const words = [waiting.reason, waiting.message].filter((word) => word !== "").join(": ");
  const cause = WAITING_FAILURES[waiting.reason];
  if (cause !== undefined) return { kind: "failed", cause, why: words, pod: name };
  return waiting.reason === "ContainerCreating" ? { kind: "waiting" } : { kind: "waiting", why: words };
}

function unschedulable(conditions: Pod["status"]["conditions"]): { why?: string } {
  const scheduled = conditions.find(({ type, status }) => type === "PodScheduled" && status === "False");
  return scheduled === undefined ? {} : { why: `${scheduled.reason}: ${scheduled.message}` };
}
