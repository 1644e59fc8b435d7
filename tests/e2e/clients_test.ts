/** In-cluster configuration: what client libraries read in a pod is there for a process of this machine, at its path. */
import { strictEqual as equal } from "node:assert/strict";
import { pods, untyped } from "@/kube/mod.ts";
import { runProgram } from "@/process/mod.ts";
import { type Cluster, clusterTest, run, withNamespace } from "./harness.ts";

/** Where the clients are kept between runs. */
const PLACE = new URL("../../build/clients", import.meta.url).pathname;

/** A client library and a program that lists the names of its namespace's pods with it. */
interface Client {
  readonly name: string;
  /** The command that installs it, and a file that is there then. */
  readonly install: readonly [string, ...string[]];
  readonly installed: string;
  readonly command: readonly [string, ...string[]];
}

const PYTHON = `
import sys
sys.path.insert(0, "${PLACE}/python")
from kubernetes import client, config
config.load_incluster_config()
namespace = open("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read()
for pod in client.CoreV1Api().list_namespaced_pod(namespace).items: print(pod.metadata.name)
`;

const NODE = `
import { readFileSync } from "node:fs";
import { CoreV1Api, KubeConfig } from "${PLACE}/node/node_modules/@kubernetes/client-node/dist/index.js";
const config = new KubeConfig();
config.loadFromCluster();
const namespace = readFileSync("/run/secrets/kubernetes.io/serviceaccount/namespace", "utf8");
const { items } = await config.makeApiClient(CoreV1Api).listNamespacedPod({ namespace });
for (const { metadata } of items) console.log(metadata.name);
`;

const CLIENTS: readonly Client[] = [
  {
    name: "kubernetes of PyPI",
    install: ["python3", "-m", "pip", "install", "--quiet", "--target", `${PLACE}/python`, "kubernetes==37.0.2"],
    installed: `${PLACE}/python/kubernetes/__init__.py`,
    command: ["python3", "-c", PYTHON],
  },
  {
    name: "@kubernetes/client-node of npm",
    install: [
      "npm",
      "install",
      "--silent",
      "--no-audit",
      "--no-fund",
      "--prefix",
      `${PLACE}/node`,
      "@kubernetes/client-node@1.3.0", // later ones need Node.js 22
    ],
    installed: `${PLACE}/node/node_modules/@kubernetes/client-node/dist/index.js`,
    command: ["node", "--input-type=module", "-e", NODE],
  },
];

for (const { name, install, installed, command } of CLIENTS) {
  const lacking = await whyNot(install, installed);
  if (lacking !== undefined) {
    Deno.test.ignore(`${name} works with its in-cluster configuration (skipped: ${lacking})`, () => {});
    continue;
  }
  for (const flags of [["--mount-mode", "auto"], ["--mount-mode", "copy"], ["--method", "namespace"]]) {
    clusterTest(`${name} works with its in-cluster configuration, ${flags.join(" ")}`, async (cluster) => {
      await withNamespace(cluster, "clients", async (namespace) => {
        await letListPods(cluster, namespace);
        const words = ["--namespace", namespace, "--new-deployment", "seen", ...flags, "--run", ...command];
        const { code, stdout, stderr } = await run(cluster, ...words);
        equal(code, 0, stderr);
        equal(/^seen-\w+-\w+\n$/.test(stdout), true, `${stdout}\n${stderr}`);
      });
    });
  }
}

/** Lets the service account of the proxy's pod list pods, as whoever runs such a program in the cluster does. */
async function letListPods({ kube }: Cluster, namespace: string): Promise<void> {
  const rbac = (plural: string, kind: string) => untyped({ ...pods, group: "rbac.authorization.k8s.io", plural, kind });
  const rules = [{ apiGroups: [""], resources: ["pods"], verbs: ["list"] }];
  await kube.create(rbac("roles", "Role"), { metadata: { name: "lists", namespace }, rules });
  await kube.create(rbac("rolebindings", "RoleBinding"), {
    metadata: { name: "lists", namespace },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "lists" },
    subjects: [{ kind: "ServiceAccount", name: "default", namespace }],
  });
}

/** Installs it where it is not there. @returns why it cannot be had */
async function whyNot(
  [program, ...args]: readonly [string, ...string[]],
  installed: string,
): Promise<string | undefined> {
  const isThere = () => Deno.stat(installed).then(() => true, () => false);
  if (await isThere()) return undefined;
  try {
    const { code, stderr } = await runProgram([program, ...args]);
    return code === 0 && await isThere() ? undefined : `${program}: ${stderr.trim().split("\n").at(-1)}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
