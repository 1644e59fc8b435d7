import { DialError, toErrnoName } from "@/pod/mod.ts";
import { type Duplex, messageOf } from "@/util/mod.ts";
import { lookUp } from "./look_up.ts";

/**
 * Connects from the pod to a name or an address: each address of the name in its turn, until one answers.
 *
 * @throws {LookupError} when the name does not resolve
 * @throws {DialError} with the errno of the last address
 */
export async function dial(host: string, port: number, signal: AbortSignal): Promise<Duplex> {
  let failure: unknown;
  for (const hostname of await lookUp(host, "any")) {
    try {
      const connection = await Deno.connect({ hostname, port, signal });
      connection.setNoDelay(true); // what the process writes, it wants sent: Nagle's wait is its own choice, not ours
      return connection;
    } catch (error) {
      signal.throwIfAborted();
      failure = error;
    }
  }
  throw toDialError(failure);
}

/** An error of Deno's network calls as the errno that travels. */
export function toDialError(error: unknown): DialError {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return new DialError(toErrnoName(code), messageOf(error));
}
