import { type Log, silentLog } from "@/log/mod.ts";
import { messageOf, UserError } from "@/util/mod.ts";

/** A process of ours that outlives us when it must. */
export interface Helper {
  readonly pid: number;
  /** Writes to its standard input. @throws when it is gone */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Ends its standard input, and waits for its end. */
  close(): Promise<void>;
}

/**
 * Starts a helper in a session of its own (setsid): signals of our terminal do not reach it. It has none of our
 * descriptors: whoever reads what we write is not kept waiting by it.
 *
 * @throws {UserError} when it cannot be started
 */
export function startHelper(command: readonly [string, ...string[]], options: { log?: Log } = {}): Helper {
  const { log = silentLog } = options;
  const [program, ...args] = command;
  let process: Deno.ChildProcess;
  try {
    process = new Deno.Command(program, {
      args,
      stdin: "piped",
      stdout: "null",
      stderr: "null",
      detached: true,
    }).spawn();
  } catch (cause) {
    throw new UserError(`Cannot start a helper process: ${program}: ${messageOf(cause)}`, { cause });
  }
  log.info(`Started a helper as process ${process.pid}`);
  const input = process.stdin.getWriter();
  return {
    pid: process.pid,
    write: (bytes) => input.write(bytes),
    async close() {
      await input.close().catch(() => {}); // it may have ended by itself
      const { code } = await process.status;
      log.info(`The helper ended with ${code}`);
    },
  };
}
