import { deepStrictEqual as equals } from "node:assert/strict";
import { notRunnable } from "./not_runnable.ts";

Deno.test("notRunnable() says why a word starts no program, and the next step", async (t) => {
  const cwd = await Deno.makeTempDir();
  await Deno.writeTextFile(`${cwd}/plain`, "words", { mode: 0o644 });
  await Deno.mkdir(`${cwd}/folder`);
  const table: readonly (readonly [string, ...string[]])[] = [
    [
      "nosuch",
      "nosuch: command not found",
      "No directory of PATH has such a program; one of the current directory is ./NAME",
      "What only a shell knows (an alias, a function) takes one: --run bash -ic 'nosuch'",
    ],
    ["./nosuch", "./nosuch: command not found", `There is no such file, seen from ${cwd}`],
    ["./plain", "./plain: Permission denied", "It may not be executed: chmod +x ./plain"],
    [`${cwd}/folder`, `${cwd}/folder: Is a directory`, "Name a program in it"],
    [
      "--help",
      "--help: command not found",
      "Options of telepresence stand before --run: everything behind it is the command",
    ],
    [
      "curl http://web",
      "curl http://web: command not found",
      "It is one word. As several: --run curl http://web",
      "Or by a shell: --run sh -c 'curl http://web'",
    ],
    ["", ": command not found", "Name a command: --run COMMAND, or leave --run away"],
  ];
  try {
    for (const [program, ...want] of table) {
      await t.step(`"${program}"`, () => {
        const { message, hints } = notRunnable(program, cwd);
        equals([message, ...hints], want);
      });
    }
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
});
