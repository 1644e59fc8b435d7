import { DialError, toErrnoName } from "@/pod/mod.ts";
import { type Duplex, messageOf } from "@/util/mod.ts";
import { connDuplex } from "./inject/conn_duplex.ts";

/**
 * Connects to a port of the host's loopback.
 *
 * @throws {DialError} when nothing listens there
 */
export async function connectHost(port: number): Promise<Duplex> {
  try {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    conn.setNoDelay(true);
    return connDuplex(conn);
  } catch (error) {
    throw new DialError(toErrnoName(error instanceof Error && "code" in error ? error.code : ""), messageOf(error));
  }
}
