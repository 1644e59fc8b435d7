import { deepStrictEqual as equals, ok } from "node:assert/strict";
import { dirname, join, resolve } from "node:path";
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

Deno.test("within the rooms, too, no file reaches itself by its imports", async () => {
  const lib = resolve(import.meta.dirname ?? "", "../lib");
  const imports = new Map<string, readonly string[]>();
  for await (const path of sources(lib)) {
    const text = await Deno.readTextFile(path);
    const words = [...text.matchAll(/^(?:import|export) [^;]*?from "(\.[^"]+|@\/[^"]+)";/gm)].map(([, word = ""]) =>
      word
    );
    imports.set(
      path,
      words.map((word) => word.startsWith("@/") ? join(lib, word.slice(2)) : join(dirname(path), word)),
    );
  }
  ok(imports.size > 200, "the sources were found");
  const done = new Set<string>();
  const visit = (path: string, way: readonly string[]): void => {
    ok(
      !way.includes(path),
      [...way.slice(way.indexOf(path)), path].map((each) => each.slice(lib.length + 1)).join(" > "),
    );
    if (done.has(path)) return;
    for (const next of imports.get(path) ?? []) visit(next, [...way, path]);
    done.add(path);
  };
  for (const path of imports.keys()) visit(path, []);
});

async function* sources(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) yield* sources(join(folder, name));
    else if (name.endsWith(".ts") && !name.endsWith("_test.ts")) yield join(folder, name);
  }
}
