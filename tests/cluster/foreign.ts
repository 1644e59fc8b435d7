/**
 * A cluster that is not the embedded one, for the end-to-end tests and the demo: the one of a context of the user's own
 * kubeconfig, or one that `kind` makes and that goes afterwards.
 *
 * @module
 */
import { loadKubeconfig, openKubeClient } from "@/kube/mod.ts";
import { requireProgram, runProgram } from "@/process/mod.ts";
import { UserError } from "@/util/mod.ts";
import { foreignImages } from "./fixture_images.ts";
import { makeFixtures } from "./fixtures.ts";
import type { Tell } from "./tell.ts";
import { writeKubeconfig } from "./write_kubeconfig.ts";

/** A foreign cluster with the fixtures in it. Disposing it deletes them, and the cluster where `kind` made it. */
export interface ForeignCluster extends AsyncDisposable {
  /** Path of a kubeconfig with that one context, whose namespace is the fixtures'. */
  readonly kubeconfig: string;
  readonly namespace: string;
  readonly restricted: string;
}

/** The name that stands for a cluster to be made by `kind`. */
const KIND = "kind";
/** Any one of these runs the containers that are kind's nodes. */
const ENGINES = ["docker", "podman", "nerdctl"] as const;

/** How {@linkcode openForeignCluster} finds its way. */
export interface ForeignOptions {
  /** Where kubeconfig files are found, as for the program itself; `TELEPRESENCE_TEST_IMAGES` names a row of the table. */
  readonly env: Readonly<Record<string, string>>;
  readonly tell: Tell;
  /** Ends the waiting; what was made is deleted. */
  readonly signal: AbortSignal;
}

/**
 * Opens the cluster of a context, or makes one where the context is called `kind`.
 *
 * @throws {UserError} when there is no such context, no way to make a cluster, or the fixtures do not run there
 */
export async function openForeignCluster(
  context: string,
  { env, tell, signal }: ForeignOptions,
): Promise<ForeignCluster> {
  await using stack = new AsyncDisposableStack();
  const images = foreignImages(env);
  const folder = await Deno.makeTempDir({ prefix: "telepresence-foreign-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const made = context === KIND ? stack.use(await makeKindCluster(`${folder}/kind`, tell, signal)) : undefined;
  const found = made === undefined ? { env, context } : { env, path: made.kubeconfig };
  const config = await loadKubeconfig(found);
  const kube = stack.use(openKubeClient(config));
  const fixtures = stack.use(await makeFixtures(kube, images, { tell, signal }));
  const kubeconfig = `${folder}/kubeconfig`;
  await writeKubeconfig(kubeconfig, { ...config, namespace: fixtures.namespace });
  const owned = stack.move();
  const { namespace, restricted } = fixtures;
  return { kubeconfig, namespace, restricted, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** A cluster of `kind`, which is deleted at the end. */
async function makeKindCluster(
  kubeconfig: string,
  tell: Tell,
  signal: AbortSignal,
): Promise<{ kubeconfig: string } & AsyncDisposable> {
  const lacking = await kindUnavailable();
  if (lacking !== undefined) throw lacking;
  const name = `telepresence-${crypto.randomUUID().slice(0, 8)}`;
  const end = async () => {
    tell(`deleting kind cluster ${name}`);
    await requireProgram(["kind", "delete", "cluster", "--name", name, "--kubeconfig", kubeconfig]);
  };
  tell(`making kind cluster ${name}`);
  try {
    const words = ["--name", name, "--kubeconfig", kubeconfig, "--wait", "180s"];
    await requireProgram(["kind", "create", "cluster", ...words], { signal });
    signal.throwIfAborted();
  } catch (error) {
    await end().catch(() => {}); // what was made half-way; why it was not made whole is what matters
    throw error;
  }
  return { kubeconfig, [Symbol.asyncDispose]: end };
}

/** Why `kind` cannot make a cluster here; undefined where it can. */
async function kindUnavailable(): Promise<UserError | undefined> {
  const works = async (...command: [string, ...string[]]) =>
    await runProgram(command).then(({ code }) => code === 0, () => false);
  if (!await works("kind", "version")) {
    return new UserError("Cannot make a kind cluster: kind is not on PATH", {
      hints: ["Install it: https://kind.sigs.k8s.io", "Or name a context of your kubeconfig: CONTEXT=NAME"],
    });
  }
  const engines = await Promise.all(ENGINES.map((engine) => works(engine, "info")));
  if (engines.includes(true)) return undefined;
  return new UserError(`Cannot make a kind cluster: none of ${ENGINES.join(", ")} works here`, {
    hints: ["Start one, or name a context of your kubeconfig: CONTEXT=NAME"],
  });
}
