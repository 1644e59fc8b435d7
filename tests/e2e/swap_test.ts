/** A Deployment swapped, served and given back on a real cluster, whatever happens to the session. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { configMaps, deployments, secrets } from "@/kube/mod.ts";
import { type Cluster, clusterTest, inAnotherPod, run, start, until } from "./harness.ts";
import {
  askWeb,
  HELLO,
  killAll,
  makeWeb,
  makeWebService,
  openShop,
  replicasOf,
  serveLocally,
  type Shop,
  startInPlace,
  templateOf,
  untilAnswer,
} from "./swap_harness.ts";

/** Deployment `web` with two pods behind Service `web`, ready. */
async function openWeb(
  cluster: Cluster,
  spec: Record<string, unknown> = {},
  before: (shop: Shop) => Promise<void> = () => Promise.resolve(),
): Promise<Shop> {
  const shop = await openShop(cluster);
  await before(shop);
  await makeWebService(shop);
  await makeWeb(shop, { replicas: 2, template: templateOf("web", spec) });
  return shop;
}

clusterTest("--swap-deployment serves the Service from the host, and gives everything back", async (cluster) => {
  await using shop = await openWeb(cluster);
  using local = serveLocally();
  const before = await shop.state();
  const swap = ["--namespace", shop.namespace, "--swap-deployment", "web:hello", "--expose", `${local.port}:8000`];
  await using running = start(cluster, [...swap, "--run", "sh", "-c", "echo up >&2; exec sleep 600"]);
  await running.said(/^up$/m);
  await untilAnswer("the host serves", () => askWeb(cluster, shop), /^served by the host$/);
  equals(await replicasOf(shop), 0);

  const second = await run(cluster, ...swap, "--run", "true");
  equals(second.code, 255);
  match(
    second.stderr,
    /Cannot swap deployment "web" in namespace "swap-[^"]*": \S+@\S+ has it since 20\S+ \(session [0-9a-f]{10}\)/,
  );
  const status = await run(cluster, "status", "--output", "json", "--namespace", shop.namespace);
  const { sessions } = JSON.parse(status.stdout) as { sessions: { namespace: string; state: string; doing: string }[] };
  const own = sessions.filter(({ namespace }) => namespace === shop.namespace);
  equals(own.map(({ state, doing }) => [state, doing]), [["running", "--swap-deployment deployment/web"]]);

  running.kill("SIGTERM");
  equals((await running.ended()).code, 143);
  equals(await replicasOf(shop), 2);
  await shop.isAgain(before);
  await untilAnswer("the original serves", () => askWeb(cluster, shop), /Hello, world!/);
});

clusterTest("kill -9 of the session: its guardian gives everything back", async (cluster) => {
  await using shop = await openWeb(cluster);
  const before = await shop.state();
  await using running = await startInPlace(cluster, shop);
  running.kill("SIGKILL");
  await running.ended();
  await shop.isAgain(before);
  equals(await replicasOf(shop), 2);
  await until("the journal is gone", async () => {
    return !(await run(cluster, "status")).stdout.includes(shop.namespace);
  });
  await until("the command has ended with its session", () => isGone(running.command));
});

clusterTest(
  "kill -9 of the session and its guardian: status tells, the next start tells, recover gives back",
  async (cluster) => {
    await using shop = await openWeb(cluster);
    const before = await shop.state();
    await using running = await startInPlace(cluster, shop);
    await killAll(cluster, running);
    equals(await replicasOf(shop), 0);

    const { stdout } = await run(cluster, "status");
    match(stdout, new RegExp(`left over +20\\S+ +\\S+@\\S+ +${shop.namespace} +- +--swap-deployment deployment/web`));
    const refused = await run(cluster, "--namespace", shop.namespace, "-s", "web", "--run", "true");
    equals(refused.code, 255, "the place is still held");
    match(refused.stderr, /A session that is gone .* left in "swap-\S+": .*deployment\/web \(had 2 replicas\)/);

    const healed = await run(cluster, "recover");
    equals(healed.code, 0, healed.stderr);
    match(healed.stderr, /Gave back deployment\/web \(had 2 replicas\) in namespace/);
    equals(await replicasOf(shop), 2);
    await shop.isAgain(before);
    match((await run(cluster, "recover")).stderr, /Nothing is left over by sessions of this machine\./);
  },
);

clusterTest("a number of replicas that was changed meanwhile is given back as it was last", async (cluster) => {
  await using shop = await openWeb(cluster);
  const { kube, namespace } = shop;
  // Between the claim and the change: what an autoscaler does. The proxy takes a moment to start, which is the gap.
  const running = start(cluster, ["--namespace", namespace, "-s", "web", "--run", "true"]);
  await running.said(/Starting network proxy/);
  await kube.patch(deployments, { namespace, name: "web" }, { type: "merge", body: { spec: { replicas: 3 } } });
  equals((await running.ended()).code, 0);
  equals(await replicasOf(shop), 3);
});

