import { closeQuietly, type Duplex, writeAll } from "./duplex.ts";
import { Talk } from "./turns.ts";

/**
 * Large enough that the cost of a call does not show: 256 KiB carried 1.5 GB/s where 16 KiB carried 1.1. A little less
 * than that, as a stream of a tunnel takes 131 004 bytes at a time: of 256 KiB it made a third message, of 136 bytes.
 */
export const SPLICE_BYTES = 2 * 131_004;
/**
 * What a connection has, the smallest first: most never fill it, and hundreds may be open and idle. A full buffer is
 * followed by the next larger one, one that is filled to less than a sixteenth by the next smaller one.
 */
const SIZES = [4 * 1024, 16 * 1024, SPLICE_BYTES] as const;
const TOO_LARGE = 16;
/** How many of each are kept for the next read: no more than a MiB. */
const MOST_KEPT = [64, 48, 2] as const;

/**
 * Joins two connections until both directions have ended, each end of stream passed on as one (half-close). An error
 * on either side ends both at once. The only place in the program that joins streams. It never throws: a reset is a
 * normal end of a connection; the first error is returned for the log.
 *
 * @returns the error that ended the joint, if one did
 */
export async function splice(a: Duplex, b: Duplex): Promise<unknown> {
  let reason: unknown;
  const fail = (error: unknown) => {
    reason ??= error;
    closeQuietly(a);
    closeQuietly(b);
  };
  const talk = new Talk();
  await Promise.all([carry(a, b, talk).catch(fail), carry(b, a, talk).catch(fail)]);
  closeQuietly(a);
  closeQuietly(b);
  return reason;
}

async function carry(from: Duplex, to: Duplex, talk: Talk): Promise<void> {
  for (let size = 0;;) {
    // A stream of the tunnel that is idle holds no buffer; in the middle of bulk it gives its bytes to one that waits.
    if (size === 0) await from.ready?.();
    const buffer = kept[size]?.pop() ?? new Uint8Array(SIZES[size] ?? SPLICE_BYTES);
    const count = await from.read(buffer);
    if (count === null) {
      giveBack(buffer, size);
      break;
    }
    await writeAll(to, buffer.subarray(0, count));
    giveBack(buffer, size); // after an error nobody knows whether a call still looks at it
    await talk.spendTurn(count);
    if (count === buffer.length) size = Math.min(size + 1, SIZES.length - 1);
    else if (count < buffer.length / TOO_LARGE) size = Math.max(size - 1, 0);
  }
  await to.closeWrite();
}

/** Buffers that nobody uses, by size: what is read into one is written before the next read, so they go from hand to hand. */
const kept: readonly Uint8Array<ArrayBuffer>[][] = SIZES.map(() => []);

function giveBack(buffer: Uint8Array<ArrayBuffer>, size: number): void {
  const buffers = kept[size];
  if (buffers !== undefined && buffers.length < (MOST_KEPT[size] ?? 0)) buffers.push(buffer);
}
