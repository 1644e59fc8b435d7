import { equal as is } from "node:assert/strict";
import { spendTurn, Talk } from "./turns.ts";

const KIB = 1024;

/** How many turns bulk of 4 MiB takes, where what is said beside it is said at these times (ms before it begins). */
async function turnsOfBulk(say: (at: (ms: number) => void) => Promise<void>): Promise<number> {
  let [now, turns] = [1_000_000, 0];
  const digest = () => (turns++, Promise.resolve(new ArrayBuffer(20)));
  Object.defineProperty(crypto.subtle, "digest", { value: digest, configurable: true });
  Object.defineProperty(performance, "now", { value: () => now, configurable: true });
  try {
    await say((ms) => now += ms);
    turns = 0;
    for (let sent = 0; sent < 4096; sent += 64) await spendTurn(64 * KIB);
    return turns;
  } finally {
    Reflect.deleteProperty(crypto.subtle, "digest");
    Reflect.deleteProperty(performance, "now");
  }
}

Deno.test("turns are short while somebody says little beside bulk, and long while nobody does", async (t) => {
  const words = new Talk();
  await t.step("nobody", async () => is(await turnsOfBulk(() => Promise.resolve()), 8));
  await t.step("somebody", async () => is(await turnsOfBulk(() => words.spendTurn(64)), 64));
  await t.step("somebody, a while ago", async () => {
    const turns = await turnsOfBulk(async (pass) => {
      await words.spendTurn(64);
      pass(100);
    });
    is(turns, 8);
  });
  await t.step("who asks for bulk in small messages", async () => {
    const turns = await turnsOfBulk(async (pass) => {
      pass(1000);
      const file = new Talk();
      await file.spendTurn(64 * KIB);
      pass(50);
      await file.spendTurn(29);
    });
    is(turns, 8);
  });
});
