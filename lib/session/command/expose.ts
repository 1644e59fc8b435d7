import type { Log } from "@/log/mod.ts";
import { DialError, type Pod, type PodConnection, type PodListener, type PodSession } from "@/pod/mod.ts";
import { LinkLost } from "@/transport/mod.ts";
import { closeQuietly, type Duplex, messageOf, splice, UserError } from "@/util/mod.ts";
import type { ExposedPort } from "../plan/plan.ts";

/** What exposing needs. */
export interface ExposeOptions {
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Tells the user, once a port, that nothing listens on the host. */
  readonly say: (line: string) => void;
  /** The other sessions that use the same agent. */
  readonly others: () => Promise<readonly PodSession[]>;
  /** Connects to where the command listens. @throws when nobody listens there */
  readonly connect: (port: number) => Promise<Duplex>;
}

/** Exposed ports. Disposing it closes them in the pod. */
export interface Exposed extends AsyncDisposable {
  /** Rejects when a port was lost. Never resolves before the end. */
  readonly closed: Promise<void>;
}

/**
 * Listens in the pod on every exposed port and joins what comes to the host's loopback.
 *
 * @throws {UserError} that names each port which the pod could not bind, and why
 * @throws {LinkLost} when the pod is gone
 */
export async function exposePorts(pod: Pod, ports: readonly ExposedPort[], options: ExposeOptions): Promise<Exposed> {
  await using stack = new AsyncDisposableStack();
  const bound = await Promise.allSettled(
    ports.map(({ pod: port, loopback = false }) => pod.listen(port, { loopback, signal: options.signal })),
  );
  for (const one of bound) if (one.status === "fulfilled") stack.use(one.value);
  const refused = bound.flatMap((one, index) => {
    return one.status === "rejected" ? [{ port: ports[index]?.pod ?? 0, reason: one.reason }] : [];
  });
  options.signal.throwIfAborted();
  for (const { reason } of refused) if (reason instanceof LinkLost) throw reason;
  if (refused.length > 0) throw await explain(refused, options);
  const serving = bound.map(async (one, index) => {
    const port = ports[index];
    if (one.status === "fulfilled" && port) await serve(one.value, port, options);
  });
  const closed = Promise.all(serving).then(() => {});
  closed.catch(() => {}); // who wants to know, asks
  const owned = stack.move();
  return { closed, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** A port that the pod did not bind. */
interface Refused {
  readonly port: number;
  readonly reason: unknown;
}

async function explain(refused: readonly Refused[], { others, log }: ExposeOptions): Promise<UserError> {
  const sessions = await others().catch((error) => {
    log.info(`The agent does not tell who uses it: ${messageOf(error)}`); // one of an earlier version
    return [];
  });
  const found = refused.map(({ port, reason }) => {
    const isTaken = reason instanceof DialError && reason.code === "EADDRINUSE";
    return { port, reason, holder: isTaken ? sessions.find(({ ports }) => ports.includes(port)) : undefined };
  });
  const lines = found.map(({ port, reason, holder }) => {
    return holder
      ? `  port ${port}: ${holder.by} has it since ${holder.since} (session ${holder.session})`
      : describe(port, reason);
  });
  const isShared = found.some(({ holder }) => holder !== undefined);
  const hints = isShared ? ["--expose LOCAL:REMOTE takes another port of the pod"] : [];
  return new UserError(`Cannot expose all ports:\n${lines.join("\n")}`, { hints });
}

function describe(port: number, error: unknown): string {
  if (!(error instanceof DialError)) return `  port ${port}: ${messageOf(error)}`;
  switch (error.code) {
    case "EADDRINUSE":
      return `  port ${port}: something else in the pod listens there already`;
    case "EACCES":
    case "EPERM":
      return `  port ${port}: the pod may not listen on ports below 1024 (its kubelet is older than 1.22, it uses the ` +
        "node's network, or it is a proxy that was there and whose manifest does not have that port)";
    default:
      return `  port ${port}: ${error.message}`;
  }
}

async function serve(listener: PodListener, port: ExposedPort, options: ExposeOptions): Promise<void> {
  const told = { nobody: false };
  for await (const connection of listener.accepted()) void join(connection, port, told, options);
}

/** Joins one connection. A local server that is not there is the most usual mistake, so it is told, once a port. */
async function join(
  { duplex, from }: PodConnection,
  port: ExposedPort,
  told: { nobody: boolean },
  { log, say, connect }: ExposeOptions,
): Promise<void> {
  let local: Duplex;
  try {
    local = await connect(port.host);
  } catch (error) {
    closeQuietly(duplex);
    log.info(`A connection from ${from.host} to port ${port.pod} found nobody: ${messageOf(error)}`);
    if (!told.nobody) {
      say(
        `Nothing listens on 127.0.0.1:${port.host}, where connections to the pod's port ${port.pod} go ` +
          `(--expose ${port.host}:${port.pod} is LOCAL:REMOTE): ${messageOf(error)}`,
      );
    }
    told.nobody = true;
    return;
  }
  log.debug(`Connection from ${from.host}:${from.port} to port ${port.pod}`);
  const reason = await splice(duplex, local);
  if (reason !== undefined) log.debug(`Connection from ${from.host}:${from.port} ended: ${messageOf(reason)}`);
}
