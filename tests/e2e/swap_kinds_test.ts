/** Workloads beyond Deployments, and namespaces with rules: each swapped, served and given back on a real cluster. */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import {
  daemonSets,
  deployments,
  isNotFound,
  type NewObject,
  pods,
  replicaSets,
  type Resource,
  statefulSets,
  untyped,
} from "@/kube/mod.ts";
import { clusterTest, run, start, until } from "./harness.ts";
import {
  askWeb,
  HELLO,
  makeWeb,
  makeWebService,
  openShop,
  serveLocally,
  type Shop,
  templateOf,
  untilAnswer,
} from "./swap_harness.ts";

const selector = { matchLabels: { app: "web" } };

/** Each kind: how it is made, how it is asked for, and why it has to go before the proxy comes, if it has. */
const KINDS: readonly {
  readonly word: string;
  readonly resource: Resource<unknown>;
  readonly object: Omit<NewObject, "metadata">;
  readonly labels?: Record<string, string>;
  readonly goesFirst: RegExp | undefined;
}[] = [
  {
    word: "replicaset/web",
    resource: replicaSets,
    object: { spec: { replicas: 1, selector, template: templateOf("web") } },
    goesFirst: undefined,
  },
  {
    word: "statefulset/web",
    resource: statefulSets,
    object: { spec: { replicas: 1, serviceName: "web", selector, template: templateOf("web") } },
    goesFirst: /StatefulSet web goes before the proxy comes, .*: its pods have names and volumes of their own/,
  },
  {
    word: "daemonset/web",
    resource: daemonSets,
    object: { spec: { selector, template: templateOf("web") } },
    goesFirst: /DaemonSet web goes before the proxy comes, .*: a DaemonSet's pod has its node for itself/,
  },
  {
    word: "pod/web",
    resource: pods,
    object: { spec: templateOf("web").spec },
    labels: { app: "web" },
    goesFirst: /Pod web goes before the proxy comes, .*: a bare Pod cannot be scaled/,
  },
];

for (const { word, resource, object, labels, goesFirst } of KINDS) {
  clusterTest(`--swap-deployment ${word}: served by the host, and given back`, async (cluster) => {
    await using shop = await openShop(cluster);
    const { kube, namespace } = shop;
    const metadata = { name: "web", namespace, ...(labels && { labels }) };
    await kube.create(resource, { ...object, metadata });
    await makeWebService(shop);
    await shop.ready("app=web", 1);
    using local = serveLocally();
    const before = await shop.state();
    const swap = ["--namespace", namespace, "--swap-deployment", word, "--expose", `${local.port}:8000`];
    await using running = start(cluster, [...swap, "--run", "sh", "-c", "echo up >&2; exec sleep 600"]);
    await running.said(/^up$/m);
    await untilAnswer("the host serves", () => askWeb(cluster, shop), /^served by the host$/);
    await until(
      "the proxy's pod alone is found",
      async () => (await foundPods(shop)).every((owner) => /telepresence/.test(owner)),
    );
    running.kill("SIGINT");
    const { stderr } = await running.ended();
    if (goesFirst === undefined) equals(/goes before the proxy/.test(stderr), false);
    else match(stderr, goesFirst);
    await shop.ready("app=web", 1);
    await shop.isAgain(before);
    await untilAnswer("the original serves", () => askWeb(cluster, shop), /Hello, world!/);
  });
}

