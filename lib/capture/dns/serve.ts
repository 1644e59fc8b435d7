import { type Log, silentLog } from "@/log/mod.ts";
import { closeQuietly, type Duplex, messageOf, writeAll } from "@/util/mod.ts";
import { readFrames, toFrame } from "../frames.ts";
import type { DnsResponder } from "./answer.ts";

/** How many queries of one connection are answered at a time; the next one is read when one is done (RFC 7766, 6.2.1). */
const MOST_AT_ONCE = 64;

/**
 * How long a socket of a program may ask nothing by UDP before we take it for closed, which nobody tells: each question
 * of libc comes from a new one, asked twice at most.
 */
const IDLE_MS = 15_000;

/**
 * Answers the queries of a connection until it ends: each with its size before it (RFC 1035, section 4.2.2), answered
 * as soon as its answer is there (RFC 7766, section 7).
 *
 * @param transport by which the program asks: what comes by UDP reaches us in frames of the same shape
 */
export async function serveDns(
  duplex: Duplex,
  { responder, transport, log = silentLog }: {
    readonly responder: DnsResponder;
    readonly transport: "udp" | "tcp";
    readonly log?: Log;
  },
): Promise<void> {
  const running = new Set<Promise<void>>();
  let writing = Promise.resolve();
  const serve = async (query: Uint8Array) => {
    const answer = await responder.answer(query, transport);
    if (answer === undefined) return;
    writing = writing.then(() => writeAll(duplex, toFrame(answer)));
    await writing;
  };
  let idle: ReturnType<typeof setTimeout> | undefined;
  const wait = () => {
    clearTimeout(idle);
    if (transport === "udp") idle = setTimeout(() => running.size > 0 ? wait() : closeQuietly(duplex), IDLE_MS);
  };
  wait();
  try {
    for await (const query of readFrames(duplex)) {
      wait();
      const call: Promise<void> = serve(query)
        .catch((error) => log.debug(`dns: ${messageOf(error)}`))
        .finally(() => running.delete(call));
      running.add(call);
      if (running.size >= MOST_AT_ONCE) await Promise.race(running);
    }
    await Promise.all(running);
    await duplex.closeWrite();
  } catch (error) {
    log.debug(`dns connection: ${messageOf(error)}`);
  } finally {
    clearTimeout(idle);
  }
}
