/**
 * Volumes without a file system of their own: copies of those that are like configuration (Secrets, ConfigMaps,
 * projected tokens, the downward API), which the kubelet writes and everybody else reads.
 *
 * Theory of operation. The kubelet writes such a volume so that a reader sees all of one version or all of the next:
 * the files are in a directory of a new name, `..data` is a symlink to it, which is replaced by a rename, and what a
 * reader opens are symlinks through `..data`. A copy is made in the same way, so its readers see the same; that a new
 * version is there is seen by what `..data` says.
 *
 * Nothing is written back, and files are for their owner alone: there are secrets in them. They are removed at the end,
 * and by a guardian where we are killed.
 *
 * What the pod says is not trusted with this machine. A name is one component, nothing is written through a symlink, a
 * symlink that leads out of its volume is not made, and what a volume may have is bounded: so whoever has the pod can
 * write below `path` alone, and not fill the disk.
 *
 * @module
 */
import type { Log } from "@/log/mod.ts";
import type { Pod } from "@/pod/mod.ts";
import { startFilter } from "@/process/mod.ts";
import { messageOf, sleep } from "@/util/mod.ts";
import { posix } from "node:path";
import { SftpClient, SftpRefused } from "./sftp_client.ts";

/** How often it is looked whether there is a new version. The kubelet itself looks once a minute. */
const LOOK_MS = 2_000;
/** The most that a file may have: a Secret or a ConfigMap ends at 1 MiB. */
const MAX_FILE_BYTES = 2 * 1024 * 1024;
/** How many entries a volume may have, and how deep it may be. */
const MAX_ENTRIES = 5_000;
/** The most that all files of a volume may have: one that is projected has several Secrets and ConfigMaps. */
const MAX_VOLUME_BYTES = 64 * 1024 * 1024;
/** The kubelet's switch (k8s.io/kubernetes/pkg/volume/util/atomic_writer.go). */
const SWITCH = "..data";

const TYPE = { mask: 0o170000, file: 0o100000, directory: 0o040000, link: 0o120000 } as const;

/** Copies of volumes. Disposing it removes them. */
export interface CopiedVolumes extends AsyncDisposable {
  /** Mount points that there is a copy of. */
  readonly mounts: readonly string[];
}

/** What copying needs. */
export interface CopyOptions {
  /** An absolute path of a directory with nothing in it. */
  readonly path: string;
  /** Directories that were made for it and go with it, innermost first. */
  readonly made: readonly string[];
  readonly log: Log;
  readonly signal: AbortSignal;
  /** @default {2 s} */
  readonly lookMs?: number;
}

/** Removes what follows when its standard input ends, as the guardian of a mount does. */
const SCRIPT = `exec 2>/dev/null
cat >/dev/null
rm -rf -- "$@"
`;

/**
 * Copies those volumes that are like configuration, and keeps the copies fresh.
 *
 * @param mounts the mount points in the pod
 * @throws {LinkLost} when the tunnel ends
 */
