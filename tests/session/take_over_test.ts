/** Two sessions that want one workload: the second is refused, or has the first one end. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { at, type FakeCluster, startFakeCluster } from "../testkit/mod.ts";
import { appears, run, type Running, start } from "./harness.ts";
import { essence, putWeb } from "./web.ts";

const CLAIM = "telepresence.deployment.web";

function swap(cluster: FakeCluster, file: string, ...flags: string[]): Running {
  const script = `echo > ${cluster.directory}/${file}; exec sleep 60`;
  const env = { USER: file, XDG_STATE_HOME: `${cluster.directory}/state-${file}` };
  return start(cluster, ["-s", "web", ...flags, "--run", "sh", "-c", script], { env, heardWithinMs: 300 });
}

function replicas(cluster: FakeCluster): unknown {
  return at(cluster.objects("deployments").find(({ metadata }) => metadata.name === "web"), "spec", "replicas");
}

Deno.test("a workload that a session has is refused, with who has it since when and what can be done", async () => {
  await using cluster = await startFakeCluster();
  await putWeb(cluster);
  const before = essence(cluster);
  const first = swap(cluster, "first");
  await appears(cluster.directory, "first");
  const { code, stderr } = await run(cluster, ["-s", "web", "--run", "true"]);
  equals(code, 255);
  match(
    stderr,
    /^T: Error: Cannot swap deployment "web" in namespace "default": first@\S+ has it since 20\S+ \(session [0-9a-f]{10}\)$/m,
  );
  match(stderr, /^T: Hint: --take-over ends that session and takes it$/m);
  first.send("SIGTERM");
  equals((await first.ended).code, 143);
  equals([essence(cluster), await cluster.remaining()], [before, []]);
});

Deno.test("--take-over ends the session that has the workload, which gives it back, and then takes it", async () => {
  await using cluster = await startFakeCluster();
  await putWeb(cluster);
  const before = essence(cluster);
  const first = swap(cluster, "first");
  await appears(cluster.directory, "first");
  const second = swap(cluster, "second", "--take-over");
  const { code, stderr } = await first.ended;
  equals(code, 255);
  match(stderr, /^T: Error: Cannot keep deployment "web": it is taken over by second@\S+$/m);
  await appears(cluster.directory, "second");
  match(second.stderr(), /^T: Taking deployment "web" over from first@\S+, who has it since 20\S+$/m);
  ok(!second.stderr().includes("does not answer"), second.stderr());
  equals(replicas(cluster), 0);
  second.send("SIGTERM");
  equals((await second.ended).code, 143, second.stderr());
  equals([essence(cluster), await cluster.remaining()], [before, []]);
});

Deno.test("--take-over of a workload that nobody has is nothing but a swap", async () => {
  await using cluster = await startFakeCluster();
  await putWeb(cluster);
  const { code, stderr } = await run(cluster, ["-s", "web", "--take-over", "--run", "true"]);
  equals(code, 0, stderr);
  ok(!stderr.includes(" over from "), stderr);
});

Deno.test("--take-over from a session that does not answer gives back for it; when that wakes, it leaves the workload alone", async () => {
  await using cluster = await startFakeCluster();
  await putWeb(cluster);
  const before = essence(cluster);
  // It may not watch its claim: so it hears nothing, as one on the other side of a broken network.
  cluster.faults.add({ verb: "watch", resource: "configmaps" }, { kind: "forbid" });
  cluster.faults.add({ verb: "list", resource: "configmaps" }, { kind: "forbid" }, 1);
  const first = swap(cluster, "first");
  await appears(cluster.directory, "first");
  const second = swap(cluster, "second", "--take-over");
  await second.said(/That session does not answer, so what it has is given back for it/);
  const { code, stderr } = await first.ended; // its proxy is gone
  equals(code, 255);
  await appears(cluster.directory, "second");
  equals(replicas(cluster), 0, "what the first one does at its end does not take the workload from the second one");
  match(
    stderr,
    /deployment\/web is left alone: session [0-9a-f]{10} has it by now|was deleted|Proxy to Kubernetes exited/,
  );
  const [claim] = cluster.objects("configmaps").filter(({ metadata }) => metadata.name === CLAIM);
  match(String(at(claim, "data", "by")), /^second@/);
  second.send("SIGTERM");
  equals((await second.ended).code, 143, second.stderr());
  equals([essence(cluster), await cluster.remaining()], [before, []]);
});

Deno.test("what wakes up late and wants to give a workload back leaves it alone when another session has it", async () => {
  await using cluster = await startFakeCluster();
  await putWeb(cluster);
  const second = swap(cluster, "second");
  await appears(cluster.directory, "second");
  const [web] = cluster.objects("deployments").filter(({ metadata }) => metadata.name === "web");
  const place = {
    kind: "place",
    workload: "deployment",
    name: "web",
    uid: web?.metadata.uid,
    replicas: 3,
    claim: CLAIM,
  };
  const record = {
    version: 1,
    sessionId: "f1257".padEnd(32, "0"),
    since: "2026-01-01T00:00:00.000Z",
    by: "first@elsewhere",
    process: { pid: 1, started: "long ago" },
    cluster: { context: "fake", server: cluster.server, kubeconfig: cluster.kubeconfigPath },
    namespace: "default",
    doing: "--swap-deployment deployment/web",
    steps: [{ ...place, originalFirst: false }],
  };
  const state = `${cluster.directory}/state-first`;
  await Deno.mkdir(`${state}/telepresence/sessions`, { recursive: true });
  await Deno.writeTextFile(`${state}/telepresence/sessions/first.json`, JSON.stringify(record));
  const { code, stderr } = await run(cluster, ["recover"], { env: { XDG_STATE_HOME: state } });
  equals(code, 0, stderr);
  match(stderr, /^T: deployment\/web is left alone: session [0-9a-f]{10} has it by now$/m);
  equals(replicas(cluster), 0);
  second.send("SIGTERM");
  equals((await second.ended).code, 143);
  equals(replicas(cluster), 3);
});

Deno.test("a session whose claim somebody gives back ends, and says so", async () => {
  await using cluster = await startFakeCluster();
  await putWeb(cluster);
  const before = essence(cluster);
  const first = swap(cluster, "first");
  await appears(cluster.directory, "first");
  cluster.remove("configmaps", CLAIM);
  const { code, stderr } = await first.ended;
  equals(code, 255);
  match(stderr, /^T: Error: Cannot keep deployment "web": it was given back by somebody else$/m);
  equals([essence(cluster), await cluster.remaining()], [before, []]);
});
