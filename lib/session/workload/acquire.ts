/**
 * The place where the user's process seems to run: a proxy of its own, or a proxy in a workload's place.
 *
 * Theory of operation of a swap. The proxy is a Deployment of its own, with a selector of its own (the session's
 * label): its pods have a controller, so that no ReplicaSet and no StatefulSet adopts them, whatever labels they get.
 * It comes first. When it runs, the host is attached and the ports are bound, its pod gets the labels by which Services
 * find the original's pods; when the pod is Ready with them, the original is scaled to 0. Giving back is the same from
 * the other end: the original is scaled up; the proxy serves until the original is ready; its labels go; then it goes.
 *
 * "Ready" is said by labels and not by a probe: a label is there the moment that we know, a probe is asked once a
 * second at best and needs a program in the image that answers it; at give-back the label goes at once; and Services
 * that publish addresses which are not ready find no proxy too early. Its price is the right to patch pods.
 *
 * @module
 */
import { configMaps, type Deployment, deployments, isForbidden, isNotFound, services } from "@/kube/mod.ts";
import { deadline, messageOf, sleep } from "@/util/mod.ts";
import { agentConfigMap, exposedService, type Manifest } from "../proxy/manifest.ts";
import { acquireObject, type MakeOptions } from "../proxy/objects.ts";
import type { Followed } from "../tunnel/lasting_tunnel.ts";
import type { Plan } from "../plan/plan.ts";
import { placeIn } from "../safety/journal.ts";
import { type PlaceStep, titleOf } from "../safety/record.ts";
import { undoStep } from "../safety/undo.ts";
import { requireDeployment } from "../tunnel/successor.ts";
import { waitForProxy } from "../proxy/wait_for_proxy.ts";
import { waitUntilAway } from "./away.ts";
import { acquireClaim, nameOfClaim } from "./claim.ts";
import { displace } from "./displace.ts";
import type { Original } from "./original.ts";
import { enter, isServing, leave, waitUntilBack } from "./serving.ts";

/** Where the user's process seems to run. Disposing it takes the proxy away. */
export interface Workload extends AsyncDisposable, Followed {
  /** The agent's container in the proxy's pod. */
  readonly container: string;
  /**
   * Lets the cluster find the proxy, once its ports are bound; the original goes. Disposing the place gives it back, and
   * is served to the end.
   */
  takePlace(): Promise<Place>;
}

/** A place in the cluster that was taken. */
export interface Place extends AsyncDisposable {
  /** Lets the cluster find the proxy's next pod as it found the one before it. */
  enterAgain(signal: AbortSignal): Promise<void>;
}

/** What acquiring needs. */
export interface AcquireOptions extends MakeOptions {
  /** The proxy's Deployment as it is made; undefined where it is there already. */
  readonly proxy: Manifest | undefined;
  readonly agentSource: string;
  /** Why the original has to go before the proxy can come; undefined where both can be there. */
  readonly originalFirst: string | undefined;
  /** How long the proxy may take to run. @default {120 s} */
  readonly readyMs?: number;
}

/**
 * Makes the proxy and waits until it runs; claims the original's place before, where there is one.
 *
 * @throws {UserError} that says why the proxy does not run, or who has the place
 */
