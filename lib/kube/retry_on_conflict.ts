import { sleep } from "@/util/mod.ts";
import { isConflict } from "./status.ts";

/** As client-go: five attempts, the pause between them from 10 ms on. */
const MAX_ATTEMPTS = 5;
const FIRST_PAUSE_MS = 10;

/**
 * Makes a change again while somebody else's comes in between. `change` reads the object anew each time.
 *
 * @throws {KubeError} the conflict of the last attempt, and whatever else `change` throws
 */
export async function retryOnConflict<T>(
  change: () => Promise<T>,
  options: { attempts?: number; signal?: AbortSignal } = {},
): Promise<T> {
  const { attempts = MAX_ATTEMPTS, signal } = options;
  for (let attempt = 1;; attempt++) {
    try {
      return await change();
    } catch (error) {
      if (!isConflict(error) || attempt >= attempts) throw error;
      await sleep(FIRST_PAUSE_MS * 2 ** (attempt - 1), signal);
    }
  }
}
