/**
 * The session's log: lines with elapsed time and room, secrets masked.
 *
 * Invariant: nothing here writes to the terminal; a line that left `makeLog` holds no token, password or key, and
 * nothing that steers a terminal.
 *
 * @module
 */
export { type Log, type LogOptions, makeLog, mask, silentLog } from "./log.ts";
