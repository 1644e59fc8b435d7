import { type Finished, notRunnable, runProgram } from "@/process/mod.ts";
import { UserError } from "@/util/mod.ts";
import type { ProgramOptions } from "../method.ts";
import { type Elf, MACHINES, readElf } from "./elf.ts";

/** Options of {@linkcode requireCarriable}. */
export interface CarriableOptions extends ProgramOptions {
  /** What the shim is made for. @default {this machine} */
  readonly arch?: keyof typeof MACHINES;
  /** Whom the program will run as. @default {Deno.uid() and Deno.gid()} */
  readonly user?: { readonly uid: number | null; readonly gid: number | null };
  /** Asks for the file capabilities of a program; its output is empty for none. @default {getcap, if there is one} */
  readonly capabilities?: (path: string) => Promise<string>;
  /** What else the user can do, as hints under the refusal. @default {[]} */
  readonly otherwise?: readonly string[];
}

/** How many interpreters may follow one another: the kernel's own limit. */
const MOST_INTERPRETERS = 5;

/**
 * Refuses a program into which the shim cannot be preloaded: its connections would go around the pod, and nobody would
 * know. Scripts are followed to the program that interprets them, `env` to the program that it starts.
 *
 * @param program the first word of the command, looked up as a shell does
 * @throws {UserError} that names the reason and what to do
 */
export async function requireCarriable(program: string, options: CarriableOptions): Promise<void> {
  const { otherwise = [] } = options;
  const verdict = await refusalOf(program, options);
  if (verdict === undefined) return;
  const chain = verdict.path === await find(program, options) ? "" : `, which runs "${program}",`;
  throw new UserError(`Cannot carry "${verdict.path}"${chain} by inject-tcp: ${verdict.reason}`, {
    hints: [...verdict.hints, ...otherwise],
  });
}

/**
 * Why the shim cannot be preloaded into a program; undefined when it can.
 *
 * @param program the first word of the command, looked up as a shell does
 * @throws {UserError} for what cannot be run at all
 */
export async function refusalOf(program: string, options: CarriableOptions): Promise<Refusal | undefined> {
  const path = await find(program, options);
  if (path === undefined) throw notRunnable(program, options.cwd ?? Deno.cwd());
  const verdict = await judgeProgram(path, options);
  if (verdict === "carried") return undefined;
  if (typeof verdict === "string") throw new UserError(`Cannot run "${program}": ${verdict}`);
  return verdict;
}

/** Why the shim cannot be preloaded into a program, or into what interprets it. */
export interface Refusal {
  /** What stands in the way: its making, its machine, or the rights that it gains. */
  readonly kind: "architecture" | "go" | "static" | "secure";
  /** The program that cannot be carried: the one that was asked about, or its interpreter. */
  readonly path: string;
  readonly reason: string;
  readonly hints: readonly string[];
}

/** Says whether a program can be carried; a sentence where it cannot be run at all. */
export async function judgeProgram(path: string, options: CarriableOptions): Promise<"carried" | Refusal | string> {
  let current = path;
  for (let depth = 0; depth < MOST_INTERPRETERS; depth++) {
    const refusal = await refuse(current, options);
    if (refusal) return { path: current, ...refusal };
    const interpreter = await readInterpreter(current);
    if (interpreter === undefined) return "carried";
    const next = await find(interpreter, options);
    if (next === undefined) return `the interpreter "${interpreter}" of "${current}" is not there`;
    current = next;
  }
  return "its interpreters are scripts too, one after the other";
}

/** Looks a program up as execvp does: a word with a slash is a path, others are looked for along `PATH`. */
async function find(program: string, { path, cwd = Deno.cwd() }: CarriableOptions): Promise<string | undefined> {
  const absolute = (name: string) => name.startsWith("/") ? name : `${cwd}/${name}`;
  if (program === "") return undefined;
  const candidates = program.includes("/")
    ? [program]
    : path.split(":").map((directory) => `${directory || "."}/${program}`);
  for (const candidate of candidates.map(absolute)) {
    const info = await Deno.stat(candidate).catch(() => undefined);
    if (info?.isFile && (info.mode === null || (info.mode & 0o111) !== 0)) return candidate;
  }
  return undefined;
}

