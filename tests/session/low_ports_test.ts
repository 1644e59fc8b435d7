/** Ports below 1024 of a workload that uses its node's network, where the pod has no setting of its own for them. */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { startFakeCluster } from "../testkit/mod.ts";
import { run } from "./harness.ts";
import { essence } from "./web.ts";

async function startWithWeb() {
  const cluster = await startFakeCluster();
  const labels = { app: "web" };
  const ports = [{ containerPort: 80 }];
  const spec = {
    hostNetwork: true,
    securityContext: { runAsUser: 1000 },
    containers: [{ name: "app", image: "app:1", ports }],
  };
  await cluster.put("deployments", {
    name: "web",
    namespace: "default",
    spec: { replicas: 1, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  });
  return cluster;
}

Deno.test("a declared port below 1024 on the node's network is refused before anything is touched", async () => {
  await using cluster = await startWithWeb();
  const before = essence(cluster);
  const asked = cluster.requests.length;
  const { code, stderr } = await run(cluster, ["-s", "web", "--expose", "9999:443", "--run", "true"]);
  equals(code, 255);
  match(
    stderr,
    /^T: Error: Cannot expose ports 443, 80 of deployment "web": its pod uses the node's network, where user 1000 may not listen below 1024$/m,
  );
  match(stderr, /^T: Hint: It can with root in the container "app" \(securityContext\.runAsUser: 0\)$/m);
  const changes = cluster.requests.slice(asked).filter((each) =>
    !each.startsWith("GET ") && !each.includes("dryRun=All")
  );
  equals([essence(cluster), await cluster.remaining(), changes], [before, [], []]);
});
