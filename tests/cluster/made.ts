import { type Component, componentsOf } from "./components.ts";
import { readIfThere, replaceFile } from "./files.ts";
import type { Instance } from "./instance.ts";
import { hashOf, type Program } from "./program.ts";

/** What a cluster was made from, once it is made. */
export interface Made {
  readonly hash?: string;
  readonly snapshotter?: string;
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
export async function hashOfNode(instance: Instance, program: Program, snapshotter: string): Promise<string> {
  return await hashOf({ instance, program: program.hash, components: componentsOf(instance, { snapshotter }) });
}

/** The components of a cluster that has been made. */
export async function readComponents(instance: Instance): Promise<readonly Component[]> {
  const { snapshotter } = await readMade(instance);
  return componentsOf(instance, { snapshotter: snapshotter ?? "overlayfs" });
}

function madePath({ state }: Instance): string {
  return `${state}/made.json`;
}
