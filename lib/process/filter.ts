import { type Log, silentLog } from "@/log/mod.ts";
import { closeQuietly, type Duplex, messageOf, SPLICE_BYTES, UserError } from "@/util/mod.ts";

/** A program that talks to us by its standard input and output. Disposing it ends it. */
export interface Filter extends AsyncDisposable {
  /** What it writes is read here, what is written here it reads; `write` waits while it does not. */
  readonly duplex: Duplex;
  /** Its exit status; 128 plus the signal's number when a signal ended it. */
  readonly exit: Promise<number>;
  /** The last lines of what it said on its standard error. */
  lastWords(): string;
}

/** Options of {@linkcode startFilter}. */
export interface FilterOptions {
  /** How long it may take to end by itself when its input has ended. @default {2 s} */
  readonly patienceMs?: number;
  /**
   * Path of the launcher (shim/launcher), which makes the pipes between us wide: each time that one of us has to wait for
   * the other costs more than the bytes do. @default {pipes as they are, of 64 KiB}
   */
  readonly launcher?: string | undefined;
  readonly log?: Log;
}

/** What a wide pipe holds: as much as a user may give a pipe who is not root (pipe(7), "Pipe capacity"). */
const WIDE_PIPE_BYTES = 1024 * 1024;
/** As much as is kept of what a program says. */
const WORDS_CHARACTERS = 2000;

/**
 * Starts a program in a session of its own, so that a Ctrl-C on the terminal, which is for the user's command, does not
 * reach it. It ends when its input does: also when we are killed, as the kernel closes the pipe then.
 *
 * @throws {UserError} when it cannot be started
 */
export function startFilter(command: readonly [string, ...string[]], options: FilterOptions = {}): Filter {
  const { log = silentLog, patienceMs = 2000, launcher } = options;
  const [program] = command;
  const widened = launcher === undefined
    ? command
    : [launcher, "--pipes", String(WIDE_PIPE_BYTES), ...command] as const;
  log.debug(`[#] ${widened.join(" ")}`);
  let child: Deno.ChildProcess;
  try {
    const [first, ...args] = widened;
    child = new Deno.Command(first, { args, stdin: "piped", stdout: "piped", stderr: "piped", detached: true })
      .spawn();
  } catch (cause) {
    throw new UserError(`Cannot run "${program}": ${messageOf(cause)}`, { cause });
  }
  let words = "";
  const listening = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      words = (words + text).slice(-WORDS_CHARACTERS);
      log.debug(text.trimEnd());
    }
  })();
  let running = true;
  const exit = child.status.then(async ({ code }) => {
    running = false;
    await listening;
    log.debug(`${program} ended with ${code}`);
    return code;
  });
  const duplex = duplexOf(child, launcher === undefined ? PIPE_BYTES : SPLICE_BYTES);
  return {
    duplex,
    exit,
    lastWords: () => words.trim().split("\n").slice(-5).join("\n"),
    async [Symbol.asyncDispose]() {
      closeQuietly(duplex);
      const timers = (["SIGTERM", "SIGKILL"] as const).map((signal, index) =>
        setTimeout(() => running && child.kill(signal), patienceMs * (index + 1))
      );
      await exit;
      timers.forEach(clearTimeout);
    },
  };
}

/** As much as a pipe holds that nobody has made wide. */
const PIPE_BYTES = 64 * 1024;

function duplexOf({ stdin, stdout }: Deno.ChildProcess, readBytes: number): Duplex {
  const reader = stdout.getReader({ mode: "byob" });
  const writer = stdin.getWriter();
  writer.closed.catch(() => {}); // a program that has ended is told by the write that fails
  let memory = new ArrayBuffer(readBytes); // goes to the stream and comes back with each read
  let held = new Uint8Array();
  return {
    async read(into) {
      if (held.length === 0) {
        const { done, value } = await reader.read(new Uint8Array(memory));
        if (done) return null;
        held = value;
        memory = value.buffer;
      }
      const count = Math.min(into.length, held.length);
      into.set(held.subarray(0, count));
      held = held.subarray(count);
      return count;
    },
    async write(bytes) {
      await writer.write(bytes); // resolves when the program has taken it, so it may change again then
      return bytes.length;
    },
    closeWrite: () => writer.close().catch(() => {}),
    close() {
      writer.close().catch(() => {});
      reader.cancel().catch(() => {});
    },
  };
}
