import type { Log } from "@/log/mod.ts";
import type { Pod } from "@/pod/mod.ts";
import { closeQuietly, messageOf, reasonOf, splice, UserError } from "@/util/mod.ts";

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
  const listeners = ports.map((port) => ({ port, listener: stack.use(listen(port)) }));
  const owned = stack.move();
  return {
    forward(pod, options) {
      for (const { port, listener } of listeners) void serve(listener, port, pod, options);
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

function listen(port: number): Deno.TcpListener {
  try {
    return Deno.listen({ hostname: "127.0.0.1", port });
  } catch (cause) {
    throw new UserError(`Cannot forward port ${port} to the pod: ${reasonOf(cause)}`, {
      hints: [`See who has it: ss --listening --tcp --processes sport = ${port}`],
      cause,
    });
  }
}

async function serve(listener: Deno.TcpListener, port: number, pod: Pod, options: ForwardOptions): Promise<void> {
  try {
    for await (const connection of listener) void join(connection, port, pod, options);
  } catch (error) {
    options.log.info(`The listener on port ${port} failed: ${messageOf(error)}`);
  }
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
