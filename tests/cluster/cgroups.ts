import { messageOf, UserError } from "@/util/mod.ts";
import { exists } from "./files.ts";
import type { Instance } from "./instance.ts";
import { until } from "./wait.ts";

/** A mounted cgroup hierarchy. */
interface Hierarchy {
  readonly path: string;
  readonly version: 1 | 2;
  readonly writable: boolean;
  readonly controllers: readonly string[];
}

/** The controllers that kubelet needs. */
const NEEDED = ["cpu", "cpuset", "memory", "pids"];

/** The cgroup hierarchies of the machine. */
export async function listHierarchies(): Promise<Hierarchy[]> {
  const found: Hierarchy[] = [];
  for (const line of (await Deno.readTextFile("/proc/self/mountinfo")).trim().split("\n")) {
    const [left = "", right = ""] = line.split(" - ");
    const [, , , , path = "", mountOptions = ""] = left.split(" ");
    const writable = mountOptions.split(",").includes("rw");
    const [type, , options = ""] = right.split(" ");
    if (type === "cgroup") found.push({ path, version: 1, writable, controllers: options.split(",") });
    if (type !== "cgroup2") continue;
    const controllers = (await Deno.readTextFile(`${path}/cgroup.controllers`)).trim().split(" ");
    found.push({ path, version: 2, writable, controllers: controllers.filter(Boolean) });
  }
  return found;
}

/** The controllers that kubelet needs and cannot have: absent, or mounted read-only. */
export async function missingControllers(): Promise<string[]> {
  const usable = (await listHierarchies()).filter(({ writable }) => writable);
  const present = new Set(usable.flatMap(({ controllers }) => controllers));
  return NEEDED.filter((controller) => !present.has(controller));
}

/** Makes the cgroup that all pods will be in, in every hierarchy. */
export async function makeCgroups(instance: Instance): Promise<void> {
  for (const { path, version, writable, controllers } of await listHierarchies()) {
    if (!writable) continue;
    const cgroup = `${path}/${instance.cgroup}`;
    await Deno.mkdir(cgroup, { recursive: true });
    if (version === 2) await enableControllers(path, controllers);
    if (version === 2 || !controllers.includes("cpuset")) continue;
    for (const file of ["cpuset.cpus", "cpuset.mems"]) { // version 1 starts empty, and takes no process then
      await Deno.writeTextFile(`${cgroup}/${file}`, await Deno.readTextFile(`${path}/${file}`));
    }
  }
}

/** Version 2 has controllers only where the parent enables them; systemd enables what its units want. */
async function enableControllers(path: string, controllers: readonly string[]): Promise<void> {
  const file = `${path}/cgroup.subtree_control`;
  const enabled = (await Deno.readTextFile(file)).trim().split(" ");
  const lacking = NEEDED.filter((name) => controllers.includes(name) && !enabled.includes(name));
  if (lacking.length === 0) return;
  try {
    await Deno.writeTextFile(file, lacking.map((name) => `+${name}`).join(" "));
  } catch (cause) {
    throw new UserError(`Cannot enable cgroup controllers ${lacking.join(", ")} in ${path}: ${messageOf(cause)}`, {
      hints: ["In a container, give it the machine's cgroups: docker run --privileged --cgroupns=host"],
      cause,
    });
  }
}

/** Removes these cgroups with all below. Their processes are killed already, but may need a moment to be gone. */
export async function removeCgroups(instance: Instance): Promise<void> {
  for (const { path } of await listHierarchies()) {
    const cgroup = `${path}/${instance.cgroup}`;
    await until(`the removal of cgroup ${cgroup}`, () => removeCgroup(cgroup));
  }
}

/** The folders below are the children; the files are the kernel's and go with their folder. */
async function removeCgroup(path: string): Promise<true | undefined> {
  if (!await exists(path)) return true;
  try {
    for await (const { name, isDirectory } of Deno.readDir(path)) {
      if (isDirectory) await removeCgroup(`${path}/${name}`);
    }
    await Deno.remove(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    return undefined; // busy
  }
}
