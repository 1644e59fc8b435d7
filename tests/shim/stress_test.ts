import { deepStrictEqual as equals, strictEqual as equal } from "node:assert/strict";
import { openWorld, serveEcho } from "./harness.ts";

Deno.test("Many threads connect, resolve and fork at once, and nothing is left open", async () => {
  await using echo = serveEcho();
  await using world = await openWorld({ services: { "10.96.7.7 7": echo.port }, names: { echo: ["10.96.7.7"] } });
  const program = await world.compile("stress.c");
  const before = await descriptors();
  const { stdout, stderr } = await world.run([program, "echo", "7", "64", "50"]);
  equals([stdout, stderr], ["0 wrong\n", ""]);
  equal(world.pod.dials.length, 64 * 51);
  for (let i = 0; i < 200 && await descriptors() > before; i++) await new Promise((resolve) => setTimeout(resolve, 10));
  equal(await descriptors(), before);
});

async function descriptors(): Promise<number> {
  return (await Array.fromAsync(Deno.readDir("/proc/self/fd"))).length;
}
