import { requireProgram, runProgram } from "@/process/mod.ts";
import { UserError } from "@/util/mod.ts";
import { missingControllers } from "./cgroups.ts";
import { exists } from "./files.ts";
import { isBuilt, locateProgram, readGoVersion, readNeededGoVersion } from "./program.ts";
import type { Tell } from "./tell.ts";

/** Debian packages, each with a file that shows that it is here. */
const PACKAGES: readonly (readonly [name: string, ...files: string[]])[] = [
  ["containerd", "containerd", "ctr", "containerd-shim-runc-v2"],
  ["runc", "runc"],
  ["containernetworking-plugins", "/usr/lib/cni/ptp", "/usr/lib/cni/portmap", "/usr/lib/cni/host-local"],
  ["nftables", "nft"],
  ["iptables", "iptables"],
  ["iproute2", "ip"],
  ["util-linux", "unshare", "nsenter"],
  ["mount", "mount"],
  ["openssl", "openssl"],
  ["curl", "/usr/bin/curl"],
  ["python3", "/usr/bin/python3"],
  ["busybox-static", "/bin/busybox"],
  ["libc-bin", "ldd", "/usr/bin/getent"],
  ["ca-certificates", "/etc/ssl/certs/ca-certificates.crt"],
];

const FOLDERS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/**
 * Why this machine cannot run the cluster, a sentence each; nothing when it can, perhaps after an `apt-get install`.
 * Looks only, and changes nothing.
 */
export async function listObstacles(): Promise<string[]> {
  const forbidden = whyForbidden();
  if (forbidden !== undefined) return [forbidden];
  const obstacles = await Promise.all([findGo(), findPackages(), tryNamespaces(), findCgroups()]);
  return obstacles.filter((obstacle) => obstacle !== undefined);
}

/** Refuses where not even looking at a cluster makes sense. */
export function requireLinuxAndRoot(): void {
  const forbidden = whyForbidden();
  if (forbidden !== undefined) throw new UserError(`Cannot run the cluster: ${forbidden}`);
}

/** Makes sure that this machine can run the cluster, by installing Debian packages where some are missing. */
export async function requireMachine(tell: Tell): Promise<void> {
  const [first, ...others] = await listObstacles();
  if (first !== undefined) throw new UserError(`Cannot run the cluster: ${first}`, { hints: others });
  const missing = await missingPackages();
  if (missing.length === 0) return;
  tell(`installing Debian packages that are missing: ${missing.join(", ")} (apt-get install)`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const install = ["apt-get", "install", "--yes", "--no-install-recommends", ...missing] as const;
  if ((await runProgram(install, { env })).code === 0) return;
  await requireProgram(["apt-get", "update"], { env }); // the list of packages may be old, or not there at all
  await requireProgram(install, { env });
}

/** containerd's way to stack layers that works for files below `folder`. */
export async function chooseSnapshotter(folder: string): Promise<"overlayfs" | "native"> {
  await Deno.mkdir(`${folder}/try`, { recursive: true });
  const script = `cd "$1/try" && mkdir a b c d &&
    mount -t overlay overlay -o lowerdir=a,upperdir=b,workdir=c d`;
  const command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", folder] as const;
  const { code } = await runProgram(command, { env: { LIBMOUNT_UTAB: `${folder}/utab` } });
  await Deno.remove(`${folder}/try`, { recursive: true });
  return code === 0 ? "overlayfs" : "native";
}

/** Whether a network namespace of this machine's kernel can have IPv6, with all that kube-proxy and CNI plugins do to it. */
export async function hasIPv6(): Promise<boolean> {
  const script = `ip link set lo up && ip -6 address add fd00::1/64 dev lo && ip6tables -t nat -S >/dev/null &&
    nft 'add table ip6 try; add chain ip6 try nat { type nat hook postrouting priority 100; }
      add rule ip6 try nat ip6 daddr fd00::/64 masquerade'`;
  return (await runProgram(["unshare", "--net", "sh", "-c", script])).code === 0;
}

function whyForbidden(): string | undefined {
  if (Deno.build.os !== "linux") return `it runs on Linux only, and this is ${Deno.build.os}`;
  if (Deno.uid() !== 0) return "it needs root, for namespaces, mounts and cgroups";
  return undefined;
}

async function missingPackages(): Promise<string[]> {
  const missing = await Promise.all(PACKAGES.map(async ([name, ...files]) => {
    return (await Promise.all(files.map(isHere))).every(Boolean) ? [] : [name];
  }));
  return missing.flat();
}

async function isHere(file: string): Promise<boolean> {
  if (file === "/bin/busybox") return (await runProgramQuietly(["ldd", file])) !== 0 && await exists(file); // static
  if (file.startsWith("/")) return await exists(file);
  return (await Promise.all(FOLDERS.map((folder) => exists(`${folder}/${file}`)))).some(Boolean);
}

async function findPackages(): Promise<string | undefined> {
  const missing = await missingPackages();
  if (missing.length === 0 || await isHere("apt-get")) return undefined;
  return `these Debian packages are missing and there is no apt-get to install them: ${missing.join(", ")}`;
}

async function findGo(): Promise<string | undefined> {
  if (await isBuilt(await locateProgram())) return undefined;
  const [found, needed] = await Promise.all([readGoVersion(), readNeededGoVersion()]);
  if (found === undefined) return `Go ${needed} or newer is needed to build it, and there is no "go" in PATH`;
  if (isOlder(found, needed)) {
    return `Go ${needed} or newer is needed to build it, and this is ${found} (GOTOOLCHAIN=local: no other is fetched)`;
  }
  return undefined;
}

/** Compares versions number by number; what is not a number ("devel") counts as new. */
export function isOlder(found: string, needed: string): boolean {
  const [a, b] = [found, needed].map((version) => version.split(/[.\-rc]+/).map(Number));
  for (const [place, wanted] of (b ?? []).entries()) {
    const number = a?.[place] ?? 0;
    if (number !== wanted) return number < wanted;
  }
  return false;
}

async function tryNamespaces(): Promise<string | undefined> {
  if (!await isHere("unshare") || !await isHere("ip")) return undefined; // findPackages has the word
  const namespaces = ["--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--mount-proc"];
  const trial = [
    "unshare",
    ...namespaces,
    "ip",
    "link",
    "add",
    "probe0",
    "type",
    "veth",
    "peer",
    "name",
    "probe1",
  ] as const;
  const { code, stderr } = await runProgram(trial);
  return code === 0 ? undefined : `network, mount and pid namespaces with veth links are needed: ${stderr.trim()}`;
}

async function findCgroups(): Promise<string | undefined> {
  const missing = await missingControllers();
  return missing.length === 0 ? undefined : `cgroup controllers are absent or read-only here: ${missing.join(", ")}`;
}

async function runProgramQuietly(command: readonly [string, ...string[]]): Promise<number> {
  try {
    return (await runProgram(command)).code;
  } catch {
    return -1; // not there
  }
}
