import {
  type Deployment,
  deployments,
  events,
  type KubeClient,
  type KubeEvent,
  newestPod,
  type Pod,
  podEvents,
  pods,
  type WatchEvent,
} from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import { deadline, messageOf, sleep, UserError } from "@/util/mod.ts";
import type { Plan } from "../plan/plan.ts";
import type { AgentRun } from "../tunnel/pod_loss.ts";
import { type FailureCause, judgeProxy, type ProxyState } from "./proxy_state.ts";
import { asSuccessor } from "../tunnel/successor.ts";
import { whyNoPodComes } from "../workload/no_pod.ts";
import type { Teller } from "../teller.ts";

/** As Telepresence 1. */
const READY_MS = 120_000;
/** How many of the agent's last lines an error shows. */
const LOG_LINES = 10;

/** A start that goes well is over before this, and does without the events. */
const EVENTS_AFTER_MS = 1_500;
/** How long the events of a pod that is late may take. */
const EVENTS_MS = 5_000;

/** What waiting needs. */
export interface WaitOptions {
  readonly kube: KubeClient;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Tells the user what it waits for, and about an obstacle that may pass. */
  readonly teller: Pick<Teller, "because">;
  /** @default {120 s} */
  readonly readyMs?: number;
  /** A run of the agent that is over: what comes after it is waited for. */
  readonly past?: AgentRun;
}

/**
 * Waits until the proxy's container runs.
 *
 * @returns the pod's name
 * @throws {UserError} that says why it does not run, in the API's own words, with a next step
 */
export async function waitForProxy(plan: Plan, options: WaitOptions): Promise<string> {
  const { readyMs = READY_MS, log, teller } = options;
  let state: ProxyState = { kind: "waiting" };
  let told: string | undefined;
  using late = deadline(readyMs, () => new UserError("The proxy did not start in time"));
  const done = new AbortController();
  const signal = AbortSignal.any([options.signal, late.signal, done.signal]);
  try {
    for await (state of proxyStates(plan, { ...options, signal })) {
      log.debug(`The proxy is ${state.kind}${"why" in state ? `: ${state.why}` : ""}`);
      if (state.kind === "running") return state.pod;
      if (state.kind === "failed") {
        throw await failure(plan, state, options, options.past && "The proxy does not come back");
      }
      if (state.why !== told) teller.because(told = state.why, "the proxy");
    }
    throw await tooLate(plan, state, readyMs, options);
  } catch (error) {
    if (error !== late.signal.reason || options.signal.aborted) throw error;
    throw await tooLate(plan, state, readyMs, options);
  } finally {
    done.abort(); // an iterator that waits for its next event is ended by its signal alone
  }
}

type Change =
  | { readonly pod: WatchEvent<Pod> }
  | { readonly deployment: WatchEvent<Deployment> }
  | { readonly event: KubeEvent };

/** Each change of the proxy's state. Three watches, one loop: the Deployment tells why there is no pod. */
async function* proxyStates(plan: Plan, { kube, signal, past }: WaitOptions): AsyncIterable<ProxyState> {
  const { namespace, name, podSelector } = plan;
  const ours = kube.watch(pods, { namespace, labelSelector: podSelector }, { signal });
  const its = kube.watch(deployments, { namespace, fieldSelector: `metadata.name=${name}` }, { signal });
  let deployment: Deployment | undefined;
  let event: KubeEvent | undefined;
  const known = new Map<string, Pod>();
  const changes: AsyncIterable<Change>[] = [
    mapped(ours, (pod) => ({ pod })),
    mapped(its, (event) => ({ deployment: event })),
    mapped(lateEvents(kube, namespace, signal), (event) => ({ event })),
  ];
  for await (const change of merge(changes)) {
    if ("event" in change) {
      if (event === undefined || isNewer(change.event, event)) event = change.event;
    } else if ("deployment" in change) {
      const { type, object } = change.deployment;
      deployment = object;
      const why = past && whyNoPodComes(type === "DELETED" ? undefined : object);
      if (why !== undefined) yield { kind: "failed", cause: "given up", why: `deployment "${name}" ${why}` };
    } else {
      const { type, object } = change.pod;
      const pod = past === undefined ? object : asSuccessor(object, past);
      if (type === "DELETED" || object.metadata.deletionTimestamp || !pod) known.delete(object.metadata.name);
      else known.set(object.metadata.name, pod);
    }
    const pod = newestPod(known.values());
    const state = judgeProxy(deployment, pod, plan.container);
    const unexplained = state.kind === "waiting" && state.why === undefined && pod !== undefined;
    const why = unexplained && event?.involvedObject.uid === pod.metadata.uid ? reasonIn(event) : undefined;
    yield why === undefined ? state : { kind: "waiting", why };
  }
}

/** Events, where the pod is late: what nothing else tells, as an image that is pulled, a volume that cannot be mounted. */
async function* lateEvents(kube: KubeClient, namespace: string, signal: AbortSignal): AsyncIterable<KubeEvent> {
  await sleep(EVENTS_AFTER_MS, signal);
  yield* podEvents(kube, { namespace, signal });
}

/** Whether an event tells more of now than another one; of one second, as it is stored, a warning tells more. */
function isNewer(event: KubeEvent, known: KubeEvent): boolean {
  const [time, before] = [event, known].map((one) => one.lastTimestamp ?? one.metadata.creationTimestamp ?? "");
  if (event.involvedObject.uid !== known.involvedObject.uid || time === undefined || before === undefined) return true;
  return time === before ? event.type === "Warning" || known.type !== "Warning" : time > before;
}

