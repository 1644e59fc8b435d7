import { deepStrictEqual as equals } from "node:assert/strict";
import { selfCommand } from "./self.ts";

Deno.test("selfCommand() starts the program again however it was delivered", async (t) => {
  const run = "run --allow-all --quiet --no-lock";
  const table: readonly (readonly [string, boolean, string, string])[] = [
    ["compiled", true, "file:///x/main.js", "/bin/tp guardian"],
    [
      "a bundle by file, or unpacked by the one file",
      false,
      "file:///x/main.js",
      `/bin/tp ${run} --no-config file:///x/main.js guardian`,
    ],
    ["sources by file", false, "file:///x/main.ts", `/bin/tp ${run} file:///x/main.ts guardian`],
    ["by URL", false, "https://x/main.js", `/bin/tp ${run} --no-config --cached-only https://x/main.js guardian`],
  ];
  for (const [name, standalone, mainModule, want] of table) {
    await t.step(name, () => {
      equals(selfCommand({ standalone, execPath: "/bin/tp", mainModule }, ["guardian"]).join(" "), want);
    });
  }
});
