import { CABLE } from "./cable.ts";
import { type Abilities, type Component, componentsOf } from "./components.ts";
import { readIfThere, replaceFile } from "./files.ts";
import type { Instance } from "./instance.ts";
import { hashOf, type Program } from "./program.ts";

/** What a cluster was made from, once it is made. */
export interface Made extends Partial<Abilities> {
  readonly hash?: string;
}

/** What the instance was made from; empty when it is not there, or was not made to the end. */
export async function readMade(instance: Instance): Promise<Made> {
  return JSON.parse(await readIfThere(madePath(instance)) ?? "{}");
}

/** Notes that the instance is whole. */
export async function writeMade(instance: Instance, made: Made): Promise<void> {
  await replaceFile(madePath(instance), JSON.stringify(made));
}

/** What changes when the instance would be made in another way. */
export async function hashOfNode(instance: Instance, program: Program, abilities: Abilities): Promise<string> {
  const components = componentsOf(instance, abilities);
  return await hashOf({ instance, program: program.hash, cable: CABLE, components });
}

/** The components of a cluster that has been made. */
export async function readComponents(instance: Instance): Promise<readonly Component[]> {
  return componentsOf(instance, abilitiesOf(await readMade(instance)));
}

/** What it was made with. */
export function abilitiesOf({ snapshotter = "overlayfs", ipv6 = false }: Made): Abilities {
  return { snapshotter, ipv6 };
}

function madePath({ state }: Instance): string {
  return `${state}/made.json`;
}
