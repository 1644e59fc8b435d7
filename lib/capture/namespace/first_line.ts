import type { Duplex } from "@/util/mod.ts";
import { HelperProtocolError, LINE_BYTES } from "./protocol.ts";

/**
 * Takes the first line of a connection.
 *
 * @returns the line without its newline, and the connection as it is behind it; undefined when it ended before
 * @throws {HelperProtocolError} for a line that is too long or not ASCII
 */
export async function takeFirstLine(duplex: Duplex): Promise<{ line: string; rest: Duplex } | undefined> {
  const buffer = new Uint8Array(4096);
  let filled = 0;
  for (;;) {
    const count = await duplex.read(buffer.subarray(filled));
    if (count === null) return undefined;
    filled += count;
    const end = buffer.subarray(0, Math.min(filled, LINE_BYTES)).indexOf(0x0a);
    if (end < 0 && filled >= LINE_BYTES) throw new HelperProtocolError(`a line has at most ${LINE_BYTES} bytes`);
    if (end < 0) continue;
    const bytes = buffer.subarray(0, end);
    if (bytes.some((byte) => byte < 0x20 || byte > 0x7e)) throw new HelperProtocolError("a line is printable ASCII");
    return { line: new TextDecoder().decode(bytes), rest: withBytesBefore(duplex, buffer.slice(end + 1, filled)) };
  }
}

/** A connection that reads `bytes` before its own. */
function withBytesBefore(duplex: Duplex, bytes: Uint8Array): Duplex {
  let left = bytes;
  return {
    read(into) {
      if (left.length === 0) return duplex.read(into);
      const count = Math.min(left.length, into.length);
      into.set(left.subarray(0, count));
      left = left.subarray(count);
      return Promise.resolve(count);
    },
    write: (chunk) => duplex.write(chunk),
    closeWrite: () => duplex.closeWrite(),
    close: () => duplex.close(),
  };
}
