import { startApiServer } from "./api_server.ts";
import { startControllers } from "./controllers.ts";
import { type Faults, makeFaults } from "./faults.ts";
import { textAt } from "./json.ts";
import { kubeconfigFor } from "./kubeconfig.ts";
import { startKubelet } from "./kubelet.ts";
import { installPodNetworks } from "./pod_network.ts";
import { served } from "./resources.ts";
import { deleteGently, makeStore, type Store, type StoredObject } from "./store.ts";
import { makeTasks } from "./tasks.ts";
import type { Trouble } from "./troubles.ts";

/** How a fake cluster is from its start. */
export interface FakeClusterOptions {
  /** What keeps its pods from running. */
  readonly trouble?: Trouble | undefined;
  /** The version that the agents tell. @default {"0.0.0-test"} */
  readonly agentVersion?: string;
  /** Namespaces beside `default`. */
  readonly namespaces?: readonly string[];
  /** Whether a port-forward by WebSocket needs `create` beside `get` (Kubernetes 1.35 and later). @default {false} */
  readonly webSocketNeedsCreate?: boolean;
  /** Whether exec speaks v5, which can pass on the end of an input (Kubernetes 1.30 and later). @default {true} */
  readonly knowsV5?: boolean;
  /** After how long an idle port-forward is dropped. @default {4 h, as a kubelet} */
  readonly idleMs?: number;
  /**
   * How long a port-forward's other direction may go on when one has ended. A real node waits 1 s; tests of what
   * follows need not. @default {50 ms}
   */
  readonly halfCloseMs?: number;
}

/** A cluster in the test's own process. Disposing it ends everything, and leaves no file. */
export interface FakeCluster extends AsyncDisposable {
  /** `https://127.0.0.1:PORT`. */
  readonly server: string;
  /** A kubeconfig with the one context `fake`, as text, and the path of a file that has it. */
  readonly kubeconfig: string;
  readonly kubeconfigPath: string;
  /** A directory for the test, which goes with the cluster. */
  readonly directory: string;
  /** Every request so far: `POST /api/v1/namespaces/default/configmaps?dryRun=All`. */
  readonly requests: readonly string[];
  /** What goes wrong with requests. */
  readonly faults: Faults;
  /** The stored objects of a resource, by its plural: `deployments`. */
  objects(plural: string): StoredObject[];
  /** The one pod that has not failed. @throws when there are more or less */
  pod(): StoredObject;
  /** Stores an object that is somebody else's, before a session starts. */
  put(plural: string, object: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    [field: string]: unknown;
  }): Promise<void>;
  /**
   * What is there now and was not at the start (or put), once the controllers have come to rest: `deployments/x`.
   * Events are left out: they stay for an hour by design.
   */
  remaining(): Promise<string[]>;
  /** Waits until a stored object of the resource holds to `condition`. @throws after 10 s, naming `what` */
  until(plural: string, what: string, condition: (object: StoredObject) => boolean): Promise<StoredObject>;
  /** Somebody deletes an object, and with it what it owns. */
  remove(plural: string, name: string, namespace?: string): void;
  /** What keeps pods that are made from now on from running. */
  trouble(trouble: Trouble | undefined): void;
  /** Lets pods that are held up by their trouble run. */
  relieve(): void;
  /** Cuts all port-forwards. */
  dropCarriers(): void;
  /** The pod is deleted, as by `kubectl delete pod`; its replica set makes another. Of several, the one named so. */
  deletePod(beginning?: string): void;
  /** The agent forgets its links; a host that is connected is told goodbye. */
  forgetLinks(): Promise<void>;
  /** The node takes the pod away. */
  evictPod(): Promise<void>;
  /** The pod's container ends. */
  crashPod(exitCode: number, ...log: string[]): Promise<void>;
  /** The port of the machine's loopback where another pod would find `port` of the pod; undefined: nobody listens. */
  podPort(port: number): number | undefined;
  /** Something in the pod listens on a port of it, until it is disposed of. */
  listenInPod(port: number): Disposable;
  /** Lets an address of the cluster (`10.96.0.10:80`) lead from pods to a port of the machine's loopback. */
  route(address: string, port: number): void;
  /** Watches from before now are too old for the server (410). */
  compact(): void;
  /** Nobody's certificate is good any more (401). */
  forgetUsers(): void;
  /** The server ends: its connections are cut, its port is closed. */
  goDown(): Promise<void>;
}

const FOUR_HOURS_MS = 4 * 60 * 60 * 1000;
const UNTIL_MS = 10_000;

