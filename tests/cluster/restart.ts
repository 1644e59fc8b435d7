import { UserError } from "@/util/mod.ts";
import type { Instance } from "./instance.ts";
import { acquireLock } from "./lock.ts";
import { readComponents } from "./made.ts";
import { findNode } from "./node.ts";
import { endComponent, findComponent, pickComponent, startComponent, waitForPods, waitHealthy } from "./running.ts";
import type { Tell } from "./tell.ts";

/** Ends a component and starts it again, and waits until it does its work. */
export async function restart(instance: Instance, name: string, tell: Tell): Promise<void> {
  await using _lock = await acquireLock(instance, tell);
  const node = await findNode(instance);
  if (node === undefined) {
    throw new UserError(`Cannot restart ${name}: cluster "${instance.name}" is not up`, { hints: ["make cluster-up"] });
  }
  const component = pickComponent(await readComponents(instance), name);
  const process = await findComponent(node, component);
  if (process !== undefined) await endComponent(node, component, process, tell);
  await startComponent(instance, node, component, tell);
  await waitHealthy(instance, node, component);
  await waitForPods(instance);
  tell(`${name} is healthy`);
}
