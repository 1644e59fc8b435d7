import { requireProgram } from "@/process/mod.ts";
import { listHierarchies } from "./cgroups.ts";
import { exists } from "./files.ts";
import type { Instance } from "./instance.ts";
import { listProcesses } from "./processes.ts";

/** Where programs of a node keep something unless they are told or kept from it. */
const PLACES = [
  "/default.etcd",
  "/etc/cni",
  "/etc/containerd",
  "/etc/kubernetes",
  "/opt/cni",
  "/opt/containerd",
  "/run/containerd",
  "/run/kubernetes",
  "/run/mount",
  "/run/netns",
  "/run/xtables.lock",
  "/usr/libexec/kubernetes",
  "/var/lib/cni",
  "/var/lib/containerd",
  "/var/lib/etcd",
  "/var/lib/kubelet",
  "/var/lib/telepresence-cluster",
  "/var/log/containers",
  "/var/log/pods",
];

/** Settings of the machine that a kubelet or kube-proxy would change. */
const SETTINGS = [
  "kernel/keys/root_maxbytes",
  "kernel/keys/root_maxkeys",
  "kernel/panic",
  "kernel/panic_on_oops",
  "net/ipv4/ip_forward",
  "net/netfilter/nf_conntrack_max",
  "vm/overcommit_memory",
];

/** What there is on the machine that a cluster could leave behind, a line each; other clusters' things left out. */
export async function snapshotMachine(instance: Instance, namespaces: readonly string[]): Promise<string[]> {
  const lines = await Promise.all([
    listOwnProcesses(instance, namespaces),
    Deno.readTextFile("/proc/self/mountinfo").then((text) => text.split("\n")),
    requireProgram(["ip", "-oneline", "link"]).then((text) => text.split("\n").map((line) => line.split(" ")[1] ?? "")),
    requireProgram(["ip", "route", "show", "table", "all"]).then((text) => text.split("\n")),
    requireProgram(["nft", "list", "ruleset"]).then((text) => text.split("\n")),
    listHierarchies().then((found) => Promise.all(found.map(({ path }) => list(path)))).then((found) => found.flat()),
    Promise.all(PLACES.map(list)).then((found) => found.flat()),
    Promise.all(SETTINGS.map(readSetting)),
  ]);
  const others = new RegExp(
    `(telepresence-cluster[-/]|tpc-)(?!${instance.name}\\b)\\w|/telepresence-cluster$|10\\.111\\.`,
  );
  return lines.flat().filter((line) => !others.test(line) || line.includes(instance.hostAddress)).sort();
}

/** The processes that are in one of the namespaces, or have the instance's folder among their words. */
async function listOwnProcesses({ state }: Instance, namespaces: readonly string[]): Promise<string[]> {
  const processes = await listProcesses();
  return processes
    .filter(({ argv, pidNamespace }) => namespaces.includes(pidNamespace) || argv.join(" ").includes(`${state}/`))
    .map(({ pid, argv }) => `process ${pid} ${argv.join(" ")}`);
}

/** The path itself, if it is there, and what is in it. */
async function list(path: string): Promise<string[]> {
  if (!await exists(path)) return [];
  if (!(await Deno.stat(path)).isDirectory) return [path];
  return [path, ...(await Array.fromAsync(Deno.readDir(path))).map(({ name }) => `${path}/${name}`)];
}

async function readSetting(path: string): Promise<string> {
  try {
    return `${path} = ${(await Deno.readTextFile(`/proc/sys/${path}`)).trim()}`;
  } catch {
    return `${path} is not there`;
  }
}
