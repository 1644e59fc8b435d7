/**
 * What the tests of swapped workloads share: a namespace of their own, workloads in it, and the proof that everything in
 * it is afterwards as it was.
 *
 * @module
 */
import { deepStrictEqual as equals } from "node:assert/strict";
import {
  deployments,
  events,
  isNotFound,
  type KubeClient,
  type KubeObject,
  namespaces,
  type NewObject,
  pods,
  type Resource,
  services,
} from "@/kube/mod.ts";
import { sleep } from "@/util/mod.ts";
import { type Cluster, IMAGES, inAnotherPod, makeNamespace, type Running, start, until } from "./harness.ts";

/** A namespace for one test. Disposing it deletes it. */
export interface Shop extends AsyncDisposable {
  readonly namespace: string;
  readonly kube: KubeClient;
  /** Every object that counts, as text that can be compared. */
  state(): Promise<Record<string, string>>;
  /** Waits until the state is again what it was. */
  isAgain(before: Record<string, string>): Promise<void>;
  /**
   * Waits until so many pods with these labels are ready: the cluster's own affair, which may take it two minutes (a
   * kubelet that has not yet heard of a volume tries again after half a minute).
   * @throws with the namespace's events
   */
  ready(labelSelector: string, count: number): Promise<void>;
}

/** Makes a namespace, with these labels. */
export async function openShop({ kube }: Cluster, labels: Record<string, string> = {}): Promise<Shop> {
  const namespace = await makeNamespace({ kube }, "swap", labels);
  const resources = (await kube.discover()).filter(({ plural }) => !OF_CONTROLLERS.includes(plural));
  const state = async () => {
    const lists = await Promise.all(resources.map((resource) => stateOf(kube, resource, namespace)));
    return Object.fromEntries(lists.flat().sort());
  };
  return {
    namespace,
    kube,
    state,
    async isAgain(before) {
      let after = {};
      await until("everything is as it was", async () => {
        after = await state();
        return JSON.stringify(after) === JSON.stringify(before);
      }).catch(() => equals(after, before));
    },
    async ready(labelSelector, count) {
      await until(`${count} pods are ready`, async () => {
        const { items } = await kube.list(pods, { namespace, labelSelector });
        const ready = items.filter(({ metadata, status }) => {
          return !metadata.deletionTimestamp &&
            status.conditions.some((one) => one.type === "Ready" && one.status === "True");
        });
        return ready.length === count;
      }, 120).catch(async (error) => {
        const { items } = await kube.list(events, { namespace });
        throw new Error(`${error.message}\n${items.map((one) => one.message).join("\n")}`);
      });
    },
    async [Symbol.asyncDispose]() {
      await kube.delete(namespaces, { name: namespace }).catch((error) => {
        if (!isNotFound(error)) throw error; // its test has deleted it
      });
    },
  };
}

/** Made by controllers, with names and contents that change by themselves; pods are looked at by their number. */
const OF_CONTROLLERS = ["events", "endpoints", "endpointslices", "controllerrevisions", "leases", "podmetrics"];
/** What each namespace gets from controllers, some time after it was made. */
const OF_NAMESPACES = new Set(["kube-root-ca.crt", "default"]);
/** Annotations of the Deployment controller about the rollout. */
const ROLLOUT = /^(deployment\.kubernetes\.io\/|deprecated\.daemonset\.template\.generation)/;

async function stateOf(kube: KubeClient, resource: Resource<KubeObject>, namespace: string) {
  const { items } = await kube.list(resource, { namespace });
  return items.filter(({ metadata }) => {
    return (resource.plural !== "pods" || metadata.ownerReferences.length === 0) && !OF_NAMESPACES.has(metadata.name);
  }).map(
    (item) => {
      const { status: _status, metadata, ...rest } = item;
      const { name, labels, ownerReferences, finalizers } = metadata;
      const annotations = Object.fromEntries(
        Object.entries(metadata.annotations).filter(([key]) => !ROLLOUT.test(key)),
      );
      const uid = resource.plural === "pods" ? "another each time" : metadata.uid;
      const text = JSON.stringify({ name, uid, labels, annotations, ownerReferences, finalizers, ...bare(rest) });
      return [`${resource.plural}/${name}`, text] as const;
    },
  );
}

/** Without where a pod runs, which is the scheduler's choice, and its token's volume, whose name is random. */
function bare(rest: Record<string, unknown>): Record<string, unknown> {
  const text = JSON.stringify(rest).replace(/"nodeName":"[^"]*",?/, "").replace(
    /kube-api-access-[a-z0-9]{5}/g,
    "token",
  );
  return JSON.parse(text) as Record<string, unknown>;
}