/** Why a pod takes its time, as far as an event tells it. */
function reasonIn({ type, reason, message }: KubeEvent): string | undefined {
  if (type === "Warning") return `${reason}: ${message}`;
  return reason === "Pulling" ? message : undefined;
}

async function* mapped<T, U>(source: AsyncIterable<T>, map: (value: T) => U): AsyncIterable<U> {
  for await (const value of source) yield map(value);
}

/** What several iterables give, as it comes. Whoever leaves the loop over it ends them by their signal. */
async function* merge<T>(sources: readonly AsyncIterable<T>[]): AsyncIterable<T> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const next = (index: number) => iterators[index]?.next().then((result) => ({ index, result }));
  const pending = new Map(iterators.map((_, index) => [index, next(index)]));
  try {
    while (pending.size > 0) {
      const first = await Promise.race(pending.values());
      if (first === undefined) return;
      const { index, result } = first;
      if (result.done) {
        pending.delete(index);
      } else {
        pending.set(index, next(index));
        yield result.value;
      }
    }
  } finally {
    for (const waiting of pending.values()) waiting?.catch(() => {}); // their end is ours, and known
    // One that has an event ready ends at once; one that waits ends with its signal, later: so nobody waits for it here.
    for (const iterator of iterators) iterator.return?.().catch(() => {});
  }
}

const SENTENCES: Readonly<Record<FailureCause, string>> = {
  image: "its image cannot be had",
  quota: "the namespace's quota does not allow its pod",
  admission: "its pod is not admitted",
  configuration: "its container cannot be started",
  crash: "the agent does not stay up",
  evicted: "its pod was taken away",
  "given up": "no other pod comes",
};

/** The error for a state that will not pass; `lead` is what that means where it is seen. */
export async function failure(
  plan: Plan,
  state: ProxyState & { kind: "failed" },
  { kube, signal }: Pick<WaitOptions, "kube" | "signal">,
  lead = "The proxy does not start",
): Promise<UserError> {
  const lines = state.cause === "crash" && state.pod ? await lastLines(plan, state.pod, kube, signal) : [];
  return new UserError(
    [`${lead}: ${SENTENCES[state.cause]}: ${state.why}`, ...lines].join("\n"),
    { hints: hintsFor(plan, state.cause) },
  );
}

function hintsFor({ image, namespace }: Plan, cause: FailureCause): string[] {
  switch (cause) {
    case "image":
      return [
        `The cluster's nodes must be able to pull ${image}, or have it`,
        "TELEPRESENCE_REGISTRY=HOST/PATH names another registry that has the image",
      ];
    case "quota":
      return [`kubectl describe resourcequota,limitrange --namespace ${namespace}`];
    case "admission":
      return [
        `kubectl get events --namespace ${namespace} --field-selector reason=FailedCreate`,
        'The proxy meets the Pod Security Standard "restricted": ask who set up the policy that refuses it',
      ];
    case "configuration":
    case "evicted":
      return [`kubectl get events --namespace ${namespace} --sort-by .lastTimestamp`];
    case "given up":
      return [];
    case "crash":
      return ["--verbose and telepresence.log tell more; please report what you see"];
  }
}

/**
 * The end of the log of a pod's agent, to be shown under a sentence: where its container was started again, of the run
 * that ended.
 */
export async function lastLines(plan: Plan, pod: string, kube: KubeClient, signal: AbortSignal): Promise<string[]> {
  const where = { namespace: plan.namespace, name: pod, container: plan.container };
  try {
    const text = await kube.logs(where, { tailLines: LOG_LINES, previous: true, signal }).catch(async () => {
      return await kube.logs(where, { tailLines: LOG_LINES, signal });
    });
    // deno-lint-ignore no-control-regex -- the runtime colors its errors
    const plain = text.replace(/\x1b\[[\d;]*m/g, "");
    const lines = plain.trimEnd().split("\n").filter((line) => line !== "");
    return lines.length === 0 ? ["It wrote no log"] : ["Its last lines:", ...lines.map((line) => `  ${line}`)];
  } catch (error) {
    return [`Its log could not be read: ${messageOf(error)}`];
  }
}

async function tooLate(
  plan: Plan,
  state: ProxyState,
  readyMs: number,
  options: Pick<WaitOptions, "kube" | "signal">,
): Promise<UserError> {
  const why = state.kind === "waiting" && state.why ? state.why : "its pod is still being started";
  return new UserError(
    [`The proxy did not start within ${readyMs / 1000} s: ${why}`, ...await lastEvents(plan, options)].join("\n"),
    { hints: [`kubectl get events --namespace ${plan.namespace} --sort-by .lastTimestamp`] },
  );
}

/** What the cluster says that it did for the pod, to be shown under a sentence: "Pulling image", for one. */
async function lastEvents(
  { namespace, podSelector }: Plan,
  { kube, signal }: Pick<WaitOptions, "kube" | "signal">,
): Promise<string[]> {
  using late = deadline(EVENTS_MS, () => new Error("the API server did not answer"));
  const either = { signal: AbortSignal.any([signal, late.signal]) };
  try {
    const { items } = await kube.list(pods, { namespace, labelSelector: podSelector }, either);
    const name = items.at(-1)?.metadata.name;
    if (name === undefined) return [];
    const told = await kube.list(events, { namespace, fieldSelector: `involvedObject.name=${name}` }, either);
    const lines = told.items.map(({ reason, message }) => `  ${reason}: ${message}`).slice(-LOG_LINES);
    return lines.length === 0 ? [] : ["What the cluster did for it:", ...lines];
  } catch (error) {
    signal.throwIfAborted();
    return [`Its events could not be read: ${messageOf(error)}`];
  }
}
