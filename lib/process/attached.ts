import { type Log, silentLog } from "@/log/mod.ts";
import { messageOf, UserError } from "@/util/mod.ts";

/** A program that works beside us and may ask the user, on our terminal. */
export interface Attached {
  readonly pid: number;
  /** Its exit status, 128 plus the signal's number when a signal ended it, with all of its standard error. */
  readonly ended: Promise<{ readonly code: number; readonly stderr: string }>;
}

/**
 * Starts a program that stays in our terminal's session, so that sudo can ask for a password there.
 *
 * @throws {UserError} when it cannot be started
 */
export function startAttached(
  command: readonly [string, ...string[]],
  { log = silentLog }: { readonly log?: Log } = {},
): Attached {
  const [program, ...args] = command;
  log.debug(`[#] ${command.join(" ")}`);
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program, { args, stdin: "null", stdout: "null", stderr: "piped" }).spawn();
  } catch (cause) {
    throw new UserError(`Cannot run "${program}": ${messageOf(cause)}`, { cause });
  }
  const ended = (async () => {
    const [{ code }, stderr] = await Promise.all([child.status, new Response(child.stderr).text()]);
    log.info(`${program} (process ${child.pid}) ended with ${code}`);
    return { code, stderr };
  })();
  return { pid: child.pid, ended };
}
