/**
 * Bytes both ways: the one shape of connection in this program.
 *
 * `Deno.TcpConn`, `Deno.UnixConn`, `Deno.TlsConn`, a mux stream and a port-forward fit as they are. Read and write
 * calls rather than web streams, because `pipeTo` on a `Deno.Conn` ends the other direction, and because large reads
 * and writes carry twice the bytes per second of CPU (measured: ARCHITECTURE.md, "Streams").
 */
export interface Duplex {
  /** Reads at least one byte into `into` and says how many; `null` at the peer's end of stream. One call at a time. */
  read(into: Uint8Array): Promise<number | null>;
  /** Waits until a read would not wait: for bytes, the end or an error. It does not throw. Some connections cannot. */
  ready?(): Promise<void>;
  /** Writes some of `bytes` and says how many; waits while the peer is not reading. One call at a time. */
  write(bytes: Uint8Array): Promise<number>;
  /** Ends our direction in order (FIN); the peer's direction stays open. */
  closeWrite(): Promise<void>;
  /** Gives the connection up, both directions; bytes still under way may be lost. Once: see {@linkcode closeQuietly}. */
  close(): void;
}

/** Closes a connection that may be closed already (`Deno.Conn` throws then). */
export function closeQuietly(duplex: Pick<Duplex, "close">): void {
  try {
    duplex.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** Writes all of `bytes`. */
export async function writeAll(duplex: Pick<Duplex, "write">, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length;) offset += await duplex.write(bytes.subarray(offset));
}

/**
 * Fills `into` completely.
 *
 * @returns true when it is full, false when the stream ended before its first byte
 * @throws {UnexpectedEnd} when the stream ends in between
 */
export async function readFull(duplex: Pick<Duplex, "read">, into: Uint8Array): Promise<boolean> {
  let filled = 0;
  while (filled < into.length) {
    const count = await duplex.read(into.subarray(filled));
    if (count === null) {
      if (filled === 0) return false;
      throw new UnexpectedEnd(filled, into.length);
    }
    filled += count;
  }
  return true;
}

/** The peer ended in the middle of something that has a length. */
export class UnexpectedEnd extends Error {
  override readonly name = "UnexpectedEnd";
  constructor(got: number, wanted: number) {
    super(`Connection ended in the middle of a message: got ${got} of ${wanted} bytes`);
  }
}
