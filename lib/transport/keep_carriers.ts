import { type Log, silentLog } from "@/log/mod.ts";
import { deadline, type Duplex, messageOf, sleep } from "@/util/mod.ts";
import { type CarrierName, greetAgent, LinkUnknown, MAX_CARRIERS } from "./handshake.ts";
import type { Link } from "./link.ts";

/** How many carriers a link has before it carries much: one for each lane. */
const FIRST_CARRIERS = 2;
/** After so many bytes the other carriers are worth their cost, */
const MUCH_BYTES = 1024 * 1024;
/**
 * on a path that takes at least so long there and back: they help where one connection waits for its window, or for a
 * packet that was lost. On a shorter one they cost more than they bring (measured: docs/benchmarks.md).
 */
const FAR_MS = 8;
/** How often it is looked whether more carriers are worth it. */
const LOOK_MS = 250;
/** How long one attempt may take: a connection through two proxies, and a handshake. */
const ATTEMPT_MS = 10_000;
/** Default and most of the pauses between attempts. */
const PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

/** What a dial is for. */
export interface DialOptions {
  readonly signal: AbortSignal;
  readonly carrier: number;
  readonly attempt: number;
}

/** How carriers are made. */
export interface CarrierOptions {
  /**
   * Opens a connection to the agent's port, for the carrier of that index. `attempt` counts from 0 those that failed
   * one after another, in the dial or after it: where there are several ways, the next one may take another.
   */
  readonly dial: (options: DialOptions) => Promise<Duplex>;
  /** The session's private key. */
  readonly key: CryptoKey;
  /** Our version, as text. */
  readonly version: string;
  /** How many there are at most, 1 to 4. @default {4} */
  readonly carriers?: number;
  /** Asked after a failed attempt: why there is no use in another one, or undefined. It does not throw. */
  readonly gone?: (error: unknown) => Promise<Error | undefined>;
  /** A number from 0 to 1, for the jitter of pauses. @default {Math.random} */
  readonly random?: () => number;
  /** The pause after a first failed attempt; each further one doubles it, up to 5 s. @default {100 ms} */
  readonly pauseMs?: number;
  readonly log?: Log;
}

/**
 * Keeps carriers of a link up from the host's end: opens those that are missing, again when one is lost, with pauses
 * that grow and differ by chance, until the link ends. One for each lane at first, more once much is carried far.
 *
 * @param first the carrier with which the link began, its handshake done
 * @returns when the link is over and no attempt is under way
 */
export async function keepCarriers(
  link: Link,
  first: { name: CarrierName; duplex: Duplex },
  options: CarrierOptions,
): Promise<void> {
  const { carriers = MAX_CARRIERS } = options;
  const ended = new AbortController();
  const keepers: Promise<void>[] = [];
  const keep = (index: number, lost?: Promise<unknown>) => {
    const name = { ...first.name, carrier: index, fresh: false };
    keepers.push(keepCarrier(link, name, { ...options, lost, signal: ended.signal }));
  };
  keep(0, link.attach(0, first.duplex));
  for (let index = 1; index < Math.min(FIRST_CARRIERS, carriers); index++) keep(index);
  const looking = setInterval(() => {
    if (link.traffic < MUCH_BYTES || link.pathMs < FAR_MS) return;
    clearInterval(looking);
    for (let index = FIRST_CARRIERS; index < carriers; index++) keep(index);
  }, LOOK_MS);
  await link.closed.catch(() => {});
  clearInterval(looking);
  ended.abort();
  await Promise.all(keepers);
}

async function keepCarrier(
  link: Link,
  name: CarrierName,
  options: CarrierOptions & { lost: Promise<unknown> | undefined; signal: AbortSignal },
): Promise<void> {
  const { log = silentLog, signal, gone, random = Math.random, pauseMs = PAUSE_MS } = options;
  let { lost } = options;
  for (let failures = 0; !signal.aborted;) {
    try {
      if (lost !== undefined) await lost;
      lost = undefined;
      if (signal.aborted) return;
      lost = link.attach(name.carrier, await connect(name, failures, options));
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      log.debug(`Carrier ${name.carrier} cannot be opened: ${messageOf(error)}`);
      const reason = await gone?.(error) ?? (error instanceof LinkUnknown ? error : undefined);
      if (reason !== undefined) return link.end(reason);
      await sleep(pauseAfter(failures++, pauseMs, random()), signal).catch(() => {});
    }
  }
}

/**
 * How long to wait after `failures` attempts that failed before this one: doubled each time, up to 5 s, and shortened by
 * up to half by `chance` (0 to 1), so that the hosts that a server's restart has cut off do not come back all at once.
 */
export function pauseAfter(failures: number, firstMs: number, chance: number): number {
  return Math.min(LONGEST_PAUSE_MS, firstMs * 2 ** failures) * (1 - chance / 2);
}

async function connect(
  name: CarrierName,
  attempt: number,
  options: CarrierOptions & { signal: AbortSignal },
): Promise<Duplex> {
  using late = deadline(ATTEMPT_MS, () => new Error("The attempt took too long"));
  const signal = AbortSignal.any([options.signal, late.signal]);
  const duplex = await options.dial({ signal, carrier: name.carrier, attempt });
  await greetAgent(duplex, options.key, { version: options.version, name, signal });
  return duplex;
}
