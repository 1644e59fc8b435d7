import type { Log } from "@/log/mod.ts";
import type { Pod } from "@/pod/mod.ts";
import { isReplaceable, messageOf, reasonOf, UserError } from "@/util/mod.ts";
import { copyVolumes } from "./copy.ts";
import { mountLive, whyNoLiveMount } from "./live_mount.ts";
import { isMounted } from "./mount_table.ts";

/** What the user wants of the pod's volumes. */
export interface VolumesWanted {
  /** Where they are to be: nowhere, in a new directory that goes again, or at a path that stays. */
  readonly at:
    | { readonly kind: "nowhere" }
    | { readonly kind: "temporary" }
    | { readonly kind: "path"; readonly path: string };
  /** Mounted, as copies of those that are like configuration, or mounted and else as copies. */
  readonly mode: "auto" | "live" | "copy";
}

/** What opening volumes needs. */
export interface VolumesOptions {
  /** What the table of mounts calls it: the proxy's name, say. */
  readonly title: string;
  /** Tells the user what has to be known. */
  readonly say: (line: string) => void;
  /** Tells what is done. @default {`say`} */
  readonly note?: (line: string) => void;
  /** Path of the launcher, with which a live mount is quicker. @default {there is none} */
  readonly launcher?: string | undefined;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** The pod's volumes on the host, for as long as it is not disposed of. */
export interface Volumes extends AsyncDisposable {
  /** The directory in which the volumes are at their paths in the pod; undefined where there is none. */
  readonly root: string | undefined;
  /**
   * Each volume: its path in the pod, and its path on the host. What would open the former as if it were there (the
   * capture, in a program that it carries) finds the latter.
   */
  readonly paths: readonly { readonly pod: string; readonly host: string }[];
}

const NOTHING: Volumes = { root: undefined, paths: [], [Symbol.asyncDispose]: () => Promise.resolve() };

/**
 * Brings the pod's volumes to the host: mounted, or as copies where they cannot be.
 *
 * That neither works is no reason to end a session: it is told, and there is no root.
 *
 * @param all the mount points in the pod; those that would lead out of the directory are left out
 * @throws {UserError} when the path that the user named cannot be used
 */
export async function openVolumes(
  pod: Pod,
  all: readonly string[],
  { at, mode }: VolumesWanted,
  options: VolumesOptions,
): Promise<Volumes> {
  const { say, signal } = options;
  const mounts = all.filter(staysBelow);
  for (const path of all.filter((path) => !staysBelow(path))) {
    say(`The volume at "${path}" is left out: it is no plain path`);
  }
  if (at.kind === "nowhere" || mounts.length === 0) return NOTHING;
  await using stack = new AsyncDisposableStack();
  const named = at.kind === "path" ? await usePath(at.path) : undefined;
  let root: string;
  let here: readonly string[] = [];
  try {
    const place = named === undefined ? await makeTemporary() : { path: named, made: [] };
    root = place.path;
    stack.defer(() => removeAll(place.made));
    await requireOwn(place);
    const why = mode === "copy" ? undefined : await tryMount(pod, mounts, place, stack, options);
    if (mode !== "copy" && why === undefined) here = mounts;
    else if (mode === "live") throw new UserError(why ?? "");
    else here = await copyInstead(pod, mounts, { ...place, why }, stack, options);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof UserError)) throw error;
    say(
      "WARNING: Mounting remote volumes failed, they will be unavailable in this session, and TELEPRESENCE_ROOT is not " +
        `set: ${messageOf(error)}`,
    );
    return NOTHING;
  }
  const owned = stack.move();
  return {
    root,
    paths: here.map((mount) => ({ pod: mount, host: `${root}${mount}` })),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/**
 * Makes the directory that the user named for the volumes, if one was named, so that one that cannot be used is known
 * before anything else is made.
 *
 * @throws {UserError} when it cannot be used
 */
export async function makeMountPath({ at }: VolumesWanted): Promise<void> {
  if (at.kind === "path") await usePath(at.path);
}

/** Whether a path that is put behind a directory's stays below it: a pod's template may say any, `/../home` too. */
function staysBelow(path: string): boolean {
  return /^(?:\/[^/]+)+\/?$/.test(path) && !path.split("/").some((name) => name === "." || name === "..");
}

/** Mounts. @returns why it could not be, or nothing when it is mounted */
async function tryMount(
  pod: Pod,
  mounts: readonly string[],
  place: Place,
  stack: AsyncDisposableStack,
  options: VolumesOptions,
): Promise<string | undefined> {
  const lacking = await whyNoLiveMount();
  if (lacking !== undefined) return lacking;
  try {
    const mount = stack.use(await mountLive(pod, mounts, { ...options, ...place }));
    mount.lost.then((why) => options.say(`WARNING: The pod's volumes are no longer mounted: ${why}`));
    return undefined;
  } catch (error) {
    options.signal.throwIfAborted();
    if (!(error instanceof UserError)) throw error;
    return messageOf(error);
  }
}

/** Copies. @throws {UserError} when there is nothing that can be copied, or no room for it */
async function copyInstead(
  pod: Pod,
  mounts: readonly string[],
  { path, made, why }: Place & { readonly why: string | undefined },
  stack: AsyncDisposableStack,
  options: VolumesOptions,
): Promise<readonly string[]> {
  const because = why === undefined ? "" : `, as ${why}`;
  await Deno.mkdir(path, { recursive: true, mode: 0o700 }); // the guardian of a mount that failed has removed it
  for await (const _ of Deno.readDir(path)) {
    throw new UserError(`copies need an empty directory, not "${path}"${because}`);
  }
  const copies = stack.use(await copyVolumes(pod, mounts, { ...options, path, made }));
  const left = mounts.filter((mount) => !copies.mounts.includes(mount));
  if (copies.mounts.length === 0) throw new UserError(`none of them can be copied (${left.join(", ")})${because}`);
  const { note = options.say } = options;
  note(
    `Volumes are copies of the pod's${because}: changes in the pod are seen after some seconds, changes here stay here` +
      (left.length > 0 ? `. Not copied: ${left.join(", ")}` : ""),
  );
  return copies.mounts;
}

/** A directory for the volumes. */
interface Place {
  readonly path: string;
  /** Directories that were made for it and go with it, innermost first. */
  readonly made: readonly string[];
}

/** @throws {UserError} when others could put theirs in the place of a directory that we made, for secrets as well */
async function requireOwn({ made }: Place): Promise<void> {
  const outermost = made.at(-1);
  if (outermost === undefined) return;
  const above = outermost.slice(0, outermost.lastIndexOf("/")) || "/";
  if (await isReplaceable(above)) {
    throw new UserError(`others could replace what is in ${above} (TMPDIR names another)`);
  }
}

async function makeTemporary(): Promise<Place> {
  try {
    const parent = await Deno.realPath(await Deno.makeTempDir({ prefix: "tel-" })); // as Telepresence 1
    const path = `${parent}/fs`;
    await Deno.mkdir(path);
    return { path, made: [path, parent] };
  } catch (cause) {
    throw new UserError(`no temporary directory can be made: ${reasonOf(cause)} (TMPDIR names where)`, { cause });
  }
}

/** The named directory, without symbolic links; made if need be. */
async function usePath(path: string): Promise<string> {
  try {
    await Deno.mkdir(path, { recursive: true }); // it stays, as in Telepresence 1: others may know it by now
    const real = await Deno.realPath(path);
    if (await isMounted(real)) throw new UserError("something is mounted there already");
    return real;
  } catch (cause) {
    const why = cause instanceof Deno.errors.AlreadyExists ? "it is not a directory" : reasonOf(cause);
    throw new UserError(`Unable to use mount path: "${path}": ${why}`, {
      hints: ["--mount=true takes a new directory, which TELEPRESENCE_ROOT names"],
    });
  }
}

async function removeAll(directories: readonly string[]): Promise<void> {
  for (const directory of directories) {
    await Deno.remove(directory).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
}
