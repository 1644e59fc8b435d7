import { type Log, silentLog } from "@/log/mod.ts";
import { acceptAll, closeQuietly, messageOf } from "@/util/mod.ts";
import { openLinks } from "./links.ts";
import type { AgentOptions } from "./serve.ts";

/** How many connections may be in their handshake: strangers that connect and say nothing cost no more than this. */
const MAX_STRANGERS = 64;

/** A listener for carriers. Disposing it says goodbye to every host. */
export interface HostListener extends AsyncDisposable {
  readonly port: number;
  /** Resolves when no host has had a link for the time of grace. */
  readonly abandoned: Promise<void>;
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
  const links = openLinks(options);
  const open = new Set<Deno.TcpConn>();
  const served = new Set<Promise<void>>();
  let strangers = 0;
  const accepting = acceptAll(listener, (carrier) => {
    if (strangers >= MAX_STRANGERS) return carrier.close();
    carrier.setNoDelay(true);
    open.add(carrier);
    strangers++;
    let isStranger = true;
    const admit = () => {
      if (isStranger) strangers--;
      isStranger = false;
    };
    const serving: Promise<void> = links.serve(carrier, admit).finally(() => {
      admit();
      open.delete(carrier);
      served.delete(serving);
    });
    served.add(serving);
  }, (error) => log.info(`A carrier could not be accepted: ${messageOf(error)}`));
  log.info(`Waiting for the host on port ${listener.addr.port}`);
  return {
    port: listener.addr.port,
    abandoned: links.abandoned,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      await links[Symbol.asyncDispose]();
      for (const carrier of open) closeQuietly(carrier);
      await Promise.all(served);
    },
  };
}
