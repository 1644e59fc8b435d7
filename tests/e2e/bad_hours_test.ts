/**
 * Sessions on a real cluster that come back late, or whose namespace or rights go while their command runs. What others
 * have is theirs; what is the session's is given back; and what cannot be is told, with what to do.
 */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { isNotFound, namespaces, type NewObject, pods } from "@/kube/mod.ts";
import { sleep } from "@/util/mod.ts";
import { type Cluster, clusterTest, run, type Running, start, until } from "./harness.ts";
import {
  askWeb,
  HELLO,
  killGuardian,
  makeWeb,
  makeWebService,
  openShop,
  replicasOf,
  serveLocally,
  startInPlace,
  untilAnswer,
} from "./swap_harness.ts";
import { addUser, rulesOfDocs } from "./users.ts";

/** The program of somebody else, on another machine. */
async function elsewhere(cluster: Cluster): Promise<Cluster & AsyncDisposable> {
  const directory = await Deno.makeTempDir({ prefix: "telepresence-e2e-" });
  return {
    ...cluster,
    directory,
    state: `${directory}/state`,
    env: { USER: "other" },
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

/** What `telepresence status` and `telepresence recover` say when this machine's sessions left nothing. */
async function isQuiet(cluster: Cluster, namespace: string): Promise<void> {
  const status = await run(cluster, "status", "--namespace", namespace);
  ok(!status.stdout.includes("left over"), status.stdout);
  const { code, stderr } = await run(cluster, "recover");
  equals([code, stderr], [0, "T: Nothing is left over by sessions of this machine.\n"]);
}

clusterTest(
  "a session that was stopped for longer than its agent waits goes on, and gives everything back",
  async (cluster) => {
    await using shop = await openShop(cluster);
    await makeWeb(shop);
    await makeWebService(shop);
    using host = serveLocally();
    const before = await shop.state();
    const flags = ["--expose", `${host.port}:8000`, "--grace", "15"];
    await using running = await startInPlace(cluster, shop, ...flags);
    const isServed = () =>
      untilAnswer("the host serves", () => askWeb(cluster, shop).catch(String), /^served by the host$/);
    await isServed();
    running.kill("SIGSTOP");
    await sleep(37_000); // its agent misses it after 15 s, and forgets it 15 s later
    running.kill("SIGCONT");
    await running.said(/Connected to the proxy's pod/);
    await isServed();
    running.kill("SIGTERM");
    const { code, stderr } = await running.ended();
    equals(code, 143, stderr);
    ok(!stderr.includes("Cleanup failed"), stderr);
    await shop.isAgain(before);
    await isQuiet(cluster, shop.namespace);
  },
);

clusterTest(
  "a session that was stopped and taken over ends with 255 when it wakes, and touches nothing of the new one",
  async (cluster) => {
    await using shop = await openShop(cluster);
    await makeWeb(shop);
    const before = await shop.state();
    await using first = await startInPlace(cluster, shop);
    first.kill("SIGSTOP");
    await using other = await elsewhere(cluster);
    await using second = await startInPlace(other, shop, "--take-over");
    match(second.heard(), /^T: That session does not answer, so what it has is given back for it$/m);
    ok(!second.heard().includes('in pod "web-telepresence'), "nobody asks the first one's proxy what the original is");
    const taken = await shop.state();
    first.kill("SIGCONT");
    const { code, stderr } = await first.ended();
    equals(code, 255, stderr);
    match(
      stderr,
      /^T: Error: Cannot keep deployment "web": it (is taken over by other@\S+|was given back by somebody else)$/m,
    );
    match(stderr, /^T: deployment\/web is left alone: session [0-9a-f]{10} has it by now$/m);
    ok(!/Given back: deployment\/web/.test(stderr), "what the other one gave back is not told as ours");
    await sleep(3_000); // longer than a guardian waits before it looks
    equals([await shop.state(), await replicasOf(shop)], [taken, 0]);
    await isQuiet(cluster, shop.namespace);
    second.kill("SIGTERM");
    equals((await second.ended()).code, 143, second.heard());
    await shop.isAgain(before);
  },
);

/** Deletes the namespace under a session, which is to end within 10 s of its pod. @returns what it said */
async function endsWithNamespace({ kube }: Cluster, namespace: string, running: Running): Promise<string> {
  await kube.delete(namespaces, { name: namespace });
  await until("the pods are gone", async () => (await kube.list(pods, { namespace })).items.length === 0, 90);
  const gone = performance.now();
  const { code, stderr } = await running.ended();
  ok(performance.now() - gone < 10_000, stderr);
  equals(code, 255, stderr);
  return stderr;
}

async function untilGone({ kube }: Cluster, name: string): Promise<void> {
  const isGone = () => kube.get(namespaces, { name }).then(() => false, isNotFound);
  await until("the namespace is gone", isGone, 90);
}

clusterTest(
  "a namespace that is deleted under its sessions ends them with that sentence, and leaves no journal",
  async (cluster, t) => {
    const words = /^T: Error: Cannot go on in namespace "\S+": it (is being|was) deleted, and the proxy with it$/m;
    await t.step("of a new proxy", async () => {
      await using shop = await openShop(cluster);
      const { namespace } = shop;
      await makeWeb(shop); // by then the namespace has its service account
      await using running = start(cluster, [
        "--namespace",
        namespace,
        "-n",
        "mine",
        "--run",
        "sh",
        "-c",
        "echo up >&2; exec sleep 600",
      ]);
      await running.said(/^up$/m);
      match(await endsWithNamespace(cluster, namespace, running), words);
      await untilGone(cluster, namespace);
      await isQuiet(cluster, namespace);
    });
    await t.step("in a Deployment's place", async () => {
      await using shop = await openShop(cluster);
      await makeWeb(shop);
      await using running = await startInPlace(cluster, shop);
      match(await endsWithNamespace(cluster, shop.namespace, running), words);
      await untilGone(cluster, shop.namespace);
      await isQuiet(cluster, shop.namespace);
    });
    await t.step("in a bare Pod's place", async () => {
      await using shop = await openShop(cluster);
      const { kube, namespace } = shop;
      await makeWeb(shop);
      await kube.create(
        pods,
        {
          metadata: { name: "lone", namespace, labels: { app: "lone" } },
          spec: { terminationGracePeriodSeconds: 2, containers: [HELLO] },
        } as NewObject,
      );
      await shop.ready("app=lone", 1);
      const command = ["--run", "sh", "-c", "echo up >&2; exec sleep 600"];
      await using running = start(cluster, ["--namespace", namespace, "-s", "pod/lone", ...command]);
      await running.said(/^up$/m);
      const stderr = await endsWithNamespace(cluster, namespace, running);
      match(stderr, words);
      match(stderr, /^T: pod\/lone is not made again: namespace "\S+" was deleted$/m);
      ok(!stderr.includes("Cleanup failed"), stderr);
      await untilGone(cluster, namespace);
      await isQuiet(cluster, namespace);
    });
  },
);

clusterTest(
  "rights that are taken away end no session; what it may not give back is told, and given back when they return",
  async (cluster) => {
    await using shop = await openShop(cluster);
    const { namespace } = shop;
    await makeWeb(shop);
    await makeWebService(shop);
    using host = serveLocally();
    const user = await addUser(cluster, namespace);
    const rules = await rulesOfDocs("swap");
    await user.allow(rules);
    const before = await shop.state();
    await using running = await startInPlace(user.cluster, shop, "--expose", `${host.port}:8000`);
    await user.allow([]);
    await sleep(2_000);
    await untilAnswer("the host serves without rights", () => askWeb(cluster, shop), /^served by the host$/);
    running.kill("SIGTERM");
    const { code, stderr } = await running.ended();
    equals(code, 143, stderr);
    const give =
      'Cannot give back deployment/web in namespace "\\S+": deployments\\.apps "web" is forbidden: .* cannot get ';
    match(stderr, new RegExp(`^T: Cleanup failed: ${give}`, "m"));
    match(stderr, /^T: Hint: kubectl scale deployment\/web --namespace \S+ --replicas 1$/m);
    match(stderr, /^T: Hint: The rule that is missing: .*"deployments"\], verbs: \["get"\]/m);
    const anybody =
      `Whoever has the rights to give it back can do so from anywhere: telepresence recover --namespace ${namespace}`;
    match(stderr, new RegExp(`^T: ${anybody} [0-9a-f]{10}$`, "m"));
    await killGuardian(cluster); // it would be as quick as we are

    const refused = await run(user.cluster, "recover");
    equals(refused.code, 255, refused.stderr);
    match(refused.stderr, new RegExp(`^T: ${give}`, "m"));
    match(refused.stderr, new RegExp(`^T: Hint: ${anybody} [0-9a-f]{10}$`, "m"));
    equals(await replicasOf(shop), 0);
    await user.allow(rules);
    equals((await run(user.cluster, "recover")).code, 0);
    await shop.isAgain(before);
    await isQuiet(user.cluster, namespace);
  },
);

clusterTest("who had rights in a deleted namespace alone is told which journal can go", async (cluster) => {
  await using shop = await openShop(cluster);
  const { namespace } = shop;
  await makeWeb(shop);
  const user = await addUser(cluster, namespace);
  await user.allow(await rulesOfDocs("swap"));
  await using running = await startInPlace(user.cluster, shop);
  await endsWithNamespace(cluster, namespace, running);
  await untilGone(cluster, namespace);
  await killGuardian(cluster);
  const { code, stderr } = await run(user.cluster, "recover");
  equals(code, 255, stderr);
  const [, journal = ""] =
    new RegExp(`^T: Hint: If namespace "${namespace}" was deleted, all of it is gone: rm (\\S+)$`, "m")
      .exec(stderr) ?? [];
  await Deno.remove(journal);
  await isQuiet(user.cluster, namespace);
});
