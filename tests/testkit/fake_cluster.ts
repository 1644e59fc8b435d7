import type { AddressInfo } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import { answerRequest, type ApiSeams } from "./api.ts";
import { Connection, ConnectionGone } from "./connection.ts";
import { startControllers } from "./controllers.ts";
import { type Faults, makeFaults } from "./faults.ts";
import { readRequest } from "./http.ts";
import { textAt } from "./json.ts";
import { kubeconfigFor, tlsFile } from "./kubeconfig.ts";
import { startKubelet } from "./kubelet.ts";
import { installPodNetworks } from "./pod_network.ts";
import { Refusal } from "./refusal.ts";
import { served } from "./resources.ts";
import { deleteGently, makeStore, type StoredObject } from "./store.ts";
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
  /** The one pod. @throws when there are more or less */
  pod(): StoredObject;
  /** Stores an object that is somebody else's, before a session starts. */
  put(plural: string, object: { name: string; namespace?: string; [field: string]: unknown }): Promise<void>;
  /**
   * What is there now and was not at the start (or put), once the controllers have come to rest: `deployments/x`.
   * Events are left out: they stay for an hour by design.
   */
  remaining(): Promise<string[]>;
  /** Waits until a stored object of the resource holds to `condition`. @throws after 10 s, naming `what` */
  until(plural: string, what: string, condition: (object: StoredObject) => boolean): Promise<StoredObject>;
  /** Lets pods that are held up by their trouble run. */
  relieve(): void;
  /** Cuts all port-forwards. */
  dropCarriers(): void;
  /** The pod is deleted, as by `kubectl delete pod`; its replica set makes another. */
  deletePod(): void;
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
  const { agentVersion = "0.0.0-test", namespaces = [], webSocketNeedsCreate = false } = options;
  const { idleMs = FOUR_HOURS_MS, halfCloseMs = 50 } = options;
  let trouble = options.trouble;
  let knowsNobody = false;
  await using stack = new AsyncDisposableStack();
  stack.use(installPodNetworks());
  const directory = await Deno.makeTempDir({ prefix: "fake-cluster-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));

  const tasks = new Set<Promise<void>>();
  const react = (task: () => void | Promise<void>) => {
    const running: Promise<void> = Promise.resolve().then(task).catch(ignoreRefusal).finally(() => {
      tasks.delete(running);
    });
    tasks.add(running);
  };
  const rest = async () => {
    while (tasks.size > 0) await Promise.all(tasks);
  };

  const store = makeStore();
  const routes = new Map<string, number>();
  for (const name of ["default", ...namespaces]) {
    store.create({ resource: served("namespaces"), namespace: undefined }, { metadata: { name } });
    const inside = { resource: served("configmaps"), namespace: name };
    store.create(inside, { metadata: { name: "kube-root-ca.crt" } });
  }
  const known = new Set(store.all().map(({ object }) => object.metadata.uid));
  const seams = { store, trouble: () => trouble, react, routes };
  const kubelet = stack.use(startKubelet({ ...seams, agentVersion }));
  startControllers(seams);

  const faults = makeFaults();
  const carriers = new Set<Connection>();
  const ending = new AbortController();
  const requests: string[] = [];
  const apiSeams: ApiSeams = {
    store,
    faults,
    kubelet,
    carriers,
    webSocketNeedsCreate,
    idleMs,
    halfCloseMs,
    knowsNobody: () => knowsNobody,
    signal: ending.signal,
  };
  const connections = new Set<Connection>();
  const serving = new Set<Promise<void>>();
  const serve = async (socket: TLSSocket): Promise<void> => {
    const connection = new Connection(socket);
    connections.add(connection);
    try {
      for (let request; (request = await readRequest(connection)) !== null;) {
        requests.push(`${request.method} ${request.url.pathname}${request.url.search}`);
        if (!await answerRequest(request, connection, apiSeams)) break;
      }
    } catch (error) {
      if (!(error instanceof ConnectionGone)) throw error;
    } finally {
      connection.cut();
      connections.delete(connection);
    }
  };
  const server = createServer({
    cert: tlsFile("server.pem"),
    key: tlsFile("server.key"),
    ca: tlsFile("authority.pem"),
    requestCert: true,
    rejectUnauthorized: false, // whoever is unknown gets an answer: 401
  }, (socket) => {
    const served: Promise<void> = serve(socket).finally(() => serving.delete(served));
    serving.add(served);
  });
  server.on("tlsClientError", () => {}); // a client that does not trust us says so and goes
  const { promise: listening, resolve: listens } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", listens);
  await listening;
  let down = false;
  const goDown = async () => {
    if (down) return;
    down = true;
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    server.close(() => resolve());
    for (const connection of connections) connection.cut();
    await closed;
  };
  stack.defer(async () => {
    ending.abort();
    faults.clear();
    await goDown();
    await Promise.all(serving);
    await rest();
  });

  const address = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const kubeconfig = kubeconfigFor({ server: address });
  const kubeconfigPath = `${directory}/kubeconfig`;
  await Deno.writeTextFile(kubeconfigPath, kubeconfig);
  const owned = stack.move();

  const pod = () => {
    const [found, ...more] = store.list({ resource: served("pods"), namespace: undefined });
    if (found === undefined || more.length > 0) {
      throw new Error(`There are ${found ? 1 + more.length : 0} pods, not one`);
    }
    return found;
  };
  return {
    server: address,
    kubeconfig,
    kubeconfigPath,
    directory,
    requests,
    faults,
    pod,
    objects: (plural) => store.list({ resource: served(plural), namespace: undefined }),
    async put(plural, { name, namespace = "default", ...fields }) {
      store.create({ resource: served(plural), namespace }, {
        ...JSON.parse(JSON.stringify(fields)),
        metadata: { name },
      });
      await rest(); // what controllers make of it was there before, too
      for (const { object } of store.all()) known.add(object.metadata.uid);
    },
    async remaining() {
      await rest();
      return store.all()
        .filter(({ resource, object }) => resource.kind !== "Event" && !known.has(object.metadata.uid))
        .map(({ resource, object }) => `${resource.plural}/${object.metadata.name}`);
    },
    async until(plural, what, condition) {
      const late = AbortSignal.timeout(UNTIL_MS);
      const resource = served(plural);
      const from = store.version;
      const found = store.list({ resource, namespace: undefined }).find(condition);
      if (found !== undefined) return found;
      for await (const change of store.follow(from, AbortSignal.any([late, ending.signal]))) {
        if (change.resource === resource && !change.deleted && condition(change.after)) return change.after;
      }
      throw new Error(`Waited ${UNTIL_MS / 1000} s in vain until ${what}`);
    },
    relieve() {
      trouble = undefined;
      kubelet.relieve();
    },
    dropCarriers: () => carriers.forEach((carrier) => carrier.cut()),
    deletePod() {
      const { metadata } = pod();
      deleteGently(store, { resource: served("pods"), namespace: textAt(metadata, "namespace"), name: metadata.name });
    },
    evictPod: () => kubelet.evict(pod()),
    crashPod: (exitCode, ...log) => kubelet.crash(pod(), exitCode, log),
    podPort: (port) => kubelet.networkOf(pod()).portOf(port),
    listenInPod: (port) => kubelet.networkOf(pod()).run(() => Deno.listen({ port })),
    route: (address, port) => void routes.set(address, port),
    compact: () => store.compact(),
    forgetUsers: () => knowsNobody = true,
    goDown,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** What a controller wanted to change is gone: it tries no more. */
function ignoreRefusal(error: unknown): void {
  if (!(error instanceof Refusal)) throw error;
}
