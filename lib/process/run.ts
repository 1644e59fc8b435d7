import { type Log, silentLog } from "@/log/mod.ts";
import { messageOf, UserError } from "@/util/mod.ts";

/** Options of {@linkcode runProgram}. */
export interface RunOptions {
  /** Working directory. @default {the current one} */
  cwd?: string;
  /** Variables added to our environment, or all there are with `clearEnv`. */
  env?: Record<string, string>;
  /** Whether the program starts with `env` alone. @default {false} */
  clearEnv?: boolean;
  /** Bytes or text for its standard input; without it, it reads an empty one. */
  input?: string | Uint8Array;
  /** Whether it has our standard input instead, to ask the user; `input` is then not used. @default {false} */
  inheritStdin?: boolean;
  /** Told what it writes to its standard error, as it comes; all of it is in the result as well. */
  onStderr?: (text: string) => void;
  /** Kills the program with SIGTERM. */
  signal?: AbortSignal;
  /** Where the command line and its end are told. */
  log?: Log;
}

/** What a program left behind. */
export interface Finished {
  /** Exit status; 128 plus the signal's number when a signal ended it. */
  readonly code: number;
  /** All of its standard output, as text. */
  readonly stdout: string;
  /** All of its standard error, as text. */
  readonly stderr: string;
}

/**
 * Runs a program to its end and returns its output. No shell is involved: the words arrive as they are given.
 *
 * @throws {UserError} when it cannot be started (absent, not executable)
 */
export async function runProgram(command: readonly [string, ...string[]], options: RunOptions = {}): Promise<Finished> {
  const { log = silentLog, input, inheritStdin = false, onStderr = () => {}, ...rest } = options;
  const [program, ...args] = command;
  log.debug(`[#] ${command.join(" ")}`);
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program, {
      args,
      ...rest,
      stdin: inheritStdin ? "inherit" : input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (cause) {
    throw new UserError(`Cannot run "${program}": ${messageOf(cause)}`, { cause });
  }
  const [{ code }, stdout, stderr] = await Promise.all([
    child.status,
    readText(child.stdout),
    readText(child.stderr, onStderr),
    feed(child, inheritStdin ? undefined : input),
  ]);
  const finished = { code, stdout, stderr };
  if (finished.code !== 0) log.debug(`    exit ${finished.code}: ${finished.stderr.trim()}`);
  return finished;
}

/**
 * Runs a program that must succeed, and returns its standard output.
 *
 * @throws {UserError} when it cannot be started or ends with another status than 0; the message has its last words
 */
export async function requireProgram(
  command: readonly [string, ...string[]],
  options: RunOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await runProgram(command, options);
  if (code === 0) return stdout;
  const words = stderr.trim().split("\n").slice(-5).join("\n");
  throw new UserError(`Cannot go on: "${command.join(" ")}" ended with exit status ${code}${words && `: ${words}`}`);
}

/** All that a program writes, as text; each part is told when it comes. */
async function readText(
  stream: ReadableStream<Uint8Array>,
  onText: (text: string) => void = () => {},
): Promise<string> {
  const decoder = new TextDecoder();
  let all = "";
  const take = (text: string) => {
    if (text === "") return;
    all += text;
    onText(text);
  };
  for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
  take(decoder.decode());
  return all;
}

async function feed(child: Deno.ChildProcess, input: string | Uint8Array | undefined): Promise<void> {
  if (input === undefined) return;
  const writer = child.stdin.getWriter();
  try {
    await writer.write(typeof input === "string" ? new TextEncoder().encode(input) : input);
    await writer.close();
  } catch {
    // The program ended without reading all of it; its exit status tells the story.
  }
}
