import { isReplaceable, messageOf, UserError } from "@/util/mod.ts";

/** The shim (or the helper) as a file, and a place for the control socket beside it. Disposing it removes both. */
export interface Place extends AsyncDisposable {
  /** The directory that both are in, which only this user enters. */
  readonly directory: string;
  /** Path of the file, which any process of this user may map and run. */
  readonly shim: string;
  /** Path for the control socket. */
  readonly socket: string;
}

/** Longest path of a Unix socket, without its terminating zero. */
const SOCKET_PATH_BYTES = 107;

/**
 * Writes the shim to a new directory that only this user enters, under a name made of its content's hash.
 *
 * @param shim the bytes of the shared library
 * @param parents directories to try, the most wanted first
 * @throws {UserError} when none of them can hold it, with the reason of each
 */
export function placeShim(shim: Uint8Array<ArrayBuffer>, parents: readonly string[]): Promise<Place> {
  return place(shim, parents, { what: "shim", suffix: ".so" });
}

/**
 * The same for a program that is to be started.
 *
 * @param program the bytes of the program
 * @param what what it is called in its path and in errors
 * @throws {UserError} when no directory can hold it
 */
export function placeProgram(
  program: Uint8Array<ArrayBuffer>,
  parents: readonly string[],
  what: string,
): Promise<Place> {
  return place(program, parents, { what, suffix: "" });
}

/** What a file is called. */
interface Naming {
  readonly what: string;
  readonly suffix: string;
}

async function place(bytes: Uint8Array<ArrayBuffer>, parents: readonly string[], naming: Naming): Promise<Place> {
  const reasons: string[] = [];
  for (const parent of parents) {
    const reason = await refusal(parent);
    if (reason) {
      reasons.push(`${parent} ${reason}`);
      continue;
    }
    try {
      return await placeIn(parent, bytes, naming);
    } catch (error) {
      reasons.push(`${parent}: ${messageOf(error)}`);
    }
  }
  throw new UserError(`Cannot place the ${naming.what}: ${reasons.join("; ")}`, {
    hints: ["Set TMPDIR to a directory of your own on a file system without the noexec option"],
  });
}

async function placeIn(
  parent: string,
  bytes: Uint8Array<ArrayBuffer>,
  { what, suffix }: Naming,
): Promise<Place> {
  await removeLeft(parent);
  const directory = await Deno.makeTempDir({ dir: parent, prefix: "telepresence-" }); // 0700, as mkdtemp makes it
  let lock: Deno.FsFile | undefined;
  const remove = async () => {
    await Deno.remove(directory, { recursive: true });
    lock?.close();
  };
  try {
    lock = await takeLock(directory);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex().slice(0, 16);
    const path = `${directory}/telepresence-${what}-${hash}${suffix}`;
    await Deno.writeFile(path, bytes, { mode: 0o755 });
    await Deno.chmod(path, 0o755); // whatever the umask is
    return { directory, shim: path, socket: `${directory}/control`, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Held by the session for as long as it lives; the kernel gives it back for one that was killed. */
const LOCK = "lock";

/** Takes the lock of a place before it has its name: nobody sees one that is there and not held. */
async function takeLock(directory: string): Promise<Deno.FsFile> {
  const file = await Deno.open(`${directory}/${LOCK}.new`, { createNew: true, write: true });
  try {
    await file.lock(true);
    await Deno.rename(`${directory}/${LOCK}.new`, `${directory}/${LOCK}`);
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Removes what killed sessions left: places whose lock nobody holds. One without a lock is about to have it. */
async function removeLeft(parent: string): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(parent)) {
    const directory = `${parent}/${name}`;
    if (!isDirectory || !name.startsWith("telepresence-")) continue;
    // In somebody else's directory what is looked at here may be a pipe by the time that it is opened.
    if ((await Deno.lstat(directory).catch(() => NOTHING)).uid !== Deno.uid()) continue;
    const { isFile, uid } = await Deno.lstat(`${directory}/${LOCK}`).catch(() => NOTHING);
    if (!isFile || uid !== Deno.uid()) continue;
    using lock = await Deno.open(`${directory}/${LOCK}`, { write: true }).catch(() => undefined);
    if (lock === undefined || !await lock.tryLock(true)) continue;
    await Deno.remove(directory, { recursive: true }).catch(() => {}); // another session does it
  }
}

const NOTHING = { isFile: false, uid: null };

/** Why a directory cannot hold the shim, as far as that can be known beforehand. */
async function refusal(parent: string): Promise<string | undefined> {
  if (/[\s:]/.test(parent)) return "has a blank or colon in its path, at which the loader cuts LD_PRELOAD";
  if (`${parent}/telepresence-0123456789abcdef/control.inside`.length > SOCKET_PATH_BYTES) {
    return "has a path that is too long for a Unix socket";
  }
  let path: string;
  try {
    path = await Deno.realPath(parent);
  } catch {
    return "does not exist";
  }
  if (await isReplaceable(path)) return "is one in which others could replace our file";
  return isNoexec(path, await Deno.readTextFile("/proc/self/mountinfo").catch(() => ""))
    ? "is mounted noexec"
    : undefined;
}

/**
 * Whether files under a path cannot be mapped as code.
 *
 * @param path absolute and without symbolic links
 * @param mountinfo the text of `/proc/self/mountinfo`: field 5 is the mount point, field 6 its options (proc(5))
 */
export function isNoexec(path: string, mountinfo: string): boolean {
  let best = -1;
  let noexec = false;
  for (const line of mountinfo.split("\n")) {
    const fields = line.split(" ");
    const point = fields[4]?.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
    if (point === undefined || !`${path}/`.startsWith(point.endsWith("/") ? point : `${point}/`)) continue;
    if (point.length < best) continue; // a later line with the same point lies over the earlier one
    best = point.length;
    noexec = fields[5]?.split(",").includes("noexec") ?? false;
  }
  return noexec;
}
