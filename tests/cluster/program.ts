import { requireProgram, runProgram } from "@/process/mod.ts";
import { UserError } from "@/util/mod.ts";
import { removeTree } from "./files.ts";
import { type Tell, withHeartbeat } from "./tell.ts";

/** The Go programs of the node, built. */
export interface Program {
  /** The multi-call program of `components/main.go`. */
  readonly cluster: string;
  /** The program that is process 1 of node and pods. */
  readonly pause: string;
  /** Hash of what they are built from. */
  readonly hash: string;
  /** The folder with the two, named after the hash. */
  readonly folder: string;
  /** Kubernetes' version, as in "1.34.4". */
  readonly version: string;
}

const SOURCE = new URL("components/", import.meta.url);
const SOURCE_FILES = ["go.mod", "go.sum", "main.go", "others.go", "pause/main.go"];

/** No other toolchain than the installed one, no C compiler, and the build's other inputs are the source alone. */
const GO_ENVIRONMENT = { CGO_ENABLED: "0", GOTOOLCHAIN: "local", GOFLAGS: "", GOWORK: "off" };

/** Where built programs and images are kept. */
export function cacheFolder(): string {
  const home = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "/root"}/.cache`;
  return `${home}/telepresence/cluster`;
}

/** The program as it would be in the cache, built or not. */
export async function locateProgram(): Promise<Program> {
  const sources = await Promise.all(SOURCE_FILES.map((name) => Deno.readTextFile(new URL(name, SOURCE))));
  const version = /^\s*k8s\.io\/kubernetes v(\S+)$/m.exec(sources[0] ?? "")?.[1];
  if (version === undefined) throw new Error("components/go.mod names no version of k8s.io/kubernetes");
  const hash = await hashOf({ sources, flags: buildFlags(version), arch: Deno.build.arch });
  const folder = `${cacheFolder()}/${hash}`;
  return { cluster: `${folder}/cluster`, pause: `${folder}/pause`, folder, hash, version };
}

/** Whether the program is in the cache. A folder there is whole: it gets its name last. */
export async function isBuilt({ folder }: Program): Promise<boolean> {
  try {
    return (await Deno.stat(folder)).isDirectory;
  } catch {
    return false;
  }
}

/** Builds the program, unless that was done before. The modules' content is verified by the committed go.sum. */
export async function buildProgram(tell: Tell): Promise<Program> {
  const program = await locateProgram();
  if (await isBuilt(program)) return program;
  using _lock = await lockCache();
  if (await isBuilt(program)) return program; // by the run that had the lock before us
  tell(`building Kubernetes ${program.version} from Go modules; this takes 5 to 20 minutes, once`);
  const work = `${cacheFolder()}/unfinished`;
  await Deno.mkdir(work);
  const cwd = SOURCE.pathname;
  await withHeartbeat("go mod download", tell, () => go(["mod", "download"], cwd));
  tell("  modules are here, compiling");
  const command = ["build", ...buildFlags(program.version), "-o", `${work}/`, ".", "./pause"];
  await withHeartbeat("go build", tell, () => go(command, cwd));
  await Deno.rename(work, program.folder);
  tell("  built, and kept for the next time");
  return program;
}

/** Lets one run at a time write into the cache, and clears what a killed one left unfinished. */
export async function lockCache(): Promise<Disposable> {
  await Deno.mkdir(cacheFolder(), { recursive: true });
  const file = await Deno.open(`${cacheFolder()}/lock`, { create: true, write: true });
  await file.lock(true);
  await removeTree(`${cacheFolder()}/unfinished`);
  return file;
}

/** The installed Go's version, or undefined where there is none. */
export async function readGoVersion(): Promise<string | undefined> {
  try {
    const { code, stdout } = await runProgram(["go", "env", "GOVERSION"], { env: GO_ENVIRONMENT, cwd: "/" });
    return code === 0 ? stdout.trim().replace(/^go/, "") : undefined;
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** The oldest Go that builds the program. */
export async function readNeededGoVersion(): Promise<string> {
  return /^go (\S+)$/m.exec(await Deno.readTextFile(new URL("go.mod", SOURCE)))?.[1] ?? "";
}

/** A short name for a value's content. */
export async function hashOf(value: unknown): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(value)));
  return new Uint8Array(digest).toHex().slice(0, 16);
}

async function go(args: readonly string[], cwd: string): Promise<void> {
  await requireProgram(["go", ...args], { cwd, env: GO_ENVIRONMENT });
}

/** Among them what a release's build says of itself; without that the API server is "v0.0.0-master". */
function buildFlags(version: string): string[] {
  const [major, minor] = version.split(".");
  const values = Object.entries({ gitVersion: `v${version}`, gitMajor: major, gitMinor: minor });
  const stamps = values.map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`);
  return ["-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", ["-s", "-w", ...stamps].join(" ")];
}
