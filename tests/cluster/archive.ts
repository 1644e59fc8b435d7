import { requireProgram, runProgram } from "@/process/mod.ts";
import { exists } from "./files.ts";

/** An image: files of this machine and texts, in one layer. */
export interface Image {
  /** Name with tag, as pods write it. */
  readonly name: string;
  /** Machine's files and folders that keep their path; a program brings the libraries it is linked with. */
  readonly files?: readonly string[];
  /** Names of files and folders that are left out of these. */
  readonly without?: readonly string[];
  /** Machine's files that have another path in the image, by that path. */
  readonly copies?: Readonly<Record<string, string>>;
  readonly links?: Readonly<Record<string, string>>;
  readonly texts?: Readonly<Record<string, string>>;
  /** Folders that any user may write to. */
  readonly writable?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly entrypoint?: readonly string[];
  readonly cmd?: readonly string[];
  readonly workdir?: string;
}

/** What an image consists of, as text that changes when one of its files does, or this file. */
export async function fingerprint(image: Image): Promise<string> {
  const sources = [...image.files ?? [], ...Object.values(image.copies ?? {})];
  const files = await Promise.all(sources.map(async (path) => {
    const { size, mtime } = await Deno.stat(path);
    return [path, await Deno.realPath(path), size, mtime];
  }));
  return JSON.stringify({ image, files, recipe: await Deno.readTextFile(new URL(import.meta.url)) });
}

/**
 * Writes the image as `docker save` would, by way of the folder `work`, which must be empty. `tar`, `cp` and `ldd` do
 * the work: they are on every machine that can run a node.
 */
export async function writeArchive(image: Image, work: string, archive: string): Promise<void> {
  const root = `${work}/root`;
  await layOut(image, root);
  const layer = `${work}/layer.tar`;
  await requireProgram(["tar", "--create", "--file", layer, "--directory", root, "--sort=name", ...OWNED_BY_ROOT, "."]);
  const config = JSON.stringify({
    architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
    os: "linux",
    config: {
      Env: Object.entries({ PATH: SEARCH_PATH, ...image.env }).map(([name, value]) => `${name}=${value}`),
      Entrypoint: image.entrypoint ?? null,
      Cmd: image.cmd ?? null,
      WorkingDir: image.workdir ?? "/",
    },
    rootfs: { type: "layers", diff_ids: [`sha256:${await sha256Of(layer)}`] },
  });
  await Deno.writeTextFile(`${work}/config.json`, config);
  const manifest = [{ Config: "config.json", RepoTags: [image.name], Layers: ["layer.tar"] }];
  await Deno.writeTextFile(`${work}/manifest.json`, JSON.stringify(manifest));
  const parts = ["manifest.json", "config.json", "layer.tar"];
  await requireProgram(["tar", "--create", "--file", archive, "--directory", work, ...OWNED_BY_ROOT, ...parts]);
}

const SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const OWNED_BY_ROOT = ["--owner=0", "--group=0", "--numeric-owner"] as const;

async function layOut(image: Image, root: string): Promise<void> {
  for (const folder of ["bin", "sbin", "lib", "lib64"]) { // as Debian has it: /bin is /usr/bin
    await Deno.mkdir(`${root}/usr/${folder}`, { recursive: true });
    await Deno.symlink(`usr/${folder}`, `${root}/${folder}`);
  }
  const { files = [], copies = {}, links = {}, texts = {}, writable = [] } = image;
  if (files.length > 0) await requireProgram(["cp", "--parents", "-L", "-R", "--preserve=timestamps", ...files, root]);
  for (const name of image.without ?? []) {
    await requireProgram(["find", root, "-depth", "-name", name, "-exec", "rm", "-rf", "{}", "+"]);
  }
  for (const [path, source] of Object.entries(copies)) await Deno.copyFile(source, await placeFor(root, path));
  const libraries = await librariesOf([...await listPrograms(root, files), ...Object.values(copies)]);
  if (libraries.length > 0) await requireProgram(["cp", "--parents", "-L", ...libraries, root]);
  for (const [path, text] of Object.entries(texts)) {
    const place = await placeFor(root, path);
    await Deno.writeTextFile(place, text);
    await Deno.chmod(place, text.startsWith("#!") ? 0o755 : 0o644);
  }
  for (const [path, target] of Object.entries(links)) {
    const place = await placeFor(root, path);
    if (!await exists(place)) await Deno.symlink(target, place);
  }
  for (const path of ["/tmp", ...writable]) {
    await Deno.mkdir(`${root}${path}`, { recursive: true });
    await Deno.chmod(`${root}${path}`, 0o1777);
  }
}

async function placeFor(root: string, path: string): Promise<string> {
  await Deno.mkdir(`${root}${path.slice(0, path.lastIndexOf("/"))}`, { recursive: true });
  return `${root}${path}`;
}

/** The files among `paths`, and the shared objects in the folders among them that were laid out. */
async function listPrograms(root: string, paths: readonly string[]): Promise<string[]> {
  const programs = await Promise.all(paths.map(async (path) => {
    if (!(await Deno.stat(path)).isDirectory) return [path];
    const found = await requireProgram(["find", `${root}${path}`, "-name", "*.so"]);
    return found.split("\n").filter((line) => line !== "").map((line) => line.slice(root.length));
  }));
  return programs.flat();
}

/** The libraries and the loader that programs and libraries are linked with; none for a static program or a text. */
async function librariesOf(programs: readonly string[]): Promise<string[]> {
  if (programs.length === 0) return [];
  const { stdout } = await runProgram(["ldd", ...programs]);
  const paths = [...stdout.matchAll(/^\s(?:\S+ => )?(\/\S+) \(0x/gm)].map(([, path = ""]) => path);
  return [...new Set(paths)];
}

async function sha256Of(path: string): Promise<string> {
  return (await requireProgram(["sha256sum", path])).slice(0, 64);
}
