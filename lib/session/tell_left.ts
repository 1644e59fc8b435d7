import type { Log } from "@/log/mod.ts";
import { messageOf, unfold, UserError } from "@/util/mod.ts";
import type { Teller } from "./teller.ts";

/** As Telepresence 1 did, a clean-up that failed is told, and does not change the exit code. */
export function tellLeft(
  error: unknown,
  { teller, log }: { readonly teller: Pick<Teller, "say">; readonly log: Log },
): void {
  for (const failure of failuresIn(error)) {
    teller.say(`Cleanup failed: ${messageOf(failure)}`);
    if (failure instanceof Error) log.info(failure.stack ?? failure.message);
    const hints = unfold(failure).flatMap((each) => each instanceof UserError ? each.hints : []);
    for (const hint of new Set(hints)) teller.say(`Hint: ${hint}`);
  }
  teller.say("WARNING: Failures during cleanup. See above.");
}

/** The errors in one that only carries others, in the order in which they happened. */
function failuresIn(error: unknown): unknown[] {
  if (!(error instanceof SuppressedError)) return [error];
  return [...failuresIn(error.suppressed), ...failuresIn(error.error)];
}
