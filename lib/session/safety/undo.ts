/**
 * Undoing what a journal says. Needs the journal and the cluster alone, may be done any number of times, and by anyone:
 * the session itself, its guardian, `telepresence recover`.
 *
 * Order: what has lost its place gets it back first, so that it is served soonest (or, where the original could not be
 * there beside the proxy, after the proxy is gone); then our objects go, the last one made first; the claim on a place
 * goes when the place was given back, and stays when it could not be.
 *
 * @module
 */
import {
  configMaps,
  daemonSets,
  deployments,
  isConflict,
  isNotFound,
  type KubeClient,
  KubeError,
  type Metadata,
  type PatientOptions,
  pods,
  replicaSets,
  type Resource,
  services,
  statefulSets,
} from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import { deadline, messageOf, sleep, UserError } from "@/util/mod.ts";
import { SESSION_LABEL } from "../labels.ts";
import { isNamespaceGone } from "./namespace_gone.ts";
import type { DeleteStep, PlaceStep, SessionRecord, Step } from "./record.ts";
import { titleOf } from "./record.ts";

/** How long all steps may take together, with all their attempts: a restarted API server is back by then. */
const CLEAN_UP_MS = 10_000;
/** What each step gets at least, however long the ones before it took. */
const LAST_TRY_MS = 1_000;
/** What a bare Pod gets, which can be made again only when it is gone: 30 s of grace are usual. */
const POD_MS = 45_000;
/** Between the first two attempts; twice as long each time, up to the other. */
const PAUSE_MS = 250;
const MAX_PAUSE_MS = 1_000;
/** The key in a DaemonSet's node selector that no node has. */
export const NOWHERE = "telepresence/nowhere";

/** Where and for whom things are undone. */
export interface UndoOptions {
  readonly kube: KubeClient;
  readonly log: Log;
  readonly namespace: string;
  readonly sessionId: string;
  /** Tells the user what turned out otherwise than expected, and why it takes time. */
  readonly say: (line: string) => void;
  /** How much time is left, shared by all steps. */
  readonly cleanUp: CleanUp;
}

/** What became of a step: `left` is what was no longer ours to give back. */
export type Undone = "undone" | "left";

/** The time of a clean-up, which begins with its first step. */
export interface CleanUp {
  readonly ms: number;
  /** When it is over, once it has begun. */
  until?: number;
  /** Whether the user knows that it takes time. */
  told?: boolean;
}

/** A clean-up that has not begun. */
export function makeCleanUp(ms: number = CLEAN_UP_MS): CleanUp {
  return { ms };
}

const MADE: Readonly<Record<DeleteStep["resource"], Resource<{ readonly metadata: Metadata }>>> = {
  configmap: configMaps,
  deployment: deployments,
  service: services,
};

/** The resource of an object that a session makes. */
export function madeResource(step: DeleteStep): Resource<{ readonly metadata: Metadata }> {
  return MADE[step.resource];
}

/**
 * Undoes everything, each step by itself.
 *
 * @param strike called after each step of which nothing is left to do
 * @returns what could not be undone, as errors for the user
 */
export async function undoAll(
  record: Pick<SessionRecord, "steps">,
  strike: (step: Step, undone: Undone) => Promise<void>,
  options: UndoOptions,
): Promise<UserError[]> {
  const failures: UserError[] = [];
  const attempt = async (step: Step) => {
    try {
      await strike(step, await undoStep(step, options));
      return true;
    } catch (error) {
      failures.push(error instanceof UserError ? error : new UserError(messageOf(error), { cause: error }));
      return false;
    }
  };
  const made = record.steps.filter((step) => step.kind === "delete").toReversed();
  const place = record.steps.find((step) => step.kind === "place");
  let isBack = place === undefined || !place.originalFirst && await attempt(place);
  for (const step of made) if (step.name !== place?.claim) await attempt(step);
  if (place?.originalFirst) isBack = await attempt(place);
  for (const step of made) if (step.name === place?.claim && isBack) await attempt(step);
  return failures;
}

/**
 * Undoes one step; when it was undone before, nothing happens.
 *
 * @throws {UserError} when it cannot be, with the command that does it by hand
 */
