/**
 * The columns of the fault table (tests/session/fault_table_test.ts) on a real cluster, one session each: whatever ends
 * it while its command runs, everything is as before. What other files have: kill -9 of the session and of its guardian
 * (swap_test), the deletion of the pod (replaced_pod_test), rights that lack (rbac_test).
 */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { deployments } from "@/kube/mod.ts";
import { sleep } from "@/util/mod.ts";
import { ensureCluster } from "../cluster/mod.ts";
import { resourceQuotas } from "./doctor_resources.ts";
import { clusterTest, embeddedTest, run, type Running, start, until } from "./harness.ts";
import { makeWeb, openShop, replicasOf, type Shop, startInPlace } from "./swap_harness.ts";

const CLEANING = /Cleaning up \.\.\./;

/** Ways to die while the command runs, the exit code that each leaves, and words on the terminal. */
const WAYS: readonly {
  readonly name: string;
  readonly code: number;
  readonly words: RegExp;
  die(running: Running, shop: Shop): Promise<void>;
}[] = [
  {
    name: "SIGHUP",
    code: 129,
    words: /Received signal SIGHUP\. Cleaning up \.\.\./,
    die: (running) => Promise.resolve(running.kill("SIGHUP")),
  },
  {
    name: "SIGINT twice",
    code: 130,
    words: /Keyboard interrupt \(Ctrl-C\/Ctrl-Break\) pressed\. Cleaning up \.\.\./,
    async die(running) {
      running.kill("SIGINT");
      await running.said(CLEANING);
      await sleep(300); // closer together they are one
      try {
        running.kill("SIGINT");
      } catch {
        // All was given back by then; what a second one does meanwhile is in tests/session/interrupted_test.ts.
      }
    },
  },
  {
    name: "SIGKILL while it gives back",
    code: 137,
    words: CLEANING,
    async die(running) {
      running.kill("SIGTERM");
      await running.said(CLEANING);
      running.kill("SIGKILL");
    },
  },
  {
    name: "SIGTERM with conflicts while it gives back",
    code: 143,
    words: CLEANING,
    async die(running, { kube, namespace }) {
      const where = { namespace, name: "web" };
      // Not an annotation: those are copied to the ReplicaSet, and stay there.
      const change = (seconds: number) =>
        kube.patch(deployments, where, { type: "merge", body: { spec: { progressDeadlineSeconds: seconds } } });
      let isOver = false;
      const others = (async () => {
        for (let n = 0; !isOver; n++) await change(1000 + n);
        await change(600); // as it is by default
      })();
      running.kill("SIGTERM");
      await running.ended();
      isOver = true;
      await others;
    },
  },
];

clusterTest("whatever ends a session while its command runs, everything is as before", async (cluster) => {
  await using shop = await openShop(cluster);
  await makeWeb(shop);
  const before = await shop.state();
  for (const { name, code, words, die } of WAYS) {
    await using running = await startInPlace(cluster, shop);
    equals(await replicasOf(shop), 0, name);
    await die(running, shop);
    const ended = await running.ended();
    equals(ended.code, code, `${name}: ${ended.stderr}`);
    match(ended.stderr, words, name);
    await shop.isAgain(before);
    await shop.ready("app=web", 1);
  }
});

embeddedTest(
  "a session that ends while the API server is away gives everything back when it returns",
  async (cluster) => {
    await using shop = await openShop(cluster);
    await makeWeb(shop);
    const before = await shop.state();
    await using running = await startInPlace(cluster, shop);
    const restarting = (await ensureCluster()).restart("kube-apiserver");
    await until("the API server is away", () => shop.kube.version().then(() => false, () => true));
    running.kill("SIGTERM");
    const [{ code, stderr }] = await Promise.all([running.ended(), restarting]);
    equals(code, 143, stderr);
    match(stderr, /The API server .*\. Trying again \.\.\./);
    await shop.isAgain(before);
  },
);

clusterTest(
  "what throws in the middle, and a quota without room for what a session makes: 255, and nothing is left",
  async (cluster) => {
    await using shop = await openShop(cluster);
    const { kube, namespace } = shop;
    await makeWeb(shop);
    const before = await shop.state();
    // The place is taken when the volumes are to be mounted where, meanwhile, nothing can be any more.
    const words = ["--namespace", namespace, "-s", "web"];
    const place = `${cluster.directory}/place`;
    await using running = start(cluster, [...words, "--mount", place, "--run", "true"]);
    await running.said(/Starting network proxy/);
    await Deno.remove(place);
    await Deno.writeTextFile(place, "in the way");
    const thrown = await running.ended();
    equals(thrown.code, 255, thrown.stderr);
    match(thrown.stderr, /^T: Taking the place of deployment\/web$/m);
    match(thrown.stderr, /^T: Error: Unable to use mount path: /m);
    await shop.isAgain(before);
    await shop.ready("app=web", 1);

    const name = "few";
    await kube.create(resourceQuotas, {
      metadata: { name, namespace },
      spec: { hard: { "count/deployments.apps": "1" } },
    });
    await until("the quota is in force", async () => {
      return JSON.stringify(await kube.get(resourceQuotas, { namespace, name })).includes('"used"');
    });
    const refused = await run(cluster, ...words, "--run", "true");
    equals(refused.code, 255, refused.stderr);
    match(refused.stderr, /^T: Error: .*exceeded quota: few, requested: count\/deployments\.apps=1/m);
    await kube.delete(resourceQuotas, { namespace, name });
    await shop.isAgain(before);
  },
);
