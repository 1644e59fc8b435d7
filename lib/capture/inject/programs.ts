import type { Log } from "@/log/mod.ts";
import { judgeProgram } from "./carriable.ts";
import type { Answer } from "./protocol.ts";

/**
 * Watches the programs that carried programs start. One that the shim cannot be preloaded into runs all the same (a
 * shell's `sudo` must not stop a script), and the user hears of it the first time.
 */
export function watchPrograms(log: Log): (path: string) => Promise<Answer> {
  const known = new Map<string, Promise<string | undefined>>();
  return async (path) => {
    const before = known.get(path);
    const judged = before ?? bypassOf(path);
    known.set(path, judged);
    const message = await judged;
    if (message === undefined || before) return { verb: "carried" };
    log.info(message);
    return { verb: "bypass", message };
  };
}

async function bypassOf(path: string): Promise<string | undefined> {
  // No PATH: what `#!/usr/bin/env` starts is asked about when it starts it.
  const verdict = await judgeProgram(path, { path: "", cwd: "/" }).catch(() => undefined);
  if (verdict === undefined || typeof verdict === "string") return undefined;
  return `"${verdict.path}" goes around the pod: ${verdict.reason}`;
}