export async function undoStep(step: Step, options: UndoOptions): Promise<Undone> {
  const { namespace, cleanUp } = options;
  const title = titleOf(step);
  const act = `Cannot ${step.kind === "delete" ? "delete" : "give back"} ${title} in namespace "${namespace}"`;
  const hints = [byHand(step, namespace)];
  cleanUp.until ??= performance.now() + cleanUp.ms;
  const isPod = step.kind === "place" && step.workload === "pod";
  const ms = isPod ? POD_MS : Math.max(cleanUp.until - performance.now(), LAST_TRY_MS);
  const seconds = (isPod ? POD_MS : cleanUp.ms) / 1000;
  const server: Server = {};
  // Its own signal: what ended the session does not end its clean-up.
  using late = deadline(ms, () => {
    const { refusal } = server;
    if (refusal === undefined) {
      return new UserError(`${act}: the API server did not answer within ${seconds} s`, { hints });
    }
    return new KubeError(`${act}: the API server refused it for ${seconds} s: ${told(refusal)}`, { ...refusal, hints });
  });
  const asking: Asking = { signal: late.signal, onBusy: (refusal) => tellBusy(refusal, server, options) };
  const undo = () => step.kind === "delete" ? deleteMade(step, options, asking) : restore(step, options, asking);
  try {
    return await stubbornly(undo, server, { ...options, ...asking });
  } catch (error) {
    if (error === late.signal.reason) throw error;
    if (!(error instanceof KubeError)) throw new UserError(`${act}: ${messageOf(error)}`, { hints, cause: error });
    // The server's own words alone: the whole sentence would say again what ours says.
    throw new KubeError(`${act}: ${error.words}`, { ...error, hints: [...hints, ...error.hints] });
  }
}

/** How the API server is by the last that was heard of it. */
interface Server {
  /** Why it does nothing for now, where it says so. */
  refusal?: KubeError | undefined;
}

/** What each request of a step is made with. */
type Asking = Required<Pick<PatientOptions, "signal" | "onBusy">>;

function tellBusy(refusal: KubeError, server: Server, { say, cleanUp }: UndoOptions): void {
  server.refusal = refusal;
  if (!cleanUp.told) say(`The API server refuses for now: ${told(refusal)}. Trying again ...`);
  cleanUp.told = true;
}

/** A refusal as its status and the server's own words. */
function told({ status, words }: KubeError): string {
  const code = `HTTP status ${status}`;
  return words === code ? code : `${code}: ${words}`;
}

/** The command that does by hand what a step would. */
export function byHand(step: Step, namespace: string): string {
  if (step.kind === "delete") return `kubectl delete ${titleOf(step)} --namespace ${namespace}`;
  switch (step.workload) {
    case "daemonset":
      return `kubectl patch ${titleOf(step)} --namespace ${namespace} --type json --patch ` +
        `'[{"op":"remove","path":"/spec/template/spec/nodeSelector/${NOWHERE.replace("/", "~1")}"}]'`;
    case "pod":
      return `kubectl get configmap ${step.claim} --namespace ${namespace} --output yaml has the pod as it was`;
    default:
      return `kubectl scale ${titleOf(step)} --namespace ${namespace} --replicas ${step.replicas}`;
  }
}

/**
 * Tries again after a conflict, and while the server is not to be reached, not well or too busy, until the signal ends
 * it: a connection that breaks and an API server that is being restarted leave nothing behind.
 *
 * @throws the error of the last attempt; the signal's reason where that was a refusal for now
 */
async function stubbornly<T>(
  attempt: () => Promise<T>,
  server: Server,
  options: UndoOptions & Asking,
): Promise<T> {
  const { signal, onBusy, log, say, cleanUp } = options;
  for (let pauseMs = PAUSE_MS;;) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      const isConflict = error instanceof KubeError && error.status === 409;
      const isRefusal = error instanceof KubeError && error.status < 500 && error.status !== 429;
      if (isRefusal && !isConflict) throw error;
      log.info(`Not yet: ${messageOf(error)}`);
      const isBusy = error instanceof KubeError && !isConflict;
      if (isBusy) onBusy(error);
      else server.refusal = undefined;
      if (!isBusy && !isConflict && !cleanUp.told) {
        say("The API server does not answer. Trying again ...");
        cleanUp.told = true;
      }
      // After a conflict the server is well, and waiting longer would only let others come in between again.
      await sleep(isConflict ? PAUSE_MS : pauseMs, signal).catch((reason) => {
        throw isBusy ? reason : error;
      });
      if (!isConflict) pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
    }
  }
}

async function deleteMade(step: DeleteStep, options: UndoOptions, asking: Asking): Promise<Undone> {
  const { kube, namespace, sessionId, log } = options;
  const resource = madeResource(step);
  const { name } = step;
  try {
    let { uid } = step;
    if (uid === undefined) {
      const found = await kube.get(resource, { namespace, name }, asking);
      if (found.metadata.labels[SESSION_LABEL] !== sessionId) return "undone";
      uid = found.metadata.uid;
    }
    await kube.delete(resource, { namespace, name }, { uid, ...asking });
    log.info(`Deleted ${titleOf(step)}`);
  } catch (error) {
    // Gone, or another object of the same name by now (a conflict with the precondition): nothing of ours is there.
    if (!isNotFound(error) && !isConflict(error)) throw error;
  }
  return "undone";
}

