import { runProgram } from "@/process/mod.ts";
import { whyNoLiveMount } from "@/volumes/mod.ts";
import { placesFor } from "../method/choose_capture.ts";
import type { Machine } from "./machine_checks.ts";

/** The machine that we run on, with the programs that were built for it. */
export function thisMachine(
  programs: Pick<Machine, "shim" | "netns">,
  env: Readonly<Record<string, string>>,
): Machine {
  return {
    ...programs,
    directories: placesFor(env),
    run: runProgram,
    read: (path) => Deno.readTextFile(path).catch(() => undefined),
    whyNoLiveMount,
    isRoot: Deno.uid() === 0,
    os: Deno.build.os,
  };
}
