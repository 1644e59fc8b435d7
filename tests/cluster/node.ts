/**
 * The node: a set of Linux namespaces, held by one process.
 *
 * Theory of operation. `unshare` makes new mount, network, pid, UTS and IPC namespaces; a few lines of shell give them
 * their mounts and become `pause`, process 1 of the new pid namespace. Every component enters these namespaces and is
 * adopted by process 1, and every container of every pod descends from a component. So the kernel knows what belongs
 * to the cluster, and no record of ours can be wrong about it:
 *
 * - when process 1 dies, the kernel kills everything in the pid namespace, whatever happened to us before;
 * - mounts, links, routes, nftables and sockets go with the last process of their namespace;
 * - a component is found as the process with its words inside *this* pid namespace, so that a recycled process id on
 *   the machine is never taken for ours.
 *
 * /run, /var and /tmp inside are folders of the instance: containerd, kubelet and CNI plugins keep their well-known
 * paths, and the machine's files of the same names (another containerd's socket, say) are neither seen nor touched.
 * The instance's own folder has the same path inside and outside, and all else of the machine's root file system is
 * read-only inside. The sysctls that kubelet sets for the whole machine are covered by files, so that it sets those.
 *
 * @module
 */
import { requireProgram } from "@/process/mod.ts";
import { UserError } from "@/util/mod.ts";
import { placePlugins } from "./cable.ts";
import type { Abilities } from "./components.ts";
import type { Instance } from "./instance.ts";
import type { Program } from "./program.ts";
import { listProcesses, type Process, signalProcess } from "./processes.ts";
import { spawnDetached } from "./spawn.ts";
import { until } from "./wait.ts";

const PREPARE = `
set -eu
state=$1
export LIBMOUNT_UTAB="$state/utab"
for path in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \\
  kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  [ -e "/proc/sys/$path" ] || continue
  cover="$state/sysctl/$(echo "$path" | tr / .)"
  cat "/proc/sys/$path" >"$cover"
  mount --bind "$cover" "/proc/sys/$path"
done
echo 1 >/proc/sys/net/ipv4/ip_forward
no_dad=/proc/sys/net/ipv6/conf/default/accept_dad # a cable has two ends: nobody else can have an address
[ ! -e $no_dad ] || echo 0 >$no_dad
ip link set lo up
mount --rbind "$state" "$state/var/lib/\${state#/var/lib/}"
mount --bind "$state/run" /run
mount --bind "$state/tmp" /tmp
mount --rbind "$state/var" /var
mount -o remount,bind,ro /
mount --make-rshared /
shift
exec /run/pause "$@"
`;

const NAMESPACES = ["--mount", "--net", "--pid", "--uts", "--ipc"];

/** Finds process 1 of the instance's node. There can be a second one only where a killed `up` left one behind. */
export async function findNodes(instance: Instance): Promise<Process[]> {
  const processes = await listProcesses();
  return processes.filter(({ argv, pids }) => pids.length > 1 && pids.at(-1) === 1 && argv.includes(markOf(instance)));
}

/** The node when it is there and complete. */
export async function findNode(instance: Instance): Promise<Process | undefined> {
  const [node, ...others] = (await findNodes(instance)).filter(({ argv }) => argv[0] === "/run/pause");
  return others.length === 0 ? node : undefined;
}

/** Makes the node in the instance's folder, and joins it to the machine by a cable. */
export async function openNode(instance: Instance, program: Program, { ipv6 }: Abilities): Promise<Process> {
  const { state, link, hostAddress, nodeAddress } = instance;
  for (const folder of ["bin", "log", "run", "sysctl", "tmp", "var/lib/telepresence-cluster", "var/log", "var/tmp"]) {
    await Deno.mkdir(`${state}/${folder}`, { recursive: true });
  }
  await Deno.mkdir(`${state}/var/lib/${state.slice("/var/lib/".length)}`, { recursive: true });
  await Deno.symlink("/run", `${state}/var/run`);
  await placePlugins(instance);
  await placeFile(program.pause, `${state}/run/pause`);
  await placeFile(program.cluster, `${state}/bin/cluster`);
  await Deno.symlink("cluster", `${state}/bin/kubectl`);
  const child = spawnDetached(`${state}/log/node.log`, [
    ...["unshare", ...NAMESPACES, "--propagation", "private", "--fork", "--mount-proc"],
    ...["sh", "-c", PREPARE, "sh", state, markOf(instance)],
  ]);
  const node = await adoptedOf(child, "the node's namespaces", `${state}/log/node.log`, () => findNode(instance));
  await requireProgram(["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", `${node.pid}`]);
  await requireProgram(["ip", "address", "add", `${hostAddress}/30`, "dev", link]);
  await requireProgram(["ip", "link", "set", link, "up"]);
  const inside = ["nsenter", "--target", `${node.pid}`, "--net", "ip"] as const;
  await requireProgram([...inside, "address", "add", `${nodeAddress}/30`, "dev", "eth0"]);
  await requireProgram([...inside, "link", "set", "eth0", "up"]);
  await requireProgram([...inside, "route", "add", "default", "via", hostAddress]);
  if (ipv6) {
    await requireProgram([...inside, "address", "add", `${instance.ipv6.nodeAddress}/64`, "dev", "eth0", "nodad"]);
  }
  return node;
}

/** The cache may be cleared while the cluster is up, so that it must not be run from there. */
async function placeFile(from: string, to: string): Promise<void> {
  try {
    await Deno.link(from, to);
  } catch {
    await Deno.copyFile(from, to); // another file system
  }
}

/** Ends the node and with it every process inside, and waits until they are gone. */
export async function endNode(instance: Instance): Promise<void> {
  const nodes = await findNodes(instance);
  for (const { pid } of nodes) signalProcess(pid, "SIGKILL");
  const namespaces = new Set(nodes.map(({ pidNamespace }) => pidNamespace));
  await until("the end of the node's processes", async () => {
    const processes = await listProcesses();
    return processes.some(({ pidNamespace }) => namespaces.has(pidNamespace)) ? undefined : true;
  });
}

/** Starts a program inside the node, which adopts it. `find` is how it is told from others. */
export async function startInside(
  node: Process,
  command: readonly string[],
  { log, find }: { log: string; find: () => Promise<Process | undefined> },
): Promise<Process> {
  const child = spawnDetached(log, ["nsenter", "--target", `${node.pid}`, ...NAMESPACES, "--", ...command]);
  return await adoptedOf(child, `the start of ${command.slice(0, 2).join(" ")}`, log, find);
}

/**
 * Waits until a program that `child` (unshare, nsenter) forks off is there, then ends `child`, which would only wait
 * for it: the kernel gives the program to process 1 of its pid namespace.
 */
async function adoptedOf(
  child: Deno.ChildProcess,
  what: string,
  log: string,
  find: () => Promise<Process | undefined>,
): Promise<Process> {
  let ended = false;
  const end = child.status.finally(() => ended = true);
  try {
    return await until(what, async () => {
      const failed = ended;
      const found = await find();
      if (found === undefined && failed) throw await failureOf(what, log);
      return found;
    }, { timeoutMs: 20_000, everyMs: 10 });
  } finally {
    if (!ended) child.kill("SIGKILL");
    await end;
  }
}

async function failureOf(what: string, log: string): Promise<UserError> {
  const words = (await Deno.readTextFile(log)).trim().split("\n").slice(-3).join("\n");
  return new UserError(`Cannot go on: ${what} failed: ${words}`, { hints: [`See ${log}`] });
}

function markOf({ state }: Instance): string {
  return `--telepresence-cluster=${state}`;
}
