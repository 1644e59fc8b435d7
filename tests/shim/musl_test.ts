/** The same file serves programs of musl: what differs below is musl's own answer to the same question. */
import { deepStrictEqual as equals } from "node:assert/strict";
import { buildShim, hasProgram, openWorld, runWatched, serveEcho, type World } from "./harness.ts";

const PROGRAMS = [
  { source: "descriptors.c", args: ["10.96.7.7", "7", "1", "9", "127.0.0.1"] },
  { source: "stress.c", args: ["echo", "7", "16", "20"] },
] as const;

/** Lines of names.c on which musl has another opinion than glibc, about literals and arguments alone. */
const MUSL_ALONE = /^(NULL hints|literal|bad type|localhost)/;

Deno.test("Programs of musl are carried by the shim that glibc programs have", {
  ignore: !await hasProgram("musl-gcc"),
}, async (t) => {
  await using echo = serveEcho();
  await using world = await openWorld({
    services: { "10.96.7.7 7": echo.port, "10.96.7.7 9": "silence" },
    names: { echo: ["10.96.7.7"], hello: ["10.96.7.7"], both: ["2001:db8::7", "10.96.7.8", "10.96.7.7"] },
  });
  for (const { source, args } of PROGRAMS) {
    await t.step(source, async () => {
      const [glibc, musl] = await both(world, source, args);
      equals([musl, world.log.filter((line) => line.includes("goes around"))], [glibc, []]);
    });
  }
  await t.step("names.c", async () => {
    const [glibc, musl] = (await both(world, "names.c", [])).map((text) =>
      text.split("\n").filter((line) => !MUSL_ALONE.test(line))
    );
    equals(musl, glibc);
  });
  await t.step("a glibc program that starts it", async () => {
    const program = await world.compile("stress.c", [], "musl-gcc");
    const { stdout, stderr } = await world.run(["env", "-i", "bash", "-c", `${program} echo 7 2 2`]);
    equals([stdout, stderr], ["0 wrong\n", ""]);
  });
});

Deno.test("A program for arm64 is carried by the shim for arm64", {
  ignore: !await hasProgram("aarch64-linux-gnu-gcc") || !await hasProgram("qemu-aarch64"),
}, async () => {
  await using echo = serveEcho();
  let release = () => {};
  await using world = await openWorld({
    services: { "10.96.7.7 7": echo.port, "10.96.7.7 1": "EHOSTUNREACH" },
    names: { echo: ["10.96.7.7"] },
    held: () => new Promise<void>((resolve) => release = resolve),
  }, { shim: await buildShim("CC=aarch64-linux-gnu-gcc") });
  const program = await world.compile("async.c", [], "aarch64-linux-gnu-gcc");
  // The emulator is a program of this machine: the variables are for the program inside alone.
  const inside = Object.entries(world.capture.environment({})).map((entry) => entry.join("=")).join();
  const command = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-E", inside, program, "poll", "10.96.7.7"] as const;
  const run = (port: string) =>
    runWatched([...command, port], { PATH: Deno.env.get("PATH") ?? "" }, (text) => {
      if (/^write/m.test(text)) release();
    });
  equals((await run("7")).slice(-4), ["outcome 0", "peer 0", "peer 10.96.7.7 7", "echo hello"]);
  equals((await run("1")).slice(-2), ["outcome EHOSTUNREACH", "peer ENOTCONN"]);
});

async function both(world: World, source: string, args: readonly string[]): Promise<string[]> {
  const programs = [await world.compile(source), await world.compile(source, [], "musl-gcc")];
  const ran = [];
  for (const program of programs) ran.push(await world.run([program, ...args]));
  return ran.map(({ stdout, stderr }) => stdout + stderr);
}