export async function copyVolumes(pod: Pod, mounts: readonly string[], options: CopyOptions): Promise<CopiedVolumes> {
  const { path, made, log, signal, lookMs = LOOK_MS } = options;
  await using stack = new AsyncDisposableStack();
  const files = await pod.files(mounts, { signal });
  const tops = [...new Set(files.mounts.map((mount) => `${path}/${mount.split("/")[1]}`))];
  stack.use(startFilter(["sh", "-c", SCRIPT, "telepresence-copy-guardian", ...made.slice(-1), ...tops], { log }));
  stack.defer(async () => {
    for (const top of tops) await Deno.remove(top, { recursive: true }).catch(ignoreNotFound);
  });
  const client = stack.use(await SftpClient.open(files.duplex));
  const copies = new Map<string, Version>();
  for (const mount of files.mounts) {
    signal.throwIfAborted();
    const version = await copy(client, mount, path).catch((error) => leaveOut(mount, error, log));
    if (version !== undefined) copies.set(mount, version);
  }
  const ending = new AbortController();
  const looking = keepFresh(client, copies, { path, log, lookMs, signal: ending.signal });
  stack.defer(async () => {
    ending.abort();
    await looking;
  });
  const owned = stack.move();
  return { mounts: [...copies.keys()], [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** What `..data` says; for a volume that is a single file, when that was written: it changes with its pod alone. */
type Version = { readonly data: string } | { readonly written: number };

function leaveOut(mount: string, error: unknown, log: Log): undefined {
  if (!(error instanceof SftpRefused) && !(error instanceof Unfit)) throw error;
  log.info(`No copy of ${mount}: ${messageOf(error)}`);
}

/** The pod says something that no volume like configuration has. */
class Unfit extends Error {}

/** Copies one volume to its place below `path`. @returns nothing when it is not like configuration */
async function copy(client: SftpClient, mount: string, path: string): Promise<Version | undefined> {
  const { mode = 0, size = 0, times } = await client.lstat(mount);
  const to = `${path}${mount}`;
  const budget = { entries: MAX_ENTRIES, bytes: MAX_VOLUME_BYTES };
  if ((mode & TYPE.mask) === TYPE.file) {
    await makeDirectories(path, mount.slice(0, mount.lastIndexOf("/")));
    if (await isSymlink(to)) throw new Unfit("a symlink is there");
    // Into the file that is there: it may have been laid over another path.
    await copyFile(client, mount, to, { size, budget, options: { create: true, truncate: true } });
    return { written: times?.modified ?? 0 };
  }
  const entries = await client.list(mount);
  if (!entries.some(({ name }) => name === SWITCH)) return undefined;
  await makeDirectories(path, mount);
  return { data: await copyVersion(client, { from: mount, to, budget }) };
}

/** How much a volume may still have. */
interface Budget {
  entries: number;
  bytes: number;
}

/** Copies the version that `..data` says, and switches to it. */
async function copyVersion(
  client: SftpClient,
  { from, to, budget }: { from: string; to: string; budget: Budget },
): Promise<string> {
  const data = asName(await client.readLink(`${from}/${SWITCH}`));
  await copyTree(client, data, { from, to, budget });
  const links = (await client.list(from)).filter(({ attributes }) => isOfType(attributes.mode, TYPE.link));
  for (const { name } of links.filter(({ name }) => name !== SWITCH)) {
    await makeLink(await client.readLink(`${from}/${name}`), asName(name), to);
  }
  await makeLink(data, SWITCH, to);
  const kept = new Set([data, ...links.map(({ name }) => name)]);
  for await (const { name } of Deno.readDir(to)) {
    if (!kept.has(name)) await Deno.remove(`${to}/${name}`, { recursive: true }).catch(ignoreNotFound);
  }
  return data;
}

/** Copies a directory of a volume, whose root is `from` there and `to` here. */
async function copyTree(
  client: SftpClient,
  directory: string,
  { from, to, budget }: { from: string; to: string; budget: Budget },
): Promise<void> {
  await makeDirectories(to, `/${directory}`);
  for (const { name, attributes } of await client.list(`${from}/${directory}`)) {
    if (--budget.entries < 0) throw new Unfit(`it has more than ${MAX_ENTRIES} entries`);
    const path = `${directory}/${asName(name)}`;
    const source = `${from}/${path}`;
    if (isOfType(attributes.mode, TYPE.directory)) await copyTree(client, path, { from, to, budget });
    else if (isOfType(attributes.mode, TYPE.link)) await makeLink(await client.readLink(source), path, to);
    else if (isOfType(attributes.mode, TYPE.file)) {
      const { size = 0 } = attributes;
      await Deno.remove(`${to}/${path}`).catch(ignoreNotFound); // whatever a try before this one left
      await copyFile(client, source, `${to}/${path}`, { size, budget, options: { createNew: true } });
    }
  }
}

async function copyFile(
  client: SftpClient,
  from: string,
  to: string,
  { size, budget, options }: { size: number; budget: Budget; options: Deno.OpenOptions },
): Promise<void> {
  if (size > MAX_FILE_BYTES) throw new Unfit(`"${from}" has ${size} bytes`);
  using file = await Deno.open(to, { write: true, mode: 0o600, ...options });
  let written = 0;
  for await (const bytes of client.read(from)) {
    written += bytes.length;
    if (written > MAX_FILE_BYTES) throw new Unfit(`"${from}" has more than ${MAX_FILE_BYTES} bytes`);
    if ((budget.bytes -= bytes.length) < 0) throw new Unfit(`its files have more than ${MAX_VOLUME_BYTES} bytes`);
    for (let offset = 0; offset < bytes.length;) offset += await file.write(bytes.subarray(offset));
  }
}

/** Looks for new versions until its signal aborts. What goes wrong is told in the log, and looked at again. */
async function keepFresh(
  client: SftpClient,
  copies: Map<string, Version>,
  { path, log, lookMs, signal }: { path: string; log: Log; lookMs: number; signal: AbortSignal },
): Promise<void> {
  let told: string | undefined;
  while (!signal.aborted) {
    await sleep(lookMs, signal).catch(() => {});
    for (const [mount, version] of copies) {
      if (signal.aborted) return;
      try {
        if (await isCurrent(client, mount, version)) continue;
        copies.set(mount, await copy(client, mount, path) ?? version);
        log.info(`Copied ${mount} anew`);
      } catch (error) {
        if (messageOf(error) !== told) log.info(`Cannot keep the copy of ${mount} fresh: ${told = messageOf(error)}`);
      }
    }
  }
}

async function isCurrent(client: SftpClient, mount: string, version: Version): Promise<boolean> {
  if ("data" in version) return await client.readLink(`${mount}/${SWITCH}`) === version.data;
  return (await client.lstat(mount)).times?.modified === version.written;
}

function isOfType(mode: number | undefined, type: number): boolean {
  return ((mode ?? 0) & TYPE.mask) === type;
}

/** A name as the pod says it, which is one component of a path. @throws {Unfit} when it would lead elsewhere */
function asName(name: string): string {
  if (name === "" || name === "." || name === ".." || /[/\0]/.test(name)) {
    throw new Unfit(`it has an entry of the name ${JSON.stringify(name)}`);
  }
  return name;
}

async function isSymlink(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(({ isSymlink }) => isSymlink, () => false);
}

/**
 * Makes the directories of `path`, which begins with a slash, below `base`.
 *
 * @throws {Unfit} when something else is there: a symlink of another volume would lead out of `base`
 */
async function makeDirectories(base: string, path: string): Promise<void> {
  let here = base;
  for (const name of path.split("/").filter((name) => name !== "")) {
    here += `/${name}`;
    await Deno.mkdir(here, { mode: 0o700 }).catch(async (error) => {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      if (!(await Deno.lstat(here)).isDirectory) throw new Unfit(`"${name}" is no directory`);
    });
  }
}

/** Makes a symlink at a path of the volume, in the place of what is there, at once; none that leads out of the volume. */
async function makeLink(target: string, path: string, root: string): Promise<void> {
  const end = posix.resolve(root, posix.dirname(path), target);
  if (!end.startsWith(`${root}/`)) return;
  const beside = `${root}/${path}.telepresence`;
  await Deno.remove(beside).catch(ignoreNotFound);
  await Deno.symlink(target, beside);
  await Deno.rename(beside, `${root}/${path}`);
}

function ignoreNotFound(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
