import { closeQuietly, type Duplex, writeAll } from "./duplex.ts";
import { spendTurn } from "./turns.ts";

/**
 * Large enough that the cost of a call does not show: 256 KiB carried 1.5 GB/s where 16 KiB carried 1.1. A little less
 * than that, as a stream of a tunnel takes 131 004 bytes at a time: of 256 KiB it made a third message, of 136 bytes.
 */
export const SPLICE_BYTES = 2 * 131_004;
/** What a connection begins with: most never fill it, and hundreds may be open. */
const FIRST_BUFFER_BYTES = 16 * 1024;
/** How many of those are kept for the next connection: a MiB. */
const MOST_FIRST_BUFFERS = 64;

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
  await Promise.all([carry(a, b).catch(fail), carry(b, a).catch(fail)]);
  closeQuietly(a);
  closeQuietly(b);
  return reason;
}

async function carry(from: Duplex, to: Duplex): Promise<void> {
  let buffer = firstBuffers.pop() ?? new Uint8Array(FIRST_BUFFER_BYTES);
  for (let count; (count = await from.read(buffer)) !== null;) {
    await writeAll(to, buffer.subarray(0, count));
    await spendTurn(count);
    if (count < buffer.length || count === SPLICE_BYTES) continue;
    giveBack(buffer);
    buffer = new Uint8Array(SPLICE_BYTES);
  }
  giveBack(buffer); // after an error nobody knows whether a call still looks at it
  await to.closeWrite();
}

/** Buffers of connections that have ended: short ones come by the hundred, and each would leave two to be collected. */
const firstBuffers: Uint8Array<ArrayBuffer>[] = [];

function giveBack(buffer: Uint8Array<ArrayBuffer>): void {
  if (buffer.length === FIRST_BUFFER_BYTES && firstBuffers.length < MOST_FIRST_BUFFERS) firstBuffers.push(buffer);
}
