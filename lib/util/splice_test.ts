import { deepStrictEqual as equals, ok } from "node:assert/strict";
import type { Duplex } from "./duplex.ts";
import { splice } from "./splice.ts";

/** A connection that gives pieces of these lengths, one a read, and tells how large the buffers were. */
function giver(lengths: readonly number[]) {
  const buffers: number[] = [];
  let at = 0;
  const duplex: Duplex = {
    read(into) {
      buffers.push(into.length);
      const length = lengths[at];
      if (length === undefined) return Promise.resolve(null);
      at++;
      const count = Math.min(length, into.length);
      into.fill(at, 0, count);
      return Promise.resolve(count);
    },
    write: (bytes) => Promise.resolve(bytes.length),
    closeWrite: () => Promise.resolve(),
    close: () => {},
  };
  return { duplex, buffers };
}

/** A connection whose other direction is at its end, and which keeps what it is given. */
function taker() {
  const got: number[] = [];
  const duplex: Duplex = {
    read: () => Promise.resolve(null),
    write(bytes) {
      got.push(bytes.length, bytes[0] ?? 0);
      return Promise.resolve(bytes.length);
    },
    closeWrite: () => Promise.resolve(),
    close: () => {},
  };
  return { duplex, got };
}

Deno.test("splice() gives a connection as large a buffer as it fills, and a small one again when it says little", async () => {
  const { duplex, buffers } = giver([1e6, 1e6, 1e6, 1e6, 100_000, 64, 64, 64]);
  const to = taker();
  equals(await splice(duplex, to.duplex), undefined);
  const [first = 0, second = 0, third = 0, ...later] = buffers;
  ok(first < second && second < third, `${buffers}`);
  equals(later, [third, third, third, second, first, first], "a read that is full enough changes nothing");
  equals(to.got.filter((_, index) => index % 2 === 1), [1, 2, 3, 4, 5, 6, 7, 8], "every piece, in its order");
});

Deno.test("splice() holds no buffer for a connection that can say when it has something, and is idle", async () => {
  const { promise: idle, resolve: wake } = Promise.withResolvers<void>();
  const { duplex, buffers } = giver([]);
  const spliced = splice({ ...duplex, ready: () => idle }, taker().duplex);
  await new Promise((resolve) => setTimeout(resolve, 1));
  equals(buffers, [], "nothing is read before");
  wake();
  equals(await spliced, undefined);
  equals(buffers.length, 1);
});
