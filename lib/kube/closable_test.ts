import assert from "node:assert/strict";
import { closable } from "./closable.ts";

/** Gives numbers, and waits for its signal after the second one. */
async function* numbers(signal: AbortSignal, ended: () => void): AsyncGenerator<number, void, void> {
  try {
    yield 1;
    yield 2;
    const { promise, reject } = Promise.withResolvers<never>();
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    await promise;
  } finally {
    ended();
  }
}

Deno.test("closable() ends a generator that waits for its next item", async () => {
  let ended = 0;
  const iterator = closable((signal) => numbers(signal, () => ended++), undefined)[Symbol.asyncIterator]();
  assert.deepEqual([(await iterator.next()).value, (await iterator.next()).value], [1, 2]);
  const waiting = iterator.next();
  await iterator.return?.();
  assert.equal((await waiting).done, true);
  assert.equal((await iterator.next()).done, true);
  assert.equal(ended, 1);
});

Deno.test("closable() throws the signal's reason, and ends its generator when the loop is left", async () => {
  let ended = 0;
  for await (const _ of closable((signal) => numbers(signal, () => ended++), undefined)) break;
  assert.equal(ended, 1);
  const controller = new AbortController();
  const reason = new Error("enough");
  await assert.rejects(async () => {
    for await (const item of closable((signal) => numbers(signal, () => ended++), controller.signal)) {
      if (item === 2) queueMicrotask(() => controller.abort(reason));
    }
  }, reason);
  assert.equal(ended, 2);
});
