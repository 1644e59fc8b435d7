import { requireProgram } from "@/process/mod.ts";
import { UserError } from "@/util/mod.ts";
import { makeCgroups } from "./cgroups.ts";
import { clear } from "./clear.ts";
import { type Abilities, type Component, componentsOf } from "./components.ts";
import { exists } from "./files.ts";
import { buildImages, loadImages } from "./images.ts";
import type { Instance } from "./instance.ts";
import { acquireLock } from "./lock.ts";
import { abilitiesOf, hashOfNode, readComponents, readMade, writeMade } from "./made.ts";
import { findNode, openNode } from "./node.ts";
import { applyObjects, DEPLOYMENTS, kubectl } from "./objects.ts";
import { kubeconfigOf, makePki } from "./pki.ts";
import { chooseSnapshotter, hasIPv6, requireMachine } from "./prerequisites.ts";
import type { Process } from "./processes.ts";
import { buildProgram, type Program } from "./program.ts";
import { pickComponent, startComponent, waitForPods, waitHealthy } from "./running.ts";
import type { Tell } from "./tell.ts";

/** Brings the cluster up, or does what is left to do for that: each step looks first whether it is done. */
export async function up(instance: Instance, tell: Tell): Promise<void> {
  await requireMachine(tell);
  await using _lock = await acquireLock(instance, tell);
  const program = await buildProgram(tell);
  const images = await buildImages(program, tell);
  const node = await standingNode(instance, program, tell) ?? await makeNode(instance, program, tell);
  const components = await readComponents(instance);
  await startComponent(instance, node, pickComponent(components, "containerd"), tell);
  await together(loadImages(instance, images, tell), startControlPlane(instance, node, components, tell));
  for (const component of components) await waitHealthy(instance, node, component);
  await applyObjects(instance);
  await waitAvailable(instance, tell);
  tell(`cluster "${instance.name}" is up; KUBECONFIG=${kubeconfigOf(instance, "admin")}`);
}

/** The node that is there, if it is whole and what we would make now. */
async function standingNode(instance: Instance, program: Program, tell: Tell): Promise<Process | undefined> {
  const node = await findNode(instance);
  if (node === undefined) return undefined;
  const made = await readMade(instance);
  if (made.hash === await hashOfNode(instance, program, abilitiesOf(made))) return node;
  tell(`cluster "${instance.name}" was made another way, or not to the end: making it anew`);
  return undefined;
}

async function makeNode(instance: Instance, program: Program, tell: Tell): Promise<Process> {
  if (await exists(instance.state)) tell("clearing what an earlier run left");
  await clear(instance);
  await requireFreeAddresses(instance);
  tell("making node, certificates and configuration");
  await Deno.mkdir(instance.state, { recursive: true, mode: 0o700 });
  const [snapshotter, ipv6] = await Promise.all([chooseSnapshotter(instance.state), hasIPv6()]);
  const abilities: Abilities = { snapshotter, ipv6 };
  const [node] = await Promise.all([openNode(instance, program, abilities), makePki(instance), makeCgroups(instance)]);
  for (const { files } of componentsOf(instance, abilities)) {
    for (const [path, text] of Object.entries(files)) {
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(path, text);
    }
  }
  const hash = await hashOfNode(instance, program, abilities);
  await writeMade(instance, { ...abilities, hash }); // last: from here on it is whole
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

async function startControlPlane(
  instance: Instance,
  node: Process,
  components: readonly Component[],
  tell: Tell,
): Promise<void> {
  for (const name of ["etcd", "kube-apiserver"]) {
    await startComponent(instance, node, pickComponent(components, name), tell);
    await waitHealthy(instance, node, pickComponent(components, name));
  }
  for (const component of components) await startComponent(instance, node, component, tell);
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

/** Waits for all, and only then throws what the first of them threw: nothing works on behind the caller's back. */
async function together(...works: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(works)) {
    if (result.status === "rejected") throw result.reason;
  }
}
