import { requireProgram, runProgram } from "@/process/mod.ts";
import { UserError } from "@/util/mod.ts";
import { makeCgroups, removeCgroups } from "./cgroups.ts";
import { type Component, componentsOf } from "./components.ts";
import { exists, readIfThere, removeTree } from "./files.ts";
import { isHealthy } from "./health.ts";
import { buildImages, loadImages } from "./images.ts";
import { type Instance, NODE_NAME } from "./instance.ts";
import { acquireLock } from "./lock.ts";
import { endNode, findNode, openNode, startInside } from "./node.ts";
import { applyObjects, DEPLOYMENTS, kubectl } from "./objects.ts";
import { kubeconfigOf, makePki } from "./pki.ts";
import { chooseSnapshotter, requireMachine } from "./prerequisites.ts";
import { listProcesses, type Process, signalProcess } from "./processes.ts";
import { buildProgram, hashOf, type Program } from "./program.ts";
import type { Tell } from "./tell.ts";
import { until } from "./wait.ts";

/** Brings the cluster up, or does what is left to do for that: each step looks first whether it is done. */
export async function up(instance: Instance, tell: Tell): Promise<void> {
  await requireMachine(tell);
  await using _lock = await acquireLock(instance, tell);
  const program = await buildProgram(tell);
  const images = await buildImages(program, tell);
  const node = await standingNode(instance, program, tell) ?? await makeNode(instance, program, tell);
  const components = await readComponents(instance);
  await startComponent(instance, node, pick(components, "containerd"), tell);
  await together(loadImages(instance, images, tell), startControlPlane(instance, node, components, tell));
  for (const component of components) await waitHealthy(instance, node, component);
  await applyObjects(instance);
  await waitAvailable(instance, tell);
  tell(`cluster "${instance.name}" is up; KUBECONFIG=${kubeconfigOf(instance, "admin")}`);
}

/** Removes the cluster: processes, links, mounts, cgroups and files; also what a killed `up` or `down` left of it. */
export async function down(instance: Instance, tell: Tell): Promise<void> {
  await using _lock = await acquireLock(instance, tell);
  await clear(instance);
  tell(`cluster "${instance.name}" is down`);
}

/** Ends a component and starts it again, and waits until it does its work. */
export async function restart(instance: Instance, name: string, tell: Tell): Promise<void> {
  await using _lock = await acquireLock(instance, tell);
  const node = await findNode(instance);
  if (node === undefined) {
    throw new UserError(`Cannot restart ${name}: cluster "${instance.name}" is not up`, { hints: ["make cluster-up"] });
  }
  const component = pick(await readComponents(instance), name);
  const process = await findComponent(node, component);
  if (process !== undefined) await endComponent(node, component, process, tell);
  await startComponent(instance, node, component, tell);
  await waitHealthy(instance, node, component);
  await waitForPods(instance);
  tell(`${name} is healthy`);
}

/** The component's process, told by its words and by the namespace that only the node's own processes are in. */
export async function findComponent(node: Process, { command }: Component): Promise<Process | undefined> {
  const processes = await listProcesses();
  return processes.find(({ argv, pidNamespace }) => {
    return pidNamespace === node.pidNamespace && command.every((word, place) => argv[place] === word);
  });
}

/** The components of a cluster that has been made. */
export async function readComponents(instance: Instance): Promise<readonly Component[]> {
  const { snapshotter } = await readMade(instance);
  return componentsOf(instance, { snapshotter: snapshotter ?? "overlayfs" });
}

/** For an orderly end. The API server would take a minute for it, waiting for its clients' watches to end first. */
const GRACE_MS = 2000;

/** What a cluster was made from, once it is made. */
interface Made {
  readonly hash?: string;
  readonly snapshotter?: string;
}

async function readMade(instance: Instance): Promise<Made> {
  return JSON.parse(await readIfThere(madePath(instance)) ?? "{}");
}

function madePath({ state }: Instance): string {
  return `${state}/made.json`;
}

async function hashOfNode(instance: Instance, program: Program, snapshotter: string): Promise<string> {
  return await hashOf({ instance, program: program.hash, components: componentsOf(instance, { snapshotter }) });
}

/** The node that is there, if it is whole and what we would make now. */
async function standingNode(instance: Instance, program: Program, tell: Tell): Promise<Process | undefined> {
  const node = await findNode(instance);
  if (node === undefined) return undefined;
  const { hash, snapshotter = "" } = await readMade(instance);
  if (hash === await hashOfNode(instance, program, snapshotter)) return node;
  tell(`cluster "${instance.name}" was made another way, or not to the end: making it anew`);
  return undefined;
}

