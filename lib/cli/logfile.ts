import { type Log, makeLog } from "@/log/mod.ts";
import { reasonOf, stateDirectory, UserError } from "@/util/mod.ts";

/** The log of one session, open until it is disposed of. */
export interface Logfile extends Disposable {
  /** Where rooms write. */
  readonly log: Log;
  /** Its absolute path; `-` for the standard output. */
  readonly path: string;
  /** The last `count` lines, at most the twelve that a report shows. */
  lastLines(count: number): string[];
}

/** Options of {@linkcode openLogfile}. */
export interface LogfileOptions {
  /** The `--logfile`: a path, or `-` for the standard output. @default {telepresence.log} */
  readonly path?: string;
  /** Whether debug lines are written. */
  readonly verbose: boolean;
  /** The environment, which may name the state directory. */
  readonly env: Readonly<Record<string, string>>;
  /** The user's home directory. */
  readonly home: string;
  /** The current directory; throws when there is none. */
  readonly cwd: () => string;
  /** Tells the user, in one line, when the log is not where it was to be. */
  readonly say: (line: string) => void;
  /** Writes to the standard output. */
  readonly writeStdout: (text: string) => void;
}

const NAME = "telepresence.log";
const ELSEWHERE = ["telepresence --logfile PATH writes the log elsewhere, --logfile /dev/null nowhere"];
/** As many lines as Telepresence 1 showed when it crashed. */
const KEPT_LINES = 12;

/**
 * Opens the session's log, empty and readable by its owner alone. Each line is one write that has happened when the
 * call returns, so that no end of the process loses one. When the disk is full the session goes on without its log.
 *
 * @throws {UserError} when there is no current directory, or the log cannot be opened anywhere it may be
 */
export function openLogfile(options: LogfileOptions): Logfile {
  const cwd = currentDirectory(options.cwd);
  const kept: string[] = [];
  const { path, write, close } = options.path === "-"
    ? { path: "-", write: options.writeStdout, close: () => {} }
    : openSomewhere(cwd, options);
  const log = makeLog((line) => {
    kept.push(line);
    if (kept.length > KEPT_LINES) kept.shift();
    write(`${line}\n`);
  }, { verbose: options.verbose });
  return { log, path, lastLines: (count) => count > 0 ? kept.slice(-count) : [], [Symbol.dispose]: close };
}

interface Target {
  readonly path: string;
  write(text: string): void;
  close(): void;
}

function openSomewhere(cwd: string, options: LogfileOptions): Target {
  if (options.path !== undefined) {
    const path = absolute(cwd, options.path);
    try {
      return openFile(path, options.say);
    } catch (cause) {
      throw new UserError(`Failed to open logfile (${path}): ${reasonOf(cause)}`, { hints: ELSEWHERE, cause });
    }
  }
  try {
    return openFile(absolute(cwd, NAME), options.say, { follows: false });
  } catch (cause) {
    const target = openState(options);
    options.say(`Cannot write ${NAME} in the current directory (${reasonOf(cause)}): the log is ${target.path}`);
    return target;
  }
}

/** The log in the user's state directory, which is made for the user alone. */
function openState({ env, home, say }: LogfileOptions): Target {
  const failed = `Cannot write ${NAME} in the current directory`;
  const folder = stateDirectory(env, home);
  try {
    Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
    return openFile(`${folder}/${NAME}`, say);
  } catch (cause) {
    throw new UserError(`${failed}, nor in ${folder}: ${reasonOf(cause)}`, { hints: ELSEWHERE, cause });
  }
}

/**
 * Nobody asked for a file of our own name in this directory, which may be anybody's, or a working copy of somebody's
 * repository: so a symlink to a file is not followed there, which would be emptied.
 */
function openFile(path: string, say: (line: string) => void, { follows = true } = {}): Target {
  using stack = new DisposableStack();
  const refused = "it is a symlink to another file";
  if (!follows && leadsToFile(path)) throw new Error(refused);
  const file = stack.use(Deno.openSync(path, { write: true, create: true, mode: 0o600 }));
  const { isFile, mode, ino } = file.statSync();
  if (isFile && !follows && Deno.lstatSync(path).ino !== ino) throw new Error(refused); // by now
  // A device or a pipe is not ours to change. A file may be there with wider rights: narrowed before it is written.
  if (isFile && ((mode ?? 0) & 0o777) !== 0o600) Deno.chmodSync(path, 0o600);
  if (isFile) file.truncateSync(0);
  const owned = stack.move();
  const encoder = new TextEncoder();
  let broken = false;
  const write = (text: string) => {
    if (broken || owned.disposed) return;
    try {
      const bytes = encoder.encode(text);
      for (let offset = 0; offset < bytes.length;) offset += file.writeSync(bytes.subarray(offset));
    } catch (error) {
      broken = true; // set first: what is said comes back here as a line of the log
      say(`Cannot write the log ${path}: ${reasonOf(error)}. The session goes on without it.`);
    }
  };
  return { path, write, close: () => owned.dispose() };
}

/** Whether a path is a symlink to a file, or to one that would be made. */
function leadsToFile(path: string): boolean {
  try {
    if (!Deno.lstatSync(path).isSymlink) return false;
  } catch {
    return false;
  }
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return true;
  }
}

function currentDirectory(cwd: () => string): string {
  try {
    return cwd();
  } catch {
    throw new UserError("Current working directory does not exist.", { // the cause says no more than that
      hints: ["It was removed: cd to another one, or to the one that was made in its place (cd .)"],
    });
  }
}

function absolute(cwd: string, path: string): string {
  return path.startsWith("/") ? path : `${cwd}/${path}`;
}
