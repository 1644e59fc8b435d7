import { requireProgram } from "@/process/mod.ts";
import { DENO_VERSION, VERSION } from "../../version.ts";
import { fetchPackage } from "./npm_package.ts";
import { pack, type Packed, packedRuntime } from "./runtime.ts";
import { type Target, ZSTD_SOURCES } from "./targets.ts";

/** What one file is made of. */
export interface OnefileOptions {
  readonly target: Target;
  /** Path of the bundle. */
  readonly bundle: string;
  /** Path of the file that is made. */
  readonly out: string;
  /** A directory for what is made on the way; what is in it already is used again. */
  readonly work: string;
  /** How hard zstd packs the runtime, 1 to 19. */
  readonly level: number;
  /** The C compiler for the target. @default {that of this machine} */
  readonly compiler?: string;
  /** Variables for it. */
  readonly env?: Record<string, string>;
}

/**
 * Makes one executable of the official Deno and our bundle (`onefile/front.c`).
 *
 * @throws {UserError} when Deno, zstd's sources or a compiler cannot be had
 */
export async function buildOnefile({ target, bundle, level, ...rest }: OnefileOptions): Promise<void> {
  const runtime = await packedRuntime(target, level);
  await Deno.mkdir(rest.work, { recursive: true });
  const packed = await pack(await Deno.readFile(bundle), { to: `${rest.work}/bundle.zst`, level });
  await buildFront({ runtime, bundle: packed, ...rest });
}

/** What a front carries, and where it is made. */
export interface FrontOptions extends Pick<OnefileOptions, "out" | "work" | "compiler" | "env"> {
  readonly runtime: Packed;
  readonly bundle: Packed;
}

const FRONT = new URL("../../onefile/", import.meta.url).pathname;

/** Makes the executable of what is packed already. @throws {UserError} as {@linkcode buildOnefile} does */
export async function buildFront({ runtime, bundle, out, work, compiler, env }: FrontOptions): Promise<void> {
  const zstd = await fetchPackage(ZSTD_SOURCES);
  const names = {
    RUNTIME_VERSION: DENO_VERSION,
    RUNTIME_NAME: `deno-${DENO_VERSION}-${runtime.hash}`,
    RUNTIME_SIZE: runtime.size,
    RUNTIME_FILE: runtime.path,
    BUNDLE_NAME: `telepresence-${VERSION}-${bundle.hash}.js`,
    BUNDLE_SIZE: bundle.size,
    BUNDLE_FILE: bundle.path,
  };
  const lines = Object.entries(names).map(([name, value]) => `#define ${name} ${JSON.stringify(value)}\n`);
  await Deno.writeTextFile(`${work}/names.h`, lines.join(""));
  const variables = [`ZSTD=${zstd}/deps/zstd`, `NAMES=${work}`, `OUT=${out}`, ...(compiler ? [`CC=${compiler}`] : [])];
  await requireProgram(["make", "--no-print-directory", "--silent", "-C", FRONT, ...variables], {
    ...(env && { env }),
  });
}
