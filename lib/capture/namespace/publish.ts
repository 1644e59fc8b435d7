import { type Log, silentLog } from "@/log/mod.ts";
import { acceptAll, type Duplex, messageOf, splice } from "@/util/mod.ts";
import { connDuplex } from "../inject/conn_duplex.ts";

/** Ports of the inside that are on the host's loopback too. Disposing it closes them. */
export interface Published extends Disposable {
  readonly ports: readonly number[];
  /** Whether the host's listener on a port is one of these. */
  has(port: number): boolean;
}

/**
 * Listens on the host's loopback and joins what comes to listeners of the inside, so that a browser on the host finds
 * what the command serves. A port that the host uses itself, or that needs rights, stays as it is, and the log tells.
 */
export function publishPorts(
  ports: readonly number[],
  connect: (port: number) => Promise<Duplex>,
  { log = silentLog, signal }: { readonly log?: Log; readonly signal: AbortSignal },
): Published {
  using stack = new DisposableStack();
  const open: number[] = [];
  for (const port of new Set(ports)) {
    try {
      const listener = stack.use(Deno.listen({ hostname: "127.0.0.1", port }));
      const tell = (error: unknown) => log.debug(`published port ${port}: ${messageOf(error)}`);
      void acceptAll(listener, (conn) => void join(conn, port, connect, { log, signal }), tell);
      open.push(port);
    } catch (error) {
      log.info(`Port ${port} of the inside is not on the host's loopback: ${messageOf(error)}`);
    }
  }
  const owned = stack.move();
  return { ports: open, has: (port) => open.includes(port), [Symbol.dispose]: () => owned.dispose() };
}

async function join(
  conn: Deno.TcpConn,
  port: number,
  connect: (port: number) => Promise<Duplex>,
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): Promise<void> {
  const host = connDuplex(conn);
  const close = () => host.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    conn.setNoDelay();
    await splice(host, await connect(port));
  } catch (error) {
    log.debug(`published port ${port}: ${messageOf(error)}`);
  } finally {
    signal.removeEventListener("abort", close);
    close();
  }
}
