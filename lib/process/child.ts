import { type Log, silentLog } from "@/log/mod.ts";
import { comesWithin, messageOf, UserError } from "@/util/mod.ts";
import { notRunnable } from "./not_runnable.ts";

/** How the user's process ended. */
export interface ChildExit {
  /** Its exit status; 128 plus the signal's number when a signal ended it. */
  readonly code: number;
  /** The signal that ended it, if one did. */
  readonly signal: Deno.Signal | null;
}

/** The user's process, with our standard input, output and error. Disposing it ends it. */
export interface Child extends AsyncDisposable {
  /** Of the process that stands for it: its own, or the launcher's. */
  readonly pid: number;
  /** Whether it has a process group of its own, so that a terminal's Ctrl-C reaches it and not us. */
  readonly hasOwnGroup: boolean;
  readonly exit: Promise<ChildExit>;
  /**
   * Ends it by `signal`, then SIGTERM, then SIGKILL, each a while after the one before it.
   *
   * @returns how it ended
   */
  end(signal: Deno.Signal | undefined): Promise<ChildExit>;
}

/** Options of {@linkcode startChild}. */
export interface ChildOptions {
  /** The whole environment. */
  env: Record<string, string>;
  /**
   * Path of the launcher, which gives the command a process group of its own, the terminal, and no descriptor of ours.
   * @default {started without: it shares our group}
   */
  launcher?: string;
  log?: Log;
  /** How long a signal may take to work. @default {[2 s after the first one, 1 s after SIGTERM]} */
  patienceMs?: readonly [number, number];
}

/**
 * Starts the user's process. Its descriptors 0, 1 and 2 are ours, so that nothing of ours stands between it and the
 * terminal or a pipe; it gets no other descriptor of ours.
 *
 * @throws {UserError} when it cannot be started, in the shell's words
 */
export function startChild(command: readonly [string, ...string[]], options: ChildOptions): Child {
  const { env, launcher, log = silentLog, patienceMs: [afterFirst, afterTerm] = [2000, 1000] } = options;
  const [program] = command;
  const [first, ...args] = launcher === undefined ? command : [launcher, ...command] as const;
  let process: Deno.ChildProcess;
  try {
    process = new Deno.Command(first, {
      args,
      env,
      clearEnv: true,
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) throw notRunnable(program, Deno.cwd());
    throw new UserError(`${program}: ${messageOf(cause)}`, { cause });
  }
  log.info(`Started ${program} as process ${process.pid}`);
  let running = true;
  const exit = process.status.then(({ code, signal }) => {
    running = false;
    log.info(`Process ${process.pid} ended with ${signal ?? code}`);
    return { code, signal };
  });
  const tell = (signal: Deno.Signal) => {
    if (running) process.kill(signal);
  };
  const end = async (signal: Deno.Signal | undefined) => {
    if (signal !== undefined) tell(signal);
    if (!await comesWithin(exit, afterFirst)) tell("SIGTERM");
    // The launcher ends the whole group at this signal: SIGKILL would reach itself alone.
    if (!await comesWithin(exit, afterTerm)) tell(launcher === undefined ? "SIGKILL" : "SIGUSR1");
    return await exit;
  };
  return {
    pid: process.pid,
    hasOwnGroup: launcher !== undefined,
    exit,
    end,
    async [Symbol.asyncDispose]() {
      if (running) await end("SIGTERM");
    },
  };
}
