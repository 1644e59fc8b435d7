import { isAlreadyExists, type KubeClient, KubeError, type Metadata, type Resource } from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import { UserError } from "@/util/mod.ts";
import type { Manifest } from "./manifest.ts";
import type { Journal } from "./safety/journal.ts";
import { type DeleteStep, titleOf } from "./safety/record.ts";
import { undoStep } from "./safety/undo.ts";

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
  const { kube, log, journal, signal } = options;
  signal.throwIfAborted();
  let step: DeleteStep = { kind: "delete", resource: kindOfMade(resource), name: manifest.metadata.name };
  await journal.add(step);
  await using stack = new AsyncDisposableStack();
  stack.defer(() => giveUp(step, options));
  try {
    const made = await kube.create(resource, manifest, { signal: AbortSignal.timeout(CREATE_MS) });
    log.info(`Made ${titleOf(step)}`);
    step = { ...step, uid: made.metadata.uid };
    await journal.add(step);
    signal.throwIfAborted();
    const owned = stack.move();
    return { ...made, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  } catch (error) {
    if (error instanceof KubeError && error.status >= 400 && error.status < 500) {
      stack.move(); // refused: it is not there, or it is somebody else's, so nothing is to be undone
      await journal.strike(step);
      throw isAlreadyExists(error) ? nameTaken(resource, manifest, error) : error;
    }
    throw error;
  }
}

async function giveUp(step: DeleteStep, { kube, log, journal }: MakeOptions): Promise<void> {
  const { namespace, sessionId } = journal.record;
  await undoStep(step, { kube, log, namespace, sessionId });
  await journal.strike(step);
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
 * Asks the server whether it would take an object, changing nothing.
 *
 * @throws {UserError} when the name is taken; {KubeError} when the server would refuse
 */
export async function requireCreatable(
  resource: Resource<unknown>,
  manifest: Manifest,
  { kube, signal }: Pick<MakeOptions, "kube" | "signal">,
): Promise<void> {
  try {
    await kube.create(resource, manifest, { dryRun: true, signal });
  } catch (error) {
    throw isAlreadyExists(error) ? nameTaken(resource, manifest, error) : error;
  }
}

function nameTaken(resource: Resource<unknown>, { metadata }: Manifest, cause: unknown): UserError {
  const { name, namespace } = metadata;
  const kind = resource.kind;
  return new UserError(`Cannot create ${kind} "${name}" in namespace "${namespace}": the name is taken`, {
    hints: [
      `Choose another name: --new-deployment ${name}-2`,
      `See what has it: kubectl get ${kind.toLowerCase()} ${name} --namespace ${namespace}`,
    ],
    cause,
  });
}
