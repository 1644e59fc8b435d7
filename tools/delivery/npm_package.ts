import { requireProgram } from "@/process/mod.ts";
import { messageOf, UserError } from "@/util/mod.ts";
import { cached, requireIntegrity, untar } from "./cache.ts";

/** A package of npm that is used for its files alone; none of its scripts is ever run. */
export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** As npm tells it: `sha512-` and base64. */
  readonly integrity: string;
}

/**
 * The directory with the files of a package, fetched once for this user by npm.
 *
 * @throws {UserError} when npm is not there, cannot get it, or got something else
 */
export async function fetchPackage({ name, version, integrity }: NpmPackage): Promise<string> {
  const file = `npm-${name.replaceAll(/[^a-z0-9]+/g, "-").replace(/^-/, "")}-${version}`;
  const directory = await cached(file, async (path) => {
    const folder = `${path}.download`;
    await Deno.mkdir(folder);
    const command = ["npm", "pack", "--silent", `--pack-destination=${folder}`, `${name}@${version}`] as const;
    try {
      await requireProgram(command, { cwd: folder }); // where no package.json is
    } catch (cause) {
      throw new UserError(`Cannot get ${name} ${version} from npm: ${messageOf(cause)}`, { cause });
    }
    const [entry] = await Array.fromAsync(Deno.readDir(folder));
    if (entry === undefined) throw new UserError(`Cannot get ${name} ${version} from npm: it left no file`);
    const archive = `${folder}/${entry.name}`;
    await requireIntegrity(`${name} ${version}`, await Deno.readFile(archive), integrity);
    await untar(archive, path);
  });
  return `${directory}/package`;
}
