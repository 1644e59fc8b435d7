import type { DialError, ErrnoName } from "@/pod/mod.ts";
import { closeQuietly, type Duplex } from "@/util/mod.ts";
import { toDialError } from "./errno.ts";
import { lookUp } from "./look_up.ts";

/** How long an attempt has before the next address is tried beside it: RFC 8305, section 5. */
const ATTEMPT_DELAY_MS = 250;

/** What each attempt says of the name as a whole, the most telling first: an answer before a silence before no way. */
const TELLING: readonly ErrnoName[] = ["ECONNREFUSED", "ECONNRESET", "EACCES", "EPERM", "ETIMEDOUT", "EHOSTUNREACH"];

/** Why attempts are stopped when one has won; one for all, as each error made takes a look at the stack. */
const WON = new Error("Another address was faster");

/** Connects to one address. */
export type ConnectTo = (address: string, signal: AbortSignal) => Promise<Duplex>;

/**
 * Connects from the pod to a name or an address. Several addresses race as in RFC 8305: the families take turns, each
 * attempt begins when the one before it failed or took 250 ms, the first connection wins.
 *
 * @throws {LookupError} when the name does not resolve
 * @throws {DialError} with the errno of the attempt that says most
 */
export async function dial(host: string, port: number, signal: AbortSignal): Promise<Duplex> {
  return await race(takeTurns(await lookUp(host, "any")), async (hostname, stopped) => {
    const connection = await Deno.connect({ hostname, port, signal: stopped });
    connection.setNoDelay(true); // what the process writes, it wants sent: Nagle's wait is its own choice, not ours
    return connection;
  }, signal);
}

/** Addresses with the families one after the other, the family of the first one first (RFC 8305, section 4). */
export function takeTurns(addresses: readonly string[]): string[] {
  const isSix = (address: string | undefined) => address?.includes(":") ?? false;
  const first = addresses.filter((address) => isSix(address) === isSix(addresses[0]));
  const second = addresses.filter((address) => isSix(address) !== isSix(addresses[0]));
  const turns = Array.from({ length: Math.max(first.length, second.length) }, (_, index) => {
    return [first[index], second[index]];
  });
  return turns.flat().filter((address) => address !== undefined);
}

/** The first connection of several attempts; those that come later are closed. Exported for its tests. */
export async function race(
  addresses: readonly string[],
  connect: ConnectTo,
  signal: AbortSignal,
  delayMs = ATTEMPT_DELAY_MS,
): Promise<Duplex> {
  const over = new AbortController();
  const stopped = AbortSignal.any([signal, over.signal]);
  const won = Promise.withResolvers<Duplex>();
  const failures: DialError[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let next = 0;
  const begin = () => {
    clearTimeout(timer);
    const address = addresses[next];
    if (address === undefined || stopped.aborted) return;
    next++;
    if (next < addresses.length) timer = setTimeout(begin, delayMs);
    connect(address, stopped).then((connection) => {
      if (stopped.aborted) return closeQuietly(connection); // too late
      over.abort(WON);
      won.resolve(connection);
    }, (error) => {
      if (stopped.aborted) return won.reject(signal.reason); // nobody waits any more, if it is not us who stopped
      failures.push(toDialError(error));
      if (failures.length === addresses.length) won.reject(mostTelling(failures));
      else begin();
    });
  };
  begin();
  try {
    return await won.promise;
  } finally {
    clearTimeout(timer);
  }
}

function mostTelling(failures: readonly DialError[]): DialError | undefined {
  for (const code of TELLING) {
    const found = failures.find((failure) => failure.code === code);
    if (found !== undefined) return found;
  }
  return failures.at(-1);
}
