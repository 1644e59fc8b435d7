/**
 * A real single-node Kubernetes for tests, made on this machine; the README beside says how.
 *
 * ```ts ignore
 * const unavailable = await clusterUnavailable(); // a sentence, or undefined
 * Deno.test({
 *   name: "…",
 *   ignore: unavailable !== undefined,
 *   async fn() {
 *     const { kubeconfig } = await ensureCluster();
 *   },
 * });
 * ```
 *
 * @module
 */
import { type Instance, instanceOf } from "./instance.ts";
import { kubectlCommand } from "./objects.ts";
import { kubeconfigOf } from "./pki.ts";
import { listObstacles } from "./prerequisites.ts";
import { restart } from "./restart.ts";
import { makeTell } from "./tell.ts";
import { up } from "./up.ts";

export { type ForeignCluster, openForeignCluster } from "./foreign.ts";
export { HELLO_PAGE } from "./hello_page.ts";
export { listenForInterrupt } from "./interrupt.ts";
export { type Instance } from "./instance.ts";

/** A cluster that is up. */
export interface Cluster {
  /** Path of the kubeconfig of a cluster-admin. */
  readonly kubeconfig: string;
  /** Words that begin a `kubectl` command for it. */
  readonly kubectl: readonly [string, ...string[]];
  /** Its addresses: those of pods and Services cannot be reached from this machine. */
  readonly instance: Instance;
  /** Ends a component (`kube-apiserver`, `kubelet`, …) and starts it again; returns when it is healthy. */
  restart(component: string): Promise<void>;
}

/** Why this machine cannot run the cluster, in one line; undefined when it can. */
export async function clusterUnavailable(): Promise<string | undefined> {
  const obstacles = await listObstacles();
  return obstacles.length === 0 ? undefined : obstacles.join("; ");
}

/**
 * The cluster of that name, which is brought up if it is not; it stays up for the next one. The first time takes
 * minutes, and what is done is told on standard error. Without a name, it is the one of `make cluster-up`.
 *
 * @throws {UserError} when the machine cannot run it
 */
export async function ensureCluster(name = Deno.env.get("TELEPRESENCE_CLUSTER") || "main"): Promise<Cluster> {
  const instance = instanceOf(name);
  const tell = makeTell();
  await up(instance, tell);
  return {
    kubeconfig: kubeconfigOf(instance, "admin"),
    kubectl: kubectlCommand(instance),
    instance,
    restart: (component) => restart(instance, component, tell),
  };
}
