import type { Log } from "@/log/mod.ts";
import type { Pod } from "@/pod/mod.ts";
import { acceptAll, closeQuietly, messageOf, splice } from "@/util/mod.ts";
import { listenHere } from "../listen_here.ts";

/** What forwarding needs. */
export interface ForwardOptions {
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Ports of the host's loopback that lead to the pod's (`--to-pod`). Disposing it closes them. */
export interface ToPod extends Disposable {
  /** Joins what came and what comes to the same ports of the pod's loopback, where its other containers listen. */
  forward(pod: Pod, options: ForwardOptions): void;
}

/**
 * Listens on these ports of the host's loopback: before there is a pod, so that a port that is taken keeps the session
 * from making anything. Who connects early waits.
 *
 * @throws {UserError} when a port is taken
 */
export function listenToPod(ports: readonly number[]): ToPod {
  using stack = new DisposableStack();
  const listeners = ports.map((port) => ({
    port,
    listener: stack.use(listenHere(port, `forward port ${port} to the pod`)),
  }));
  const owned = stack.move();
  return {
    forward(pod, options) {
      for (const { port, listener } of listeners) {
        const failed = (error: unknown) =>
          options.log.info(`A connection to port ${port} was not accepted: ${messageOf(error)}`);
        void acceptAll(listener, (connection) => void join(connection, port, pod, options), failed);
      }
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

async function join(connection: Deno.TcpConn, port: number, pod: Pod, { log, signal }: ForwardOptions): Promise<void> {
  try {
    connection.setNoDelay(true);
    await splice(connection, await pod.dial({ host: "127.0.0.1", port }, { signal }));
  } catch (error) {
    closeQuietly(connection);
    log.info(`A connection to port ${port} did not reach the pod: ${messageOf(error)}`);
  }
}
