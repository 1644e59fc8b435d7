import { closeQuietly, type Duplex, splice } from "@/util/mod.ts";

/**
 * Joins standard input and output to the agent that listens on a port of the loopback, until either ends: for a carrier
 * that can only run a program in the pod (exec). The agent is the one that serves all other carriers, so a link lives
 * over the end of this process as it does over that of a port-forward; this end knows no key and looks at no byte.
 *
 * The process is to end afterwards: a read of standard input may still be under way, which nothing can break off.
 *
 * @throws the system's error when nobody listens there
 */
export async function joinStdio(port: number, { signal }: { signal: AbortSignal }): Promise<void> {
  const over = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => over.resolve(), { once: true }); // it may come while we connect
  const agent = await Deno.connect({ hostname: "127.0.0.1", port });
  agent.setNoDelay(true);
  const stdio: Duplex = {
    read: (into) => Deno.stdin.read(into),
    write: (bytes) => Deno.stdout.write(bytes),
    closeWrite: () => Promise.resolve(over.resolve()), // all is written: who started us sees the end in ours
    close: () => over.resolve(),
  };
  await Promise.race([splice(stdio, agent), over.promise]);
  closeQuietly(agent);
}
