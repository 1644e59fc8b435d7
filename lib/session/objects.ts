import {
  isAlreadyExists,
  isConflict,
  isForbidden,
  isNotFound,
  type KubeClient,
  KubeError,
  type Resource,
} from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import { deadline, messageOf, sleep, UserError } from "@/util/mod.ts";
import { type Manifest, SESSION_LABEL } from "./manifest.ts";

/** How long a create may take, whatever else happens: it is not broken off, so that we know what there is. */
const CREATE_MS = 30_000;
/** How long all deletions of a session may take together, with all their attempts: a restarted API server is back by then. */
const CLEAN_UP_MS = 10_000;
/** What each deletion gets at least, however long the ones before it took. */
const LAST_TRY_MS = 1_000;
/** Between two attempts. */
const PAUSE_MS = 250;

/** What all objects have that a session makes. */
interface Made {
  readonly metadata: { readonly uid: string; readonly labels: Record<string, string> };
}

/** Where objects are made, for whom, and who is told what would be left. */
export interface MakeOptions {
  readonly kube: KubeClient;
  readonly log: Log;
  /** The session's id: an object without it as label is not ours. */
  readonly sessionId: string;
  /** What there is of the session in the cluster now, as words for the user: `deployment/x`. */
  readonly leftovers: Set<string>;
  readonly signal: AbortSignal;
  /** Tells the user why the clean-up takes time. */
  readonly say: (line: string) => void;
  /** How much time the clean-up has left, shared by all objects of a session. */
  readonly cleanUp: CleanUp;
  /** @default {30 s} */
  readonly createMs?: number;
}

/** The time of a session's clean-up, which begins with its first deletion. */
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

/**
 * Makes an object that is deleted, by its name and identity, when the returned value is disposed of.
 *
 * The object counts as made before the server is asked: when the answer is lost, the name is looked up at the end, and
 * what has this session's label goes.
 *
 * @throws {UserError} when the name is taken; {KubeError} when the server refuses
 */
