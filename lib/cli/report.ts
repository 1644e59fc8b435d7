import { messageOf, reasonOf, unfold, UserError } from "@/util/mod.ts";
import { usage } from "./help.ts";
import { Interrupted } from "./signals.ts";
import type { Terminal } from "./terminal.ts";
import { UsageError } from "./usage_error.ts";

/** Exit codes that are ours; all others are the command's. */
export const EXIT = { bug: 1, usage: 2, failed: 255 } as const;

/** Options of {@linkcode report}. */
export interface ReportOptions {
  /** The end of the session's log and its place, when there was one already. */
  readonly logfile?: { readonly path: string; lastLines(count: number): string[] };
  /** Where a bug is reported. */
  readonly reportTo: string;
  /** The version, for whoever reads the report. */
  readonly version: string;
  /** How wide the terminal is; usage is told in no more than argparse's 80 columns. */
  columns?(): number | undefined;
}

/** As many lines as Telepresence 1 showed. */
const LOG_LINES = 12;

/**
 * Tells an error that reached the top, and says with which exit code to end. In this order, each on lines of its own:
 *
 * - `T: Error: ` and the sentence of what happened first;
 * - `T: Cause: ` and the words of each cause that says something new (the API server's own, for one);
 * - `T: Hint: ` and one next step, never wrapped, so that a command can be copied;
 * - `T: Cleanup failed: ` and what could not be given back, with its causes and hints.
 *
 * An end that a signal asked for is no error: only what its clean-up could not do is told. Anything that is neither
 * is our bug: the stack, the end of the log and where to report it.
 */
export function report(error: unknown, terminal: Terminal, options: ReportOptions): number {
  const { happened, cleanup } = sort(error);
  const code = tell(happened, terminal, options);
  for (const failure of cleanup) tellSentence("Cleanup failed: ", failure, terminal);
  return code;
}

/** Tells what happened: of several at once a bug first, then the signal, whose echoes all others are. */
function tell(happened: readonly unknown[], terminal: Terminal, options: ReportOptions): number {
  const bugs = happened.filter((error) => {
    return !(error instanceof UserError || error instanceof UsageError || signalOf(error));
  });
  if (bugs.length > 0) {
    tellBug(bugs, terminal, options);
    return EXIT.bug;
  }
  const interrupted = happened.map(signalOf).find((signal) => signal !== undefined);
  if (interrupted !== undefined) return interrupted.exitCode;
  for (const error of happened) {
    if (error instanceof UsageError) return tellUsage(error, terminal, options);
    tellSentence("Error: ", error, terminal);
  }
  return EXIT.failed;
}

/** The signal behind an error: what was under way when it came says so in its cause. */
function signalOf(error: unknown): Interrupted | undefined {
  return unfold(error).find((each) => each instanceof Interrupted);
}

function tellUsage(error: UsageError, terminal: Terminal, { columns }: ReportOptions): number {
  const hints = error.hints.map((hint) => `telepresence: hint: ${hint}\n`).join("");
  terminal.complain(`${usage(Math.min(columns?.() ?? 80, 80))}\ntelepresence: error: ${error.message}\n${hints}`);
  return EXIT.usage;
}

function tellSentence(lead: string, error: unknown, terminal: Terminal): void {
  terminal.say(lead + messageOf(error));
  let told = messageOf(error).toLowerCase();
  const chain = unfold(error);
  for (const cause of chain.slice(1)) {
    if (cause instanceof AggregateError || cause instanceof SuppressedError) continue; // those in it come by themselves
    const words = reasonOf(cause);
    if (told.includes(words.toLowerCase())) continue; // "connection refused: Connection refused"
    terminal.say(`Cause: ${words}`);
    told += `\n${words.toLowerCase()}`;
  }
  const hints = chain.flatMap((each) => each instanceof UserError ? each.hints : []);
  for (const hint of new Set(hints)) terminal.copy(`Hint: ${hint}`);
}

function tellBug(bugs: readonly unknown[], terminal: Terminal, { logfile, reportTo, version }: ReportOptions): void {
  const lines = logfile?.lastLines(LOG_LINES) ?? []; // before what is said here becomes part of the log
  terminal.say("Looks like there's a bug in our code. Sorry about that!");
  terminal.copy(bugs.map(stacksOf).join("\n"));
  if (lines.length > 0) terminal.copy(["The last lines of the log:", ...lines].join("\n"));
  if (logfile !== undefined && logfile.path !== "-") terminal.copy(`The whole log: ${logfile.path}`);
  terminal.copy(`Please report it with the lines above (telepresence ${version}): ${reportTo}`);
}

/** All there is to know about an error, for the log: the stacks of each error inside. */
export function stacksOf(error: unknown): string {
  const inside = unfold(error);
  return (inside.length > 0 ? inside : [error]).map(stackOf).join("\n"); // even undefined can be thrown
}

function stackOf(error: unknown): string {
  return error instanceof Error ? error.stack ?? messageOf(error) : `Thrown: ${messageOf(error)}`;
}

/**
 * What happened first, and what failed while it was being cleaned up. `await using` wraps the former in one
 * `SuppressedError` for each of the latter, the last one outermost.
 */
function sort(error: unknown): { happened: readonly unknown[]; cleanup: readonly unknown[] } {
  if (!(error instanceof SuppressedError)) return { happened: leaves(error), cleanup: [] };
  const { happened, cleanup } = sort(error.suppressed);
  return { happened, cleanup: [...cleanup, ...leaves(error.error)] };
}

/** The errors in what only carries errors. */
function leaves(error: unknown): unknown[] {
  if (error instanceof SuppressedError) return [...leaves(error.suppressed), ...leaves(error.error)];
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.flatMap(leaves);
  return [error];
}
