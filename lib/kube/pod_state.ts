import type { ContainerStatus, Pod } from "./objects.ts";

/**
 * What keeps a pod from running: its image, what it is configured with, a program that does not stay up, or that its
 * life is over (it has ended, or was evicted).
 */
export type PodTrouble = "image" | "configuration" | "crash" | "over";

/** How far a pod is, judged from what the API tells of it. */
export type PodState =
  | { readonly kind: "ready" }
  /** All containers that count run, and not all say that they are ready. */
  | { readonly kind: "running"; readonly why: string }
  /** On its way; `why` are the API's words where something is in the way that may pass, else empty. */
  | { readonly kind: "waiting"; readonly why: string }
  /** It will not come to run by itself, or not soon; `reason` is one word of the API, `why` its words. */
  | { readonly kind: "failed"; readonly trouble: PodTrouble; readonly reason: string; readonly why: string };

/** How a run of a container ended. */
export type ContainerEnd = NonNullable<ContainerStatus["state"]["terminated"]>;

/** Reasons of a waiting container that do not pass by themselves. Those that may pass once are not among them. */
const LASTING: Readonly<Record<string, PodTrouble>> = {
  CrashLoopBackOff: "crash",
  CreateContainerConfigError: "configuration",
  CreateContainerError: "configuration",
  ErrImageNeverPull: "image",
  ImageInspectError: "image",
  ImagePullBackOff: "image",
  InvalidImageName: "image",
  RegistryUnavailable: "image",
  RunContainerError: "configuration",
};
/** What a container waits for in the normal course of things. */
const NORMAL = new Set(["", "ContainerCreating", "PodInitializing"]);

/**
 * Judges a pod by its phase, its conditions and the states of its containers.
 * {@link https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/}
 *
 * @param container the only one that counts, beside those that have to end before it (init containers); it is not
 * named in the words then. Without it, all of them count.
 */
export function podState(pod: Pod, container?: string): PodState {
  const { phase, reason, message, conditions, initContainerStatuses } = pod.status;
  const counting = pod.status.containerStatuses.filter(({ name }) => container === undefined || name === container);
  const statuses = [...initContainerStatuses, ...counting];
  const lead = ({ name }: ContainerStatus) => name === container ? "" : `container "${name}": `;
  if (phase === "Failed" && reason !== "") {
    return { kind: "failed", trouble: "over", reason, why: words(reason, message) };
  }
  const failed = statuses.map((status) => failureOf(status, lead(status))).find((failure) => failure !== undefined);
  if (failed !== undefined) return failed;
  if (phase === "Failed" || phase === "Succeeded") {
    const ended = counting.map(endOf).find((words) => words !== undefined);
    return { kind: "failed", trouble: "over", reason: phase, why: ended ?? `the pod has ended (${phase})` };
  }
  const ready = conditions.find(({ type }) => type === "Ready");
  if (container === undefined ? ready?.status === "True" : counting[0]?.ready) return { kind: "ready" };
  const running = counting.length > 0 && counting.every(({ state }) => state.running !== undefined);
  if (running) return { kind: "running", why: words(ready?.reason ?? "", ready?.message ?? "") };
  const scheduled = conditions.find(({ type, status }) => type === "PodScheduled" && status === "False");
  if (scheduled !== undefined) return { kind: "waiting", why: words(scheduled.reason, scheduled.message) };
  const obstacle = statuses.map((status) => obstacleOf(status, lead(status))).find((why) => why !== "");
  return { kind: "waiting", why: obstacle ?? "" };
}

/** How the last run of a container of a pod ended; undefined while its first one goes on or is still to come. */
export function lastEnd({ status }: Pod, container: string): ContainerEnd | undefined {
  const found = status.containerStatuses.find(({ name }) => name === container);
  return found?.state.terminated ?? found?.lastState.terminated;
}

function failureOf({ state, lastState }: ContainerStatus, lead: string): PodState | undefined {
  const { waiting } = state;
  const trouble = LASTING[waiting?.reason ?? ""];
  if (waiting === undefined || trouble === undefined) return undefined;
  const last = lastState.terminated;
  const before = last === undefined
    ? ""
    : `; it ended with exit code ${last.exitCode}${last.reason && ` (${last.reason})`}`;
  const why = `${lead}${words(waiting.reason, waiting.message)}${before}`;
  return { kind: "failed", trouble, reason: waiting.reason, why };
}

function endOf({ name, state }: ContainerStatus): string | undefined {
  const { terminated } = state;
  if (terminated === undefined) return undefined;
  const said = words(terminated.reason, terminated.message);
  return `container "${name}" ended with exit code ${terminated.exitCode}${said && ` (${said})`}`;
}

function obstacleOf({ state }: ContainerStatus, lead: string): string {
  const { waiting } = state;
  if (waiting === undefined || NORMAL.has(waiting.reason)) return "";
  return `${lead}${words(waiting.reason, waiting.message)}`;
}

function words(reason: string, message: string): string {
  return [reason, message].filter((text) => text !== "").join(": ");
}
