import type { Duplex } from "@/util/mod.ts";

/** What a connection is made of that shares its carrier with other things: messages, frames, channels. */
export interface Pieces {
  /** Steps to the next piece of the connection's bytes, dealing with all else on the way. @returns false at their end */
  next(): Promise<boolean>;
  /** Reads some of the current piece; `null` at its end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Sends some of `bytes`, and says how many. */
  write(bytes: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  close(): void;
}

/**
 * The connection that pieces make. The first error of either direction ends both, and is what every later call throws;
 * a piece is read only when somebody reads, so back-pressure is the carrier's.
 */
export function pieceDuplex(pieces: Pieces): Duplex {
  let failure: Error | undefined;
  let inside = false;
  const fail = (error: unknown): never => {
    failure ??= error instanceof Error ? error : new Error(String(error));
    pieces.close();
    throw failure;
  };
  return {
    async read(into) {
      if (failure !== undefined) throw failure;
      try {
        for (;;) {
          const count = inside ? await pieces.read(into) : null;
          if (count !== null) return count;
          inside = await pieces.next();
          if (!inside) return null;
        }
      } catch (error) {
        return fail(error);
      }
    },
    async write(bytes) {
      if (failure !== undefined) throw failure;
      try {
        return await pieces.write(bytes);
      } catch (error) {
        return fail(error);
      }
    },
    closeWrite: () => pieces.closeWrite(),
    close() {
      failure ??= new Error("Connection was closed by us");
      pieces.close();
    },
  };
}
