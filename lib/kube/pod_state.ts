import type { ContainerStatus, Pod } from "./objects.ts";

/** How far a pod is, judged from what the API tells of it. */
export type PodState =
  | { readonly kind: "ready" }
  /** All containers run, and not all say that they are ready. */
  | { readonly kind: "running"; readonly why: string }
  /** On its way; `why` are the API's words where something is in the way that may pass, else empty. */
  | { readonly kind: "waiting"; readonly why: string }
  /** It will not come to run by itself, or not soon; `reason` is one word of the API, `why` its words. */
  | { readonly kind: "failed"; readonly reason: string; readonly why: string };

/** Reasons of a waiting container that do not pass by themselves. Those that may pass once are not among them. */
const LASTING = new Set([
  "CrashLoopBackOff",
  "CreateContainerConfigError",
  "CreateContainerError",
  "ErrImageNeverPull",
  "ImageInspectError",
  "ImagePullBackOff",
  "InvalidImageName",
  "RegistryUnavailable",
  "RunContainerError",
]);
/** What a container waits for in the normal course of things. */
const NORMAL = new Set(["", "ContainerCreating", "PodInitializing"]);

/**
 * Judges a pod by its phase, its conditions and the states of its containers.
 * {@link https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/}
 */
export function podState(pod: Pod): PodState {
  const { phase, reason, message, conditions, initContainerStatuses, containerStatuses } = pod.status;
  const statuses = [...initContainerStatuses, ...containerStatuses];
  const failed = statuses.map(failureOf).find((failure) => failure !== undefined);
  if (failed !== undefined) return failed;
  if (phase === "Failed" || phase === "Succeeded") {
    const ended = containerStatuses.map(endOf).find((words) => words !== undefined);
    return {
      kind: "failed",
      reason: reason || phase,
      why: words(reason, message) || ended || `the pod has ended (${phase})`,
    };
  }
  const ready = conditions.find(({ type }) => type === "Ready");
  if (ready?.status === "True") return { kind: "ready" };
  const running = containerStatuses.length > 0 && containerStatuses.every(({ state }) => state.running !== undefined);
  if (running) return { kind: "running", why: words(ready?.reason ?? "", ready?.message ?? "") };
  const scheduled = conditions.find(({ type, status }) => type === "PodScheduled" && status === "False");
  if (scheduled !== undefined) return { kind: "waiting", why: words(scheduled.reason, scheduled.message) };
  const obstacle = statuses.map(obstacleOf).find((why) => why !== "");
  return { kind: "waiting", why: obstacle ?? "" };
}

function failureOf({ name, state, lastState }: ContainerStatus): PodState | undefined {
  const { waiting } = state;
  if (waiting === undefined || !LASTING.has(waiting.reason)) return undefined;
  const last = lastState.terminated;
  const before = last === undefined
    ? ""
    : `; it ended with exit code ${last.exitCode}${last.reason && ` (${last.reason})`}`;
  return {
    kind: "failed",
    reason: waiting.reason,
    why: `container "${name}": ${words(waiting.reason, waiting.message)}${before}`,
  };
}

function endOf({ name, state }: ContainerStatus): string | undefined {
  const { terminated } = state;
  if (terminated === undefined) return undefined;
  const said = words(terminated.reason, terminated.message);
  return `container "${name}" ended with exit code ${terminated.exitCode}${said && ` (${said})`}`;
}

function obstacleOf({ name, state }: ContainerStatus): string {
  const { waiting } = state;
  if (waiting === undefined || NORMAL.has(waiting.reason)) return "";
  return `container "${name}": ${words(waiting.reason, waiting.message)}`;
}

function words(reason: string, message: string): string {
  return [reason, message].filter((text) => text !== "").join(": ");
}
