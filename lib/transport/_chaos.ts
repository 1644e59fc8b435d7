/**
 * A carrier that behaves as badly as a carrier can, by a seed: it cuts writes into pieces, delays them, is cut off in
 * the middle of one, and now and then swaps two. For tests.
 *
 * @module
 */
import { type Duplex, duplexPair, sleep, writeAll } from "@/util/mod.ts";

/** Numbers that look random and are the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ state >>> 15, state | 1);
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61);
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  };
}

/** How much mischief is left: a run that is cut for ever proves nothing. */
export interface Mischief {
  readonly random: () => number;
  cuts: number;
  swaps: number;
}

/** A pair of ends with mischief on both ways. */
export function chaosPair(mischief: Mischief): [Duplex, Duplex] {
  const { random } = mischief;
  const [a, b] = duplexPair({ capacityBytes: 1 + Math.floor(random() * 100_000), chunkBytes: pick(random, CHUNKS) });
  const cut = () => {
    a.close();
    b.close();
  };
  return [misbehave(a, cut, mischief), misbehave(b, cut, mischief)];
}

const CHUNKS = [1 << 20, 65536, 4096, 777, 33];

/** One of several. */
export function pick<T>(random: () => number, from: readonly T[]): T {
  const picked = from[Math.floor(random() * from.length)];
  if (picked === undefined) throw new RangeError("Nothing to pick from");
  return picked;
}

function misbehave(end: Duplex, cut: () => void, mischief: Mischief): Duplex {
  const { random } = mischief;
  let kept: Uint8Array | undefined;
  return {
    read: (into) => end.read(into),
    async write(bytes) {
      if (random() < 0.1) await sleep(random() * 3);
      if (mischief.cuts > 0 && random() < 0.1) {
        mischief.cuts--;
        const part = bytes.subarray(0, Math.floor(random() * bytes.length));
        writeAll(end, part).catch(() => {}); // nobody may be reading
        await sleep(1);
        cut();
        throw new Deno.errors.ConnectionReset("Cut by the test");
      }
      // A segment is one write: a whole one that comes after the next is what a broken carrier might do.
      if (kept === undefined && mischief.swaps > 0 && bytes.length > 200 && random() < 0.01) {
        mischief.swaps--;
        kept = bytes.slice();
        return bytes.length;
      }
      await writeInPieces(end, bytes, random);
      const late = kept;
      kept = undefined;
      if (late !== undefined) await writeAll(end, late);
      return bytes.length;
    },
    closeWrite: () => end.closeWrite(),
    close: () => end.close(),
  };
}

async function writeInPieces(end: Duplex, bytes: Uint8Array, random: () => number): Promise<void> {
  for (let offset = 0; offset < bytes.length;) {
    const size = random() < 0.5 ? bytes.length : 1 + Math.floor(random() * 5000);
    await writeAll(end, bytes.subarray(offset, offset + size));
    offset += size;
  }
}
