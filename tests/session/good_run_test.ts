/** Sessions in which nothing goes wrong, on the fake cluster. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { startFakeCluster } from "../testkit/mod.ts";
import { readLog, run } from "./harness.ts";

Deno.test("a session makes what it needs, runs the command, passes on its exit code and leaves nothing", async () => {
  await using cluster = await startFakeCluster();
  const ended = await run(cluster, ["-nweb", "--run", "sh", "-c", "exit 113"]);
  equals(ended, {
    code: 113,
    stdout: "",
    stderr: "T: Starting network proxy to cluster using new Deployment web\n",
  }, readLog(cluster));
  equals(await cluster.remaining(), []);
  const changes = cluster.requests.filter((line) => !line.startsWith("GET")).map((line) => {
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
  match(readLog(cluster), /Ends with exit code 113\n$/);
});
