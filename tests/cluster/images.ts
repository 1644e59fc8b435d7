import { requireProgram } from "@/process/mod.ts";
import { UserError } from "@/util/mod.ts";
import { fingerprint, type Image, writeArchive } from "./archive.ts";
import { containerdSocketOf } from "./components.ts";
import { exists, readIfThere, replaceFile } from "./files.ts";
import { FIXTURE_IMAGES } from "./fixture_images.ts";
import { HELLO_PAGE } from "./hello_page.ts";
import type { Instance } from "./instance.ts";
import { cacheFolder, hashOf, lockCache, type Program } from "./program.ts";
import type { Tell } from "./tell.ts";

/** An image in the cache. */
export interface BuiltImage {
  readonly name: string;
  readonly hash: string;
  readonly archive: string;
}

const BUSYBOX = "/bin/busybox";
const PYTHON = "/usr/bin/python3";
const AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt";

/** Users that have a name; any other number works as well. */
const ACCOUNTS = {
  "/etc/passwd": [
    "root:x:0:0:root:/root:/bin/sh",
    "user:x:1000:1000:user:/tmp:/bin/sh",
    "deno:x:1993:1993:deno:/home/deno:/bin/sh",
    "nobody:x:65534:65534:nobody:/nonexistent:/bin/sh",
  ].join("\n") + "\n",
  "/etc/group": ["root:x:0:", "user:x:1000:", "deno:x:1993:", "nogroup:x:65534:"].join("\n") + "\n",
  "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
};

/** What the official Deno image runs first: a Deno subcommand is given to Deno, another command runs itself. */
const DENO_ENTRYPOINT = `#!/bin/sh
case "\${1-}" in
  -* | add | bench | bundle | cache | check | compile | coverage | doc | eval | fmt | info | init | install | lint | \\
  repl | run | serve | task | test | types | upgrade) exec deno "$@" ;;
  *) exec "$@" ;;
esac
`;

/** Makes the images that the cluster's objects name, each once and kept in the cache. */
export async function buildImages(program: Program, tell: Tell): Promise<BuiltImage[]> {
  const built: BuiltImage[] = [];
  for (const image of await describeImages(program)) {
    const hash = await hashOf(await fingerprint(image));
    const archive = `${cacheFolder()}/image-${image.name.replaceAll(/[/:]/g, "-")}-${hash}.tar`;
    if (!await exists(archive)) {
      tell(`making image ${image.name} from files of this machine`);
      await buildImage(image, archive);
    }
    built.push({ name: image.name, hash, archive });
  }
  return built;
}

/** Gives the node the images that it has not got. */
export async function loadImages(instance: Instance, images: readonly BuiltImage[], tell: Tell): Promise<void> {
  const had = await readLoaded(instance);
  const lacking = images.filter(({ name, hash }) => had[name] !== hash);
  for (const { name, hash, archive } of lacking) {
    tell(`loading image ${name} into the node`);
    await importArchive(instance, archive);
    had[name] = hash;
    await writeLoaded(instance, had);
  }
}

/** Loads any docker-archive into the node. @returns the names that pods can use */
export async function loadArchive(instance: Instance, archive: string): Promise<string[]> {
  if (!await exists(archive)) throw new UserError(`Cannot load image "${archive}": there is no such file`);
  const names = await importArchive(instance, archive);
  const had = await readLoaded(instance);
  for (const name of Object.keys(had)) { // it may have replaced one of ours: the next `up` puts that back
    if (names.some((loaded) => loaded === name || loaded.endsWith(`/${name}`))) delete had[name];
  }
  await writeLoaded(instance, had);
  return names;
}

async function describeImages(program: Program): Promise<Image[]> {
  const deno = await Deno.realPath(Deno.execPath());
  const library = await requireProgram([PYTHON, "-I", "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"]);
  const applets = (await requireProgram([BUSYBOX, "--list"])).trim().split("\n");
  const shell = Object.fromEntries(applets.map((applet) => [`/usr/bin/${applet}`, "busybox"]));
  const authorities = await exists(AUTHORITIES) ? [AUTHORITIES] : [];
  return [
    { name: "pause:1", copies: { "/usr/bin/pause": program.pause }, entrypoint: ["/usr/bin/pause"] },
    {
      name: FIXTURE_IMAGES.local.helloworld,
      files: [BUSYBOX],
      links: shell,
      texts: { ...ACCOUNTS, "/www/index.html": HELLO_PAGE },
      entrypoint: ["busybox", "httpd", "-f", "-p", "8000", "-h", "/www"],
    },
    {
      name: FIXTURE_IMAGES.local.tools,
      files: [BUSYBOX, "/usr/bin/curl", "/usr/bin/getent", PYTHON, library.trim(), ...authorities],
      without: ["test", "tests", "idlelib", "lib2to3", "ensurepip", "pydoc_data", "config-3*", "dist-packages"],
      links: shell,
      texts: ACCOUNTS,
      cmd: ["sh"],
    },
    {
      name: `denoland/deno:${Deno.version.deno}`,
      files: [BUSYBOX, ...authorities],
      copies: { "/usr/bin/deno": deno },
      links: shell,
      texts: { ...ACCOUNTS, "/usr/local/bin/docker-entrypoint.sh": DENO_ENTRYPOINT },
      writable: ["/deno-dir", "/home/deno"],
      env: { DENO_DIR: "/deno-dir/", DENO_INSTALL_ROOT: "/usr/local", DENO_VERSION: Deno.version.deno },
      entrypoint: ["docker-entrypoint.sh"],
      cmd: ["eval", "console.log('Welcome to Deno!')"],
      workdir: "/deno-dir",
    },
  ];
}

async function buildImage(image: Image, archive: string): Promise<void> {
  using _lock = await lockCache();
  const work = `${cacheFolder()}/unfinished`;
  await Deno.mkdir(work);
  await writeArchive(image, work, `${work}/image.tar`);
  const former = /^(.*)-\w+\.tar$/.exec(archive)?.[1] ?? archive;
  for await (const { name } of Deno.readDir(cacheFolder())) {
    const path = `${cacheFolder()}/${name}`;
    if (path.startsWith(`${former}-`)) await Deno.remove(path); // made from other files: it would only take space
  }
  await Deno.rename(`${work}/image.tar`, archive);
  await Deno.remove(work, { recursive: true });
}

async function importArchive(instance: Instance, archive: string): Promise<string[]> {
  const words = await requireProgram([
    ...["ctr", "--address", containerdSocketOf(instance), "--namespace", "k8s.io"] as const,
    ...["images", "import", archive],
  ]);
  return [...words.matchAll(/^unpacking (\S+)/gm)].map(([, name = ""]) => name);
}

async function readLoaded(instance: Instance): Promise<Record<string, string>> {
  return JSON.parse(await readIfThere(`${instance.state}/images.json`) ?? "{}");
}

async function writeLoaded(instance: Instance, loaded: Record<string, string>): Promise<void> {
  await replaceFile(`${instance.state}/images.json`, JSON.stringify(loaded));
}
