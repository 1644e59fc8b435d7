import type { Duplex } from "@/util/mod.ts";
import { ProtocolError, REQUEST_BYTES } from "./protocol.ts";

const decoder = new TextDecoder();

/**
 * The lines of a connection, without their newlines; undefined at its end, and for a last line that has none.
 *
 * @returns a function that reads the next line; one call at a time. It throws {@linkcode ProtocolError} for a line that
 *   is too long or not ASCII
 */
export function readLines(duplex: Pick<Duplex, "read">): () => Promise<string | undefined> {
  const buffer = new Uint8Array(REQUEST_BYTES);
  let filled = 0;
  return async () => {
    for (;;) {
      const end = buffer.subarray(0, filled).indexOf(0x0a);
      if (end >= 0) {
        const line = buffer.slice(0, end);
        buffer.copyWithin(0, end + 1, filled);
        filled -= end + 1;
        if (line.some((byte) => byte < 0x20 || byte > 0x7e)) throw new ProtocolError("a line is printable ASCII");
        return decoder.decode(line);
      }
      if (filled === buffer.length) throw new ProtocolError(`a line has at most ${REQUEST_BYTES} bytes`);
      const count = await duplex.read(buffer.subarray(filled));
      if (count === null) return undefined;
      filled += count;
    }
  };
}
