import { deepStrictEqual as equals } from "node:assert/strict";
import { startFakeCluster } from "../../tests/testkit/mod.ts";
import { openLive, patience } from "./live.ts";

const TOPICS: string[] = [];

Deno.test("openLive() tells what is in the cluster, without pods that belong to something", async () => {
  await using cluster = await startFakeCluster({ namespaces: ["shop"] });
  const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "x", uid: "1", controller: true };
  await cluster.put("pods", { name: "lone", spec: { containers: [{ name: "a", image: "b" }] } });
  await cluster.put("pods", {
    name: "owned",
    metadata: { ownerReferences: [owner] },
    spec: { containers: [{ name: "a", image: "b" }] },
  });
  const env = { KUBECONFIG: cluster.kubeconfigPath };
  const live = openLive({ env, home: cluster.directory, signal: new AbortController().signal, topics: TOPICS });
  equals(await live.contexts(), ["fake"]);
  equals(await live.namespaces({}), ["default", "shop"]);
  equals((await live.workloads("pod", {})).includes("lone"), true);
  equals(await live.workloads("cronjob", {}), []);
});

Deno.test("openLive() tells the containers of a workload", async () => {
  await using cluster = await startFakeCluster({ namespaces: ["shop"] });
  const spec = { containers: [{ name: "main", image: "a" }, { name: "proxy", image: "b" }] };
  const template = { metadata: { labels: { a: "b" } }, spec };
  await cluster.put("pods", { name: "lone", spec });
  await cluster.put("deployments", {
    name: "web",
    namespace: "shop",
    spec: { selector: { matchLabels: { a: "b" } }, template },
  });
  const env = { KUBECONFIG: cluster.kubeconfigPath };
  const { signal } = new AbortController();
  const live = openLive({ env, home: cluster.directory, signal, topics: TOPICS });
  equals(await live.containers("deployment", "web", { namespace: "shop" }), ["main", "proxy"]);
  equals(await live.containers("pod", "lone", {}), ["main", "proxy"]);
  equals(await live.containers("deployment", "web", {}), [], "there is none in this namespace");
});

Deno.test("patience() is over for a program that took longer than that to start", async () => {
  const signal = patience(Infinity);
  await new Promise<void>((resolve) => signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve()));
});

Deno.test("openLive() is silent and empty when the server is away, refuses, or does not answer in time", async (t) => {
  const signal = new AbortController().signal;
  await t.step("no kubeconfig", async () => {
    const live = openLive({ env: {}, home: "/nonexistent", signal, topics: TOPICS });
    equals([await live.contexts(), await live.namespaces({})], [[], []]);
  });
  await t.step("refused", async () => {
    await using cluster = await startFakeCluster();
    cluster.faults.add({ resource: "namespaces" }, { kind: "forbid" });
    const live = openLive({ env: { KUBECONFIG: cluster.kubeconfigPath }, home: "/", signal, topics: TOPICS });
    equals(await live.namespaces({}), []);
    equals(await live.namespaces({ context: "nowhere" }), []);
  });
  await t.step("no answer", async () => {
    await using cluster = await startFakeCluster();
    cluster.faults.add({ resource: "namespaces" }, { kind: "stall" });
    const ending = new AbortController();
    const live = openLive({
      env: { KUBECONFIG: cluster.kubeconfigPath },
      home: "/",
      signal: ending.signal,
      topics: TOPICS,
    });
    const asking = live.namespaces({});
    ending.abort();
    equals(await asking, []);
  });
});