type Reason = Omit<Refusal, "path">;

/** Why a program cannot be carried; undefined for one that can, and for a script. */
async function refuse(path: string, options: CarriableOptions): Promise<Reason | undefined> {
  const { arch = Deno.build.arch as keyof typeof MACHINES } = options;
  const elf = await withFile(path, (file) => readElf((offset, length) => readAt(file, offset, length)));
  const secure = await refuseSecure(path, options);
  if (secure || !elf) return secure;
  return refuseElf(elf, arch);
}

function refuseElf(elf: Elf, arch: keyof typeof MACHINES): Reason | undefined {
  if (!elf.wide || elf.machine !== MACHINES[arch]) {
    return {
      kind: "architecture",
      reason: "it is built for another architecture than this machine",
      hints: [`Use a build of it for ${arch}`],
    };
  }
  if (elf.go) {
    return {
      kind: "go",
      reason: "it is a Go program, which makes its system calls itself, past any preloaded library",
      hints: [],
    };
  }
  if (elf.loader === undefined) {
    return {
      kind: "static",
      reason: "it is statically linked, so no library can be preloaded into it",
      hints: ["Use a dynamically linked build of it"],
    };
  }
  return undefined;
}

/** The loader ignores LD_PRELOAD where exec gives a process more rights than its caller has (ld.so(8), "secure mode"). */
async function refuseSecure(path: string, options: CarriableOptions): Promise<Reason | undefined> {
  const { user = { uid: Deno.uid(), gid: Deno.gid() }, capabilities = readCapabilities } = options;
  const { mode, uid, gid } = await Deno.stat(path);
  const setuid = mode !== null && (mode & 0o4000) !== 0 && uid !== user.uid;
  const setgid = mode !== null && (mode & 0o2010) === 0o2010 && gid !== user.gid;
  const because = setuid ? "setuid" : setgid ? "setgid" : undefined;
  if (because) {
    return {
      kind: "secure",
      reason: `it is ${because}, and the loader preloads nothing into a program that gains rights`,
      hints: [`Use a copy of it without the ${because} bit, if it does its work without those rights`],
    };
  }
  if (user.uid === 0 || (await capabilities(path)).trim() === "") return undefined;
  return {
    kind: "secure",
    reason: "it has file capabilities, and the loader preloads nothing into a program that gains rights",
    hints: ["Use a copy of it, which has none, if it does its work without those rights"],
  };
}

/** The output of getcap(8). A machine without it has hardly any file with capabilities: its package sets them. */
async function readCapabilities(path: string): Promise<string> {
  for (const getcap of ["/usr/sbin/getcap", "/sbin/getcap", "/usr/bin/getcap"]) {
    if (!await Deno.stat(getcap).catch(() => undefined)) continue;
    const finished: Finished = await runProgram([getcap, path]);
    return finished.code === 0 ? finished.stdout : "";
  }
  return "";
}

/** The program that the kernel (or, for a text without `#!`, the C library) starts for a script; undefined for ELF. */
async function readInterpreter(path: string): Promise<string | undefined> {
  const head = await withFile(path, (file) => readAt(file, 0, 256));
  if (head[0] === 0x7f) return undefined;
  const text = new TextDecoder().decode(head);
  if (!text.startsWith("#!")) return "/bin/sh";
  const [interpreter = "/bin/sh", ...words] = (text.slice(2).split("\n")[0] ?? "").trim().split(/[ \t]+/);
  if (!/(^|\/)env$/.test(interpreter)) return interpreter;
  return words.find((word) => !word.startsWith("-") && !word.includes("=")) ?? interpreter;
}

async function withFile<T>(path: string, use: (file: Deno.FsFile) => Promise<T>): Promise<T> {
  using file = await openProgram(path);
  return await use(file);
}

async function openProgram(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path);
  } catch (cause) {
    throw new UserError(`Cannot read "${path}" to see whether inject-tcp can carry it`, { cause });
  }
}

async function readAt(file: Deno.FsFile, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  await file.seek(offset, Deno.SeekMode.Start);
  let filled = 0;
  for (let count; filled < length && (count = await file.read(bytes.subarray(filled))) !== null;) filled += count;
  return bytes.subarray(0, filled);
}
