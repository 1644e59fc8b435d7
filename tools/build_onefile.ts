/**
 * Makes `build/telepresence` of the official Deno for this machine and `build/main.js`, where `deno compile` has not got
 * its runtime: `deno run -A tools/build_onefile.ts BUNDLE OUT`.
 *
 * @module
 */
import { messageOf, UserError } from "@/util/mod.ts";
import { buildOnefile } from "./delivery/onefile.ts";
import { nativeTarget } from "./delivery/targets.ts";

const [bundle, out] = Deno.args;
if (bundle === undefined || out === undefined) throw new Error("usage: build_onefile.ts BUNDLE OUT");
const target = nativeTarget();
if (target === undefined) throw new Error(`No Deno of npm is known for ${Deno.build.os} on ${Deno.build.arch}`);
const work = await Deno.realPath("build") + "/onefile";
try {
  // Packed quickly: who builds for himself has the file here, and does not download it.
  await buildOnefile({ target, bundle, out: `${await Deno.realPath(".")}/${out}`, work, level: 3 });
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  Deno.stderr.writeSync(new TextEncoder().encode(`Cannot build ${out}: ${messageOf(error)}\n`));
  Deno.exitCode = 1;
}
