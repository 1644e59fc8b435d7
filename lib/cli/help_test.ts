import { ok } from "node:assert/strict";
import { isLater, ROWS } from "./flag_table.ts";
import { help, usage } from "./help.ts";

Deno.test("help() says what can be done", (t) => t.assertSnapshot(help()));

Deno.test("help() has each flag that is built, the log file and the exit codes, at each width", async (t) => {
  for (const columns of [undefined, 40, 59, 60, 80, 200]) {
    await t.step(`${columns} columns`, () => {
      const text = help(columns);
      for (const flag of ROWS.filter((row) => !isLater(row))) ok(text.includes(`\n  ${flag.long}`), flag.long);
      for (const word of ["telepresence.log", "255", "130", "143", "$ telepresence --run"]) {
        ok(text.includes(word), word);
      }
      for (const line of text.split("\n").filter((each) => !each.startsWith("  $"))) {
        ok(line.length <= Math.max(44, columns ?? 80), line);
      }
    });
  }
});

Deno.test("usage() is argparse's form", (t) => t.assertSnapshot(usage()));
