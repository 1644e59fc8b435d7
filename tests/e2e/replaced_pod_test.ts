/** A proxy's pod that is lost on a real cluster: the session goes on with the next one, or says why it cannot. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { probeNamespace } from "@/capture/mod.ts";
import { deployments, type Pod, pods, type Resource } from "@/kube/mod.ts";
import { type Cluster, clusterTest, endedSoon, type Running, start, until } from "./harness.ts";
import {
  askWeb,
  makeWeb,
  makeWebService,
  openShop,
  serveLocally,
  type Shop,
  startInPlace,
  untilAnswer,
} from "./swap_harness.ts";

/** The API answers an eviction with a Status, which has no name. */
const evictionOf = (name: string): Resource<unknown> => ({
  ...pods,
  group: "",
  plural: `pods/${name}/eviction`,
  kind: "Eviction",
  parse: (value) => value,
});

/** How a pod is lost, and how that is told. */
const LOSSES: readonly {
  readonly name: string;
  readonly says: RegExp;
  lose(cluster: Cluster, where: { namespace: string; name: string }): Promise<unknown>;
}[] = [
  {
    name: "is evicted, as by a drain of its node",
    says: /pod "\S+" (?:was deleted|is being deleted)\. Waiting for the one that comes after it/,
    lose: ({ kube }, { namespace, name }) =>
      kube.create(evictionOf(name), {
        apiVersion: "policy/v1",
        metadata: { name, namespace },
      }),
  },
  {
    name: "is deleted without its goodbye",
    says: /pod "\S+" (?:was deleted|is being deleted)\. Waiting for the one that comes after it/,
    lose: ({ kube }, where) => kube.delete(pods, where, { gracePeriodSeconds: 0 }),
  },
  {
    name: "has its agent ended and started again",
    says:
      /The agent in pod "\S+" (?:ended with exit code \d+|was restarted)[^\n]*\. Waiting for the one that comes after it/,
    lose: ({ kube }, where) => kube.exec(where, { command: ["deno", "eval", "Deno.kill(1, 'SIGTERM')"] }),
  },
];

/**
 * Reads the pod's volumes below TELEPRESENCE_ROOT and at their own path, and asks a Service of the cluster, each time
 * that it is told to.
 */
const COMMAND = `
volume=/var/run/secrets/kubernetes.io/serviceaccount/namespace
echo "up $$" >&2
while read -r line; do
  namespace=$(cat "$TELEPRESENCE_ROOT$volume" 2>&1)
  echo "$line: pid $$, volume $namespace, at its path $(cat $volume 2>&1), service $(curl -s --max-time 5 "$1" | grep -c "<h1>Hello")" >&2
done`;

/** How the command is carried and has its volumes; each with all losses, or with the one of each kind of successor. */
const WAYS = [
  { words: [], losses: LOSSES },
  { words: ["--mount-mode", "copy"], losses: LOSSES.slice(1) },
  { words: ["--method", "namespace"], losses: LOSSES },
  { words: ["--method", "namespace", "--mount-mode", "copy"], losses: LOSSES.slice(0, 1) },
];

/** Where this machine cannot carry by a namespace, those ways are skipped. */
const namespaces = await probeNamespace(
  await Deno.readFile(new URL("../../build/netns/telepresence-netns", import.meta.url)),
);

for (const { words: way, losses } of WAYS.filter(({ words }) => namespaces.allowed || !words.includes("namespace"))) {
  clusterTest(
    `a swapped workload's proxy whose pod is lost is followed: ${way.join(" ") || "as it is by itself"}`,
    async (cluster) => {
      await using shop = await openShop(cluster);
      const { namespace } = shop;
      await makeWebService(shop);
      await makeWeb(shop);
      const before = await shop.state();
      using local = serveLocally();
      const url = `http://helloworld.${cluster.namespace}`;
      const words = ["--namespace", namespace, "-s", "web", "--expose", `${local.port}:8000`];
      await using running = start(cluster, [...words, ...way, "--run", "sh", "-c", COMMAND, "sh", url]);
      await running.said(/^up \d+$/m);
      const [, pid] = /^up (\d+)$/m.exec(running.heard()) ?? [];
      const answers = async (word: string) => {
        await running.stdin.write(new TextEncoder().encode(`${word}\n`));
        await running.said(
          new RegExp(`^${word}: pid ${pid}, volume ${namespace}, at its path ${namespace}, service 1$`, "m"),
        );
        await untilAnswer("the host serves", () => askWeb(cluster, shop), /^served by the host$/);
      };
      await answers("before");
      for (const [index, { name, says, lose }] of losses.entries()) {
        const heard = running.heard().length;
        await lose(cluster, { namespace, name: (await proxyPod(shop)).metadata.name });
        await connectedAgain(running, index + 1);
        match(running.heard().slice(heard), says, name);
        await answers(`after${index}`);
      }
      equals((await running.ended()).code, 0, "the command read to its end of input");
      await shop.ready("app=web", 1);
      await shop.isAgain(before);
    },
  );
}

clusterTest(
  "a proxy whose Deployment is deleted is gone for good: 255, and what was swapped is given back",
  async (cluster) => {
    await using shop = await openShop(cluster);
    const { kube, namespace } = shop;
    await makeWeb(shop);
    const before = await shop.state();
    await using running = await startInPlace(cluster, shop);
    const { items } = await kube.list(deployments, { namespace, labelSelector: "telepresence" });
    await kube.delete(deployments, { namespace, name: items[0]?.metadata.name ?? "" });
    const { code, stderr } = await endedSoon(running);
    equals(code, 255, stderr);
    match(stderr, /^T: Error: Proxy to Kubernetes exited\./m);
    match(stderr, /deployment "web-telepresence-\w+" was deleted$/m);
    await shop.ready("app=web", 1);
    await shop.isAgain(before);
  },
);

async function proxyPod({ kube, namespace }: Shop): Promise<Pod> {
  let found: Pod | undefined;
  await until("the proxy has one pod", async () => {
    const { items } = await kube.list(pods, { namespace, labelSelector: "telepresence" });
    const alive = items.filter(({ metadata }) => !metadata.deletionTimestamp);
    found = alive[0];
    return alive.length === 1;
  });
  ok(found);
  return found;
}

async function connectedAgain(running: Running, times: number): Promise<void> {
  await running.said(new RegExp(`(?:Connected to the proxy's pod [^]*){${times}}`));
}
