/** Sessions in which nothing goes wrong, on the fake cluster. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { at, startFakeCluster, textAt, TROUBLES } from "../testkit/mod.ts";
import { endedWith, readLog, run, start } from "./harness.ts";

const STARTING = "T: Starting network proxy to cluster using new Deployment web";

Deno.test("a session makes what it needs, runs the command, passes on its exit code and leaves nothing", async () => {
  await using cluster = await startFakeCluster();
  const ended = await run(cluster, ["-nweb", "--run", "sh", "-c", "exit 113"]);
  await endedWith(cluster, ended, 113, [STARTING]);
  const carrier = /^POST .*\/pods\/web-\w+-\w+\/portforward$/; // SPDY begins with a POST, and changes nothing
  const changes = cluster.requests.filter((line) => !line.startsWith("GET") && !carrier.test(line)).map((line) => {
    return line.replace(/telepresence-[0-9a-f]{10}-agent/, "AGENT");
  });
  // Intent asks whether everything could be made and deleted: dry runs, and deletions that match nothing.
  equals(changes.slice(0, 4).sort(), [
    "DELETE /api/v1/namespaces/default/configmaps/AGENT",
    "DELETE /apis/apps/v1/namespaces/default/deployments/web",
    "POST /api/v1/namespaces/default/configmaps?dryRun=All",
    "POST /apis/apps/v1/namespaces/default/deployments?dryRun=All",
  ]);
  equals(changes.slice(4), [
    "POST /api/v1/namespaces/default/configmaps",
    "POST /apis/apps/v1/namespaces/default/deployments",
    "PATCH /api/v1/namespaces/default/configmaps/AGENT",
    "DELETE /apis/apps/v1/namespaces/default/deployments/web",
    "DELETE /api/v1/namespaces/default/configmaps/AGENT",
  ]);
  ok(cluster.requests.some((line) => /^GET .*\/pods\/web-\w+-\w+\/portforward\?ports=\d+$/.test(line)));
  ok(cluster.requests.some((line) => carrier.test(line)), "the carrier for bulk goes by SPDY first");
  match(readLog(cluster), /Ends with exit code 113\n$/);
  const files = [];
  for await (const { name } of Deno.readDir(cluster.directory)) files.push(name);
  equals(files.sort(), ["kubeconfig", "telepresence.log"], "the log is the one thing left behind");
  equals(((await Deno.stat(`${cluster.directory}/telepresence.log`)).mode ?? 0) & 0o777, 0o600);
});

Deno.test("the namespace is the one that is wanted, or the context's", async (t) => {
  const quick = ["-nweb", "--run", "true"];
  const changesIn = (requests: readonly string[]) => {
    const changes = requests.filter((line) => !line.startsWith("GET"));
    return [...new Set(changes.map((line) => /namespaces\/([^/]+)/.exec(line)?.[1]))];
  };
  await t.step("--namespace", async () => {
    await using cluster = await startFakeCluster({ namespaces: ["other"] });
    await endedWith(cluster, await run(cluster, ["--namespace", "other", ...quick]), 0, [STARTING]);
    equals(changesIn(cluster.requests), ["other"]);
  });
  await t.step("the context's, chosen by --context", async () => {
    await using cluster = await startFakeCluster({ namespaces: ["other"] });
    const path = `${cluster.directory}/second`;
    await Deno.writeTextFile(path, cluster.kubeconfig.replace('"namespace": "default"', '"namespace": "other"'));
    const options = { env: { KUBECONFIG: path } };
    await endedWith(cluster, await run(cluster, ["--context", "fake", ...quick], options), 0, [STARTING]);
    equals(changesIn(cluster.requests), ["other"]);
  });
});

Deno.test("TELEPRESENCE_REGISTRY names where the agent's image comes from", async () => {
  await using cluster = await startFakeCluster({ trouble: TROUBLES.creating });
  const options = { env: { TELEPRESENCE_REGISTRY: "registry.example.com/mirror/" }, agentImage: "denoland/deno:1" };
  const running = start(cluster, ["-nweb", "--run", "true"], options);
  const deployment = await cluster.until("deployments", "it is there", () => true);
  const containers = at(deployment, "spec", "template", "spec", "containers");
  equals(Array.isArray(containers) && textAt(containers[0], "image"), "registry.example.com/mirror/deno:1");
  running.send("SIGINT");
  equals((await running.ended).code, 130);
});

Deno.test("two sessions beside each other have objects of their own, and each deletes its own", async () => {
  await using cluster = await startFakeCluster();
  const both = await Promise.all([run(cluster, ["--run", "true"]), run(cluster, ["--run", "true"])]);
  equals(both.map(({ code }) => code), [0, 0]);
  const names = both.map(({ stderr }) => /new Deployment (telepresence-[0-9a-f]{10})\n$/.exec(stderr)?.[1]);
  ok(names[0] !== undefined && names[1] !== undefined && names[0] !== names[1], String(names));
  equals(await cluster.remaining(), []);
});

Deno.test("a pod that is replaced while it starts is no obstacle", async () => {
  await using cluster = await startFakeCluster({ trouble: TROUBLES.creating });
  const running = start(cluster, ["-nweb", "--run", "true"]);
  const isMade = (pod: object) => JSON.stringify(pod).includes("ContainerCreating");
  const first = await cluster.until("pods", "the first pod is being made", isMade);
  cluster.deletePod();
  await cluster.until("pods", "another one is being made", (pod) => {
    return pod.metadata.uid !== first.metadata.uid && isMade(pod);
  });
  cluster.relieve();
  await endedWith(cluster, await running.ended, 0, [STARTING]);
});
