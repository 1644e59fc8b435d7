import { deepStrictEqual as equals } from "node:assert/strict";
import { runProgram } from "@/process/mod.ts";
import { VERSION } from "../../version.ts";
import { manPage } from "./man.ts";

const PAGE = new URL("../../docs/telepresence.1", import.meta.url);

Deno.test("docs/telepresence.1 is what the tables say: tools/deno run -A main.ts man > docs/telepresence.1", async () => {
  equals(manPage(VERSION), await Deno.readTextFile(PAGE));
});

/** Programs that read manual pages and say what is wrong with one: their output is empty when nothing is. */
const READERS: readonly (readonly [string, ...string[]])[] = [
  ["man", "--warnings", "--local-file", PAGE.pathname],
  ["groff", "-man", "-ww", "-Tutf8", "-z", PAGE.pathname],
  ["mandoc", "-Tlint", "-Wstyle", PAGE.pathname],
];

for (const [program, ...args] of READERS) {
  const isThere = await runProgram(["sh", "-c", `command -v ${program}`]).then(({ code }) => code === 0);
  Deno.test({
    name: `${program} has nothing to say against the manual page${isThere ? "" : " (skipped: it is not installed)"}`,
    ignore: !isThere,
    async fn() {
      const { code, stdout, stderr } = await runProgram([program, ...args]);
      equals({ code, said: program === "man" ? stderr : stdout + stderr }, { code: 0, said: "" });
    },
  });
}
