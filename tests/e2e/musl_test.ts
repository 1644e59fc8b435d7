/** Static programs of musl, as images of Alpine have them: their own resolver, no library that could be preloaded. */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { runProgram } from "@/process/mod.ts";
import { isHere, NAMES } from "./as_in_pod.ts";
import { needing } from "../testkit/needing.ts";
import { type Cluster, clusterTest, run } from "./harness.ts";
import { namespaceTest, shellBy } from "./namespace_harness.ts";
import { beside, vpnTest } from "./vpn_harness.ts";

const lacks = await isHere("musl-gcc") ? undefined : "musl-gcc is not installed";
const SOURCE = fileURLToPath(new URL("./musl.c", import.meta.url));

/** Builds it. @returns its command line */
async function build({ directory }: Cluster): Promise<string> {
  const program = `${directory}/musl`;
  const built = await runProgram(["musl-gcc", "-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, SOURCE]);
  equals(built.code, 0, built.stderr);
  return `${program} ${NAMES.join(" ")}`;
}

/** What it prints: the page by each name, and records that only the cluster has. */
function isHeard(said: string): void {
  equals(said.match(/<h1>Hello, world!/g)?.length, NAMES.length, said);
  match(said, /^_dns\._udp\.kube-dns\.kube-system\.svc\.cluster\.local 33: 1\ndns-version\.cluster\.local 16: 1$/m);
  match(said, /^kube-dns\.kube-system is kube-dns\.kube-system\.svc\.cluster\.local$/m);
}

needing(lacks, namespaceTest)(
  "namespace: a static program of musl is as in the pod, with --method and without",
  async (cluster) => {
    const command = await build(cluster);
    isHeard(await shellBy(cluster, "namespace")(command));
    const chosen = await run(cluster, "--run", ...command.split(" "));
    equals(chosen.code, 0, chosen.stderr);
    isHeard(chosen.stdout);
  },
);

needing(lacks, vpnTest)("vpn-tcp: a static program of musl is as in the pod", async (on) => {
  const command = await build(on.cluster);
  await beside(on, [], async () => isHeard(await on.machine.shell(command)));
});

needing(lacks, clusterTest)(
  "inject-tcp: a static program of musl is refused before anything is made",
  async (cluster) => {
    const command = await build(cluster);
    const { code, stderr } = await run(cluster, "--method", "inject-tcp", "--run", ...command.split(" "));
    equals(code, 255);
    match(stderr, /Cannot carry .*musl" by inject-tcp: it is statically linked[\s\S]*--method namespace carries it/);
    equals(/Starting network proxy/.test(stderr), false, stderr);
  },
);
