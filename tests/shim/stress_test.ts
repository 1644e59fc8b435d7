import { deepStrictEqual as equals, strictEqual as equal } from "node:assert/strict";
import { openWorld, serveEcho } from "./harness.ts";

Deno.test("Many threads connect, resolve and fork at once, and nothing is left open", async () => {
  await using echo = serveEcho();
  await using world = await openWorld({ services: { "10.96.7.7 7": echo.port }, names: { echo: ["10.96.7.7"] } });
  const program = await world.compile("stress.c");
  const before = await sockets();
  const { stdout, stderr } = await world.run([program, "echo", "7", "256", "200"]);
  equals([stdout, stderr], ["0 wrong\n", ""]);
  equal(world.pod.dials.length, 256 * 204);
  for (let i = 0; i < 500 && await sockets() > before; i++) await new Promise((resolve) => setTimeout(resolve, 10));
  equal(await sockets(), before);
});

async function sockets(): Promise<number> {
  const names = (await Array.fromAsync(Deno.readDir("/proc/self/fd"))).map(({ name }) => name);
  const targets = await Promise.all(names.map((name) => Deno.readLink(`/proc/self/fd/${name}`).catch(() => "")));
  return targets.filter((target) => target.startsWith("socket:")).length;
}
