import { clear } from "./clear.ts";
import type { Instance } from "./instance.ts";
import { acquireLock } from "./lock.ts";
import type { Tell } from "./tell.ts";

/** Removes the cluster: processes, links, mounts, cgroups and files; also what a killed `up` or `down` left of it. */
export async function down(instance: Instance, tell: Tell): Promise<void> {
  await using _lock = await acquireLock(instance, tell);
  await clear(instance);
  tell(`cluster "${instance.name}" is down`);
}
