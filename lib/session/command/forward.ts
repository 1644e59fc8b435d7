import type { Log } from "@/log/mod.ts";
import type { Pod } from "@/pod/mod.ts";
import { closeQuietly, messageOf, splice, UserError } from "@/util/mod.ts";

/** What forwarding needs. */
export interface ForwardOptions {
  readonly log: Log;
  readonly signal: AbortSignal;
}

/**
 * Listens on ports of the host's loopback and joins what comes to the same ports of the pod's loopback (`--to-pod`):
 * where the pod's other containers listen. Disposing it closes them.
 *
 * @throws {UserError} when a port is taken
 */
export function forwardToPod(pod: Pod, ports: readonly number[], options: ForwardOptions): AsyncDisposable {
  using stack = new DisposableStack();
  for (const port of ports) {
    const listener = stack.use(listen(port));
    void serve(listener, port, pod, options);
  }
  const owned = stack.move();
  return {
    [Symbol.asyncDispose]() {
      owned.dispose();
      return Promise.resolve();
    },
  };
}

function listen(port: number): Deno.TcpListener {
  try {
    return Deno.listen({ hostname: "127.0.0.1", port });
  } catch (cause) {
    throw new UserError(`Cannot forward port ${port} to the pod: ${messageOf(cause)}`, {
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