/** A container that serves a page on port 8000, and is ready when it does. */
export const HELLO = {
  name: "hello",
  image: IMAGES.helloworld,
  imagePullPolicy: IMAGES.pullPolicy,
  // Not every image has the page.
  command: [
    ...["busybox", "sh", "-c"],
    "busybox mkdir -p /tmp/page; echo 'Hello, world!' >/tmp/page/index.html; exec busybox httpd -f -p 8000 -h /tmp/page",
  ],
  ports: [{ name: "http", containerPort: 8000 }],
  readinessProbe: { httpGet: { path: "/", port: 8000 }, periodSeconds: 1 },
} as const;

/** A pod template with such a container. */
export function templateOf(app: string, spec: Record<string, unknown> = {}) {
  const labels = { app, tier: "front" };
  return { metadata: { labels }, spec: { terminationGracePeriodSeconds: 2, containers: [HELLO], ...spec } };
}

/** Makes Deployment `web` with one such pod, or as its `spec` says, and waits until its pods are ready. */
export async function makeWeb(shop: Shop, spec: Readonly<Record<string, unknown>> = {}): Promise<void> {
  const { kube, namespace } = shop;
  const whole = { replicas: 1, selector: { matchLabels: { app: "web" } }, template: templateOf("web"), ...spec };
  await kube.create(deployments, { metadata: { name: "web", namespace }, spec: whole } as NewObject);
  await shop.ready("app=web", whole.replicas);
}

/** Makes Service `web` for those pods. */
export async function makeWebService({ kube, namespace }: Shop): Promise<void> {
  const spec = { selector: { app: "web" }, ports: [{ port: 80, targetPort: "http" }] };
  await kube.create(services, { metadata: { name: "web", namespace }, spec });
}

/** Asks Service `web` from another pod, once. @returns the answer's body */
export async function askWeb(cluster: Cluster, { namespace }: Shop): Promise<string> {
  return (await inAnotherPod(cluster, "curl", "-sS", "--max-time", "3", `http://web.${namespace}`)).stdout;
}

/** What the Deployment `web` is to have. */
export async function replicasOf({ kube, namespace }: Shop): Promise<number> {
  return (await kube.get(deployments, { namespace, name: "web" })).spec.replicas;
}

/** A session in the place of `web`. */
export interface InPlace extends Running {
  /** The process id of its command. */
  readonly command: number;
}

/** Starts a session in the place of `web`, with these flags besides, and waits until its command runs. */
export async function startInPlace(
  cluster: Parameters<typeof start>[0],
  { namespace }: Shop,
  ...flags: readonly string[]
): Promise<InPlace> {
  const command = ["--run", "sh", "-c", "echo up $$ >&2; exec sleep 600"];
  const running = start(cluster, ["--namespace", namespace, "-s", "web", ...flags, ...command]);
  await running.said(/^up \d+$/m);
  return { ...running, command: Number(/^up (\d+)$/m.exec(running.heard())?.[1]) };
}

/** SIGKILL to the guardian of the only session that logs there. */
export async function killGuardian({ directory }: Pick<Cluster, "directory">): Promise<void> {
  const log = await Deno.readTextFile(`${directory}/telepresence.log`);
  Deno.kill(Number(/Started a helper as process (\d+)/.exec(log)?.[1]), "SIGKILL");
}

/** SIGKILL to everything of the only session that logs there: itself, its guardian, its launcher and its command. */
export async function killAll({ directory }: Cluster, running: InPlace): Promise<void> {
  const log = await Deno.readTextFile(`${directory}/telepresence.log`);
  const launcher = Number(/Started \S+ as process (\d+)/.exec(log)?.[1]);
  await killGuardian({ directory });
  running.kill("SIGKILL");
  for (const pid of [launcher, running.command]) {
    try {
      Deno.kill(pid, "SIGKILL");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // its launcher was quicker
    }
  }
  await running.ended();
}

/** A server on the host, which tells who it is. */
export function serveLocally(): Disposable & { readonly port: number } {
  const ending = new AbortController();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, signal: ending.signal, onListen() {} },
    () => new Response("served by the host"),
  );
  return { port: server.addr.port, [Symbol.dispose]: () => ending.abort() };
}

/** Asks again and again until the answer is as wanted. */
export async function untilAnswer(what: string, ask: () => Promise<string>, want: RegExp): Promise<void> {
  const end = performance.now() + 30_000;
  for (let answer; !want.test(answer = await ask());) {
    if (performance.now() > end) throw new Error(`Waited half a minute until ${what}: ${answer}`);
    await sleep(200);
  }
}
