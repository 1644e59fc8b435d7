import { requireProgram, runProgram } from "@/process/mod.ts";
import { buildFront } from "../../tools/delivery/onefile.ts";
import { pack } from "../../tools/delivery/runtime.ts";

const here = new URL(".", import.meta.url).pathname;

/** What all tests of a file share, as zstd's decoder takes seconds to compile: it goes when the file's tests are over. */
const shared = await Deno.makeTempDir({ prefix: "telepresence-test-" });
globalThis.addEventListener("unload", () => Deno.removeSync(shared, { recursive: true }));

/** One file whose runtime is `runtime.c`, with directories of a test alone. */
export interface Onefile extends AsyncDisposable {
  /** The executable. */
  readonly path: string;
  /** What it and all directories are in. */
  readonly root: string;
  /** A new directory. */
  makeDirectory(): Promise<string>;
}

/** How one file is made. */
export interface OnefileOptions {
  /** Flags for the compiler of the runtime. */
  readonly flags?: readonly string[];
  /** The compiler of the front. @default {musl's, where it is} */
  readonly compiler?: string;
}

/** Makes one file. */
export async function makeOnefile(options: OnefileOptions = {}): Promise<Onefile> {
  const root = await Deno.makeTempDir({ prefix: "telepresence-test-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(root, { recursive: true }));
  const path = `${root}/onefile`;
  await Deno.copyFile(await built(options), path);
  const owned = stack.move();
  return {
    path,
    root,
    makeDirectory: () => Deno.makeTempDir({ dir: root }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const fronts = new Map<string, Promise<string>>();

function built(options: OnefileOptions): Promise<string> {
  const key = JSON.stringify(options);
  const existing = fronts.get(key) ?? build(options, `${shared}/${fronts.size}`);
  fronts.set(key, existing);
  return existing;
}

async function build({ flags = [], compiler }: OnefileOptions, to: string): Promise<string> {
  const work = `${shared}/${compiler ?? "default"}`; // objects of two compilers do not mix
  await Deno.mkdir(work, { recursive: true });
  await requireProgram(["gcc", "-O1", ...flags, `${here}runtime.c`, "-o", to]);
  const runtime = await pack(await Deno.readFile(to), { to: `${to}.zst`, level: 1 });
  const script = new TextEncoder().encode("// a bundle\n");
  const bundle = await pack(script, { to: `${to}.js.zst`, level: 1 });
  await buildFront({ runtime, bundle, out: `${to}-front`, work, ...(compiler && { compiler }) });
  return `${to}-front`;
}

/** The names in the directory where a file unpacked itself, sorted. */
export async function unpackedIn(cache: string): Promise<string[]> {
  const names = [];
  for await (const { name } of Deno.readDir(`${cache}/telepresence/unpacked`)) names.push(name);
  return names.sort();
}

/** Why no mounts can be made here for a test; undefined when they can. */
export async function whyNoMounts(): Promise<string | undefined> {
  const { code, stderr } = await runProgram([...NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/tmp"]).catch((error) => {
    return { code: -1, stderr: String(error) };
  });
  return code === 0 ? undefined : stderr.trim();
}

const NAMESPACE = ["unshare", ...(Deno.uid() === 0 ? [] : ["--user", "--map-root-user"]), "--mount"] as const;

/** The command that runs another one where these directories are mounts of their own. */
export function among(
  mounts: readonly { readonly at: string; readonly options: string }[],
  command: readonly string[],
): [string, ...string[]] {
  const script = mounts.map(({ at, options }) => `mount -t tmpfs -o '${options}' tmpfs '${at}'`);
  return [...NAMESPACE, "--propagation", "private", "sh", "-ec", [...script, 'exec "$@"'].join("\n"), "-", ...command];
}

/** Where {@linkcode sheltered} has the root of a one file. */
const REACHED = "/run/reached";

/** The same path inside {@linkcode sheltered}. */
export function reached({ root }: Onefile, path: string): string {
  return path.replace(root, REACHED);
}

/** The command that runs another one where `/tmp` is its own, and the one file's root is at another place. */
export function sheltered(
  onefile: Onefile,
  mounts: readonly { readonly at: string; readonly options: string }[],
  command: readonly string[],
): [string, ...string[]] {
  const script = `mkdir ${REACHED}; mount --rbind '${onefile.root}' ${REACHED}; exec "$@"`;
  const inner = among(mounts, command.map((word) => reached(onefile, word)));
  return among([{ at: "/run", options: "mode=755" }], ["sh", "-ec", script, "-", ...inner]);
}
