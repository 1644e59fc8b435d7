/**
 * The first run by the program for arm64, emulated: the one file, its Deno, our bundle, the launcher and the preload
 * library are all those for arm64, and so is the command. The agent in the pod is this machine's.
 */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { configMaps, deployments, pods } from "@/kube/mod.ts";
import { requireProgram } from "@/process/mod.ts";
import { ARM64_COMPILER, ARM64_VARIABLES, makeArm64Program, onArm64, whyNoArm64 } from "../onefile/arm64.ts";
import { type Cluster, clusterTest, start, until, withNamespace } from "./harness.ts";

const ASK = new URL("../onefile/ask.c", import.meta.url).pathname;

const lacking = await whyNoArm64();
if (lacking !== undefined) {
  Deno.test({ name: `the program for arm64 does the first run (skipped: ${lacking})`, ignore: true, fn() {} });
} else {
  clusterTest("the program for arm64 does the first run, with a command for arm64", async (cluster) => {
    const program = await makeArm64Program(cluster.directory);
    await requireProgram([ARM64_COMPILER, ASK, "-o", `${cluster.directory}/ask`]);
    const env = { ...ARM64_VARIABLES, XDG_CACHE_HOME: `${cluster.directory}/cache` };
    await withNamespace(cluster, "arm64", async (namespace) => {
      const words = ["--namespace", namespace, "--method", "inject-tcp", "--run", "./ask"];
      const asking = [...words, `helloworld.${cluster.namespace}`];
      await using running = start({ ...cluster, env }, asking, { program: onArm64([program]) });
      const { code, stdout, stderr } = await running.ended();
      equals(code, 0, stderr);
      match(stdout, /^HTTP\/1\.1 200 [^]*<h1>Hello, world!<\/h1>/);
      await until("nothing of the session is left", async () => (await ofSessions(cluster, namespace)).length === 0);
    });
  });
}

/** Names of what sessions have in a namespace. */
async function ofSessions({ kube }: Cluster, namespace: string): Promise<string[]> {
  const lists = [
    kube.list(deployments, { namespace }),
    kube.list(configMaps, { namespace }),
    kube.list(pods, { namespace }),
  ] as const;
  const names = (await Promise.all(lists)).flatMap(({ items }) => items.map(({ metadata }) => metadata.name));
  return names.filter((name) => name.startsWith("telepresence"));
}