/** Starts a cluster on a free port of the loopback. */
export async function startFakeCluster(options: FakeClusterOptions = {}): Promise<FakeCluster> {
  const { agentVersion = "0.0.0-test", namespaces = [], webSocketNeedsCreate = false, knowsV5 = true } = options;
  const { idleMs = FOUR_HOURS_MS, halfCloseMs = 50 } = options;
  let trouble = options.trouble;
  await using stack = new AsyncDisposableStack();
  stack.use(installPodNetworks());
  const directory = await Deno.makeTempDir({ prefix: "fake-cluster-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));

  const tasks = stack.use(makeTasks());
  const store = makeStore();
  for (const name of ["default", ...namespaces]) makeNamespace(store, name);
  const known = new Set(store.all().map(({ object }) => object.metadata.uid));
  const routes = new Map<string, number>();
  const seams = { store, trouble: () => trouble, react: tasks.start };
  const kubelet = stack.use(startKubelet({ ...seams, agentVersion, routes }));
  startControllers(seams);
  const faults = makeFaults();
  const server = stack.use(
    await startApiServer({ store, faults, kubelet, webSocketNeedsCreate, knowsV5, idleMs, halfCloseMs }),
  );
  const kubeconfig = kubeconfigFor({ server: server.address });
  const kubeconfigPath = `${directory}/kubeconfig`;
  await Deno.writeTextFile(kubeconfigPath, kubeconfig);
  const owned = stack.move();

  return {
    server: server.address,
    kubeconfig,
    kubeconfigPath,
    directory,
    requests: server.requests,
    faults,
    pod: () => pod(),
    objects: (plural) => store.list({ resource: served(plural), namespace: undefined }),
    async put(plural, { name, namespace = "default", labels = {}, ...fields }) {
      const object = { ...JSON.parse(JSON.stringify(fields)), metadata: { name, labels } };
      store.create({ resource: served(plural), namespace }, object);
      await tasks.rest(); // what controllers make of it was there before, too
      for (const { object } of store.all()) known.add(object.metadata.uid);
    },
    async remaining() {
      await tasks.rest();
      return store.all()
        .filter(({ resource, object }) => resource.kind !== "Event" && !known.has(object.metadata.uid))
        .map(({ resource, object }) => `${resource.plural}/${object.metadata.name}`);
    },
    async until(plural, what, condition) {
      const resource = served(plural);
      const from = store.version;
      const found = store.list({ resource, namespace: undefined }).find(condition);
      if (found !== undefined) return found;
      for await (const change of store.follow(from, AbortSignal.timeout(UNTIL_MS))) {
        if (change.resource === resource && !change.deleted && condition(change.after)) return change.after;
      }
      throw new Error(`Waited ${UNTIL_MS / 1000} s in vain until ${what}`);
    },
    remove(plural, name, namespace = "default") {
      store.remove({ resource: served(plural), namespace, name });
    },
    trouble: (next) => void (trouble = next),
    relieve() {
      trouble = undefined;
      kubelet.relieve();
    },
    dropCarriers: server.dropCarriers,
    deletePod(beginning) {
      const { metadata } = pod(beginning);
      deleteGently(store, { resource: served("pods"), namespace: textAt(metadata, "namespace"), name: metadata.name });
    },
    forgetLinks: () => kubelet.forgetLinks(pod()),
    evictPod: () => kubelet.evict(pod()),
    crashPod: (exitCode, ...log) => kubelet.crash(pod(), exitCode, log),
    podPort: (port) => kubelet.networkOf(pod()).portOf(port),
    listenInPod: (port) => kubelet.networkOf(pod()).run(() => Deno.listen({ port })),
    route: (address, port) => void routes.set(address, port),
    compact: () => store.compact(),
    forgetUsers: server.forgetUsers,
    goDown: server.goDown,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };

  function pod(beginning = ""): StoredObject {
    const all = store.list({ resource: served("pods"), namespace: undefined });
    const [found, ...more] = all.filter((pod) => {
      return pod.metadata.name.startsWith(beginning) && textAt(pod, "status", "phase") !== "Failed";
    });
    if (found !== undefined && more.length === 0) return found;
    throw new Error(`There are ${found ? 1 + more.length : 0} pods, not one`);
  }
}

/** A namespace, with what every namespace has. */
function makeNamespace(store: Store, name: string): void {
  store.create({ resource: served("namespaces"), namespace: undefined }, { metadata: { name } });
  store.create({ resource: served("configmaps"), namespace: name }, { metadata: { name: "kube-root-ca.crt" } });
  store.create({ resource: served("serviceaccounts"), namespace: name }, { metadata: { name: "default" } });
}
