/** Static programs of musl in the namespace: they ask for both families at once, and one denial ends it for both. */
import { deepStrictEqual as equals } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { runProgram } from "@/process/mod.ts";
import { needing } from "../testkit/needing.ts";
import { insideTest } from "./harness.ts";

const SOURCE = fileURLToPath(new URL("../vpn/musl_names.c", import.meta.url));
const lacks = (await runProgram(["sh", "-c", "command -v musl-gcc"])).code === 0
  ? undefined
  : "musl-gcc is not installed";

const NAMES = {
  "both.default": ["10.96.7.8", "fd00:96::7"],
  "four.default": ["10.96.7.7"],
  "six.default": ["fd00:96::6"],
  "silent.default": [],
};

needing(lacks, insideTest)(
  "musl finds names of both families, of one and of none",
  { services: {}, names: NAMES },
  async ({ run }) => {
    const directory = await Deno.makeTempDir({ prefix: "telepresence-test-" });
    try {
      await Deno.chmod(directory, 0o755);
      const program = `${directory}/names`;
      const built = await runProgram(["musl-gcc", "-static", "-O1", SOURCE, "-o", program]);
      equals(built.code, 0, built.stderr);
      const { stdout } = await run(program, ...Object.keys(NAMES), "nowhere.default");
      equals(stdout.trimEnd().split("\n").map((line) => line.split(" ").sort()), [
        ["10.96.7.8", "both.default:", "fd00:96::7"],
        ["10.96.7.7", "four.default:"],
        ["fd00:96::6", "six.default:"],
        ["Name", "does", "not", "resolve", "silent.default:"],
        ["Name", "does", "not", "nowhere.default:", "resolve"],
      ]);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
);
