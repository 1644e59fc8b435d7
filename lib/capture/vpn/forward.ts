import { type Log, silentLog } from "@/log/mod.ts";
import { closeQuietly, deadline, messageOf, writeAll } from "@/util/mod.ts";
import { readFrames, toFrame } from "../frames.ts";
import type { Machine } from "./machine.ts";
import type { Forward } from "./split_dns.ts";

/** How long a server is waited for: who asked has given up by then, or asks again. */
const SERVER_MS = 5_000;
/** Where name servers listen. */
const DNS_PORT = 53;

/**
 * Asks the server of this machine's own network that the program asked, by the transport that it chose: both carry a
 * query with its size before it, one over TCP (RFC 1035, section 4.2.2), the other to the helper.
 */
export function forwardTo(machine: Pick<Machine, "outside">, server: string, log: Log = silentLog): Forward {
  return async (query, transport) => {
    try {
      const conn = await machine.outside(transport, { address: server, port: DNS_PORT });
      using late = deadline(SERVER_MS, () => new Error("no answer"));
      const close = () => closeQuietly(conn);
      late.signal.addEventListener("abort", close);
      try {
        await writeAll(conn, toFrame(query));
        for await (const answer of readFrames(conn)) {
          if (answer[0] === query[0] && answer[1] === query[1]) return answer;
        }
        return undefined;
      } finally {
        close();
      }
    } catch (error) {
      log.debug(`dns: ${server} by ${transport}: ${messageOf(error)}`);
      return undefined;
    }
  };
}
