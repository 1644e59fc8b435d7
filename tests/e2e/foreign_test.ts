/** `make demo CONTEXT=...` on this cluster as if it were somebody else's, and what is said where that cannot be. */
import { deepStrictEqual as equals, match, strictEqual as equal } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { namespaces } from "@/kube/mod.ts";
import { type Finished, runProgram } from "@/process/mod.ts";
import { FIXTURES_LABEL } from "../cluster/fixtures.ts";
import { openForeignCluster } from "../cluster/mod.ts";
import { type Cluster, clusterTest, FOREIGN } from "./harness.ts";

const DEMO = fileURLToPath(new URL("../../tools/demo.ts", import.meta.url));
const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Which images there are. */
const IMAGES: Record<string, string> = FOREIGN ? {} : { TELEPRESENCE_TEST_IMAGES: "local" };

/** Runs the demo with these programs (scripts) on PATH, and no other `kind` or container engine. */
async function demo(cluster: Cluster, context: string, programs: Record<string, string> = {}): Promise<Finished> {
  const path = `${cluster.directory}/bin`;
  await Deno.mkdir(path, { recursive: true });
  for (const name of ["sh", "cp", "curl", "deno", "dirname", "readlink"]) {
    const found = await runProgram(["sh", "-c", `command -v ${name}`]);
    await Deno.symlink(found.stdout.trim() || Deno.execPath(), `${path}/${name}`).catch(() => {});
  }
  for (const [name, script] of Object.entries(programs)) {
    await Deno.writeTextFile(`${path}/${name}`, `#!/bin/sh\n${script}\n`, { mode: 0o700 });
  }
  const env = { PATH: path, KUBECONFIG: cluster.kubeconfig, ...IMAGES };
  return await runProgram([Deno.execPath(), "run", "--allow-all", DEMO, context], { cwd: ROOT, env });
}

/** The namespaces that demos and tests on foreign clusters have made and not deleted. */
async function left({ kube, namespace }: Cluster): Promise<string[]> {
  const { items } = await kube.list(namespaces, { labelSelector: `${FIXTURES_LABEL},${FIXTURES_LABEL}!=${namespace}` });
  return items.map(({ metadata }) => metadata.name).sort();
}

/** Stands for `kind`: notes what it is told; the cluster that it makes is the one under test. */
const kindOf = ({ kubeconfig, directory }: Cluster, creates: string) => `
echo "$1 $2" >> '${directory}/kind.log'
[ "$1 $2" = "create cluster" ] || exit 0
echo "$4" >> '${directory}/kind.log'
${creates}
cp '${kubeconfig}' "$6"`;

clusterTest("the demo runs on a cluster that kind makes, and leaves neither namespace nor cluster", async (cluster) => {
  const before = await left(cluster);
  const programs = { kind: kindOf(cluster, ""), podman: "exit 0" };
  const { code, stderr } = await demo(cluster, "kind", programs);
  equal(code, 0, stderr);
  match(stderr, /^\$ telepresence --run curl http:\/\/helloworld\.e2e-[0-9a-f]{8}$/m);
  match(stderr, /<h1>Hello, world!<\/h1>/);
  const log = (await Deno.readTextFile(`${cluster.directory}/kind.log`)).trim().split("\n");
  match(log[2] ?? "", /^telepresence-[0-9a-f]{8}$/);
  equals([log[0], log[1], log[3]], ["version ", "create cluster", "delete cluster"]);
  equals(await left(cluster), before);
});

clusterTest("a kind cluster that does not come up is told with kind's words, and deleted", async (cluster) => {
  const programs = { kind: kindOf(cluster, "echo 'no space left' >&2; exit 1"), docker: "exit 0" };
  const { code, stderr } = await demo(cluster, "kind", programs);
  equal(code, 1);
  match(stderr, /^Cannot go on: "kind create cluster .*" ended with exit status 1: no space left$/m);
  match(await Deno.readTextFile(`${cluster.directory}/kind.log`), /delete cluster\n$/);
});

clusterTest(
  "Ctrl-C ends a demo on another cluster, twice if need be, and its namespaces go all the same",
  async (cluster) => {
    const before = await left(cluster);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", DEMO, cluster.kube.config.contextName],
      cwd: ROOT,
      env: { KUBECONFIG: cluster.kubeconfig, ...IMAGES },
      stdout: "null",
      stderr: "piped",
    }).spawn();
    let said = "";
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      if (/^(making|deleting) namespaces /m.test(text)) child.kill("SIGINT");
      said += text;
    }
    equal((await child.status).code, 1, said);
    match(said, /^making namespaces e2e-[0-9a-f]{8} and /m);
    match(said, /^deleting namespaces [^]*\nInterrupted$/m);
    equals(await left(cluster), before);
  },
);

clusterTest("what a test that was broken off made in another cluster goes with the fixtures", async (cluster) => {
  const before = await left(cluster);
  const env = { KUBECONFIG: cluster.kubeconfig, ...IMAGES };
  const { signal } = new AbortController();
  const { contextName } = cluster.kube.config;
  {
    await using foreign = await openForeignCluster(contextName, { env, tell: () => {}, signal });
    const labels = { [FIXTURES_LABEL]: foreign.namespace };
    await cluster.kube.create(namespaces, { metadata: { name: `${foreign.namespace}-left`, labels } });
    equals((await left(cluster)).length, before.length + 3);
  }
  equals(await left(cluster), before);
});

clusterTest("the demo says in one sentence what lacks", async (cluster) => {
  const says = async (context: string, sentence: RegExp, programs = {}) => {
    const { code, stderr } = await demo(cluster, context, programs);
    equal(code, 1, stderr);
    match(stderr, sentence);
  };
  await says("kind", /^Cannot make a kind cluster: kind is not on PATH\n {2}hint: /);
  await says("kind", /^Cannot make a kind cluster: none of docker, podman, nerdctl works here\n/, { kind: "exit 0" });
  await says("nowhere", /^Cannot use the context "nowhere": the kubeconfig has no such context\n {2}hint: /);
});
