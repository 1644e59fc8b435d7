import type { Log } from "@/log/mod.ts";
import { acceptAll, closeQuietly, messageOf, sleep, writeAll } from "@/util/mod.ts";
import type { SessionRecord } from "../safety/record.ts";
import { lookForOwners, makeTelling, type Snapshot } from "./told_flow.ts";
import type { Traffic } from "./traffic.ts";

/** How often whoever watches is told. */
const TICK_MS = 500;
/** Longest path of a Unix socket, without its terminating zero. */
const SOCKET_PATH_BYTES = 107;

/** Where the socket of a session is: beside its journal. */
export function trafficSocket(directory: string, sessionId: string): string {
  return `${directory}/${sessionId}.sock`;
}

/**
 * Lets the user's other programs watch a session: a Unix socket that only its owner can open. Whoever connects gets a
 * snapshot as a line of JSON, again and again; nobody who connects can change anything. While nobody does, it costs
 * nothing. A session goes on without it where there is no place for it.
 */
export async function serveTraffic(
  traffic: Traffic,
  path: string,
  { record, place, log, tickMs = TICK_MS }: {
    readonly record: Pick<SessionRecord, "sessionId" | "doing" | "since">;
    /** Where the session is: the name of its pod may become another one. */
    readonly place: { readonly pod: string };
    readonly log: Log;
    readonly tickMs?: number;
  },
): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const ending = new AbortController();
  try {
    if (new TextEncoder().encode(path).length > SOCKET_PATH_BYTES) throw new Error("the path is too long for a socket");
    await Deno.remove(path).catch(() => {});
    const listener = stack.use(Deno.listen({ transport: "unix", path }));
    stack.defer(() => Deno.remove(path).catch(() => {}));
    await Deno.chmod(path, 0o600);
    const serving = new Set<Promise<void>>();
    const serve = (conn: Deno.UnixConn) => {
      const call = tellAll(conn).finally(() => serving.delete(call));
      serving.add(call);
    };
    acceptAll(listener, serve, (error) => log.debug(`cannot accept: ${messageOf(error)}`))
      .catch((error) => log.info(`Nobody can watch any more: ${messageOf(error)}`));
    stack.defer(async () => {
      ending.abort();
      await Promise.allSettled(serving);
    });
  } catch (error) {
    log.info(`Nobody can watch this session (${path}): ${messageOf(error)}`);
  }
  const owned = stack.move();
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() };

  async function tellAll(conn: Deno.UnixConn): Promise<void> {
    const telling = makeTelling(traffic);
    using _looking = lookForOwners(traffic, telling);
    await telling.findOwners(traffic.flows());
    try {
      for (;;) {
        const flows = traffic.flows();
        const { sessionId: session, doing, since } = record;
        const snapshot: Snapshot = {
          session: session.slice(0, 10),
          doing,
          pod: place.pod,
          since,
          at: Date.now(),
          totals: traffic.totals(),
          flows: flows.map(telling.tell),
        };
        await writeAll(conn, new TextEncoder().encode(`${JSON.stringify(snapshot)}\n`));
        await sleep(tickMs, ending.signal);
      }
    } catch {
      closeQuietly(conn); // who watched is gone, or the session ends
    }
  }
}
