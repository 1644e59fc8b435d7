/** Flags of sessions with a workload's place, on a real cluster, and what others see of a session. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { pods, serviceAccounts } from "@/kube/mod.ts";
import { freePort } from "../testkit/free_port.ts";
import { clusterTest, inAnotherPod, run, start, until } from "./harness.ts";
import { resourceQuotas } from "./doctor_resources.ts";
import {
  HELLO,
  killAll,
  makeWeb,
  openShop,
  replicasOf,
  serveLocally,
  startInPlace,
  templateOf,
  untilAnswer,
} from "./swap_harness.ts";

clusterTest(
  "--to-pod, --from-pod and --serviceaccount: the pod's other containers, and its account",
  async (cluster) => {
    await using shop = await openShop(cluster);
    const { kube, namespace } = shop;
    await kube.create(serviceAccounts, { metadata: { name: "other", namespace } });
    const toPod = freePort();
    const sidecar = {
      name: "sidecar",
      image: "tools:1",
      imagePullPolicy: "Never",
      command: ["python3", "-m", "http.server", "--bind", "127.0.0.1", String(toPod)],
    };
    await makeWeb(shop, { template: templateOf("web", { containers: [HELLO, sidecar] }) });
    const before = await shop.state();
    using local = serveLocally();
    await using running = start(cluster, [
      ...["--namespace", namespace, "-s", "web:hello", "--serviceaccount", "other"],
      ...["--to-pod", String(toPod), "--from-pod", String(local.port)],
      ...[
        "--run",
        "sh",
        "-c",
        `echo up >&2; curl -s --retry 20 --retry-connrefused http://127.0.0.1:${toPod} >&2; exec sleep 300`,
      ],
    ]);
    match(
      await saidBy(running.said(/Directory listing/), running),
      new RegExp(`Forwarding localhost:${toPod} to the pod`),
    );
    match(running.heard(), new RegExp(`Forwarding localhost:${local.port} from the pod`));
    const { items: [proxy] } = await kube.list(pods, { namespace, labelSelector: "telepresence" });
    equals(proxy?.spec.serviceAccountName, "other");
    const name = proxy?.metadata.name ?? "";
    const curl = ["curl", "-sS", "--max-time", "3", `http://127.0.0.1:${local.port}`] as const;
    const asked = async () => (await kube.exec({ namespace, name }, { command: curl, container: "sidecar" })).stdout;
    await untilAnswer("the pod's other container reaches the host", asked, /^served by the host$/);
    running.kill("SIGTERM");
    equals((await running.ended()).code, 143);
    await shop.ready("app=web", 1);
    await shop.isAgain(before);
  },
);

async function saidBy(saying: Promise<void>, running: { heard(): string }): Promise<string> {
  await saying;
  return running.heard();
}

clusterTest("--serviceaccount that is not there is refused before anything is changed", async (cluster) => {
  await using shop = await openShop(cluster);
  await makeWeb(shop);
  const before = await shop.state();
  const words = ["--namespace", shop.namespace, "-s", "web", "--serviceaccount", "nosuch", "--run", "true"];
  const { code, stderr } = await run(cluster, ...words);
  equals(code, 255);
  match(stderr, /^T: Error: Cannot find service account "nosuch" in namespace "\S+"$/m);
  match(stderr, /^T: Hint: See which there are: kubectl get serviceaccounts --namespace /m);
  await shop.isAgain(before);
});

clusterTest("--give-back-timeout: an original that does not come back is not waited for for ever", async (cluster) => {
  await using shop = await openShop(cluster);
  const { kube, namespace } = shop;
  await makeWeb(shop);
  using local = serveLocally();
  const flags = ["--give-back-timeout", "2", "--expose", `${local.port}:8000`];
  await using running = await startInPlace(cluster, shop, ...flags);
  // From now on the namespace has room for one pod alone, and that is the proxy's.
  await until("the original's pod is gone", async () => (await kube.list(pods, { namespace })).items.length === 1);
  const quota = { metadata: { name: "tight", namespace }, spec: { hard: { pods: "1" } } };
  await kube.create(resourceQuotas, quota);
  await until("the quota is in force", async () => {
    return JSON.stringify(await kube.get(resourceQuotas, { namespace, name: "tight" })).includes('"used"');
  });
  running.kill("SIGTERM");
  const { code, stderr } = await running.ended();
  equals(code, 143);
  match(stderr, /^T: deployment\/web is not ready after 2 s \(--give-back-timeout\): the proxy goes nevertheless$/m);
  equals(await replicasOf(shop), 1);
  await shop.ready("app=web", 1); // there is room by now
});

clusterTest(
  "status shows sessions of others, as text and JSON; --recover gives back what killed ones left",
  async (cluster) => {
    await using shop = await openShop(cluster);
    const { namespace } = shop;
    await makeWeb(shop);
    const before = await shop.state();
    await using running = await startInPlace({ ...cluster, env: { USER: "somebody" } }, shop);
    const elsewhere = { ...cluster, state: await Deno.makeTempDir() }; // as another machine sees it
    const text = await run(elsewhere, "status", "--namespace", namespace);
    match(
      text.stdout,
      new RegExp(`elsewhere +20\\S+ +somebody@\\S+ +${namespace} +- +--swap-deployment deployment/web`),
    );
    const { sessions } = JSON.parse(
      (await run(elsewhere, "status", "-o", "json", "--namespace", namespace)).stdout,
    ) as {
      sessions: { state: string; by: string; doing: string; objects: string[]; namespace: string }[];
    };
    equals(sessions.map(({ state, doing, namespace }) => [state, doing, namespace]), [
      ["elsewhere", "--swap-deployment deployment/web", namespace],
    ]);
    ok(sessions[0]?.objects.includes("configmap/telepresence.deployment.web"));
    match((await run(cluster, "status", "--namespace", namespace)).stdout, /running \(process \d+\)/);

    await killAll(cluster, running);
    match((await run(cluster, "status", "--namespace", namespace)).stdout, /left over/);
    // A session that has nothing to do with it heals before it starts.
    const next = await run(cluster, "--namespace", namespace, "--recover", "-s", "web", "--run", "true");
    equals(next.code, 0, next.stderr);
    match(
      next.stderr,
      /A session that is gone \(--swap-deployment deployment\/web, since .*deployment\/web \(had 1 replicas\)/,
    );
    match(next.stderr, /Gave back deployment\/web \(had 1 replicas\) in namespace/);
    await shop.ready("app=web", 1);
    await shop.isAgain(before);
    equals(await replicasOf(shop), 1);
    await Deno.remove(elsewhere.state, { recursive: true });
  },
);

clusterTest(
  "--take-over: the session that has the workload ends and gives it back, wherever it runs",
  async (cluster) => {
    await using shop = await openShop(cluster);
    await makeWeb(shop);
    const before = await shop.state();
    await using first = await startInPlace({ ...cluster, env: { USER: "first" } }, shop);
    const state = await Deno.makeTempDir();
    const taking = startInPlace({ ...cluster, state, env: { USER: "second" } }, shop, "--take-over");
    const ended = await first.ended();
    equals(ended.code, 255);
    match(ended.stderr, /^T: Error: Cannot keep deployment "web": it is taken over by second@\S+$/m);
    await using second = await taking;
    match(second.heard(), /^T: Taking deployment "web" over from first@\S+, who has it since 20\S+$/m);
    second.kill("SIGTERM");
    equals((await second.ended()).code, 143);
    await shop.ready("app=web", 1);
    await shop.isAgain(before);
    await Deno.remove(state, { recursive: true });
  },
);

clusterTest("three hundred exposed ports work", async (cluster) => {
  await using shop = await openShop(cluster);
  const { namespace } = shop;
  const count = 300;
  // The first, the last and one in the middle lead to a server; for the others, below the ports that the kernel gives,
  // it is told that nobody is there.
  using first = serveLocally();
  using middle = serveLocally();
  using last = serveLocally();
  const served = new Map([[20, first.port], [20 + count / 2, middle.port], [19 + count, last.port]]);
  const flags = Array.from({ length: count }, (_, index) => 20 + index).flatMap((port) => {
    return ["--expose", `${served.get(port) ?? 20_000 + port}:${port}`];
  });
  const words = ["--namespace", namespace, "--new-deployment", "many", ...flags];
  await using running = start(cluster, [...words, "--run", "sh", "-c", "echo up >&2; exec sleep 300"]);
  await running.said(/^up$/m);
  const ask = (port: number) =>
    inAnotherPod(cluster, "curl", "-sS", "--max-time", "3", `http://many.${namespace}:${port}`);
  for (const port of served.keys()) {
    await untilAnswer(`port ${port} serves`, async () => (await ask(port)).stdout, /^served by the host$/);
  }
  await ask(22);
  await running.said(
    /Nothing listens on 127\.0\.0\.1:20022, where connections to the pod's port 22 go \(--expose 20022:22 /,
  );
  running.kill("SIGTERM");
  equals((await running.ended()).code, 143);
});
