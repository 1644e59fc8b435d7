import { UserError } from "@/util/mod.ts";
import type { Component } from "./components.ts";
import { readIfThere } from "./files.ts";
import { isHealthy } from "./health.ts";
import { type Instance, NODE_NAME } from "./instance.ts";
import { startInside } from "./node.ts";
import { kubectl } from "./objects.ts";
import { listProcesses, type Process, signalProcess } from "./processes.ts";
import type { Tell } from "./tell.ts";
import { until } from "./wait.ts";

/** For an orderly end. The API server would take a minute for it, waiting for its clients' watches to end first. */
const GRACE_MS = 2000;

/** The component's process, told by its words and by the namespace that only the node's own processes are in. */
export async function findComponent(node: Process, { command }: Component): Promise<Process | undefined> {
  const processes = await listProcesses();
  return processes.find(({ argv, pidNamespace }) => {
    return pidNamespace === node.pidNamespace && command.every((word, place) => argv[place] === word);
  });
}

/** Starts a component that does not run. */
export async function startComponent(
  instance: Instance,
  node: Process,
  component: Component,
  tell: Tell,
): Promise<void> {
  if (await findComponent(node, component) !== undefined) return;
  tell(`starting ${component.name}`);
  await startInside(node, component.command, {
    log: logOf(instance, component),
    find: () => findComponent(node, component),
  });
}

/** Ends a component, in order if it is quick. */
export async function endComponent(node: Process, component: Component, { pid }: Process, tell: Tell): Promise<void> {
  tell(`ending ${component.name} (pid ${pid})`);
  const isGone = async () => (await findComponent(node, component))?.pid === pid ? undefined : true;
  signalProcess(pid, "SIGTERM");
  try {
    await until(`the end of ${component.name}`, isGone, { timeoutMs: GRACE_MS });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    signalProcess(pid, "SIGKILL");
    await until(`the end of ${component.name}`, isGone);
  }
}

/** Waits until a component does its work. @throws {UserError} when it ends instead */
export async function waitHealthy(instance: Instance, node: Process, component: Component): Promise<void> {
  await until(`a healthy ${component.name}`, async () => {
    if (await isHealthy(instance, node, component)) return true;
    if (await findComponent(node, component) !== undefined) return undefined;
    const log = (await readIfThere(logOf(instance, component)) ?? "").trim().split("\n").slice(-3).join("\n");
    throw new UserError(`Cannot go on: ${component.name} ended: ${log}`, {
      hints: [`See ${logOf(instance, component)}`],
    });
  }, { timeoutMs: 120_000, everyMs: 100, hints: [`See ${logOf(instance, component)}`] });
}

/** Waits until kubelet knows its pods: one that has just started has them ready in the API, and cannot enter them. */
export async function waitForPods(instance: Instance): Promise<void> {
  await until("kubelet's knowledge of its pods", async () => {
    try {
      const [assigned, known] = await Promise.all([
        readPodIds(instance, `/api/v1/pods?fieldSelector=spec.nodeName%3D${NODE_NAME}`),
        readPodIds(instance, `/api/v1/nodes/${NODE_NAME}/proxy/pods`),
      ]);
      return assigned.every((id) => known.includes(id)) ? true : undefined;
    } catch (error) {
      if (error instanceof UserError) return undefined; // the API server has not found kubelet again yet
      throw error;
    }
  }, { everyMs: 100 });
}

async function readPodIds(instance: Instance, path: string): Promise<string[]> {
  const list: { items: { metadata: { uid: string } }[] | null } = JSON.parse(
    await kubectl(instance, ["get", "--raw", path]),
  );
  return (list.items ?? []).map(({ metadata }) => metadata.uid);
}

/** The component of that name. @throws {UserError} when there is none */
export function pickComponent(components: readonly Component[], name: string): Component {
  const found = components.find((component) => component.name === name);
  if (found !== undefined) return found;
  const names = components.map((component) => component.name).join(", ");
  throw new UserError(`Cannot find component "${name}": want one of ${names}`);
}

function logOf({ state }: Instance, { name }: Component): string {
  return `${state}/log/${name}.log`;
}
