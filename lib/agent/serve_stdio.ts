import type { Duplex } from "@/util/mod.ts";
import { openLinks } from "./links.ts";
import type { AgentOptions } from "./serve.ts";

/**
 * Serves one host over standard input and output, for a carrier that starts the agent (exec), until the input ends or
 * `signal` aborts. The link ends with the carrier: another process could not take it up.
 */
export async function serveStdio(options: AgentOptions & { signal: AbortSignal }): Promise<void> {
  const { signal } = options;
  const carrier = stdioDuplex();
  const links = openLinks({ ...options, graceMs: 0 });
  const stop = () => links[Symbol.asyncDispose]();
  signal.addEventListener("abort", stop, { once: true });
  try {
    await links.serve(carrier);
  } finally {
    signal.removeEventListener("abort", stop);
    await links[Symbol.asyncDispose]();
  }
}

/** The process's own standard input and output as a connection. */
function stdioDuplex(): Duplex {
  const closed = Promise.withResolvers<null>();
  return {
    read: (into) => Promise.race([Deno.stdin.read(into), closed.promise]),
    write: (bytes) => Deno.stdout.write(bytes),
    closeWrite: () => Promise.resolve(), // who started us sees our end
    close: () => closed.resolve(null),
  };
}
