/**
 * The program for arm64 on a machine that is not: built as it is published, and run by the emulator of Debian. The
 * kernel is told of the emulator in a namespace of the test's own (binfmt_misc, Linux 6.7 or newer), so that what an
 * emulated program starts is emulated too and nothing of the machine changes.
 *
 * @module
 */
import { requireProgram, runProgram } from "@/process/mod.ts";
import { messageOf } from "@/util/mod.ts";
import { buildOnefile } from "../../tools/delivery/onefile.ts";
import { TARGETS } from "../../tools/delivery/targets.ts";
import { fetchZig, zigVariables } from "../../tools/delivery/zig.ts";

/** A static one: what it emulates is preloaded, and the emulator itself is not. */
const EMULATOR = "qemu-aarch64-static";
/** Where Debian has the libc that programs for arm64 are linked with. */
const LIBRARIES = "/usr/aarch64-linux-gnu";

/** Magic and mask of an ELF file for arm64, executable or shared, as binfmt_misc wants them. */
const MAGIC = String.raw`\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`;
const MASK = String.raw`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`;

/** Registers the emulator, which keeps argv[0] (P) and is opened now (F), and becomes the command. */
const REGISTER = `
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
printf %s ':arm64:M::${MAGIC}:${MASK}:'"$1"':PF' >/proc/sys/fs/binfmt_misc/register
shift
exec "$@"
`;

/** The command that runs another one where programs for arm64 run. */
export function onArm64(command: readonly string[]): [string, ...string[]] {
  const emulator = `/usr/bin/${EMULATOR}`;
  return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", REGISTER, "-", emulator, ...command];
}

/** Variables that it takes. */
export const ARM64_VARIABLES = { QEMU_LD_PREFIX: LIBRARIES } as const;

/** The compiler for programs for arm64. */
export const ARM64_COMPILER = "aarch64-linux-gnu-gcc";

/** Why programs for arm64 cannot be made or run here; undefined when they can. */
export async function whyNoArm64(): Promise<string | undefined> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") return "it takes Linux on x86-64";
  try {
    await requireProgram([ARM64_COMPILER, "--version"]);
    await requireProgram([EMULATOR, "--version"]);
    await Deno.stat(`${LIBRARIES}/lib/ld-linux-aarch64.so.1`);
    await fetchZig();
    const { code, stderr } = await runProgram(onArm64(["true"]));
    return code === 0 ? undefined : `binfmt_misc in a namespace: ${stderr.trim()}`;
  } catch (error) {
    return messageOf(error);
  }
}

/** Makes the program for arm64 as `make dist` does, of the bundle that was built. @returns its path in the directory */
export async function makeArm64Program(directory: string): Promise<string> {
  const [target] = TARGETS.filter(({ os, arch }) => os === "linux" && arch === "aarch64");
  if (target === undefined) throw new Error("No target is Linux on arm64");
  const out = `${directory}/telepresence`;
  const work = `${directory}/work`;
  await Deno.mkdir(work);
  const bundle = new URL("../../build/main.js", import.meta.url).pathname;
  const compiler = `${await fetchZig()}/zig cc -target ${target.zig}`;
  await buildOnefile({ target, bundle, out, work, level: 3, compiler, env: zigVariables() });
  return out;
}
