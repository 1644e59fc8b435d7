/**
 * A live mount of the pod's volumes: `sshfs` as the file system, its pipes joined to a stream of the tunnel.
 *
 * Theory of operation. `sshfs -o passive` speaks SFTP over its standard input and output instead of starting ssh; the
 * agent is the server, and this process, through which all of it goes, asks ahead where a file is read from front to back
 * (`read_ahead.md`). Who reads a file asks the kernel, which asks sshfs, which asks through us: so **we must never
 * touch the mount with a call that blocks this process**, or it waits for itself. (Calls of the file system that are
 * awaited are made on other threads.)
 *
 * Ends, each of which leaves nothing mounted:
 * - in order: unmounted while everything is still served, so that what was written is in the pod; what is still in use
 *   is detached, and its users get errors;
 * - the pod is replaced: nothing ends, the next one's files are in the mount (`Pod.files`);
 * - the tunnel ends: the joint closes sshfs's pipes, and it unmounts and ends;
 * - we are killed: the kernel closes the pipes, with the same effect, and the guardian removes the directories;
 * - sshfs is killed: the guardian, or the end in order, unmounts.
 *
 * @module
 */
import type { Log } from "@/log/mod.ts";
import { type Pod, SftpError } from "@/pod/mod.ts";
import { type Filter, runProgram, startFilter } from "@/process/mod.ts";
import { closeQuietly, deadline, type Duplex, messageOf, sleep, splice, UserError } from "@/util/mod.ts";
import { startMountGuardian } from "./guardian.ts";
import { isMounted } from "./mount_table.ts";
import type { Full } from "./read_ahead.ts";
import { readAhead } from "./read_ahead_stream.ts";

/** How long sshfs may take to have mounted. */
const MOUNT_MS = 10_000;
/** Between two looks at the table of mounts. */
const LOOK_MS = 10;
/** How long an unmount may take that waits for what is still to be written. */
const UNMOUNT_MS = 5_000;
/** Between two lines about a volume that is full. */
const FULL_MS = 60_000;

/** A mount. Disposing it unmounts. */
export interface LiveMount extends AsyncDisposable {
  /** Resolves, with a sentence, when sshfs has ended though nobody disposed of it and the tunnel is there. */
  readonly lost: Promise<string>;
}

