import { equal as is, ok } from "node:assert/strict";
import { collectGarbage, collectMuchGarbage } from "./memory.ts";

const MIB = 1024 * 1024;

Deno.test("collectMuchGarbage() collects what nobody uses, once, and only where that is much", async () => {
  await collectGarbage();
  const before = Deno.memoryUsage();
  is(await collectMuchGarbage(), false);
  makeObjects();
  const { heapUsed } = Deno.memoryUsage();
  ok(heapUsed - before.heapUsed > 6 * MIB, `${heapUsed - before.heapUsed} bytes of objects`);
  is(await collectMuchGarbage(), true);
  const left = Deno.memoryUsage().heapUsed - before.heapUsed;
  ok(left < MIB, `${left} bytes are left`);
  is(await collectMuchGarbage(), false);
});

Deno.test("collectMuchGarbage() collects buffers", async () => {
  await collectGarbage();
  let buffer: Uint8Array | undefined = new Uint8Array(8 * MIB);
  is(buffer.length, 8 * MIB);
  is(await collectMuchGarbage(), true);
  is(await collectMuchGarbage(), false, "what is still used is not counted again");
  buffer = undefined;
  await collectGarbage();
  const { external } = Deno.memoryUsage();
  ok(external < 8 * MIB, `${external} bytes outside of the heap`);
});

/** Objects that live as long as this runs. */
function makeObjects(): void {
  const all = Array.from({ length: 100_000 }, (_, nth) => ({ nth, text: [nth, nth + 1] }));
  is(all.at(-1)?.nth, 99_999);
}
