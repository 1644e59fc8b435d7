import { deepStrictEqual as equals } from "node:assert/strict";
import { makeLog } from "./mod.ts";

Deno.test("a log shows control characters of others: it is read on terminals, and --logfile - is one", () => {
  const lines: string[] = [];
  const log = makeLog((line) => lines.push(line), { now: () => 0 });
  log.info("event: \x1b]52;c;aGk=\x07\u009b2J\r\nsecond\tline \u202egpj.exe");
  equals(lines, [
    "   0.0 TEL  | event: \\x1b]52;c;aGk=\\x07\\x9b2J",
    "   0.0 TEL  | second\tline \\u202egpj.exe",
  ]);
});