/** What mounting needs. */
export interface LiveMountOptions {
  /** An absolute path of an existing directory. */
  readonly path: string;
  /** Directories that are removed with the mount, innermost first. */
  readonly made: readonly string[];
  /** What the table of mounts calls it. */
  readonly title: string;
  /** Tells the user what has to be known. */
  readonly say: (line: string) => void;
  /** Path of the launcher, which widens the pipes to sshfs. @default {they are as they are} */
  readonly launcher?: string | undefined;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/**
 * Why there can be no live mount here, as the end of a sentence; undefined when there can.
 */
export async function whyNoLiveMount(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return `telepresence mounts on Linux alone, not on ${Deno.build.os}`;
  if (!await isThere("/dev/fuse")) return "this machine has no FUSE (/dev/fuse)";
  const missing = [];
  for (const program of ["sshfs", "fusermount3"]) if (!await runs(program)) missing.push(program);
  if (missing.length === 0) return undefined;
  return `${missing.join(" and ")} ${missing.length > 1 ? "are" : "is"} not installed (apt-get install sshfs fuse3)`;
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function runs(program: string): Promise<boolean> {
  return await runProgram([program, "-V"]).then(() => true, () => false);
}

/**
 * Mounts the pod's volumes.
 *
 * @param mounts the mount points in the pod
 * @throws {UserError} when sshfs cannot mount, with its own words; nothing is mounted then
 */
export async function mountLive(pod: Pod, mounts: readonly string[], options: LiveMountOptions): Promise<LiveMount> {
  const { path, made, title, log, launcher, signal } = options;
  await using stack = new AsyncDisposableStack();
  // sshfs takes every refusal of a READ for the end of the file (3.7.3, and its source of 2026).
  const { duplex } = await pod.files(mounts, { signal, endsWithLostRead: true });
  stack.defer(() => closeQuietly(duplex));
  stack.use(startMountGuardian(path, made, log)); // before there is something to guard
  const command = ["sshfs", "-f", `${title}:/`, path, "-o", await mountOptions(launcher !== undefined)] as const;
  const sshfs = stack.use(startFilter([...command], { log, launcher }));
  let broken: unknown;
  const joint = splice(
    sshfs.duplex,
    readAhead(heard(duplex, (error) => broken ??= error), { full: tellFull(options) }),
  );
  stack.defer(async () => {
    await unmount(path, log);
    closeQuietly(sshfs.duplex); // where the mount is still in use, sshfs does not end by itself
    await joint;
  });
  await untilMounted(path, sshfs, signal);
  let disposed = false;
  stack.defer(() => {
    disposed = true;
  });
  const lost = sshfs.exit.then((code) => {
    const isTunnelLost = broken !== undefined && !(broken instanceof SftpError);
    if (disposed || isTunnelLost) return new Promise<never>(() => {}); // the latter ends the session, with words of its own
    if (broken !== undefined) return messageOf(broken);
    return `sshfs ended with exit status ${code}${sshfs.lastWords() && `: ${sshfs.lastWords()}`}`;
  });
  const owned = stack.move();
  return { lost, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/**
 * Tells that a volume is full: the program that writes hears EIO, as `sshfs` has no word for it, and nobody looks for room
 * because of that.
 */
function tellFull({ say, log }: LiveMountOptions): (refusal: Full) => void {
  let told = -Infinity;
  return ({ path = "a file that was moved", errno }) => {
    log.info(`The pod has no room for ${path}: ${errno}`);
    if (performance.now() - told < FULL_MS) return;
    told = performance.now();
    say(
      `WARNING: The pod has no room left for what is written to ${path} (${errno}); ` +
        'the program that writes is told "Input/output error"',
    );
  };
}

/** The same connection, of which it is heard why it breaks. */
function heard(duplex: Duplex, broken: (error: unknown) => void): Duplex {
  const hear = async <T>(promise: Promise<T>) => {
    try {
      return await promise;
    } catch (error) {
      broken(error);
      throw error;
    }
  };
  return {
    read: (into) => hear(duplex.read(into)),
    write: (bytes) => hear(duplex.write(bytes)),
    closeWrite: () => duplex.closeWrite(),
    close: () => duplex.close(),
  };
}

/** What sshfs is told; some of it only newer ones know. */
async function mountOptions(isWide: boolean): Promise<string> {
  const { stdout, stderr } = await runProgram(["sshfs", "--help"]);
  const known = stdout + stderr;
  return [
    "passive",
    // As much as sshfs ever asks for at a time; its own is the half.
    "max_read=65536",
    // As much as sshfs ever writes at a time. Into a pipe that is not wide only so much fits with what stands before it: 64
    // KiB of data would have sshfs wait in each write until we have read some of it.
    `max_write=${isWide ? 65536 : 61440}`,
    // Files of the pod's user show as ours: programs that look at the owner (keys, databases) are content.
    "idmap=user",
    // Secrets and ConfigMaps change by a symlink: the change is to be seen soon. The kernel's own is 1 s.
    "dcache_timeout=1",
    "dcache_stat_timeout=3", // a large directory is asked for its entries' attributes after it was listed
    "dcache_max_size=50000",
    // What the agent refuses a rename with is EPERM only where it is between two volumes (lib/pod/sftp.md): so a program
    // hears what makes it copy instead.
    ...(known.includes("renamexdev") ? ["workaround=renamexdev"] : []),
    // Nothing passes whose target leads out of the mount (read_ahead.ts), so what is left is harmless.
    ...(known.includes("no_contain_symlinks") ? ["no_contain_symlinks"] : []),
  ].join(",");
}

async function untilMounted(path: string, sshfs: Filter, signal: AbortSignal): Promise<void> {
  using late = deadline(MOUNT_MS, () => new UserError(`sshfs did not mount within ${MOUNT_MS / 1000} s`));
  let ended: number | undefined;
  sshfs.exit.then((code) => ended = code);
  const either = AbortSignal.any([signal, late.signal]);
  while (!await isMounted(path)) {
    if (ended !== undefined) throw new UserError(`sshfs ended with exit status ${ended}: ${sshfs.lastWords()}`);
    await sleep(LOOK_MS, either);
  }
}

/** Unmounts; first so that what is written is written, then whatever is in use. Never throws: it is told in the log. */
async function unmount(path: string, log: Log): Promise<void> {
  for (const lazily of [[], ["-z"]]) {
    try {
      if (!await isMounted(path)) return;
      using late = deadline(UNMOUNT_MS, () => new Error("Took too long"));
      await runProgram(["fusermount3", "-u", ...lazily, "--", path], { log, signal: late.signal });
    } catch (error) {
      log.info(`Cannot unmount ${path}: ${messageOf(error)}`);
    }
  }
}
