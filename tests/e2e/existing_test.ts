/** A proxy that is installed once (`agent-manifest`) and used by sessions (`--deployment`), which leave it as it is. */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { probeNamespace } from "@/capture/mod.ts";
import { configMaps, deployments, pods, secrets } from "@/kube/mod.ts";
import { whyNoLiveMount } from "@/volumes/mod.ts";
import { type Cluster, clusterTest, endedSoon, inAnotherPod, run, start, until } from "./harness.ts";
import { apply, install } from "./install.ts";
import { openShop, serveLocally, untilAnswer } from "./swap_harness.ts";

clusterTest(
  "--deployment uses a proxy that is there, for several sessions, and leaves it as it is",
  async (cluster) => {
    await using shop = await openShop(cluster, { "pod-security.kubernetes.io/enforce": "restricted" });
    const { namespace } = shop;
    await install(cluster, "proxy", namespace, "--expose", "80", "--expose", "8000");
    await shop.ready("app.kubernetes.io/instance=proxy", 1);
    const before = await shop.state();
    using local = serveLocally();
    const url = `http://helloworld.${cluster.namespace}`;
    const words = ["--namespace", namespace, "--deployment", "proxy"];
    const exposing = [...words, "--expose", `${local.port}:80`];
    await using running = start(cluster, [...exposing, "--run", "sh", "-c", "echo up >&2; exec sleep 300"]);
    await running.said(/^up$/m);
    match(running.heard(), /^T: Starting network proxy to cluster using the existing proxy Deployment proxy$/m);
    match(running.heard(), /^T: Forwarding remote port 8000 to local port 8000\.$/m); // declared by its container
    const asked = () => inAnotherPod(cluster, "curl", "-sS", "--max-time", "3", `http://proxy.${namespace}`);
    await untilAnswer("the host serves", async () => (await asked()).stdout, /^served by the host$/);

    const elsewhere = { ...cluster, state: `${cluster.directory}/of-another-machine` };
    const second = await run(elsewhere, ...words, "--run", "true");
    equals(second.code, 255, "its ports are the first one's");
    match(
      second.stderr,
      /Cannot expose all ports:\nT: {3}port 80: \S+@\S+ has it since 20\S+ \(session [0-9a-f]{10}\)\nT: {3}port 8000: \S+@/,
    );
    const { stdout: status } = await run(elsewhere, "status", "--namespace", namespace);
    match(status, /^[0-9a-f]{10} {2}elsewhere {2}20\S+ {2}\S+@\S+ .* --deployment proxy \(ports 80, 8000\)$/m);
    running.kill("SIGTERM");
    equals((await running.ended()).code, 143);

    const third = await run(cluster, ...words, "--run", "curl", "-sS", url);
    equals(third.code, 0, third.stderr);
    match(third.stdout, /Hello, world!/);
    await shop.isAgain(before);
  },
);

const lacking = await whyNoLiveMount();
const namespaceVerdict = await probeNamespace(
  await Deno.readFile(new URL("../../build/netns/telepresence-netns", import.meta.url)),
);

const TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount";

for (const method of ["inject-tcp", "namespace"]) {
  const why = method === "namespace" && !namespaceVerdict.allowed ? namespaceVerdict.reason : lacking;
  clusterTest(
    `--deployment by ${method} has the variables and the volumes that were added to the proxy${
      why === undefined ? "" : ` (skipped: ${why})`
    }`,
    async (cluster) => {
      if (why !== undefined) return;
      await using shop = await openShop(cluster);
      const { kube, namespace } = shop;
      const value = JSON.stringify({ lines: "a\nb", quotes: "\"'`$" }, undefined, 2);
      await kube.create(configMaps, {
        metadata: { name: "settings", namespace },
        data: { LEVEL: "loud", json: value },
      });
      await kube.create(secrets, { metadata: { name: "keys", namespace }, data: { key: btoa("one") } });
      await installWith(cluster, namespace, {
        container: {
          envFrom: [{ configMapRef: { name: "settings" } }],
          env: [
            { name: "KEY", valueFrom: { secretKeyRef: { name: "keys", key: "key" } } },
            { name: "WHERE", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } },
          ],
          volumeMounts: [
            { name: "settings", mountPath: "/srv/settings" },
            { name: "keys", mountPath: "/srv/keys" },
            { name: "scratch", mountPath: "/srv/scratch" },
          ],
        },
        volumes: [
          { name: "settings", configMap: { name: "settings" } },
          { name: "keys", secret: { secretName: "keys" } },
          { name: "scratch", emptyDir: {} },
        ],
      });
      await shop.ready("app.kubernetes.io/instance=proxy", 1);
      const before = await shop.state();
      const words = ["--namespace", namespace, "--deployment", "proxy", "--method", method, "--run"];
      const says = async (script: string) => {
        const { code, stdout, stderr } = await run(cluster, ...words, "sh", "-ec", `R=$TELEPRESENCE_ROOT; ${script}`);
        equals(code, 0, stderr);
        return stdout;
      };

      equals(
        await says(
          `printf '%s\\n' "$LEVEL" "$json" "$KEY" "$WHERE" "none of the agent's:$MALLOC_ARENA_MAX$DENO_DIR" ` +
            `"$TELEPRESENCE_CONTAINER" "$TELEPRESENCE_MOUNTS"`,
        ),
        `loud\n${value}\none\n${namespace}\nnone of the agent's:\ntelepresence\n` +
          `/srv/keys:/srv/scratch:/srv/settings:/tmp:${TOKEN}\n`,
      );
      equals(
        await says(
          `for D in "$R" ""; do cat "$D/srv/settings/json" "$D/srv/keys/key" "$D${TOKEN}/namespace"; ` +
            `wc -l <"$D${TOKEN}/token"; done; cmp "$R${TOKEN}/token" ${TOKEN}/token; echo mine >/srv/scratch/file`,
        ),
        `${value}one${namespace}0\n`.repeat(2),
      );
      equals(
        await says(`cat "$R/srv/scratch/file"`),
        "mine\n",
        "the proxy's pod outlives a session, and so do its files",
      );
      await shop.isAgain(before);
    },
  );
}

