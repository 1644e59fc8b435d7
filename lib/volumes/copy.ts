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
 * @module
 */
import type { Log } from "@/log/mod.ts";
import type { Pod } from "@/pod/mod.ts";
import { startFilter } from "@/process/mod.ts";
import { messageOf, sleep } from "@/util/mod.ts";
import { SftpClient, SftpRefused } from "./sftp_client.ts";

/** How often it is looked whether there is a new version. The kubelet itself looks once a minute. */
const LOOK_MS = 2_000;
/** The most that a file may have: a Secret or a ConfigMap ends at 1 MiB. */
const MAX_FILE_BYTES = 2 * 1024 * 1024;
/** How many entries a volume may have, and how deep it may be. */
const MAX_ENTRIES = 5_000;
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
    const version = await copy(client, mount, `${path}${mount}`).catch((error) => leaveOut(mount, error, log));
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
  if (!(error instanceof SftpRefused) && !(error instanceof TooLarge)) throw error;
  log.info(`No copy of ${mount}: ${messageOf(error)}`);
}

class TooLarge extends Error {}

/** Copies one volume. @returns nothing when it is not like configuration */
async function copy(client: SftpClient, from: string, to: string): Promise<Version | undefined> {
  const { mode = 0, size = 0, times } = await client.lstat(from);
  if ((mode & TYPE.mask) === TYPE.file) {
    await makeDirectory(to.slice(0, to.lastIndexOf("/")));
    await copyFile(client, from, to, size); // into the file that is there: it may have been laid over another path
    return { written: times?.modified ?? 0 };
  }
  const entries = await client.list(from);
  if (!entries.some(({ name }) => name === SWITCH)) return undefined;
  await makeDirectory(to);
  return { data: await copyVersion(client, from, to) };
}

/** Copies the version that `..data` says, and switches to it. */
async function copyVersion(client: SftpClient, from: string, to: string): Promise<string> {
  const data = await client.readLink(`${from}/${SWITCH}`);
  await copyTree(client, `${from}/${data}`, `${to}/${data}`, { left: MAX_ENTRIES });
  const links = (await client.list(from)).filter(({ attributes }) => isOfType(attributes.mode, TYPE.link));
  for (const { name } of links.filter(({ name }) => name !== SWITCH)) {
    await makeLink(await client.readLink(`${from}/${name}`), `${to}/${name}`);
  }
  await makeLink(data, `${to}/${SWITCH}`);
  const kept = new Set([data, ...links.map(({ name }) => name)]);
  for await (const { name } of Deno.readDir(to)) {
    if (!kept.has(name)) await Deno.remove(`${to}/${name}`, { recursive: true }).catch(ignoreNotFound);
  }
  return data;
}

async function copyTree(client: SftpClient, from: string, to: string, budget: { left: number }): Promise<void> {
  await makeDirectory(to);
  for (const { name, attributes } of await client.list(from)) {
    if (--budget.left < 0) throw new TooLarge(`it has more than ${MAX_ENTRIES} entries`);
    const [source, target] = [`${from}/${name}`, `${to}/${name}`];
    if (isOfType(attributes.mode, TYPE.directory)) await copyTree(client, source, target, budget);
    else if (isOfType(attributes.mode, TYPE.link)) await makeLink(await client.readLink(source), target);
    else if (isOfType(attributes.mode, TYPE.file)) await copyFile(client, source, target, attributes.size ?? 0);
  }
}

async function copyFile(client: SftpClient, from: string, to: string, size: number): Promise<void> {
  if (size > MAX_FILE_BYTES) throw new TooLarge(`"${from}" has ${size} bytes`);
  using file = await Deno.open(to, { write: true, create: true, truncate: true, mode: 0o600 });
  let written = 0;
  for await (const bytes of client.read(from)) {
    written += bytes.length;
    if (written > MAX_FILE_BYTES) throw new TooLarge(`"${from}" has more than ${MAX_FILE_BYTES} bytes`);
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
        copies.set(mount, await copy(client, mount, `${path}${mount}`) ?? version);
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

async function makeDirectory(path: string): Promise<void> {
  await Deno.mkdir(path, { recursive: true, mode: 0o700 });
}

/** Makes a symlink in the place of what is there, at once. */
async function makeLink(target: string, path: string): Promise<void> {
  const beside = `${path}.telepresence`;
  await Deno.remove(beside).catch(ignoreNotFound);
  await Deno.symlink(target, beside);
  await Deno.rename(beside, path);
}

function ignoreNotFound(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
