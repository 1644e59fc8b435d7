import { DENO_VERSION, VERSION } from "../../version.ts";
import { requireProgram } from "@/process/mod.ts";
import { UserError } from "@/util/mod.ts";
import { fetchPackage } from "./npm_package.ts";
import { ZSTD_SOURCES } from "./targets.ts";
import { fetchZig } from "./zig.ts";

/** Something that is inside what we deliver. */
interface Inside {
  readonly name: string;
  readonly version: string;
  /** As SPDX writes it. */
  readonly license: string;
  /** Which part it is. */
  readonly part: string;
  /** The license's text, or where the notices are. */
  readonly text: string;
}

const DENO_NOTICE = `MIT License

Copyright 2018-2026 the Deno authors

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

Deno has V8 (BSD-3-Clause), ICU (Unicode-3.0), SQLite (public domain), Rust's standard library and many Rust packages
inside. Its packages on npm have no notices of these; they are those of the sources of this version:
https://github.com/denoland/deno/tree/v${DENO_VERSION} (Cargo.lock names each package and its version).`;

const GLIBC_NOTICE =
  `The namespace helper (netns/) is linked statically with Debian's glibc, which is LGPL-2.1-or-later. Its
sources and everything that it takes to link it anew are in ours: "make build/netns.json". glibc's sources:
https://sourceware.org/glibc/`;

/**
 * The list of all that is inside what we deliver, with its licenses.
 *
 * @throws {UserError} when a dependency has no license that can be found
 */
export async function licenseList(): Promise<string> {
  const zstd = `${await fetchPackage(ZSTD_SOURCES)}/deps/zstd`;
  const zig = await fetchZig();
  const all: Inside[] = [
    { name: "Deno", version: DENO_VERSION, license: "MIT", part: "the runtime", text: DENO_NOTICE },
    ...await npmDependencies(),
    {
      name: "zstd",
      version: await versionOfZstd(zstd),
      license: "BSD-3-Clause",
      part: "its decoder, in the one file",
      text: await Deno.readTextFile(`${zstd}/LICENSE`),
    },
    {
      name: "musl",
      version: "as Zig has it",
      license: "MIT",
      part: "libc of the one file for Linux, and of the launcher",
      text: await Deno.readTextFile(`${zig}/lib/libc/musl/COPYRIGHT`),
    },
    {
      name: "glibc",
      version: "as Debian has it",
      license: "LGPL-2.1-or-later",
      part: "libc of the namespace helper, and of the launcher for the other machine",
      text: GLIBC_NOTICE,
    },
  ];
  const rows = all.map(({ name, version, license, part }) => `- ${name} ${version}: ${license}. ${part}`);
  const texts = all.map(({ name, version, text }) => `${"=".repeat(72)}\n${name} ${version}\n\n${text.trim()}\n`);
  const head = `telepresence ${VERSION} is Apache-2.0 (LICENSE). Inside what is delivered there is:`;
  return [head, rows.join("\n"), ...texts].join("\n\n");
}

/** The packages of npm in the bundle, as the lock file names them. */
async function npmDependencies(): Promise<Inside[]> {
  const lock = JSON.parse(await Deno.readTextFile(new URL("../../deno.lock", import.meta.url)));
  const { npmCache } = JSON.parse(await requireProgram([Deno.execPath(), "info", "--json"]));
  return await Promise.all(
    Object.keys(lock.npm).map(async (key) => {
      const [, name = "", version = ""] = /^(.+)@([^@_]+)/.exec(key) ?? [];
      const directory = await cachedPackage(npmCache, `${name}/${version}`);
      const { license } = JSON.parse(await Deno.readTextFile(`${directory}/package.json`));
      const files = await Array.fromAsync(Deno.readDir(directory));
      const text = files.find((file) => /^licen[cs]e/i.test(file.name));
      if (typeof license !== "string" || text === undefined) throw new UserError(`Cannot find the license of ${key}`);
      return {
        name,
        version,
        license,
        part: "in the bundle",
        text: await Deno.readTextFile(`${directory}/${text.name}`),
      };
    }),
  );
}

/** The files of a package in Deno's cache, below a directory for each registry. */
async function cachedPackage(cache: string, path: string): Promise<string> {
  for await (const { name } of Deno.readDir(cache)) {
    const directory = `${cache}/${name}/${path}`;
    if (await Deno.stat(directory).then(() => true, () => false)) return directory;
  }
  throw new UserError(`Cannot find the license of ${path}: Deno has not got it in ${cache}`);
}

async function versionOfZstd(directory: string): Promise<string> {
  const header = await Deno.readTextFile(`${directory}/lib/zstd.h`);
  const part = (name: string) => new RegExp(`#define ZSTD_VERSION_${name}\\s+(\\d+)`).exec(header)?.[1] ?? "?";
  return [part("MAJOR"), part("MINOR"), part("RELEASE")].join(".");
}