clusterTest("a namespace that enforces restricted, with limits and a quota without room for both", async (cluster) => {
  await using shop = await openShop(cluster, { "pod-security.kubernetes.io/enforce": "restricted" });
  const { kube, namespace } = shop;
  const core = (plural: string, kind: string) =>
    untyped({ group: "", version: "v1", plural, kind, namespaced: true, parse: (value) => value });
  await kube.create(core("resourcequotas", "ResourceQuota"), {
    metadata: { name: "tight", namespace },
    spec: { hard: { pods: "1", "limits.memory": "300Mi" } },
  });
  await kube.create(core("limitranges", "LimitRange"), {
    metadata: { name: "sizes", namespace },
    spec: { limits: [{ type: "Container", max: { memory: "256Mi" }, default: { memory: "64Mi" } }] },
  });
  const securityContext = {
    runAsNonRoot: true,
    runAsUser: 1234,
    runAsGroup: 4321,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    seccompProfile: { type: "RuntimeDefault" },
  };
  const template = templateOf("web", { containers: [{ ...HELLO, securityContext }] });
  await until("the quota is in force", async () => {
    const quota = await kube.get(core("resourcequotas", "ResourceQuota"), { namespace, name: "tight" });
    return JSON.stringify(quota).includes('"used"');
  });
  await makeWeb(shop, { template });
  const before = await shop.state();
  const ended = await run(cluster, "--namespace", namespace, "-s", "web", "--run", "true");
  equals(ended.code, 0, ended.stderr);
  match(ended.stderr, /Deployment web goes before the proxy comes, .*: the namespace's quota has no room for both/);
  await shop.ready("app=web", 1);
  await shop.isAgain(before);
});

clusterTest("what cannot be swapped is refused with a sentence, and nothing is changed", async (cluster) => {
  await using shop = await openShop(cluster);
  const { kube, namespace } = shop;
  await makeWeb(shop);
  const { items: [owned] } = await kube.list(replicaSets, { namespace });
  const table: readonly (readonly [string, RegExp])[] = [
    ["nosuch", /Cannot find deployment "nosuch" in namespace/],
    ["web:nosuch", /Unable to find container nosuch in pod spec for deployment web/],
    [
      `replicaset/${owned?.metadata.name}`,
      /Cannot swap replicaset .*: Deployment "web" made it and would make it again/,
    ],
  ];
  const before = await shop.state();
  for (const [word, sentence] of table) {
    const { code, stderr } = await run(cluster, "--namespace", namespace, "-s", word, "--run", "true");
    equals(code, 255);
    match(stderr, sentence);
  }
  await shop.isAgain(before);
});

clusterTest("--plan shows objects, changes and rights, and changes nothing", async (cluster) => {
  await using shop = await openShop(cluster);
  const { kube, namespace } = shop;
  const metadata = { name: "web", namespace, labels: { "app.kubernetes.io/managed-by": "Helm" } };
  await kube.create(deployments, {
    metadata,
    spec: { replicas: 0, selector, template: templateOf("web") },
  });
  await makeWebService(shop);
  const before = await shop.state();
  const words = ["--namespace", namespace, "-s", "web", "--plan"];
  const text = await run(cluster, ...words);
  equals(text.code, 0, text.stderr);
  match(text.stdout, /deployment\/web is scaled from 0 to 0/);
  match(text.stdout, /gets app=web, by which Services \(web\) find it/);
  match(text.stdout, /Helm keeps it/);
  match(text.stdout, /pods\/portforward: create, get/);
  const { objects, rules } = JSON.parse((await run(cluster, ...words, "--output", "json")).stdout) as {
    objects: { kind: string }[];
    rules: { resources: string[]; verbs: string[] }[];
  };
  equals(objects.map(({ kind }) => kind), ["ConfigMap", "ConfigMap", "Deployment"]);
  equals(rules.some(({ resources, verbs }) => resources.includes("deployments") && verbs.includes("patch")), true);
  await shop.isAgain(before);
});

/** Owners of the pods that Service `web` selects: of a proxy's pod, a ReplicaSet of the proxy's alone. */
async function foundPods({ kube, namespace }: Shop): Promise<string[]> {
  try {
    const { items } = await kube.list(pods, { namespace, labelSelector: "app=web" });
    return items.map(({ metadata: { ownerReferences } }) => ownerReferences[0]?.name ?? "nobody");
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}
