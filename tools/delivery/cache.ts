import { requireProgram } from "@/process/mod.ts";
import { UserError } from "@/util/mod.ts";

/** Where downloads and what is made of them stay, outside of any checkout. It may be removed at any time. */
export function cacheDirectory(): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "/root"}/.cache`;
  return `${cache}/telepresence/delivery`;
}

/**
 * The path of what has this name in the cache; `make` makes it at the path it is given, when it is not there. Nobody
 * sees half of it, and of several at the same time one comes to stay.
 */
export async function cached(name: string, make: (path: string) => Promise<void>): Promise<string> {
  const path = `${cacheDirectory()}/${name}`;
  if (await exists(path)) return path;
  await Deno.mkdir(cacheDirectory(), { recursive: true });
  const directory = await Deno.makeTempDir({ dir: cacheDirectory(), prefix: ".fresh-" });
  try {
    await make(`${directory}/made`);
    await Deno.rename(`${directory}/made`, path).catch(async (error) => {
      if (!await exists(path)) throw error; // a directory that somebody else has put there meanwhile
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  return path;
}

/** Unpacks a `.tar.gz` into a new directory. */
export async function untar(archive: string, directory: string): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  await requireProgram(["tar", "-xzf", archive, "-C", directory, "--no-same-owner"]);
}

/** @throws {UserError} when the bytes are others than these */
export async function requireIntegrity(what: string, bytes: Uint8Array<ArrayBuffer>, integrity: string): Promise<void> {
  const found = `sha512-${new Uint8Array(await crypto.subtle.digest("SHA-512", bytes)).toBase64()}`;
  if (found !== integrity) throw new UserError(`Cannot use ${what}: it is ${found}, and ${integrity} is wanted`);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}