async function makeNode(instance: Instance, program: Program, tell: Tell): Promise<Process> {
  if (await exists(instance.state)) tell("clearing what an earlier run left");
  await clear(instance);
  await requireFreeAddresses(instance);
  tell("making node, certificates and configuration");
  await Deno.mkdir(instance.state, { recursive: true, mode: 0o700 });
  const snapshotter = await chooseSnapshotter(instance.state);
  const [node] = await Promise.all([openNode(instance, program), makePki(instance), makeCgroups(instance)]);
  for (const { files } of componentsOf(instance, { snapshotter })) {
    for (const [path, text] of Object.entries(files)) {
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(path, text);
    }
  }
  const made: Made = { hash: await hashOfNode(instance, program, snapshotter), snapshotter };
  await Deno.writeTextFile(madePath(instance), JSON.stringify(made)); // last: from here on it is whole
  return node;
}

/** Refuses to take addresses that the machine uses: another cluster's with an unlucky name, or some network's. */
async function requireFreeAddresses({ name, hostAddress }: Instance): Promise<void> {
  const range = `${hostAddress}/30`;
  const routes = (await requireProgram(["ip", "-4", "route", "show", "root", range])).trim();
  if (routes === "") return;
  throw new UserError(`Cannot make cluster "${name}": the machine uses its addresses ${range} already: ${routes}`, {
    hints: ["TELEPRESENCE_CLUSTER=other make cluster-up"],
  });
}

/** Takes everything away that has the instance's name, in an order that works whatever is missing. */
async function clear(instance: Instance): Promise<void> {
  await endNode(instance);
  await runProgram(["ip", "link", "delete", instance.link]); // the kernel does it as well, but in its own time
  await until(`the removal of link ${instance.link}`, async () => {
    return await exists(`/sys/class/net/${instance.link}`) ? undefined : true;
  });
  await removeCgroups(instance);
  await removeTree(instance.state);
}

async function startControlPlane(
  instance: Instance,
  node: Process,
  components: readonly Component[],
  tell: Tell,
): Promise<void> {
  for (const name of ["etcd", "kube-apiserver"]) {
    await startComponent(instance, node, pick(components, name), tell);
    await waitHealthy(instance, node, pick(components, name));
  }
  for (const component of components) await startComponent(instance, node, component, tell);
}

/** Starts a component that does not run. */
async function startComponent(instance: Instance, node: Process, component: Component, tell: Tell): Promise<void> {
  if (await findComponent(node, component) !== undefined) return;
  tell(`starting ${component.name}`);
  await startInside(node, component.command, {
    log: logOf(instance, component),
    find: () => findComponent(node, component),
  });
}

async function endComponent(node: Process, component: Component, { pid }: Process, tell: Tell): Promise<void> {
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

async function waitHealthy(instance: Instance, node: Process, component: Component): Promise<void> {
  await until(`a healthy ${component.name}`, async () => {
    if (await isHealthy(instance, node, component)) return true;
    if (await findComponent(node, component) !== undefined) return undefined;
    const log = (await readIfThere(logOf(instance, component)) ?? "").trim().split("\n").slice(-3).join("\n");
    throw new UserError(`Cannot go on: ${component.name} ended: ${log}`, {
      hints: [`See ${logOf(instance, component)}`],
    });
  }, { timeoutMs: 120_000, everyMs: 100, hints: [`See ${logOf(instance, component)}`] });
}

async function waitAvailable(instance: Instance, tell: Tell): Promise<void> {
  const waits = [["node/node", "Ready", "default"]];
  for (const { namespace, name } of DEPLOYMENTS) waits.push([`deployment/${name}`, "Available", namespace]);
  await Promise.all(waits.map(async ([object = "", condition, namespace = ""]) => {
    const wait = ["wait", object, `--for=condition=${condition}`, "--namespace", namespace, "--timeout=120s"];
    await kubectl(instance, wait);
  }));
  await waitForPods(instance);
  tell("node is Ready; coredns, helloworld and tools are available");
}

/** Waits until kubelet knows its pods: one that has just started has them ready in the API, and cannot enter them. */
async function waitForPods(instance: Instance): Promise<void> {
  await until("kubelet's knowledge of its pods", async () => {
    try {
      const { items } = JSON.parse(await kubectl(instance, ["get", "--raw", `/api/v1/nodes/${NODE_NAME}/proxy/pods`]));
      return items?.length >= DEPLOYMENTS.length ? true : undefined;
    } catch (error) {
      if (error instanceof UserError) return undefined; // the API server has not found it again yet
      throw error;
    }
  }, { everyMs: 100 });
}

/** Waits for all, and only then throws what the first of them threw: nothing works on behind the caller's back. */
async function together(...works: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(works)) {
    if (result.status === "rejected") throw result.reason;
  }
}

function pick(components: readonly Component[], name: string): Component {
  const found = components.find((component) => component.name === name);
  if (found !== undefined) return found;
  const names = components.map((component) => component.name).join(", ");
  throw new UserError(`Cannot find component "${name}": want one of ${names}`);
}

function logOf({ state }: Instance, { name }: Component): string {
  return `${state}/log/${name}.log`;
}
