import { runProgram } from "@/process/mod.ts";
import type { NamespaceVerdict } from "../namespace/probe.ts";
import { placeShim } from "./place.ts";

/** Options of {@linkcode probeInject}. */
export interface InjectProbeOptions {
  /** Directories for the library, the most wanted first. @default {["/tmp"]} */
  readonly directories?: readonly string[];
  /** Runs a program to its end. @default {runProgram} */
  readonly run?: typeof runProgram;
}

/**
 * Tries whether this machine's loader takes the preload library, in a shell that does nothing. Loaders (glibc's and
 * musl's) say so on the standard error when they do not.
 *
 * @throws {UserError} when no directory can hold the library
 */
export async function probeInject(
  shim: Uint8Array<ArrayBuffer> | undefined,
  { directories = ["/tmp"], run = runProgram }: InjectProbeOptions = {},
): Promise<NamespaceVerdict> {
  if (shim === undefined) {
    const reason = `there is no preload library for ${Deno.build.os} on ${Deno.build.arch}`;
    return { allowed: false, reason, hints: [] };
  }
  await using place = await placeShim(shim, directories);
  const { code, stderr } = await run(["/bin/sh", "-c", ":"], { env: { LD_PRELOAD: place.shim } });
  if (code === 0 && !stderr.includes(place.shim)) return { allowed: true };
  const words = stderr.trim().split("\n")[0] || `a shell with it ends with exit code ${code}`;
  return { allowed: false, reason: `the loader of this system does not take the preload library: ${words}`, hints: [] };
}
