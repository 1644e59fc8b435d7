/** What goes wrong in the fake cluster on demand, as a client of it sees that. */
import { deepStrictEqual as equals, match, ok, rejects, strictEqual as equal } from "node:assert/strict";
import {
  configMaps,
  isGone,
  isUnauthorized,
  type KubeClient,
  KubeError,
  loadKubeconfig,
  openKubeClient,
  pods,
} from "@/kube/mod.ts";
import { greetAgent, makeSessionKey } from "@/transport/mod.ts";
import { openRawClient } from "./_raw_client.ts";
import { type FakeCluster, type FakeClusterOptions, kubeconfigFor, startFakeCluster, tooManyRequests } from "./mod.ts";

const PORT = 23456;
const MAPS = "/api/v1/namespaces/default/configmaps";

async function withKube(
  options: FakeClusterOptions,
  body: (kube: KubeClient, cluster: FakeCluster) => Promise<void>,
): Promise<void> {
  await using cluster = await startFakeCluster(options);
  await using kube = openKubeClient(await loadKubeconfig({ env: { KUBECONFIG: cluster.kubeconfigPath } }));
  await body(kube, cluster);
}

/** The agent's pod of a Deployment, once it runs. */
async function runningPod(cluster: FakeCluster, publicKey: string): Promise<string> {
  const labels = { app: "agent" };
  const command = ["deno", "run", "agent.js", `--port=${PORT}`, `--key=${publicKey}`];
  const template = { metadata: { labels }, spec: { containers: [{ name: "telepresence", image: "x", command }] } };
  await cluster.put("deployments", { name: "agent", spec: { selector: { matchLabels: labels }, template } });
  const isRunning = (pod: object) => JSON.stringify(pod).includes("startedAt");
  return (await cluster.until("pods", "the agent runs", isRunning)).metadata.name;
}

Deno.test("the pod's agent is the real one: who holds the key is let in, through a port-forward", async () => {
  await withKube({}, async (kube, cluster) => {
    const { publicKey, privateKey } = await makeSessionKey();
    const name = await runningPod(cluster, publicKey);
    const carrier = await kube.portForward({ namespace: "default", name }, PORT);
    equal(await greetAgent(carrier, privateKey, { version: "1" }), "0.0.0-test");
    cluster.dropCarriers();
    await rejects(async () => {
      while (await carrier.read(new Uint8Array(64)) !== null); // the agent's first PING may be on its way
    });
    carrier.close();
  });
});

Deno.test("an idle port-forward is dropped, pings or not", async () => {
  await using cluster = await startFakeCluster({ idleMs: 200 });
  const { publicKey } = await makeSessionKey();
  const name = await runningPod(cluster, publicKey);
  using client = openRawClient(await loadKubeconfig({ env: { KUBECONFIG: cluster.kubeconfigPath } }));
  using socket = await client.upgrade(`/api/v1/namespaces/default/pods/${name}/portforward?ports=${PORT}`, undefined);
  const started = performance.now();
  let pongs = 0;
  const pinging = setInterval(() => void socket.send(9, [1]).catch(() => {}), 40);
  try {
    for (let frame; (frame = await socket.read()) !== null;) if (frame.opcode === 10) pongs++;
  } finally {
    clearInterval(pinging);
  }
  ok(pongs > 0, "pings are answered");
  ok(performance.now() - started < 2_000, "and keep nothing alive");
});

Deno.test("faults: forbidden, refused for a while, cut before and in the middle of an answer", async () => {
  await withKube({}, async (kube, cluster) => {
    cluster.faults.add({ verb: "list", resource: "pods" }, { kind: "forbid" }, 1);
    await rejects(kube.list(pods), (error) => error instanceof KubeError && error.status === 403);
    equals((await kube.list(pods)).items, []);
    cluster.faults.add({ verb: "list" }, { kind: "refuse", refusal: tooManyRequests(0) }, 2);
    equals((await kube.list(pods)).items, [], "Retry-After is kept by the client");
    for (const kind of ["cut", "cut-answer"] as const) {
      cluster.faults.add({ verb: "list" }, { kind });
      await rejects(kube.list(pods));
      cluster.faults.clear();
    }
    const hold = cluster.faults.hold({ verb: "list" });
    const listing = kube.list(pods);
    await hold.reached;
    hold.release();
    equals((await listing).items, []);
  });
});

Deno.test("a watch from a version that was forgotten is told so inside of it: 410", async () => {
  await using cluster = await startFakeCluster();
  using client = openRawClient(await loadKubeconfig({ env: { KUBECONFIG: cluster.kubeconfigPath } }));
  const { body } = await client.ask(MAPS);
  const { resourceVersion } = body["metadata"] as { resourceVersion: string };
  cluster.compact();
  const [event] = await client.watch(`${MAPS}?watch=true&resourceVersion=${resourceVersion}`, 1);
  const status = event?.object as unknown as { code: number; reason: string; message: string };
  equals([event?.type, status.code, status.reason], ["ERROR", 410, "Expired"]);
  match(status.message, /^too old resource version: \d+ \(\d+\)$/);
  ok(isGone(new KubeError(status.message, { status: status.code })));
});

Deno.test("users can be forgotten, and a stranger was never known", async () => {
  await withKube({}, async (kube, cluster) => {
    cluster.forgetUsers();
    await rejects(kube.list(pods), isUnauthorized);
  });
  await using cluster = await startFakeCluster();
  const path = `${cluster.directory}/stranger`;
  await Deno.writeTextFile(path, kubeconfigFor({ server: cluster.server, user: "stranger" }));
  await using kube = openKubeClient(await loadKubeconfig({ env: { KUBECONFIG: path } }));
  await rejects(kube.list(pods), isUnauthorized);
});

Deno.test("remaining() is what a session left: not what was put, not events", async () => {
  await withKube({}, async (kube, cluster) => {
    await cluster.put("secrets", { name: "theirs" });
    const made = await kube.create(configMaps, { metadata: { name: "ours" } });
    equals(await cluster.remaining(), ["configmaps/ours"]);
    await kube.delete(configMaps, { name: "ours" }, { uid: made.metadata.uid });
    equals(await cluster.remaining(), []);
  });
});

Deno.test("a cluster that goes down refuses connections", async () => {
  await withKube({}, async (kube, cluster) => {
    await kube.list(pods);
    await cluster.goDown();
    await rejects(kube.list(pods), /connection refused/);
  });
});
