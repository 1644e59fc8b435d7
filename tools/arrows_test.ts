import { deepStrictEqual as equals, ok } from "node:assert/strict";
import { arrowsTable, MAY_IMPORT } from "./arrows.ts";

Deno.test("ARCHITECTURE.md shows the table of arrows that lint keeps", async () => {
  const page = await Deno.readTextFile(new URL("../ARCHITECTURE.md", import.meta.url));
  equals(/<!-- arrows -->\n([\s\S]*?)\n<!-- \/arrows -->/.exec(page)?.[1], arrowsTable());
});

Deno.test("the arrows go one way: no room reaches itself", () => {
  const reached = (room: string, seen = new Set<string>()): Set<string> => {
    for (const next of MAY_IMPORT[room] ?? []) if (!seen.has(next)) reached(next, seen.add(next));
    return seen;
  };
  for (const room of Object.keys(MAY_IMPORT)) ok(!reached(room).has(room), room);
});

Deno.test("every room has its row, and its door", async () => {
  for await (const { name } of Deno.readDir(new URL("../lib", import.meta.url))) {
    ok(name in MAY_IMPORT, `lib/${name} is not in the table`);
    ok((await Deno.stat(new URL(`../lib/${name}/mod.ts`, import.meta.url))).isFile);
  }
});
