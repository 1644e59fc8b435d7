import { deepStrictEqual as equals, rejects, strictEqual as equal } from "node:assert/strict";
import { runProgram } from "./run.ts";

Deno.test("runProgram() tells what the standard error has while the program runs, and keeps all of it", async () => {
  const folder = await Deno.makeTempDir();
  const parts: string[] = [];
  // It goes on only when its first words were told: told at the end, they would come never.
  const onStderr = (text: string) => {
    parts.push(text);
    if (parts.length === 1) Deno.writeTextFileSync(`${folder}/go`, "");
  };
  const script =
    `printf 'grüß ' >&2; until [ -e '${folder}/go' ]; do sleep 0.01; done; echo dich >&2; echo out; exit 3`;
  const finished = await runProgram(["sh", "-c", script], { onStderr, signal: AbortSignal.timeout(20_000) });
  equals(finished, { code: 3, stdout: "out\n", stderr: "grüß dich\n" });
  equals(parts.join(""), "grüß dich\n");
  equal(parts[0], "grüß ");
  await Deno.remove(folder, { recursive: true });
});

Deno.test("runProgram() gives a program its input, an empty one, or ours", async () => {
  equal((await runProgram(["cat"], { input: "text" })).stdout, "text");
  equal((await runProgram(["cat"])).stdout, "");
  const own = (await runProgram(["readlink", "/proc/self/fd/0"], { inheritStdin: true })).stdout.trim();
  equal(own, await Deno.readLink("/proc/self/fd/0"));
});

Deno.test("runProgram() gives up a program by its signal", async () => {
  const { code } = await runProgram(["sleep", "30"], { signal: AbortSignal.timeout(50) });
  equal(code, 143);
  await rejects(runProgram(["no-such-program-here"]), /^UserError: Cannot run "no-such-program-here"/);
});
