import { type Log, silentLog } from "@/log/mod.ts";
import { isReplaceable, messageOf } from "@/util/mod.ts";

/** The launcher as a file. Disposing it removes it. */
export interface Launcher extends AsyncDisposable {
  readonly path: string;
}

/** Options of {@linkcode placeLauncher}. */
export interface PlaceOptions {
  /** Directories to try, the most wanted first. */
  readonly directories: readonly string[];
  readonly log?: Log;
}

/**
 * Writes the launcher (shim/launcher) to a new directory that only this user enters, and proves that it can be executed
 * there: a file system may be mounted noexec.
 *
 * @returns undefined where no directory can hold it; the command is then started without it
 */
export async function placeLauncher(
  program: Uint8Array<ArrayBuffer>,
  { directories, log = silentLog }: PlaceOptions,
): Promise<Launcher | undefined> {
  for (const parent of directories) {
    try {
      return await placeIn(parent, program);
    } catch (error) {
      log.info(`Cannot place the launcher in ${parent}: ${messageOf(error)}`);
    }
  }
  return undefined;
}

async function placeIn(parent: string, program: Uint8Array<ArrayBuffer>): Promise<Launcher> {
  if (await isReplaceable(parent)) throw new Error("others could replace it there");
  const directory = await Deno.makeTempDir({ dir: parent, prefix: "telepresence-" }); // 0700, as mkdtemp makes it
  const remove = () => Deno.remove(directory, { recursive: true });
  try {
    const path = `${directory}/launcher`;
    await Deno.writeFile(path, program, { mode: 0o755 });
    await Deno.chmod(path, 0o755); // whatever the umask is
    // Without words it ends at once: what counts is that it can be started.
    await new Deno.Command(path, { stdin: "null", stdout: "null", stderr: "null" }).output();
    return { path, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}
