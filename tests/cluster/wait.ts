import { sleep, UserError } from "@/util/mod.ts";

/** How {@linkcode until} waits. */
export interface UntilOptions {
  /** @default {60_000} */
  timeoutMs?: number;
  /** Time between two looks. @default {50} */
  everyMs?: number;
  /** What the user can look at when it did not come true. */
  hints?: readonly string[];
}

/**
 * Looks again and again until `probe` gives something other than undefined, and returns that.
 *
 * @throws {UserError} which says `what` did not happen in time
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined>,
  options: UntilOptions = {},
): Promise<T> {
  const { timeoutMs = 60_000, everyMs = 50, hints = [] } = options;
  const end = performance.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (performance.now() > end) {
      throw new UserError(`Cannot go on: ${what} did not happen within ${timeoutMs / 1000} s`, { hints });
    }
    await sleep(everyMs);
  }
}
