import { isAlreadyExists, isConflict, isNotFound, type KubeClient, KubeError, type Resource } from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import { messageOf, UserError } from "@/util/mod.ts";
import { type Manifest, SESSION_LABEL } from "./manifest.ts";

/** How long a create may take, whatever else happens: it is not broken off, so that we know what there is. */
const CREATE_MS = 30_000;
/** How long a deletion may take, with all its attempts. */
const DELETE_MS = 10_000;

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
  const { kube, log, leftovers, signal } = options;
  const title = titleOf(resource, manifest);
  signal.throwIfAborted();
  await using stack = new AsyncDisposableStack();
  leftovers.add(title);
  let uid: string | undefined;
  stack.defer(() => deleteObject(resource, manifest, { ...options, uid }));
  try {
    const made = await kube.create(resource, manifest, { signal: AbortSignal.timeout(CREATE_MS) });
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

async function deleteObject(
  resource: Resource<Made>,
  { metadata: { name, namespace } }: Manifest,
  options: MakeOptions & { uid: string | undefined },
): Promise<void> {
  const { kube, log, leftovers, sessionId } = options;
  const title = `${resource.kind.toLowerCase()}/${name}`;
  const signal = AbortSignal.timeout(DELETE_MS); // its own: what ended the session does not end its clean-up
  try {
    let { uid } = options;
    if (uid === undefined) {
      const found = await kube.get(resource, { namespace, name }, { signal });
      if (found.metadata.labels[SESSION_LABEL] !== sessionId) return void leftovers.delete(title);
      uid = found.metadata.uid;
    }
    await kube.delete(resource, { namespace, name }, { uid, signal });
    log.info(`Deleted ${title}`);
  } catch (cause) {
    // Gone, or another object of the same name by now (a conflict with the precondition): nothing of ours is there.
    if (!isNotFound(cause) && !isConflict(cause)) {
      throw new UserError(`Cannot delete ${title} in namespace "${namespace}": ${messageOf(cause)}`, {
        hints: [`kubectl delete ${title} --namespace ${namespace}`],
        cause,
      });
    }
  }
  leftovers.delete(title);
}

function titleOf(resource: Resource<unknown>, { metadata: { name } }: Manifest): string {
  return `${resource.kind.toLowerCase()}/${name}`;
}
