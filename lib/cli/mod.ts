/**
 * The command line: flags and their words, the terminal, the log file, signals, and how an end is told.
 *
 * ```ts ignore
 * Deno.exitCode = await main(Deno.args, systemHost({ version, reportTo, exit: Deno.exit, run: runSession }));
 * ```
 *
 * Invariants: nothing else in the program reads its arguments or environment, or writes to the terminal; the standard
 * output belongs to the user's command.
 *
 * @module
 */
export { chooseAuthorities } from "./authorities.ts";
export { type Flag, FLAGS, type Long, ROWS } from "./flag_table.ts";
export type { Exposed, Flags, Method, Operation, Run } from "./flags.ts";
export { type Subcommand, SUBCOMMANDS } from "./subcommands.ts";
export { type Command } from "./commands.ts";
export { systemHost } from "./host.ts";
export { type Around, type CommandAround, type Host, main, type RunCommand, type RunSession } from "./main.ts";
export { type Invocation, parse } from "./parse.ts";
export { EXIT } from "./report.ts";
export { Interrupted, type SignalName, SIGNALS } from "./signals.ts";
export { type Screen } from "./terminal.ts";
export { UsageError } from "./usage_error.ts";
export { askForNewest, type NewestOptions } from "./newest.ts";
