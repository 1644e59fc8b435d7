/** What methods know of the host's own names and addresses. */
import dns from "node:dns/promises";

/** The addresses of a name, from the host's libc. @throws when it has none */
export async function resolveOnHost(name: string): Promise<string[]> {
  return (await dns.lookup(name, { all: true })).map(({ address }) => address);
}

/** How long the addresses of the host are taken to be what they were: each connect asks, and the kernel takes a while. */
const FRESH_MS = 1_000;

/** A getter of the addresses of the host's interfaces, those of a second ago at most. */
export function interfaceAddresses(): () => readonly string[] {
  let known: readonly string[] = [];
  let readAt = -Infinity;
  return () => {
    const now = performance.now();
    if (now - readAt > FRESH_MS) {
      known = Deno.networkInterfaces().map(({ address }) => address);
      readAt = now;
    }
    return known;
  };
}
