import { requireProgram } from "@/process/mod.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** A clean copy of the sources with the bundle built in it, for every machine; gone when disposed of. */
export interface Stage extends AsyncDisposable {
  readonly path: string;
  /** Seconds since 1970 of the last change of the sources: the date of all that is made. */
  readonly epoch: number;
}

/** Options of {@linkcode openStage}. */
export interface StageOptions {
  /** Path of a bundle that is there already, for tests. @default {one is built from the copy} */
  readonly bundle?: string;
}

/**
 * Copies the sources that git knows (as they are, changes too) to a new directory, and builds the bundle there: so
 * nothing of an earlier build gets in, and a path of this machine that gets into what is made shows as a difference.
 *
 * @throws {UserError} when it cannot be built
 */
export async function openStage({ bundle }: StageOptions = {}): Promise<Stage> {
  const path = await Deno.makeTempDir({ prefix: "telepresence-dist-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(path, { recursive: true }));
  const listed = await requireProgram(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
  });
  const files = listed.split("\0").filter((name) => name !== "");
  const there = await Promise.all(files.map((name) => Deno.lstat(ROOT + name).then(() => true, () => false)));
  const input = files.filter((_, i) => there[i]).join("\0"); // without those that are deleted and not committed
  await requireProgram(["tar", "-cf", `${path}.tar`, "-C", ROOT, "--null", "--files-from=-"], { input });
  stack.defer(() => Deno.remove(`${path}.tar`));
  await requireProgram(["tar", "-xf", `${path}.tar`, "-C", path, "--no-same-owner"]);
  if (bundle === undefined) {
    await requireProgram(["make", "--silent", "-C", path, "build/main.js"], { env: { MAKEFLAGS: "" } });
  } else {
    await Deno.mkdir(`${path}/build`);
    await Deno.copyFile(bundle, `${path}/build/main.js`);
  }
  const epoch = Number(await requireProgram(["git", "log", "-1", "--format=%ct"], { cwd: ROOT }));
  const owned = stack.move();
  return { path, epoch, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
