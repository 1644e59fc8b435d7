import { reasonOf, UserError } from "@/util/mod.ts";

/**
 * Listens on a port of this machine's loopback.
 *
 * @param act what it is for, as the end of "Cannot ..."
 * @throws {UserError} when it is taken
 */
export function listenHere(port: number, act: string): Deno.TcpListener {
  try {
    return Deno.listen({ hostname: "127.0.0.1", port });
  } catch (cause) {
    throw new UserError(`Cannot ${act}: ${reasonOf(cause)}`, {
      hints: [`See who has it: ss --listening --tcp --processes sport = ${port}`],
      cause,
    });
  }
}
