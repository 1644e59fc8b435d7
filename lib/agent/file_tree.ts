import { realpath } from "node:fs/promises";

/** A request for a file that is refused for a reason of ours, by the name of an errno. */
export class FileRefusal extends Error {
  override readonly name = "FileRefusal";
  readonly code: "ENOENT" | "EACCES" | "EMFILE" | "EBADF";
  constructor(code: FileRefusal["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** Where a path leads: into a volume, or to a directory that there is only so that a volume can be below it. */
export type Place =
  | { readonly kind: "volume"; readonly path: string; readonly isRoot: boolean }
  | { readonly kind: "way"; readonly names: readonly string[] };

/** Whether a path is followed to its end, or means the entry itself, which may be a symlink or not exist yet. */
export type Reach = "follow" | "entry";

interface Mount {
  /** Its path as the pod's template has it, without `.`, `..` or a slash at the end. */
  readonly path: string;
  /** The same without symlinks: `/var/run` is one in most images. */
  readonly root: string;
}

/**
 * The files that are served: the volumes of the pod under their own paths, and nothing else of its file system. The
 * directories above them are made up, so that a client sees one tree.
 *
 * Invariant: a path that {@linkcode reach} gives was inside a volume, with all symlinks followed, at the time it was
 * given. (Who moves directories about at that very moment can lead it out; the kernel's own permissions are the wall
 * behind this one.)
 */
export class FileTree {
  readonly #mounts: readonly Mount[];

  constructor(mounts: readonly Mount[]) {
    this.#mounts = mounts;
  }

  /** The tree of those volumes that are there. @param paths absolute paths of mount points */
  static async of(paths: readonly string[]): Promise<FileTree> {
    const mounts = await Promise.all(paths.map(async (given): Promise<Mount[]> => {
      const path = normalize(given);
      const root = await realpath(path).catch(() => undefined);
      return root === undefined || root === "/" ? [] : [{ path, root }];
    }));
    return new FileTree(mounts.flat());
  }

  /** The mount points that are there. */
  get mounts(): readonly string[] {
    return this.#mounts.map(({ path }) => path);
  }

  /** Where a path of the tree leads. @throws {FileRefusal} ENOENT, when it is no part of it */
  locate(given: string): Place {
    const path = normalize(given);
    const mount = this.#mounts
      .filter((one) => isWithin(path, one.path))
      .sort((a, b) => b.path.length - a.path.length)[0];
    if (mount !== undefined) {
      return { kind: "volume", path: mount.root + path.slice(mount.path.length), isRoot: path === mount.path };
    }
    const below = path === "/" ? "/" : `${path}/`;
    const names = this.#mounts.filter((one) => one.path.startsWith(below))
      .map((one) => one.path.slice(below.length).split("/")[0] ?? "");
    if (names.length > 0) return { kind: "way", names: [...new Set(names)] };
    throw new FileRefusal("ENOENT", `No volume is mounted at or below "${path}"`);
  }

  /**
   * The path in the pod for one of the tree, to be used without following a symlink at its end.
   *
   * @throws {FileRefusal} EACCES, when it leads out of the volumes; ENOENT, when it is no part of the tree
   */
  async reach(given: string, how: Reach): Promise<string> {
    const place = this.locate(given);
    if (place.kind === "way") {
      throw new FileRefusal("EACCES", `"${given}" is above the volumes, which are all there is`);
    }
    if (place.isRoot) return place.path;
    if (how === "follow") {
      const real = await realpath(place.path).catch((error) => {
        if (error.code === "ENOENT") return undefined; // to be made, or not there: the call that follows will tell
        throw error;
      });
      if (real !== undefined) return this.#inside(real, given);
    }
    const slash = place.path.lastIndexOf("/");
    const parent = this.#inside(await realpath(place.path.slice(0, slash)), given);
    return `${parent}${place.path.slice(slash)}`;
  }

  #inside(real: string, given: string): string {
    if (this.#mounts.some(({ root }) => isWithin(real, root))) return real;
    throw new FileRefusal("EACCES", `"${given}" leads out of the volumes`);
  }

  /**
   * What a symlink says to a client for whom the tree is somewhere below its own root: absolute targets, which are
   * paths of the pod, become relative ones, and none leads above the tree. Others stay as they are.
   *
   * @param link the symlink's path in the tree, in which each directory is a real one
   */
  targetFor(link: string, target: string): string {
    const depth = normalize(link).split("/").length - 2;
    if (target.startsWith("/")) {
      const absolute = normalize(target);
      const mount = this.#mounts.find(({ root }) => isWithin(absolute, root));
      const inTree = mount === undefined ? absolute : mount.path + absolute.slice(mount.root.length);
      return "../".repeat(depth) + inTree.slice(1) || ".";
    }
    const parts = target.split("/").filter((part) => part !== "" && part !== ".");
    const ups = parts.findIndex((part) => part !== "..");
    const leading = ups === -1 ? parts.length : ups;
    if (leading <= depth && !parts.slice(leading).includes("..")) return target;
    // `a/../..` may go anywhere where `a` is a symlink: without it, nothing but the leading ones goes up.
    const kept: string[] = [];
    let up = 0;
    for (const part of parts) {
      if (part !== "..") kept.push(part);
      else if (kept.pop() === undefined) up++;
    }
    return "../".repeat(Math.min(up, depth)) + kept.join("/") || ".";
  }
}

/** A path as an absolute one without `.`, `..` and doubled slashes; above the root is the root. */
export function normalize(path: string): string {
  const kept: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") kept.pop();
    else if (part !== "" && part !== ".") kept.push(part);
  }
  return `/${kept.join("/")}`;
}

function isWithin(path: string, root: string): boolean {
  return path === root || path.startsWith(`${root}/`);
}
