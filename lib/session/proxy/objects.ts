import {
  isAlreadyExists,
  isForbidden,
  isNotFound,
  type KubeClient,
  KubeError,
  type Metadata,
  type Resource,
} from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import { deadline, UserError } from "@/util/mod.ts";
import type { Manifest } from "./manifest.ts";
import type { Teller } from "../teller.ts";
import type { Journal } from "../safety/journal.ts";
import { type DeleteStep, titleOf } from "../safety/record.ts";
import { type CleanUp, undoStep } from "../safety/undo.ts";

/** How long a create may take, whatever else happens: it is not broken off, so that we know what there is. */
const CREATE_MS = 30_000;

/** What all objects have that a session makes. */
interface Made {
  readonly metadata: Metadata;
}

/** Where objects are made, and where that is written down before. */
export interface MakeOptions {
  readonly kube: KubeClient;
  readonly log: Log;
  readonly journal: Journal;
  readonly signal: AbortSignal;
  /** Tells the user why the clean-up takes time. */
  readonly say: (line: string) => void;
  /** Tells the user what is waited for. */
  readonly teller: Pick<Teller, "step" | "because">;
  /** How much time the clean-up has left, shared by all that a session gives back. */
  readonly cleanUp: CleanUp;
  /** @default {30 s} */
  readonly createMs?: number;
}

/**
 * Makes an object that is deleted, by its name and identity, when the returned value is disposed of.
 *
 * It is in the journal before the server is asked: when the answer is lost, the name is looked up at the end, and what
 * has this session's label goes.
 *
 * @throws {UserError} when the name is taken; {KubeError} when the server refuses
 */
export async function acquireObject<T extends Made>(
  resource: Resource<T>,
  manifest: Manifest,
  options: MakeOptions,
): Promise<T & AsyncDisposable> {
  const { kube, log, journal, signal, createMs = CREATE_MS } = options;
  signal.throwIfAborted();
  let step: DeleteStep = { kind: "delete", resource: kindOfMade(resource), name: manifest.metadata.name };
  await journal.add(step);
  await using stack = new AsyncDisposableStack();
  stack.defer(() => giveUp(step, options));
  using late = deadline(createMs, () => noAnswer(`create ${titleOf(step)}`, manifest, createMs));
  try {
    const made = await kube.create(resource, manifest, { signal: late.signal });
    log.info(`Made ${titleOf(step)}`);
    step = { ...step, uid: made.metadata.uid };
    await journal.add(step);
    signal.throwIfAborted();
    const owned = stack.move();
    return { ...made, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  } catch (error) {
    if (error instanceof KubeError && error.status >= 400 && error.status < 500) {
      stack.move(); // refused: it is not there, or it is somebody else's, so nothing is to be undone
      await journal.forget(step);
      throw isAlreadyExists(error) ? nameTaken(resource, manifest, error) : error;
    }
    throw error;
  }
}

async function giveUp(step: DeleteStep, options: MakeOptions): Promise<void> {
  const { namespace, sessionId } = options.journal.record;
  await undoStep(step, { ...options, namespace, sessionId });
  await options.journal.strike(step);
}

function kindOfMade({ kind }: Resource<unknown>): DeleteStep["resource"] {
  switch (kind) {
    case "ConfigMap":
      return "configmap";
    case "Deployment":
      return "deployment";
    case "Service":
      return "service";
    default:
      throw new TypeError(`The journal does not know how to delete a ${kind}`);
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
  const title = `${resource.kind.toLowerCase()}/${manifest.metadata.name}`;
  using late = deadline(createMs, () => noAnswer(`create ${title}`, manifest, createMs));
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
