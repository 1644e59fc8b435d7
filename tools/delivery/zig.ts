import { requireProgram } from "@/process/mod.ts";
import { messageOf, UserError } from "@/util/mod.ts";
import { cached, cacheDirectory, requireIntegrity } from "./cache.ts";

/** The C compiler for all targets: it has the libraries and headers of each with it. PyPI's wheel, for Linux on x86-64. */
const ZIG = {
  version: "0.17.1",
  integrity: "sha512-ZFtQwjasLSQHCK5QA+RxEHoe+8C7E/IRCzS8IhBQCpMVpjFpxcgDa2aMdwDXYNRC1T7pPas4oxE3GuXaRGFhrA==",
};

/**
 * The directory of the Zig compiler, fetched once for this user by pip.
 *
 * @throws {UserError} when pip is not there, cannot get it, or got something else
 */
export async function fetchZig(): Promise<string> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
    throw new UserError(`Cannot build for other targets: this takes Linux on x86-64, and here is ${Deno.build.target}`);
  }
  const directory = await cached(`zig-${ZIG.version}`, async (path) => {
    const folder = `${path}.download`;
    const words = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"];
    try {
      await requireProgram(["python3", "-m", "pip", ...words, "--dest", folder, `ziglang==${ZIG.version}`]);
    } catch (cause) {
      throw new UserError(`Cannot get Zig ${ZIG.version} from PyPI: ${messageOf(cause)}`, { cause });
    }
    const [wheel] = await Array.fromAsync(Deno.readDir(folder));
    if (wheel === undefined) throw new UserError(`Cannot get Zig ${ZIG.version} from PyPI: pip left no file`);
    const archive = `${folder}/${wheel.name}`;
    await requireIntegrity(`Zig ${ZIG.version}`, await Deno.readFile(archive), ZIG.integrity);
    await requireProgram(["python3", "-m", "zipfile", "-e", archive, path]);
    await Deno.chmod(`${path}/ziglang/zig`, 0o755);
  });
  return `${directory}/ziglang`;
}

/** Where Zig keeps what it compiled, so that a target's libc is compiled once. */
export function zigVariables(): Record<string, string> {
  const cache = `${cacheDirectory()}/zig-cache`;
  return { ZIG_GLOBAL_CACHE_DIR: cache, ZIG_LOCAL_CACHE_DIR: cache };
}
