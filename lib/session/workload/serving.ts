/**
 * Who is found by the cluster when: the proxy's pod gets its last labels and loses them again, and the original is
 * waited for.
 *
 * @module
 */
import {
  daemonSets,
  type Deployment,
  deployments,
  isNotFound,
  type KubeClient,
  type Pod,
  pods,
  podState,
  replicaSets,
  type Resource,
  type StatefulSet,
  statefulSets,
} from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import { messageOf, sleep } from "@/util/mod.ts";
import type { ExposedPort, Plan } from "../plan/plan.ts";
import type { PlaceStep } from "../safety/record.ts";
import type { Original } from "./original.ts";
import { heldBackLabels } from "./proxy_template.ts";

/**
 * How long until every node knows a change of a Service's pods: the endpoint controller takes some 100 ms, kube-proxy
 * by default at most a second more. Nothing in the API tells when it is done.
 */
const SETTLE_MS = 1500;
/** How long the pod's other containers may take to be ready. */
const READY_MS = 60_000;
const POLL_MS = 200;
/** How long taking the labels away may take. */
const LEAVE_MS = 5000;
const CONNECT_MS = 1000;

/** What entering and leaving need. */
export interface ServingOptions {
  readonly kube: KubeClient;
  readonly log: Log;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Lets Services find the proxy's pod, and waits until they do. */
export async function enter(original: Original, pod: string, plan: Plan, options: ServingOptions): Promise<void> {
  const { kube, log, say, signal } = options;
  const labels = heldBackLabels(original);
  if (Object.keys(labels).length === 0) return; // no Service: nobody looks for it
  const where = { namespace: plan.namespace, name: pod };
  await kube.patch(pods, where, { type: "merge", body: { metadata: { labels } } }, { signal });
  log.info(`Services ${original.services.join(", ")} find the proxy`);
  const end = performance.now() + READY_MS;
  for (let state; !isReady(state = await kube.get(pods, where, { signal }));) {
    if (performance.now() > end) {
      const waiting = state.status.containerStatuses.filter(({ ready }) => !ready).map(({ name }) => name);
      say(
        `The proxy's pod is not ready after ${READY_MS / 1000} s because of: ${waiting.join(", ") || "its conditions"}`,
      );
      break;
    }
    await sleep(POLL_MS, signal);
  }
  await sleep(SETTLE_MS, signal);
}

/** Takes the proxy's pod out of the Services, and serves those who have not heard of it yet. */
export async function leave(original: Original, pod: string, plan: Plan, options: ServingOptions): Promise<void> {
  const { kube, log } = options;
  const labels = Object.fromEntries(Object.keys(heldBackLabels(original)).map((name) => [name, null]));
  if (Object.keys(labels).length === 0) return;
  const signal = AbortSignal.timeout(LEAVE_MS); // its own: what ended the session does not end its clean-up
  const where = { namespace: plan.namespace, name: pod };
  try {
    await kube.patch(pods, where, { type: "merge", body: { metadata: { labels } } }, { signal });
  } catch (error) {
    log.info(`The proxy's pod keeps its labels to its end: ${messageOf(error)}`); // it goes next, labels and all
    return;
  }
  if (await isServing(plan.expose)) await sleep(SETTLE_MS);
}

function isReady(pod: Pod): boolean {
  return podState(pod).kind === "ready";
}

/** Whether somebody listens on the host where the exposed ports lead. */
export async function isServing(expose: readonly ExposedPort[]): Promise<boolean> {
  const asked = await Promise.all(expose.map(async ({ host }) => {
    try {
      using _there = await Deno.connect({ hostname: "127.0.0.1", port: host, signal: AbortSignal.timeout(CONNECT_MS) });
      return true;
    } catch {
      return false;
    }
  }));
  return asked.includes(true);
}

/**
 * Waits until the original has its pods again, all of them ready, and is found.
 *
 * @returns whether it has, within `timeoutMs`
 */
export async function waitUntilBack(
  step: PlaceStep,
  options: Pick<ServingOptions, "kube" | "log"> & { readonly namespace: string; readonly timeoutMs: number },
): Promise<boolean> {
  const { log, timeoutMs } = options;
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    while (!await isBack(step, options, signal)) await sleep(POLL_MS, signal);
    await sleep(Math.min(SETTLE_MS, timeoutMs));
    return true;
  } catch (error) {
    if (!signal.aborted) log.info(`Cannot see whether the original is back: ${messageOf(error)}`);
    return isNotFound(error);
  }
}

async function isBack(
  { workload, name, replicas }: PlaceStep,
  { kube, namespace }: { readonly kube: KubeClient; readonly namespace: string },
  signal: AbortSignal,
): Promise<boolean> {
  const where = { namespace, name };
  switch (workload) {
    case "deployment":
    case "statefulset": {
      const resource: Resource<Deployment | StatefulSet> = workload === "deployment" ? deployments : statefulSets;
      const { metadata, status } = await kube.get(resource, where, { signal });
      return status.observedGeneration >= metadata.generation && status.readyReplicas >= replicas;
    }
    case "replicaset":
      return (await kube.get(replicaSets, where, { signal })).status.readyReplicas >= replicas;
    case "daemonset": {
      const { status } = await kube.get(daemonSets, where, { signal });
      return status.desiredNumberScheduled > 0 && status.numberReady >= status.desiredNumberScheduled;
    }
    case "pod":
      return isReady(await kube.get(pods, where, { signal }));
  }
}
