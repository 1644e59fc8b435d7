/**
 * A cluster that runs on the developer's machine asks that machine for names that it does not know, and so, with
 * vpn-tcp, asks us: no question goes round for ever, and each has its answer.
 */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { configMaps, deployments, pods, services } from "@/kube/mod.ts";
import { serve, WORLD } from "../vpn/played_machine.ts";
import type { Machine } from "../vpn/played_machine.ts";
import { PAGE, type Shell } from "./as_in_pod.ts";
import { type Cluster, IMAGES, KUBECONFIG, until, withNamespace } from "./harness.ts";
import { beside, startOn, vpnTest } from "./vpn_harness.ts";

const FORWARDER = fileURLToPath(new URL("./forwarder.py", import.meta.url));

/** The machine's end of the cable to the embedded cluster's node: pods reach it. */
const machineOf = ({ kube }: Cluster) => new URL(kube.config.server).hostname.replace(/\d+$/, "1");

/**
 * A CoreDNS that has the cluster's names and asks the machine for all others, and Deployments `asks` and `asks-too`, whose pods ask it. The
 * cluster's own is left as it is, for other tests use it.
 */
async function makeNameServer(cluster: Cluster, namespace: string): Promise<void> {
  const { kube } = cluster;
  const { spec: { clusterIP: clusterDns } } = await kube.get(services, { namespace: "kube-system", name: "kube-dns" });
  const corefile = `.:53 {
  errors
  ready
  loop
  forward cluster.local ${clusterDns}
  forward . ${machineOf(cluster)}
}
`;
  await kube.create(configMaps, { metadata: { name: "names", namespace }, data: { Corefile: corefile } });
  await kube.create(services, {
    metadata: { name: "names", namespace },
    spec: { selector: { app: "names" }, ports: [{ port: 53, protocol: "UDP" }] },
  });
  const { spec: { clusterIP } } = await kube.get(services, { namespace, name: "names" });
  await deploy(cluster, namespace, "names", {
    dnsPolicy: "Default",
    containers: [{
      ...TOOLS,
      name: "names",
      command: ["/program/cluster", "coredns", "-conf", "/etc/coredns/Corefile"],
      readinessProbe: { httpGet: { path: "/ready", port: 8181 }, periodSeconds: 1 },
      volumeMounts: [{ name: "corefile", mountPath: "/etc/coredns" }, { name: "program", mountPath: "/program" }],
    }],
    volumes: [
      { name: "corefile", configMap: { name: "names" } },
      { name: "program", hostPath: { path: KUBECONFIG?.replace(/kubeconfig$/, "bin") } },
    ],
  });
  for (const app of ["asks", "asks-too"]) {
    await deploy(cluster, namespace, app, {
      dnsPolicy: "None",
      dnsConfig: {
        nameservers: [clusterIP],
        searches: [`${namespace}.svc.cluster.local`, "svc.cluster.local", "cluster.local"],
        options: [{ name: "ndots", value: "5" }],
      },
      containers: [{ ...TOOLS, name: app, command: ["sleep", "infinity"] }],
    });
  }
}

const isReady = (one: { type: string; status: string }) => one.type === "Ready" && one.status === "True";

const TOOLS = { image: IMAGES.tools, imagePullPolicy: IMAGES.pullPolicy };

/** Makes a Deployment of one pod, and waits until it is ready. */
async function deploy({ kube }: Cluster, namespace: string, app: string, spec: Record<string, unknown>): Promise<void> {
  const template = { metadata: { labels: { app } }, spec: { terminationGracePeriodSeconds: 1, ...spec } };
  await kube.create(deployments, {
    metadata: { name: app, namespace },
    spec: { selector: { matchLabels: { app } }, template },
  });
  await until(`${app} is ready`, async () => {
    const { items } = await kube.list(pods, { namespace, labelSelector: `app=${app}` });
    return items.some(({ status }) => status.conditions.some(isReady));
  });
}

/** Many names that nobody has, all at once. */
const UNKNOWN = `for i in 1 2 3 4 5 6 7 8; do (timeout 20 getent hosts nowhere-$i.example || echo "$?") & done; wait`;