export async function acquireWorkload(plan: Plan, options: AcquireOptions): Promise<Workload> {
  const { signal, originalFirst } = options;
  const { original } = plan;
  await using stack = new AsyncDisposableStack();
  if (original !== undefined) stack.use(await claim(placeOf(original, originalFirst !== undefined), options));
  if (original !== undefined && originalFirst !== undefined) {
    options.teller.step(`Waiting for ${original.kind}/${original.name} to go`);
    await displace(options);
    await waitUntilAway(original, { ...options, namespace: plan.namespace });
  }
  let pod = await startProxy(plan, options, stack);
  signal.throwIfAborted();
  const owned = stack.move();
  return {
    get pod() {
      return pod;
    },
    container: plan.container,
    async follow(past, signal) {
      await requireDeployment(plan, { ...options, signal });
      pod = await waitForProxy(plan, { ...options, signal, past, teller: { because: tellInLines(options) } });
    },
    takePlace: () =>
      original === undefined ? serveByName(plan, options) : takePlaceOf(original, () => pod, plan, options),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** While the command runs, the terminal is its own: there is no line of ours that could come and go. */
function tellInLines({ say }: AcquireOptions): (why: string | undefined, whom: string) => void {
  return (why, whom) => why === undefined ? undefined : say(`Still waiting for ${whom}: ${why}`);
}

/** Makes what the proxy is made of, unless it is there, and waits until it runs. @returns its pod's name */
async function startProxy(plan: Plan, options: AcquireOptions, stack: AsyncDisposableStack): Promise<string> {
  const { agentSource, proxy } = options;
  if (proxy === undefined) {
    options.teller.step("Waiting for the proxy to run");
    return await waitForProxy(plan, options);
  }
  const configMap = stack.use(await acquireObject(configMaps, agentConfigMap(plan, agentSource), options));
  const deployment = stack.use(await acquireObject(deployments, proxy, options));
  options.teller.step("Waiting for the proxy to run");
  const [pod] = await Promise.all([
    waitForProxy(plan, options),
    giveTo(deployment, configMap.metadata.name, { ...options, namespace: plan.namespace }),
  ]);
  return pod;
}

function placeOf(original: Original, originalFirst: boolean): PlaceStep {
  const { kind, name, uid, replicas, manifest } = original;
  return {
    kind: "place",
    workload: kind,
    name,
    uid,
    replicas,
    claim: nameOfClaim(original),
    originalFirst,
    ...(manifest !== undefined && { manifest }),
  };
}

/** The claim goes last, and stays when the place could not be given back: it says how that is done. */
async function claim(place: PlaceStep, options: AcquireOptions): Promise<AsyncDisposable> {
  const { journal } = options;
  const made = await acquireClaim(place, journal.record, options);
  await using stack = new AsyncDisposableStack();
  stack.use(made);
  await journal.add(place);
  stack.move();
  return {
    async [Symbol.asyncDispose]() {
      await giveBack(options);
      await made[Symbol.asyncDispose]();
    },
  };
}

/** Gives the place back that the journal tells of. @returns it; undefined where it is not ours to give back any more */
async function giveBack(options: AcquireOptions): Promise<PlaceStep | undefined> {
  const { journal } = options;
  const place = placeIn(journal);
  if (place === undefined) return undefined;
  const { namespace, sessionId } = journal.record;
  const undone = await undoStep(place, { ...options, namespace, sessionId });
  await (undone === "undone" ? journal.strike(place) : journal.forget(place));
  return undone === "undone" ? place : undefined;
}

/** For a new proxy: a Service of its own, there while the ports are bound, so that nobody is sent to a closed port. */
async function serveByName(plan: Plan, options: AcquireOptions): Promise<Place> {
  // Whatever pod the Deployment makes next, the Service finds it by the label that all of them have.
  const enterAgain = () => Promise.resolve();
  if (plan.isThere || plan.expose.length === 0) return { enterAgain, [Symbol.asyncDispose]: () => Promise.resolve() };
  const service = await acquireObject(services, exposedService(plan), options);
  return { enterAgain, [Symbol.asyncDispose]: () => service[Symbol.asyncDispose]() };
}

async function takePlaceOf(
  original: Original,
  pod: () => string,
  plan: Plan,
  options: AcquireOptions,
): Promise<Place> {
  const title = `${original.kind}/${original.name}`;
  options.teller.step(`Taking the place of ${title}`);
  await using stack = new AsyncDisposableStack();
  stack.defer(() => leave(original, pod(), plan, options));
  await enterAny(original, pod, plan, options);
  if (options.originalFirst === undefined) {
    stack.defer(() => giveBackServing(plan, options));
    await displace(options);
  }
  const owned = stack.move();
  return {
    enterAgain: (signal) => enter(original, pod(), plan, { ...options, signal }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** How long a pod that is gone may have none after it, and a pause between two looks. */
const NEXT_MS = 120_000;
const PAUSE_MS = 100;

/** Lets Services find the proxy's pod; when that is lost in this moment, the one that comes after it. */
async function enterAny(original: Original, pod: () => string, plan: Plan, options: AcquireOptions): Promise<void> {
  for (const start = performance.now();;) {
    const name = pod();
    try {
      return await enter(original, name, plan, options);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      while (pod() === name) {
        if (performance.now() - start > NEXT_MS) throw error;
        await sleep(PAUSE_MS, options.signal);
      }
    }
  }
}

/** While the original comes back, the proxy serves; unless nobody listens on the host any more. */
async function giveBackServing(plan: Plan, options: AcquireOptions): Promise<void> {
  const { log, say } = options;
  let place: PlaceStep | undefined;
  try {
    place = await giveBack(options);
  } catch (error) {
    log.info(`To be tried again at the end: ${messageOf(error)}`); // by the claim, which also tells it
  }
  if (place === undefined || !await isServing(plan.expose)) return;
  options.teller.step(`Serving until ${titleOf(place)} is back`);
  const isBack = await waitUntilBack(place, {
    ...options,
    namespace: plan.namespace,
    timeoutMs: plan.giveBackTimeoutMs,
  });
  if (!isBack) {
    const seconds = Math.round(plan.giveBackTimeoutMs / 1000);
    say(`${titleOf(place)} is not ready after ${seconds} s (--give-back-timeout): the proxy goes nevertheless`);
  }
}

/** How long the net below the clean-up may take: nothing else waits for it. */
const GIVE_MS = 5_000;

/**
 * Makes the Deployment the owner of the ConfigMap: a net for the case that our own deletion never comes. A connection
 * that breaks here is no reason to end a session; a right that is lacking is told, like every other.
 */
async function giveTo(
  { metadata: { name, uid } }: Deployment,
  configMap: string,
  { kube, log, signal, namespace }: Pick<AcquireOptions, "kube" | "log" | "signal"> & { namespace: string },
): Promise<void> {
  const body = { metadata: { ownerReferences: [{ apiVersion: "apps/v1", kind: "Deployment", name, uid }] } };
  using late = deadline(GIVE_MS, () => new Error(`no answer within ${GIVE_MS / 1000} s`));
  try {
    const either = AbortSignal.any([signal, late.signal]);
    await kube.patch(configMaps, { namespace, name: configMap }, { type: "merge", body }, { signal: either });
  } catch (error) {
    signal.throwIfAborted();
    if (isForbidden(error)) throw error;
    log.info(`The ConfigMap has no owner: ${messageOf(error)}`);
  }
}
