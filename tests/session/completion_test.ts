/** Completions by the built program, of a cluster that says nothing: each run has to end by itself, in silence. */
import { deepStrictEqual as equals } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { sleep } from "@/util/mod.ts";
import { kubeconfigFor, startFakeCluster } from "../testkit/mod.ts";

const PROGRAM = fileURLToPath(new URL("../../build/telepresence", import.meta.url));

/** What is printed for `--namespace` and a Tab. */
async function completed(directory: string, kubeconfig: string): Promise<string> {
  await Deno.writeTextFile(`${directory}/silent`, kubeconfig);
  const { code, stdout, stderr } = await new Deno.Command(PROGRAM, {
    args: ["complete", "--", "--namespace", ""],
    env: { KUBECONFIG: `${directory}/silent` },
  }).output();
  const decoder = new TextDecoder();
  return `${code} ${decoder.decode(stdout)}${decoder.decode(stderr)}`;
}

Deno.test("a completion ends though it is never answered", async (t) => {
  await using cluster = await startFakeCluster();
  const { directory } = cluster;
  await t.step("by a server that takes connections and says nothing", async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const config = kubeconfigFor({ server: `https://127.0.0.1:${listener.addr.port}` });
    equals(await completed(directory, config), "0 none\n");
    (await listener.accept()).close(); // it did ask
  });
  await t.step("by a server that never answers a request", async () => {
    cluster.faults.add({ resource: "namespaces" }, { kind: "stall" });
    equals(await completed(directory, cluster.kubeconfig), "0 none\n");
  });
  await t.step("by a credential plugin, which ends with it", async () => {
    const config = JSON.parse(cluster.kubeconfig);
    const apiVersion = "client.authentication.k8s.io/v1";
    const script = `echo $$ >${directory}/pid; exec sleep 600`;
    const exec = { apiVersion, command: "sh", args: ["-c", script], interactiveMode: "Never" };
    config.users[0].user = { exec };
    equals(await completed(directory, JSON.stringify(config)), "0 none\n");
    // On a busy machine it may have been given up before it began.
    const pid = (await Deno.readTextFile(`${directory}/pid`).catch(() => "none")).trim();
    const isAlive = async () => (await Deno.readTextFile(`/proc/${pid}/cmdline`).catch(() => "")).includes("sleep");
    const end = performance.now() + 30_000;
    while (await isAlive()) {
      if (performance.now() > end) throw new Error("Waited half a minute for the plugin to end");
      await sleep(20);
    }
  });
});
