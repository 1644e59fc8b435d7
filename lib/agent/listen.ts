import { encodeMessage } from "@/pod/mod.ts";
import type { Log } from "@/log/mod.ts";
import type { Mux, MuxStream } from "@/transport/mod.ts";
import { acceptAll, closeQuietly, messageOf, splice } from "@/util/mod.ts";
import { toDialError } from "./errno.ts";

/**
 * Listens on a port of the pod, on all addresses of both families where there are two.
 *
 * @throws {DialError} with the errno of the bind
 */
export function bind(port: number): Deno.TcpListener {
  try {
    return Deno.listen({ hostname: "::", port }); // takes IPv4 as well, unless the node has no IPv6 at all
  } catch (error) {
    const { code } = toDialError(error);
    if (code !== "EAFNOSUPPORT" && code !== "EADDRNOTAVAIL") throw toDialError(error);
  }
  try {
    return Deno.listen({ hostname: "0.0.0.0", port });
  } catch (error) {
    throw toDialError(error);
  }
}

/** Hands each connection to the host, until the host ends `stream`, which stands for the listener. */
export async function serveListener(
  listener: Deno.TcpListener,
  { number, stream, mux, log }: { number: number; stream: MuxStream; mux: Mux; log: Log },
): Promise<void> {
  const ended = stream.read(new Uint8Array(1)).catch(() => null).then(() => listener.close());
  await acceptAll(
    listener,
    (connection) => void handOver(connection, number, mux, log),
    (error) => log.info(`A connection to port ${listener.addr.port} could not be accepted: ${messageOf(error)}`),
  );
  await ended;
  await stream.closeWrite();
}

async function handOver(connection: Deno.TcpConn, listener: number, mux: Mux, log: Log): Promise<void> {
  try {
    const { hostname, port } = connection.remoteAddr;
    connection.setNoDelay(true);
    const from = { host: hostname.replace(/^::ffff:(?=\d+\.)/, ""), port };
    await splice(connection, await mux.open(encodeMessage({ ask: "accepted", listener, from })));
  } catch (error) {
    log.info(`A connection could not be handed to the host: ${messageOf(error)}`);
    closeQuietly(connection);
  }
}
