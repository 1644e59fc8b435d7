import type { Log } from "@/log/mod.ts";
import type { Child } from "@/process/mod.ts";
import { abortable, messageOf, type UserError } from "@/util/mod.ts";

/** Waits for the child; ends it when a signal comes or when what it depends on is lost. */
export async function untilEnd(
  child: Child,
  lost: Promise<unknown>[],
  { signal, log, why }: {
    readonly signal: AbortSignal;
    readonly log: Log;
    readonly why: (error: unknown) => Promise<UserError>;
  },
): Promise<number> {
  // A dependency that ends in order says nothing: only a rejection is a loss.
  const losses = lost.map((closed) => closed.then(() => new Promise<never>(() => {})));
  try {
    const { code } = await abortable(Promise.race([child.exit, ...losses]), signal);
    return code;
  } catch (error) {
    const interrupted = signal.aborted;
    log.info(interrupted ? "Ending the command" : `Lost what the command depends on: ${messageOf(error)}`);
    if (interrupted) {
      const { code, signal: by } = await child.end(signalFor(signal.reason, child));
      if (by === null) return code; // the command chose its code itself
      throw signal.reason;
    }
    const [loss] = await Promise.all([why(error), child.end("SIGTERM")]);
    throw loss;
  }
}

/**
 * Which signal the command is to get: what we got. But Ctrl-C on a terminal goes to the whole foreground group, and a
 * command that shares ours has got it already: a second one would be a second wish.
 */
function signalFor(reason: unknown, { hasOwnGroup }: Child): Deno.Signal | undefined {
  const name = reason instanceof Error && "signal" in reason ? reason.signal : undefined;
  if (name === "SIGINT") return !hasOwnGroup && Deno.stdin.isTerminal() ? undefined : "SIGINT";
  return name === "SIGHUP" ? "SIGHUP" : "SIGTERM";
}
