/** The program for arm64, emulated: it unpacks itself, becomes its Deno, and runs our bundle. */
import { deepStrictEqual as equals } from "node:assert/strict";
import { runProgram } from "@/process/mod.ts";
import { VERSION } from "../../version.ts";
import { ARM64_VARIABLES, makeArm64Program, onArm64, whyNoArm64 } from "./arm64.ts";
import { unpackedIn } from "./harness.ts";

const lacking = await whyNoArm64();

Deno.test({
  name: `the program for arm64 unpacks itself and runs${lacking === undefined ? "" : ` (skipped: ${lacking})`}`,
  ignore: lacking !== undefined,
  async fn() {
    const directory = await Deno.makeTempDir({ prefix: "telepresence-test-" });
    try {
      const program = await makeArm64Program(directory);
      const cache = `${directory}/cache`;
      const { code, stdout, stderr } = await runProgram(onArm64([program, "--version"]), {
        clearEnv: true,
        env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", XDG_CACHE_HOME: cache, ...ARM64_VARIABLES },
      });
      equals([code, stdout, stderr], [0, `${VERSION}\n`, ""]);
      equals((await unpackedIn(cache)).map((name) => name.split("-")[0]), ["cache", "deno", "lock", "telepresence"]);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
