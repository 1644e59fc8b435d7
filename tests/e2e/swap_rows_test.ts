/**
 * Each row of the table of obstacles (lib/session/workload/first.ts) on a real cluster, and what else a workload may
 * have about it: said, swapped, and given back as it was.
 */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import {
  deployments,
  horizontalPodAutoscalers,
  persistentVolumeClaims,
  pods,
  replicaSets,
  untyped,
} from "@/kube/mod.ts";
import { clusterTest, embeddedTest, run, start, until } from "./harness.ts";
import { HELLO, makeWeb, openShop, replicasOf, type Shop, startInPlace, templateOf } from "./swap_harness.ts";

const volumes = untyped({ ...pods, plural: "persistentvolumes", kind: "PersistentVolume", namespaced: false });
const budgets = untyped({ ...pods, group: "policy", plural: "poddisruptionbudgets", kind: "PodDisruptionBudget" });

/** Rows, each with what makes it one. Kinds other than Deployments, and quotas, have tests of their own. */
const ROWS: readonly {
  readonly name: string;
  readonly why: RegExp;
  spec(shop: Shop): Promise<Record<string, unknown>>;
}[] = [
  {
    name: "a volume for one node (ReadWriteOnce)",
    why: /its volume "data" can be used on one node at a time/,
    spec: (shop) => withVolume(shop, "ReadWriteOnce"),
  },
  {
    name: "a volume for one pod (ReadWriteOncePod)",
    why: /its volume "data" can be used on one node at a time/,
    spec: (shop) => withVolume(shop, "ReadWriteOncePod"),
  },
  {
    name: "a port of the node",
    why: /its pod has port 38471 of the node/,
    spec: () => Promise.resolve({ containers: [{ ...HELLO, ports: [{ ...HELLO.ports[0], hostPort: 38471 }] }] }),
  },
  {
    name: "the node's network and a port that is root's",
    why: /its pod uses the node's network/,
    // What serves there is nobody's business here: the port of HELLO may be taken on the node.
    spec: () =>
      Promise.resolve({
        hostNetwork: true,
        securityContext: { runAsUser: 0 },
        containers: [{
          name: "hello",
          image: "tools:1",
          imagePullPolicy: "Never",
          command: ["sleep", "infinity"],
          ports: [{ containerPort: 887 }],
        }],
      }),
  },
  {
    name: "pods that are never on a node with each other",
    why: /its pods may not be on a node with each other/,
    spec: () => {
      const term = { labelSelector: { matchLabels: { app: "web" } }, topologyKey: "kubernetes.io/hostname" };
      return Promise.resolve({
        affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } },
      });
    },
  },
];

for (const { name, why, spec } of ROWS) {
  embeddedTest(
    `a Deployment with ${name} goes before the proxy comes, which is said, and comes back`,
    async (cluster) => {
      await using shop = await openShop(cluster);
      await using _volumes = await ownVolumes(shop);
      await makeWeb(shop, { template: templateOf("web", await spec(shop)) });
      const before = await shop.state();
      const ended = await run(cluster, "--namespace", shop.namespace, "-s", "web", "--run", "true");
      equals(ended.code, 0, ended.stderr);
      match(
        ended.stderr,
        new RegExp(`Deployment web goes before the proxy comes, so nothing serves for a moment: ${why.source}`),
      );
      await shop.ready("app=web", 1);
      await shop.isAgain(before);
    },
  );
}

/** A volume of the node's disk, and a claim on it. */
async function withVolume({ kube, namespace }: Shop, mode: string): Promise<Record<string, unknown>> {
  const capacity = { storage: "1Mi" };
  const claimRef = { namespace, name: "data" };
  await kube.create(volumes, {
    metadata: { name: namespace },
    spec: { capacity, accessModes: [mode], storageClassName: "", claimRef, hostPath: { path: "/tmp" } },
  });
  await kube.create(persistentVolumeClaims, {
    metadata: { name: "data", namespace },
    spec: { accessModes: [mode], storageClassName: "", resources: { requests: capacity }, volumeName: namespace },
  });
  const data = { name: "data", persistentVolumeClaim: { claimName: "data" } };
  return { volumes: [data], containers: [{ ...HELLO, volumeMounts: [{ name: "data", mountPath: "/data" }] }] };
}

/** Volumes are of no namespace: what a test makes is deleted by its name. */
function ownVolumes({ kube, namespace }: Shop): Promise<AsyncDisposable> {
  return Promise.resolve({
    async [Symbol.asyncDispose]() {
      await kube.delete(volumes, { name: namespace }).catch(() => {}); // most rows make none
    },
  });
}

