import { deepStrictEqual as equals, ok } from "node:assert/strict";
import { collectGarbage, keepHeapSmall, keepYoungSmall } from "./memory.ts";

Deno.test({
  name: "collectGarbage() frees what nobody uses, the memory of buffers too",
  async fn() {
    const [before, after] = [await litter(), Deno.memoryUsage().external];
    await collectGarbage();
    ok(after - Deno.memoryUsage().external > 30e6, `${after - Deno.memoryUsage().external} bytes were freed`);
    equals(before.deref(), undefined);
  },
});

/** Leaves 40 MB of buffers that nobody uses, in another turn than the one that looks. */
async function litter(): Promise<WeakRef<Uint8Array>> {
  const buffers = Array.from({ length: 320 }, () => new Uint8Array(128 * 1024).fill(1));
  const last = new WeakRef(buffers.at(-1) ?? new Uint8Array());
  await new Promise((resolve) => setTimeout(resolve, 1));
  return last;
}

Deno.test({
  name: "keepHeapSmall() sets the C library's allocator, where it is glibc and may be asked",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const isGlibc = Deno.build.env !== "musl";
    equals(await keepHeapSmall(), isGlibc);
  },
});

Deno.test({
  name: "keepHeapSmall() does nothing, and asks nobody, without the permission to call foreign functions",
  permissions: { ffi: false },
  async fn() {
    equals(await keepHeapSmall(), false);
  },
});

Deno.test("keepYoungSmall() bounds where the engine puts what is new", async () => {
  const { default: v8 } = await import("node:v8");
  await keepYoungSmall();
  const kept: unknown[] = [];
  for (let index = 0; index < 1e6; index++) kept[index % 100_000] = { index, more: [index] };
  const young = v8.getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space");
  ok(young !== undefined && young.space_size < 20e6, `${young?.space_size} bytes`);
});