export async function acquireObject<T extends Made>(
  resource: Resource<T>,
  manifest: Manifest,
  options: MakeOptions,
): Promise<T & AsyncDisposable> {
  const { kube, log, leftovers, signal, createMs = CREATE_MS } = options;
  const title = titleOf(resource, manifest);
  signal.throwIfAborted();
  await using stack = new AsyncDisposableStack();
  leftovers.add(title);
  let uid: string | undefined;
  stack.defer(() => deleteObject(resource, manifest, { ...options, uid }));
  using late = deadline(createMs, () => noAnswer(`create ${title}`, manifest, createMs));
  try {
    const made = await kube.create(resource, manifest, { signal: late.signal });
    log.info(`Made ${title}`);
    uid = made.metadata.uid;
    signal.throwIfAborted();
    const owned = stack.move();
    return { ...made, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  } catch (error) {
    if (error instanceof KubeError && error.status >= 400 && error.status < 500) {
      leftovers.delete(title); // refused: it is not there, or it is somebody else's
      await stack.move(); // so nothing is to be undone
      throw isAlreadyExists(error) ? nameTaken(resource, manifest, error) : error;
    }
    throw error;
  }
}

/**
 * Asks the server whether it would take an object and let us delete it again, changing nothing.
 *
 * @throws {UserError} when the name is taken or there is no such namespace; {KubeError} when the server would refuse
 */
export async function requireCreatable(
  resource: Resource<unknown>,
  manifest: Manifest,
  options: Pick<MakeOptions, "kube" | "signal" | "createMs">,
): Promise<void> {
  const { kube, createMs = CREATE_MS } = options;
  using late = deadline(createMs, () => noAnswer(`create ${titleOf(resource, manifest)}`, manifest, createMs));
  const signal = AbortSignal.any([options.signal, late.signal]);
  const checks = [kube.create(resource, manifest, { dryRun: true, signal }), requireDeletable(resource, manifest)];
  try {
    await allPass(checks);
  } catch (error) {
    if (isAlreadyExists(error)) throw nameTaken(resource, manifest, error);
    throw isNotFound(error) ? noNamespace(manifest, error) : error;
  }

  /** What we could make and not delete would be left. Nothing has this UID, so the worst answer is "not found". */
  async function requireDeletable(resource: Resource<unknown>, { metadata: { namespace, name } }: Manifest) {
    try {
      await kube.delete(resource, { namespace, name }, { uid: crypto.randomUUID(), signal });
    } catch (error) {
      if (isForbidden(error)) throw error;
    }
  }
}

/** Waits for all checks; of several refusals the first in the list is told, whichever came first. */
export async function allPass(checks: readonly Promise<unknown>[]): Promise<void> {
  for (const check of await Promise.allSettled(checks)) {
    if (check.status === "rejected") throw check.reason;
  }
}

function noNamespace({ metadata: { namespace } }: Manifest, cause: unknown): UserError {
  return new UserError(`Cannot use namespace "${namespace}": there is no such namespace`, {
    hints: ["See which there are: kubectl get namespaces", `Or make it: kubectl create namespace ${namespace}`],
    cause,
  });
}

function noAnswer(act: string, { metadata: { namespace } }: Manifest, ms: number): UserError {
  return new UserError(
    `Cannot ${act} in namespace "${namespace}": the API server did not answer within ${ms / 1000} s`,
  );
}

function nameTaken(resource: Resource<unknown>, { metadata }: Manifest, cause: unknown): UserError {
  const { name, namespace } = metadata;
  const kind = resource.kind;
  return new UserError(`Cannot create ${kind} "${name}" in namespace "${namespace}": the name is taken`, {
    hints: [
      ...(kind === "ConfigMap" ? [] : [`Choose another name: --new-deployment ${name}-2`]), // that name is ours
      `See what has it: kubectl get ${kind.toLowerCase()} ${name} --namespace ${namespace}`,
    ],
    cause,
  });
}

async function deleteObject(
  resource: Resource<Made>,
  manifest: Manifest,
  options: MakeOptions & { uid: string | undefined },
): Promise<void> {
  const { log, leftovers, cleanUp } = options;
  const { namespace } = manifest.metadata;
  const title = titleOf(resource, manifest);
  cleanUp.until ??= performance.now() + cleanUp.ms;
  const ms = Math.max(cleanUp.until - performance.now(), LAST_TRY_MS);
  // Its own signal: what ended the session does not end its clean-up.
  using late = deadline(ms, () => noAnswer(`delete ${title}`, manifest, cleanUp.ms));
  try {
    await tryUntil(late.signal, options, () => deleteOnce(resource, manifest, options, late.signal));
    log.info(`Deleted ${title}`);
    leftovers.delete(title);
  } catch (error) {
    const act = `Cannot delete ${title} in namespace "${namespace}"`;
    const hint = `kubectl delete ${title} --namespace ${namespace}`;
    if (error === late.signal.reason) throw new UserError(messageOf(error), { hints: [hint] });
    if (!(error instanceof KubeError)) {
      throw new UserError(`${act}: ${messageOf(error)}`, { hints: [hint], cause: error });
    }
    // The server's own words alone: the whole sentence would say again what ours says.
    throw new UserError(`${act}: ${error.words}`, { hints: [hint, ...error.hints] });
  }
}

/** Once asks for the deletion of what is ours; that it is gone, or another object by now, is as good. */
async function deleteOnce(
  resource: Resource<Made>,
  { metadata: { name, namespace } }: Manifest,
  { kube, sessionId, uid: known }: MakeOptions & { uid: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  try {
    let uid = known;
    if (uid === undefined) {
      const found = await kube.get(resource, { namespace, name }, { signal });
      if (found.metadata.labels[SESSION_LABEL] !== sessionId) return;
      uid = found.metadata.uid;
    }
    await kube.delete(resource, { namespace, name }, { uid, signal });
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error;
  }
}

/**
 * Tries again while the server is not to be reached or not well, until the signal ends it: a connection that breaks
 * and an API server that is being restarted leave nothing behind.
 *
 * @throws the error of the last attempt
 */
async function tryUntil(
  signal: AbortSignal,
  { say, log, cleanUp }: MakeOptions,
  attempt: () => Promise<void>,
): Promise<void> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof KubeError && error.status < 500 && error.status !== 429) throw error;
      log.info(`Not yet: ${messageOf(error)}`);
      if (!cleanUp.told) say("The API server does not answer. Trying again ...");
      cleanUp.told = true;
      await sleep(PAUSE_MS, signal).catch(() => {
        throw error;
      });
    }
  }
}

function titleOf(resource: Resource<unknown>, { metadata: { name } }: Manifest): string {
  return `${resource.kind.toLowerCase()}/${name}`;
}
