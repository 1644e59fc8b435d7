import { deepStrictEqual as equals, ok } from "node:assert/strict";
import { plainPage } from "./_page.ts";

const PAGE = `# Title

A paragraph of words, with a [link](to.md), that is cut where a terminal is narrow
and goes on over two lines.

- An item, which has its text beside its mark even where it takes several lines
- Another

\`\`\`console
$ telepresence --a-command that-is-longer-than-the-terminal --and-is-copied-as-it-is
\`\`\`

| it says | it means that something went wrong | next step |
| ------- | ---------------------------------- | --------- |
| \`no\`    | there is none                      | make one  |
| \`x\`     |                                    | wait      |
`;

Deno.test("plainPage() cuts lines between words, and leaves alone what is to be copied", () => {
  equals(
    plainPage(PAGE, 40),
    `# Title

A paragraph of words, with a link
(to.md), that is cut where a terminal is
narrow and goes on over two lines.

- An item, which has its text beside its
  mark even where it takes several lines
- Another

\`\`\`console
$ telepresence --a-command that-is-longer-than-the-terminal --and-is-copied-as-it-is
\`\`\`

it says: \`no\`
  it means that something went wrong:
  there is none
  next step: make one

it says: \`x\`
  next step: wait
`,
  );
});

Deno.test("plainPage() changes no line where it is wide enough", () => {
  const wide = PAGE.replace("[link](to.md)", "link (to.md)").replace(/^\| -.*\n/m, "");
  equals(plainPage(PAGE), wide);
  equals(plainPage(PAGE, 200), wide);
});

Deno.test("plainPage() fits every page of docs/ into 60 columns, but for what is to be copied and words that are longer", async () => {
  const docs = new URL("../../docs/", import.meta.url);
  for await (const { name } of Deno.readDir(docs)) {
    if (!name.endsWith(".md")) continue;
    const page = plainPage(await Deno.readTextFile(new URL(name, docs)), 60).replace(/^```.*?^```$/gms, "");
    for (const line of page.split("\n")) {
      ok(line.length <= 60 || !line.trim().replace(/^(- |\d+\. )/, "").includes(" "), `${name}: ${line}`);
    }
  }
});
