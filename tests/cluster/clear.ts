import { runProgram } from "@/process/mod.ts";
import { removeCgroups } from "./cgroups.ts";
import { exists, removeTree } from "./files.ts";
import type { Instance } from "./instance.ts";
import { endNode } from "./node.ts";
import { until } from "./wait.ts";

/** Takes everything away that has the instance's name, in an order that works whatever is missing. */
export async function clear(instance: Instance): Promise<void> {
  await endNode(instance);
  await runProgram(["ip", "link", "delete", instance.link]); // the kernel does it as well, but in its own time
  await until(`the removal of link ${instance.link}`, async () => {
    return await exists(`/sys/class/net/${instance.link}`) ? undefined : true;
  });
  await removeCgroups(instance);
  await removeTree(instance.state);
}