/** Installs the proxy "proxy", with more in its pod. */
async function installWith(
  cluster: Cluster,
  namespace: string,
  { container: more, volumes }: { container: Record<string, unknown[]>; volumes: readonly unknown[] },
): Promise<void> {
  const { stdout } = await run(cluster, "agent-manifest", "proxy", "--output", "json");
  const { items } = JSON.parse(stdout) as { items: { kind: string; spec: Manifest }[] };
  for (const { kind, spec } of items) {
    if (kind !== "Deployment") continue;
    const [agent = {}] = spec.template.spec.containers;
    for (const [field, added] of Object.entries(more)) agent[field] = [...agent[field] ?? [], ...added];
    spec.template.spec.volumes.push(...volumes);
  }
  await apply(cluster, items, namespace);
}

/** Of a Deployment's `spec`, what `installWith` changes. */
interface Manifest {
  readonly template: {
    readonly spec: { readonly containers: Record<string, unknown[]>[]; readonly volumes: unknown[] };
  };
}

clusterTest("--deployment follows a pod that is replaced, and ends with 255 when there is none", async (cluster) => {
  await using shop = await openShop(cluster);
  const { kube, namespace } = shop;
  await install(cluster, "proxy", namespace);
  await shop.ready("app.kubernetes.io/instance=proxy", 1);
  const words = ["--namespace", namespace, "--deployment", "proxy"];
  await using running = start(cluster, [...words, "--run", "sh", "-c", "echo up >&2; exec sleep 300"]);
  await running.said(/^up$/m);
  const { items: [pod] } = await kube.list(pods, { namespace });
  await kube.delete(pods, { namespace, name: pod?.metadata.name ?? "" });
  await running.said(/Connected to the proxy's pod "proxy-\S+"\. Connections that were open are broken/);
  await kube.patch(deployments, { namespace, name: "proxy" }, { type: "merge", body: { spec: { replicas: 0 } } });
  const { code, stderr } = await endedSoon(running);
  equals(code, 255, stderr);
  match(stderr, /deployment "proxy" was scaled to 0$/m);

  const refused = await run(cluster, ...words, "--run", "true");
  equals(refused.code, 255);
  match(refused.stderr, /^T: Error: Cannot use deployment "proxy": it was scaled to 0$/m);
});

clusterTest("--deployment says what is wrong with what it finds, and how to install a proxy", async (cluster) => {
  await using shop = await openShop(cluster);
  const { kube, namespace } = shop;
  const words = ["--namespace", namespace, "--deployment", "proxy", "--run", "true"];
  const refusedWith = async (sentence: RegExp, installs = "proxy") => {
    const { code, stderr } = await run(cluster, ...words);
    equals(code, 255);
    match(stderr, sentence);
    match(
      stderr,
      new RegExp(`^T: Hint: .*telepresence agent-manifest ${installs} --namespace ${namespace} \\| kubectl apply`, "m"),
    );
  };
  await refusedWith(/^T: Error: Cannot find deployment "proxy" in namespace "swap-\w+"$/m);
  const containers = [{ name: "hello", image: "helloworld:1", imagePullPolicy: "Never" }];
  await kube.create(deployments, {
    metadata: { name: "proxy", namespace },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: "web" } },
      template: { metadata: { labels: { app: "web" } }, spec: { terminationGracePeriodSeconds: 1, containers } },
    },
  });
  // What is somebody's workload is not written over.
  const none = /^T: Error: Cannot use deployment "proxy": none of its containers runs telepresence's agent$/m;
  await refusedWith(none, "proxy-proxy");
  await kube.delete(deployments, { namespace, name: "proxy" });

  await install(cluster, "proxy", namespace);
  const key = { namespace, name: "proxy-key" };
  const { data } = await kube.get(secrets, key);
  await kube.patch(secrets, key, { type: "merge", body: { data: { key: btoa("none") } } });
  await refusedWith(/^T: Error: Cannot use deployment "proxy": secret "proxy-key", .* has no key that can be read: /m);
  await kube.delete(secrets, key);
  await refusedWith(/^T: Error: Cannot use deployment "proxy": secret "proxy-key", which lets us in, is not there$/m);

  // A key of another manifest: the agent does not let us in.
  const printed = await run(cluster, "agent-manifest", "proxy", "--output", "json");
  const { items } = JSON.parse(printed.stdout) as { items: { kind: string }[] };
  await apply(cluster, items.filter(({ kind }) => kind === "Secret"), namespace);
  equals((await kube.get(secrets, key)).data === data, false);
  const { code, stderr } = await run(cluster, ...words);
  equals(code, 255);
  match(stderr, /^T: Error: Cannot use the proxy's agent: .*refused.*signature/m);
  match(stderr, /^T: Hint: To install it anew: telepresence agent-manifest proxy/m);
  await until("its pod is as it was", async () => (await kube.list(pods, { namespace })).items.length === 1);
});
