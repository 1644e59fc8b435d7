import { constants, zstdCompressSync } from "node:zlib";
import { fetchPackage } from "./npm_package.ts";
import { cached } from "./cache.ts";
import type { Target } from "./targets.ts";

/** A file as the front carries it. */
export interface Packed {
  /** What it is packed to. */
  readonly path: string;
  /** The first sixteen digits of the contents' SHA-256. */
  readonly hash: string;
  /** Bytes of the contents. */
  readonly size: number;
}

/**
 * The official Deno of a target, packed. Packing takes seconds to a minute, so it is done once for this user.
 *
 * @param level of zstd: 3 for a build, 19 for what is published
 * @throws {UserError} when it cannot be had
 */
export async function packedRuntime(target: Target, level: number): Promise<Packed> {
  const { version, integrity } = target.runtime;
  const key = `deno-${version}-${target.triple}-${integrity.slice(7, 15).replaceAll(/\W/g, "_")}-${level}`;
  const directory = await cached(key, async (path) => {
    const contents = await Deno.readFile(`${await fetchPackage(target.runtime)}/deno`);
    await Deno.mkdir(path);
    const { hash, size } = await pack(contents, { to: `${path}/runtime.zst`, level });
    await Deno.writeTextFile(`${path}/facts.json`, JSON.stringify({ hash, size }));
  });
  const { hash, size } = JSON.parse(await Deno.readTextFile(`${directory}/facts.json`));
  return { path: `${directory}/runtime.zst`, hash, size };
}

/** Packs bytes to a file. The same bytes give the same file. */
export async function pack(
  contents: Uint8Array<ArrayBuffer>,
  { to, level }: { readonly to: string; readonly level: number },
): Promise<Packed> {
  const params = { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 };
  await Deno.writeFile(to, zstdCompressSync(contents, { params }));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", contents));
  return { path: to, hash: digest.toHex().slice(0, 16), size: contents.length };
}