clusterTest(
  "an autoscaler, a disruption budget, a paused rollout and minReadySeconds: left alone, told, and as before",
  async (cluster) => {
    await using shop = await openShop(cluster);
    const { kube, namespace } = shop;
    await makeWeb(shop, { replicas: 2, paused: false, minReadySeconds: 1, strategy: { type: "Recreate" } });
    await kube.create(budgets, {
      metadata: { name: "web", namespace },
      spec: { minAvailable: 2, selector: { matchLabels: { app: "web" } } },
    });
    await kube.create(horizontalPodAutoscalers, {
      metadata: { name: "web", namespace },
      spec: {
        scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
        minReplicas: 2,
        maxReplicas: 4,
        metrics: [{
          type: "Resource",
          resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 80 } },
        }],
      },
    });
    await shop.ready("app=web", 2);
    await kube.patch(deployments, { namespace, name: "web" }, { type: "merge", body: { spec: { paused: true } } });
    const before = await shop.state();
    const words = ["--namespace", namespace, "-s", "web", "--run", "sh", "-c", "echo up >&2; exec sleep 300"];
    await using running = start(cluster, words);
    await running.said(/^up$/m);
    match(
      running.heard(),
      /HorizontalPodAutoscaler "web" stands still while deployment web has no pods, and goes on from the /,
    );
    equals(await replicasOf(shop), 0, "a paused Deployment is scaled, and its budget is about evictions");
    await until("the original's pods are gone", async () => (await ofOriginal(shop)).length === 0);
    await neverAdopted(shop);
    running.kill("SIGTERM");
    equals((await running.ended()).code, 143);
    equals(await replicasOf(shop), 2);
    await shop.ready("app=web", 2);
    await shop.isAgain(before);
  },
);

/** Pods of the original's ReplicaSets. */
async function ofOriginal({ kube, namespace }: Shop) {
  const { items } = await kube.list(pods, { namespace, labelSelector: "app=web" });
  return items.filter(({ metadata }) => metadata.ownerReferences.some(({ name }) => /^web-[a-z0-9]+$/.test(name)));
}

/** The proxy's pod has the original's labels by now, and its controller is its own Deployment's alone. */
async function neverAdopted({ kube, namespace }: Shop): Promise<void> {
  const { items } = await kube.list(pods, { namespace, labelSelector: "telepresence" });
  equals(items.length, 1);
  const [owner, ...others] = items[0]?.metadata.ownerReferences ?? [];
  ok(owner?.controller && /^web-telepresence-/.test(owner.name), JSON.stringify(owner));
  equals(others, []);
  const sets = (await kube.list(replicaSets, { namespace })).items;
  const original = sets.filter(({ metadata }) => !/telepresence/.test(metadata.name));
  equals(original.map(({ status }) => status.replicas), [0]);
}

clusterTest(
  "a proxy that has the labels of a workload with pods is adopted by none of its controllers",
  async (cluster) => {
    // The proxy comes first here: for a moment both are there, with the same labels.
    await using shop = await openShop(cluster);
    const { kube, namespace } = shop;
    await makeWeb(shop);
    await kube.create(untyped({ ...pods, plural: "services", kind: "Service" }), {
      metadata: { name: "web", namespace },
      spec: { selector: { app: "web", tier: "front" }, ports: [{ port: 80 }] },
    });
    await shop.ready("app=web", 1);
    // An original that cannot go yet: whoever may adopt the proxy's pod has all the time for it.
    const [first] = await ofOriginal(shop);
    const where = { namespace, name: first?.metadata.name ?? "" };
    await kube.patch(pods, where, { type: "merge", body: { metadata: { finalizers: ["example.com/stays"] } } });
    await using running = await startInPlace(cluster, shop);
    const { items } = await kube.list(pods, { namespace, labelSelector: "app=web,tier=front" });
    equals(items.length, 2, "both have the labels by which the Service finds them");
    await neverAdoptedBeside(shop);
    await kube.patch(pods, where, { type: "merge", body: { metadata: { finalizers: null } } });
    running.kill("SIGTERM");
    equals((await running.ended()).code, 143);
  },
);

async function neverAdoptedBeside({ kube, namespace }: Shop): Promise<void> {
  const { items } = await kube.list(pods, { namespace, labelSelector: "telepresence" });
  equals(items.map(({ metadata }) => metadata.ownerReferences.map(({ name }) => /^web-telepresence-/.test(name))), [[
    true,
  ]]);
}