clusterTest("no request fails at take-over, nor at give-back while the host serves", async (cluster) => {
  // As usual, the original ends some seconds after it is told to: in that time everybody hears that it goes. And it is
  // ready when it answers, not when it begins.
  const readinessProbe = { httpGet: { path: "/", port: 8000 }, periodSeconds: 1 };
  const containers = [{ ...HELLO, readinessProbe }];
  await using shop = await openWeb(cluster, { terminationGracePeriodSeconds: 10, containers });
  using local = serveLocally();
  const url = `http://web.${shop.namespace}`;
  // Every node has to have heard of the Service first, whose pods are ready sooner than that.
  await until("another pod reaches the Service", async () => {
    return (await inAnotherPod(cluster, "sh", "-c", `for i in 1 2 3 4 5; do curl -sf ${url} || exit 1; done`)).code ===
      0;
  });
  // Twice in a row over one connection, and each time over a new one.
  const asking = (once: string) =>
    inAnotherPod(
      cluster,
      "sh",
      "-c",
      `for i in $(seq 300); do curl -sS --max-time 5 -w '%{http_code}\\n' ${once} 2>&1 || date; sleep 0.05; done | sort | uniq -c`,
    );
  const twice = `-o /dev/null ${url} -o /dev/null ${url}`;
  const clients = Promise.all([asking(twice), asking(`-H 'Connection: close' ${twice}`)]);
  const words = ["--namespace", shop.namespace, "-s", "web", "--expose", `${local.port}:8000`, "--run", "sleep", "4"];
  const ended = await run(cluster, ...words);
  equals(ended.code, 0, ended.stderr);
  for (const { stdout } of await clients) {
    equals(stdout.trim().replace(/ +/g, " "), "600 200", `${stdout}\n${await readLog(cluster)}`);
  }
});

async function readLog(cluster: Cluster): Promise<string> {
  return await Deno.readTextFile(`${cluster.directory}/telepresence.log`);
}

clusterTest(
  "variables for the agent's own runtime, from env and envFrom, leave it alone and reach the command under their names",
  async (cluster) => {
    // Each of these keeps a Deno process from starting, or changes what it does.
    const broken = {
      NODE_OPTIONS: "--require /nope.js",
      DENO_V8_FLAGS: "--max-old-space-size=1",
      DENO_CERT: "/nope.pem",
      DENO_TLS_CA_STORE: "nope",
      OTEL_DENO: "true",
      LD_PRELOAD: "/nope.so",
      LD_LIBRARY_PATH: "/nope",
      HTTP_PROXY: "http://nope:1",
    };
    const env = [
      { name: "NODE_EXTRA_CA_CERTS", value: "/nope.pem" },
      { name: "LD_DEBUG_OUTPUT", value: "/tmp/x" },
      { name: "POINTS", value: "$(NODE_OPTIONS) $(LATER) $(NOTHING) $(KUBERNETES_SERVICE_PORT) $$(LATER)" },
      { name: "LATER", value: "of env" },
    ];
    const envFrom = [
      { configMapRef: { name: "broken" } },
      { secretRef: { name: "more" }, prefix: "P_" },
      { configMapRef: { name: "nosuch", optional: true } },
    ];
    await using shop = await openWeb(
      cluster,
      { containers: [{ ...HELLO, env, envFrom }] },
      async ({ kube, namespace }) => {
        await kube.create(configMaps, {
          metadata: { name: "broken", namespace },
          data: { ...broken, LATER: "of envFrom" },
        });
        await kube.create(secrets, { metadata: { name: "more", namespace }, data: { TOKEN: btoa("a\nb") } });
      },
    );
    const words = ["--namespace", shop.namespace, "-s", "web", "--run", "env", "-0"];
    const { code, stdout, stderr } = await run(cluster, ...words);
    equals(code, 0, stderr);
    const seen = Object.fromEntries(
      stdout.split("\0").map((line) => {
        return [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)] as const;
      }),
    );
    const { LD_PRELOAD: _preload, LD_LIBRARY_PATH: path, ...reached } = broken;
    const want = {
      ...reached,
      NODE_EXTRA_CA_CERTS: "/nope.pem",
      LATER: "of env",
      P_TOKEN: "a\nb",
      POINTS: "--require /nope.js of envFrom $(NOTHING) 443 $(LATER)",
      TELEPRESENCE_CONTAINER: "hello",
    };
    equals(Object.fromEntries(Object.keys(want).map((name) => [name, seen[name]])), want);
    equals(Object.keys(seen).filter((name) => /^TELEPRESENCE_(KEPT|FROM)_/.test(name)), []);
    // Where the dynamic loader looks is of the pod's file system: it would break programs of the host.
    ok(!seen["LD_PRELOAD"]?.includes("nope") && seen["LD_LIBRARY_PATH"] !== path && !("LD_DEBUG_OUTPUT" in seen));
    match(await readLog(cluster), /they name libraries of the pod .*: .*LD_LIBRARY_PATH/);
  },
);

async function isGone(pid: number): Promise<boolean> {
  return await Deno.stat(`/proc/${pid}`).then(() => false, () => true);
}
