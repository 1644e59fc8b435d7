/** A kubeconfig that has the server's certificate not checked: it is obeyed, and said. */
import { match, strictEqual as equal } from "node:assert/strict";
import { startFakeCluster } from "../testkit/mod.ts";
import { run } from "./harness.ts";

Deno.test("a session says that the server's certificate is not checked, also with --quiet", async () => {
  await using cluster = await startFakeCluster();
  const config = JSON.parse(cluster.kubeconfig);
  delete config.clusters[0].cluster["certificate-authority-data"];
  config.clusters[0].cluster["insecure-skip-tls-verify"] = true;
  await Deno.writeTextFile(cluster.kubeconfigPath, JSON.stringify(config));
  const { code, stderr } = await run(cluster, ["--quiet", "--plan", "--run", "true"]);
  equal(code, 0, stderr);
  match(stderr, /^T: WARNING: The certificate of https:\S+ is not checked, as the kubeconfig asks/);
});
