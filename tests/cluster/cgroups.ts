import { exists } from "./files.ts";
import type { Instance } from "./instance.ts";
import { until } from "./wait.ts";

/** A mounted cgroup hierarchy. */
interface Hierarchy {
  readonly path: string;
  readonly version: 1 | 2;
  readonly controllers: readonly string[];
}

/** The controllers that kubelet needs. */
const NEEDED = ["cpu", "cpuset", "memory", "pids"];

/** The cgroup hierarchies of the machine. */
export async function listHierarchies(): Promise<Hierarchy[]> {
  const found: Hierarchy[] = [];
  for (const line of (await Deno.readTextFile("/proc/self/mountinfo")).trim().split("\n")) {
    const [left = "", right = ""] = line.split(" - ");
    const path = left.split(" ")[4] ?? "";
    const [type, , options = ""] = right.split(" ");
    if (type === "cgroup") found.push({ path, version: 1, controllers: options.split(",") });
    if (type !== "cgroup2") continue;
    const controllers = (await Deno.readTextFile(`${path}/cgroup.controllers`)).trim().split(" ");
    found.push({ path, version: 2, controllers });
  }
  return found;
}

/** The controllers that kubelet needs and the machine has not. */
export async function missingControllers(): Promise<string[]> {
  const present = new Set((await listHierarchies()).flatMap(({ controllers }) => controllers));
  return NEEDED.filter((controller) => !present.has(controller));
}

/** Makes the cgroup that all pods will be in, in every hierarchy. */
export async function makeCgroups(instance: Instance): Promise<void> {
  for (const { path, version, controllers } of await listHierarchies()) {
    const cgroup = `${path}/${instance.cgroup}`;
    await Deno.mkdir(cgroup, { recursive: true });
    if (version === 2 || !controllers.includes("cpuset")) continue;
    for (const file of ["cpuset.cpus", "cpuset.mems"]) { // version 1 starts empty, and takes no process then
      await Deno.writeTextFile(`${cgroup}/${file}`, await Deno.readTextFile(`${path}/${file}`));
    }
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
