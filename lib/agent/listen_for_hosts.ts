import { type Log, silentLog } from "@/log/mod.ts";
import { closeQuietly } from "@/util/mod.ts";
import { type AgentOptions, serveCarrier } from "./serve.ts";

/** How many connections there may be: strangers that connect and say nothing cost no more than this. */
const MAX_CARRIERS = 64;

/** A listener for carriers. Disposing it ends every link. */
export interface HostListener extends AsyncDisposable {
  readonly port: number;
}

/**
 * Listens on the loopback of the pod for carriers, and serves each.
 *
 * @param port 0 for any
 * @throws {Deno.errors.AddrInUse} when something else in the pod has the port
 */
export function listenForHosts(port: number, options: AgentOptions): HostListener {
  const { log = silentLog }: { log?: Log } = options;
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  const open = new Set<Deno.TcpConn>();
  const served = new Set<Promise<void>>();
  const accepting = (async () => {
    for await (const carrier of listener) {
      if (open.size >= MAX_CARRIERS) {
        carrier.close();
        continue;
      }
      carrier.setNoDelay(true);
      open.add(carrier);
      const serving: Promise<void> = serveCarrier(carrier, options).finally(() => {
        open.delete(carrier);
        served.delete(serving);
      });
      served.add(serving);
    }
  })();
  log.info(`Waiting for the host on port ${listener.addr.port}`);
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      for (const carrier of open) closeQuietly(carrier);
      await Promise.all(served);
    },
  };
}
