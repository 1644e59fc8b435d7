import { deepStrictEqual as equals, strictEqual as equal } from "node:assert/strict";

/** Runs a few lines that have a `host`, behind a shell's pipe. */
async function runLines(lines: string, behind: string) {
  const code = `import { systemHost } from "${import.meta.resolve("./host.ts")}";
    const host = systemHost({ version: "", reportTo: "", exit: Deno.exit, run: () => Promise.resolve(0) });
    ${lines}`;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, code);
    const config = new URL(import.meta.resolve("../../deno.json")).pathname;
    const deno = `${Deno.execPath()} run -A --no-check --quiet --config ${config} ${file}`;
    const { stdout } = await new Deno.Command("sh", { args: ["-c", behind.replace("PROGRAM", deno)] }).output();
    return new TextDecoder().decode(stdout);
  } finally {
    await Deno.remove(file);
  }
}

Deno.test("systemHost() writes all of it to a slow reader, and goes on when the reader is gone", async (t) => {
  await t.step("a slow reader", async () => {
    const text = await runLines(`host.writeStdout("x".repeat(500_000));`, "PROGRAM | { sleep 0.3; wc -c; }");
    equal(text.trim(), "500000");
  });
  await t.step("no reader", async () => {
    const lines = `for (let i = 0; i < 50; i++) { host.writeStdout("x".repeat(5000)); host.writeStderr("x"); }
      await Deno.writeTextFile(host.env["DONE"], "done");`;
    const done = await Deno.makeTempFile();
    try {
      await runLines(lines, `DONE=${done} PROGRAM 2>&1 | true`);
      equal(await Deno.readTextFile(done), "done");
    } finally {
      await Deno.remove(done);
    }
  });
});

Deno.test("systemHost() tells what kept its words from a file, and nothing of a reader that is gone", async (t) => {
  const lines = `host.writeStderr(host.writeStdout("x".repeat(100_000))?.name ?? "nothing");`;
  await t.step("a full disk", async () => {
    equal(await runLines(lines, "PROGRAM 2>&1 >/dev/full"), "Error");
  });
  await t.step("a reader that is gone", async () => {
    equal(await runLines(lines, "{ { PROGRAM 2>&3 | true; } 3>&1; }"), "nothing");
  });
});

Deno.test("systemHost() leaves out the directory that was set for our own runtime, and none of the user's", async () => {
  const lines = `const names = Object.keys(host.env).filter((name) => name.startsWith("DENO_DIR"));
    host.writeStdout(names.join() + ";");`;
  const directory = await Deno.makeTempDir();
  try {
    equal(await runLines(lines, `DENO_DIR=${directory} DENO_DIR_BY=telepresence PROGRAM`), ";");
    equal(await runLines(lines, `DENO_DIR=${directory} PROGRAM`), "DENO_DIR;");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("systemHost() leaves out the variable that was set for our own runtime, and no other", async () => {
  const lines = `const names = Object.keys(host.env).filter((name) => name.startsWith("DENO_NO_UPDATE"));
    host.writeStdout(names.join() + ";");`;
  const marked = await runLines(lines, "DENO_NO_UPDATE_CHECK=1 DENO_NO_UPDATE_CHECK_BY=telepresence PROGRAM");
  equal(marked, ";");
  equal(await runLines(lines, "DENO_NO_UPDATE_CHECK=1 PROGRAM"), "DENO_NO_UPDATE_CHECK;");
});

Deno.test("systemHost() knows whether it talks to a terminal", async () => {
  const text = await runLines(
    `host.writeStdout(JSON.stringify([host.stderrIsTerminal, host.columns() ?? null, host.home !== ""]));`,
    "PROGRAM < /dev/null 2> /dev/null",
  );
  equals(JSON.parse(text), [false, null, true]);
});