/** What a command hears: of the cluster, of the machine's network, and of names that nobody has. */
async function hears(shell: Shell, machine: Machine): Promise<void> {
  match(await shell("curl -sS --max-time 20 http://helloworld.default"), PAGE);
  equals(await shell("timeout 20 getent ahostsv4 www.public.example | cut -d' ' -f1 | head -1"), WORLD);
  await machine.asked();
  // 2 is getent's "not found"; 124 would be a timeout's.
  equals((await shell(UNKNOWN)).split("\n"), Array(8).fill("2"));
  const asked = (await machine.asked()).filter((line) => line.startsWith("nowhere-"));
  // Two families, some searched domains and a second try are what one question is asked for; a loop has no such end.
  ok(asked.length > 0 && asked.length < 8 * 20, `the network's server was asked ${asked.length} times`);
}

/** A shell of which each call is a session in the place of a Deployment. */
function inNamespace(
  { cluster, machine }: { cluster: Cluster; machine: Machine },
  namespace: string,
  name: string,
): Shell {
  return async (lines) => {
    const words = [
      "--logfile",
      "/dev/null",
      "--namespace",
      namespace,
      "--swap-deployment",
      name,
      "--method",
      "namespace",
    ];
    const ended = await startOn(machine, cluster, ...words, "--run", "sh", "-c", lines).ended();
    equals(ended.code, 0, ended.stderr);
    return ended.stdout.trimEnd();
  };
}

/**
 * Has the name server begin anew. Its plugin `loop` then asks for a name of its own, and ends it when that comes back; the
 * question goes by the machine to the network's server.
 */
async function restartNameServer({ cluster, machine }: { cluster: Cluster; machine: Machine }, namespace: string) {
  const { kube } = cluster;
  const { items: [old] } = await kube.list(pods, { namespace, labelSelector: "app=names" });
  await kube.delete(pods, { namespace, name: old?.metadata.name ?? "" }, { gracePeriodSeconds: 0 });
  const asked: string[] = [];
  await until("its plugin has asked", async () => {
    asked.push(...await machine.asked());
    return asked.some((line) => LOOP_QUESTION.test(line));
  });
  await until("it is ready", async () => {
    const { items } = await kube.list(pods, { namespace, labelSelector: "app=names" });
    return items.some(({ metadata, status }) =>
      metadata.name !== old?.metadata.name && status.conditions.some(isReady)
    );
  });
}

/** Two random numbers, and the type HINFO. */
const LOOP_QUESTION = /^\d+\.\d+ 13$/;

/** Runs `body` while the cluster asks the machine. */
async function whileAsking(
  { cluster, machine }: { cluster: Cluster; machine: Machine },
  body: (namespace: string) => Promise<void>,
): Promise<void> {
  const network = machine.enter.find((word) => word.startsWith("--net="))?.slice("--net=".length) ?? "";
  await using _forwarder = await serve(["python3", FORWARDER, network, machineOf(cluster), WORLD]);
  await withNamespace(cluster, "loop", async (namespace) => {
    await makeNameServer(cluster, namespace);
    await body(namespace);
  });
}

vpnTest("vpn-tcp: a cluster that asks this very machine for names makes no loop, and all are answered", async (on) => {
  const { cluster, machine } = on;
  await whileAsking(on, async (namespace) => {
    await beside(on, ["--namespace", namespace, "--swap-deployment", "asks"], async () => {
      await hears(machine.shell, machine); // from the first moment on, when it is not known yet whether there is a loop
      const log = `${cluster.directory}/telepresence.log`;
      await until("the loop is found", async () => {
        return /The cluster asks this machine for names/.test(await Deno.readTextFile(log));
      });
      await hears(machine.shell, machine);
      await restartNameServer(on, namespace);
      await hears(machine.shell, machine);
      // A command of a namespace asks the pod for every name, which asks the machine, on which the other session is.
      await hears(inNamespace(on, namespace, "asks-too"), machine);
    });
    const { items } = await cluster.kube.list(pods, { namespace, labelSelector: "app=names" });
    equals(items.map(({ status }) => status.containerStatuses.map((each) => each.restartCount)), [[0]]);
  });
});

vpnTest(
  "namespace: a cluster that asks this very machine for names makes no loop, and all are answered",
  async (on) => {
    const { machine } = on;
    await whileAsking(on, async (namespace) => {
      await hears(inNamespace(on, namespace, "asks"), machine);
    });
  },
);
