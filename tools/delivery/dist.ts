import { requireProgram } from "@/process/mod.ts";
import { RELEASES, VERSION } from "../../version.ts";
import { type Archive, formula } from "./formula.ts";
import { licenseList } from "./licenses.ts";
import { buildOnefile } from "./onefile.ts";
import { openStage, type StageOptions } from "./stage.ts";
import { nativeTarget, type Target, TARGETS } from "./targets.ts";
import { fetchZig, zigVariables } from "./zig.ts";

/** Options of {@linkcode makeDist}. */
export interface DistOptions extends StageOptions {
  /** Which targets. @default {all} */
  readonly targets?: readonly Target[];
  /** How hard zstd packs, 1 to 19. */
  readonly level: number;
  /** Told what is done. */
  readonly tell?: (line: string) => void;
}

const HERE = new URL("./", import.meta.url).pathname;

/**
 * Makes what is published into a directory that it makes: an archive for each target, `main.js` for `deno run`, the
 * installer, the formula, the licenses, and the sums of all of it. The same sources give the same bytes.
 *
 * @throws {UserError} when something that it takes cannot be had
 */
export async function makeDist(out: string, options: DistOptions): Promise<void> {
  const { targets = TARGETS, level, tell = () => {} } = options;
  await using stage = await openStage(options);
  const bundle = `${stage.path}/build/main.js`;
  const [zig, licenses] = await Promise.all([fetchZig(), licenseList()]);
  await Deno.mkdir(out, { recursive: true });
  const tree = { licenses, stage: stage.path, epoch: stage.epoch, out };
  const archives: Archive[] = [];
  const shared = await makeShare(`${stage.path}/dist`, bundle, level);
  for (const target of targets) {
    tell(`Making ${target.triple}`);
    const program = `${stage.path}/dist/${target.triple}/telepresence`;
    const work = `${stage.path}/dist/${target.triple}/work`;
    await Deno.mkdir(work, { recursive: true });
    const compiler = `${zig}/zig cc -target ${target.zig}`;
    await buildOnefile({ target, bundle, out: program, work, level, compiler, env: zigVariables() });
    archives.push(await archive(target, program, shared, tree));
  }
  await Deno.copyFile(bundle, `${out}/main.js`);
  await Deno.writeTextFile(`${out}/LICENSES.txt`, licenses);
  await Deno.writeTextFile(`${out}/VERSION`, `${VERSION}\n`);
  await Deno.writeTextFile(`${out}/install.sh`, await installer());
  await Deno.writeTextFile(`${out}/telepresence.rb`, formula(archives));
  await writeSums(out);
}

/** What all archives have beside the program: completions and the man page, which the program itself prints. */
async function makeShare(work: string, bundle: string, level: number): Promise<string> {
  const share = `${work}/share`;
  await Deno.mkdir(share, { recursive: true });
  const target = nativeTarget();
  if (target === undefined) return share;
  await buildOnefile({ target, bundle, out: `${work}/native`, work: `${work}/native-work`, level: Math.min(level, 3) });
  for (const [words, path] of PRINTED) {
    const printed = await requireProgram([`${work}/native`, ...words]);
    await Deno.mkdir(`${share}/${path.replace(/\/[^/]+$/, "")}`, { recursive: true });
    await Deno.writeTextFile(`${share}/${path}`, printed);
  }
  return share;
}

/** What the program prints for other programs, and where they look for it. */
const PRINTED = [
  [["completion", "bash"], "bash-completion/completions/telepresence"],
  [["completion", "zsh"], "zsh/site-functions/_telepresence"],
  [["completion", "fish"], "fish/vendor_completions.d/telepresence.fish"],
  [["man"], "man/man1/telepresence.1"],
] as const;

/** Packs one target: the same order, owners and times whoever does it. */
async function archive(
  target: Target,
  program: string,
  share: string,
  { licenses, stage, epoch, out }: { licenses: string; stage: string; epoch: number; out: string },
): Promise<Archive> {
  const name = `telepresence-${VERSION}-${target.triple}`;
  const root = `${stage}/dist/${target.triple}/${name}`;
  await Deno.mkdir(`${root}/bin`, { recursive: true });
  await Deno.mkdir(`${root}/share/doc`, { recursive: true });
  await Deno.rename(program, `${root}/bin/telepresence`);
  await requireProgram(["cp", "-R", `${share}/.`, `${root}/share`]);
  await Deno.mkdir(`${root}/share/doc/telepresence`);
  await Deno.copyFile(`${stage}/LICENSE`, `${root}/share/doc/telepresence/LICENSE`);
  await Deno.writeTextFile(`${root}/share/doc/telepresence/LICENSES.txt`, licenses);
  const same = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", `--mtime=@${epoch}`, "--mode=u=rwX,go=rX"];
  const tar = `${root}.tar`;
  await requireProgram(["tar", "--format=ustar", ...same, "-cf", tar, "-C", root.replace(/\/[^/]+$/, ""), name]);
  const stream = (await Deno.open(tar)).readable.pipeThrough(new CompressionStream("gzip"));
  const path = `${out}/${name}.tar.gz`;
  await Deno.writeFile(path, stream);
  return { target, name, sum: await sumOf(path) };
}

/** `install.sh` as it is published: with the version, and a line for each target. */
export async function installer(): Promise<string> {
  const cases = TARGETS.flatMap(({ os, arch, triple }) => {
    const system = os === "linux" ? "Linux" : "Darwin";
    const machines = arch === "x86_64" ? ["x86_64", "amd64"] : ["aarch64", "arm64"];
    return `        ${machines.map((machine) => `"${system} ${machine}"`).join(" | ")}) echo ${triple} ;;`;
  });
  const template = await Deno.readTextFile(`${HERE}install.sh`);
  return template.replaceAll("@VERSION@", VERSION).replaceAll("@RELEASES@", RELEASES).replace(
    "@CASES@",
    cases.join("\n"),
  );
}

async function writeSums(out: string): Promise<void> {
  const names = (await Array.fromAsync(Deno.readDir(out))).map(({ name }) => name).filter((name) =>
    name !== "SHA256SUMS"
  );
  const lines = await Promise.all(names.sort().map(async (name) => `${await sumOf(`${out}/${name}`)}  ${name}\n`));
  await Deno.writeTextFile(`${out}/SHA256SUMS`, lines.join(""));
}

async function sumOf(path: string): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", await Deno.readFile(path))).toHex();
}
