/**
 * The only writer to the terminal. Its rules:
 *
 * - The standard output belongs to the user's command. Ours is there only what was asked for and runs no command:
 *   `--help` and `--version` (and the log, with `--logfile -`).
 * - Everything else goes to the standard error, each line marked `T: `, a sentence in sentence case.
 * - Lines are wrapped between words at the terminal's width less one, each part marked; not where the standard error is
 *   no terminal, nor where it is narrower than 25. What is to be copied (hints, stacks) is never wrapped.
 * - Chatty notices, good to know and nothing that went wrong, are for people: only where it is a terminal.
 * - A usage error is the one exception to `T: `: it has the form that argparse gave it.
 * - What is said also goes to the session's log, wrapped or not, terminal or not.
 * - Words of others (a cluster's error text) cannot steer the terminal: control characters are shown, not sent.
 * - No colors, no cursor movement, no spinner: the command may own the screen at any time.
 *
 * @module
 */
import { type Log, silentLog } from "@/log/mod.ts";
import { wrap } from "./_wrap.ts";

/** Who can tell the user something while a session runs. */
export interface Teller {
  /** What the user has to know. */
  say(line: string): void;
  /** What is good to know: only for people, not for scripts. */
  chat(line: string): void;
}

/** The terminal, with what only this room says. */
export interface Terminal extends Teller {
  /** Says lines that are to be copied, so without wrapping. */
  copy(lines: string): void;
  /** Writes what was asked for to the standard output, as it is. */
  print(text: string): void;
  /** Writes to the standard error without a mark, as argparse did. */
  complain(text: string): void;
  /** The same terminal, which also tells this log what it says. */
  heardBy(log: Log): Terminal;
}

/** Where a terminal writes. */
export interface Screen {
  /** Writes to the standard output; never throws. */
  writeStdout(text: string): void;
  /** Writes to the standard error; never throws. */
  writeStderr(text: string): void;
  /** Whether the standard error is a terminal. */
  readonly stderrIsTerminal: boolean;
  /** The width of that terminal, now; undefined when nobody knows. */
  columns(): number | undefined;
}

/** Narrower terminals get lines as they are: a column of single words helps nobody. */
const NARROWEST = 25;
/** Width of a terminal that does not tell it. */
const USUAL_COLUMNS = 80;
const MARK = "T: ";

/** The terminal on a screen. */
export function makeTerminal(screen: Screen, log: Log = silentLog): Terminal {
  const room = log.room(">>>");
  const write = (lines: readonly string[]) => screen.writeStderr(lines.map((line) => `${MARK}${line}\n`).join(""));
  const say = (line: string) => {
    room.info(line);
    write(fit(visible(line), screen));
  };
  return {
    say,
    chat: (line) => screen.stderrIsTerminal ? say(line) : room.info(line),
    copy(lines) {
      room.info(lines);
      write(visible(lines).split("\n"));
    },
    print: (text) => screen.writeStdout(text),
    complain: (text) => screen.writeStderr(visible(text)),
    heardBy: (other) => makeTerminal(screen, other),
  };
}

function fit(text: string, screen: Screen): string[] {
  const columns = screen.columns() ?? USUAL_COLUMNS;
  if (!screen.stderrIsTerminal || columns < NARROWEST) return text.split("\n");
  return wrap(text, columns - 1 - MARK.length);
}

/** Text whose control characters (but line ends and tabs) are spelled out: `\x1b[2J` clears no screen. */
function visible(text: string): string {
  // deno-lint-ignore no-control-regex -- control characters are what this is about
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, (char) => {
    return char === "\r" ? "" : `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}