async function restore(step: PlaceStep, options: UndoOptions, asking: Asking): Promise<Undone> {
  switch (step.workload) {
    case "deployment":
      return await scaleBack(deployments, step, options, asking);
    case "replicaset":
      return await scaleBack(replicaSets, step, options, asking);
    case "statefulset":
      return await scaleBack(statefulSets, step, options, asking);
    case "daemonset":
      return await sendBackToNodes(step, options, asking);
    case "pod":
      return await makeAgain(step, options, asking);
  }
}

type Scaled = Resource<{ readonly metadata: Metadata; readonly spec: { readonly replicas: number } }>;

async function scaleBack(resource: Scaled, step: PlaceStep, options: UndoOptions, asking: Asking): Promise<Undone> {
  const { kube, namespace, log, say } = options;
  const { name, uid, replicas } = step;
  const found = await found404(() => kube.get(resource, { namespace, name }, asking));
  if (found?.metadata.uid !== uid) {
    say(`${titleOf(step)} was deleted meanwhile, so it is not scaled back`);
    return "left";
  }
  if (found.spec.replicas === replicas) return "undone";
  if (found.spec.replicas !== 0) {
    say(`${titleOf(step)} has ${found.spec.replicas} replicas by now, not ${replicas}: somebody else scaled it`);
    return "left";
  }
  if (await isSomebodyElses(step, options, asking)) return "left";
  const { resourceVersion } = found.metadata;
  const body = { metadata: { resourceVersion }, spec: { replicas } };
  await kube.patch(resource, { namespace, name }, { type: "merge", body }, asking);
  log.info(`Scaled ${titleOf(step)} back to ${replicas}`);
  return "undone";
}

async function sendBackToNodes(step: PlaceStep, options: UndoOptions, asking: Asking): Promise<Undone> {
  const { kube, namespace, log } = options;
  const { name, uid } = step;
  const found = await found404(() => kube.get(daemonSets, { namespace, name }, asking));
  const nodes = found?.spec.template.spec["nodeSelector"] as Record<string, string> | undefined;
  if (found?.metadata.uid !== uid || nodes?.[NOWHERE] === undefined) return "undone";
  if (await isSomebodyElses(step, options, asking)) return "left";
  const { resourceVersion } = found.metadata;
  // A map that becomes empty would be kept as an empty one: it was not there before.
  const nodeSelector = Object.keys(nodes).length === 1 ? null : { [NOWHERE]: null };
  const body = { metadata: { resourceVersion }, spec: { template: { spec: { nodeSelector } } } };
  await kube.patch(daemonSets, { namespace, name }, { type: "merge", body }, asking);
  log.info(`Sent ${titleOf(step)} back to its nodes`);
  return "undone";
}

async function makeAgain(step: PlaceStep, options: UndoOptions, asking: Asking): Promise<Undone> {
  const { kube, namespace, log, say } = options;
  const { name, uid, manifest } = step;
  const found = await found404(() => kube.get(pods, { namespace, name }, asking));
  if (found !== undefined && found.metadata.uid !== uid) return "left"; // somebody made it again
  if (found !== undefined && !found.metadata.deletionTimestamp) return "undone"; // it never went
  if (await isSomebodyElses(step, options, asking)) return "left";
  if (manifest === undefined) throw new TypeError(`The journal has no manifest of ${titleOf(step)}`);
  try {
    await kube.create(pods, { ...manifest, metadata: { ...manifest.metadata, namespace } }, asking);
  } catch (error) {
    if (!isNamespaceGone(error)) throw error;
    say(`${titleOf(step)} is not made again: namespace "${namespace}" was deleted`);
    return "left";
  }
  log.info(`Made ${titleOf(step)} again`);
  return "undone";
}

/**
 * Whether another session has the place by now: then it was given back before, and what looks like our change is that
 * session's. Asked after the workload was read, whose version is the condition of the change: who comes later is seen
 * by one or the other.
 */
async function isSomebodyElses(
  step: PlaceStep,
  { kube, namespace, sessionId, say }: UndoOptions,
  asking: Asking,
): Promise<boolean> {
  const found = await found404(() => kube.get(configMaps, { namespace, name: step.claim }, asking));
  const holder = found?.metadata.labels[SESSION_LABEL];
  if (holder === undefined || holder === sessionId) return false;
  say(`${titleOf(step)} is left alone: session ${holder.slice(0, 10)} has it by now`);
  return true;
}

async function found404<T>(get: () => Promise<T>): Promise<T | undefined> {
  try {
    return await get();
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
