import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { CLAIMS } from "./readme_claims.ts";

const ROOT = new URL("../", import.meta.url);
const README = await Deno.readTextFile(new URL("README.md", ROOT));

/** Paragraphs and items, one line each: all of the README but its headings, comments and blocks. */
function blocksOf(page: string): string[] {
  return page
    .replace(/^```.*?^```$/gms, "")
    .replace(/^<!--.*?-->$/gms, "")
    .replace(/^#.*$/gm, "")
    .split(/\n{2,}|\n(?=- )/)
    .map((block) => block.trim().replaceAll(/\s+/g, " "))
    .filter((block) => block !== "");
}

/** These say where something is, and claim nothing. */
const SIGNPOSTS = ["[ARCHITECTURE.md](ARCHITECTURE.md)"];

Deno.test("each paragraph and item of the README has a test", () => {
  const without = blocksOf(README).filter((block) =>
    ![...CLAIMS.map(([words]) => words), ...SIGNPOSTS].some((words) => block.includes(words))
  );
  equals(without, [], "a row in tools/readme_claims.ts says which test proves it");
});

Deno.test("each claim is in the README, and its tests are where they are said to be", async () => {
  const text = README.replaceAll(/\s+/g, " ");
  const lost: string[] = [];
  for (const [words, ...tests] of CLAIMS) {
    if (!text.includes(words)) lost.push(`README.md does not say "${words}"`);
    ok(tests.length > 0, words);
    for (const [file, title] of tests) {
      const source = await Deno.readTextFile(new URL(file, ROOT)).catch(() => "");
      if (!source.includes(title)) lost.push(`${file} has no test "${title}"`);
    }
  }
  equals(lost, []);
});

Deno.test("the README opens with the block that shows the point, and fits two screens", () => {
  const lines = README.split("\n");
  const first = lines.findIndex((line) => line.startsWith("```"));
  ok(first < 10, `the first block begins in line ${first + 1}`);
  match(lines[first + 1] ?? "", /^\$ telepresence --run curl /);
  // Two of a large terminal: 60 lines of 120 columns.
  ok(lines.length <= 120, `${lines.length} lines`);
  for (const line of lines) ok(line.length <= 200, line);
});

Deno.test("the agent is as large as the README says", async () => {
  const { size } = await Deno.stat(new URL("build/agent.js", ROOT));
  ok(size > 90_000 && size < 115_000, `${size} bytes`);
});

Deno.test("a console block that docs_test.ts does not run names the test that does", async () => {
  const namesIn = async (folder: string) => await Array.fromAsync(Deno.readDir(new URL(folder, ROOT)));
  const docs = (await namesIn("docs/")).map(({ name }) => `docs/${name}`);
  const folders = (await namesIn("tests/")).filter(({ isDirectory }) => isDirectory);
  const tests = new Set(
    (await Promise.all(folders.map(({ name }) => namesIn(`tests/${name}/`)))).flat().map(({ name }) => name),
  );
  const unproved: string[] = [];
  for (const page of ["README.md", ...docs.filter((name) => name.endsWith(".md"))]) {
    const text = await Deno.readTextFile(new URL(page, ROOT));
    for (const [, why = ""] of text.matchAll(/^<!-- not run: (.*) -->$/gm)) {
      const [test] = /\w+_test\.ts/.exec(why) ?? [];
      if (test === undefined || !tests.has(test)) unproved.push(`${page}: ${why}`);
    }
  }
  equals(unproved, ["README.md: these are what runs it"]); // make demo, make test
});
