/**
 * The only writer to the terminal. Its rules:
 *
 * - The standard output belongs to the user's command. Ours is there only what was asked for and runs no command:
 *   `--help` and `--version` (and the log, with `--logfile -`).
 * - Everything else goes to the standard error, each line marked `T: `, a sentence in sentence case.
 * - Lines are wrapped between words at the terminal's width less one, each part marked; not where the standard error is
 *   no terminal, nor where it is narrower than 25. What is to be copied (hints, stacks) is never wrapped.
 * - Chatty notices, good to know and nothing that went wrong, are for people: only where it is a terminal.
 * - What is waited for is one line that is written over with the time that it takes, and erased when it is over. Only the
 *   carriage return and "erase to the end of the line" (ECMA-48, EL) are used, and only on a terminal that has them;
 *   `TERM=dumb`, a narrow terminal, a file and a log get one plain line for each step, which is also what a screen reader
 *   can follow. The line is gone before the command starts.
 * - With `--quiet`, only what went wrong or has to be known.
 * - A usage error is the one exception to `T: `: it has the form that argparse gave it.
 * - What is said also goes to the session's log, wrapped or not, terminal or not.
 * - Words of others (a cluster's error text) cannot steer the terminal: control characters are shown, not sent. On the
 *   standard output they are shown as JSON writes them, so that what is JSON stays it.
 * - A table that is watched (`status --watch`) owns the standard output, and is written over as a whole where that is a
 *   terminal that can move the cursor; else what changes is a line.
 * - No colors (so NO_COLOR asks for nothing), no other cursor movement, no spinner: the command may own the screen.
 *
 * @module
 */
import { type Log, silentLog } from "@/log/mod.ts";
import type { Teller } from "@/session/mod.ts";
import { reasonOf, UserError, visible } from "@/util/mod.ts";
import { wrap } from "./_wrap.ts";

/** The terminal, with what only this room says. */
export interface Terminal extends Teller {
  /** Says lines that are to be copied, so without wrapping. */
  copy(lines: string): void;
  /** Writes what was asked for to the standard output. @throws {UserError} when it cannot be */
  print(text: string): void;
  /** Writes a text over the one before it, made for so many columns; undefined where that cannot be. */
  readonly frame: ((draw: (columns: number) => string) => void) | undefined;
  /** Writes to the standard error without a mark, as argparse did. */
  complain(text: string): void;
  /** The same terminal, which also tells this log what it says, and may be quiet. */
  heardBy(log: Log, options?: { readonly quiet?: boolean }): Terminal;
}

/** Where a terminal writes. */
export interface Screen {
  /** Writes to the standard output; never throws. @returns why it could not be, where somebody would read it */
  writeStdout(text: string): Error | undefined;
  /** Writes to the standard error; never throws. */
  writeStderr(text: string): void;
  /** Whether the standard error is a terminal. */
  readonly stderrIsTerminal: boolean;
  /** Whether that terminal can write over a line. @default {false} */
  readonly canErase?: boolean;
  /** Whether the standard output is a terminal on which the cursor can be moved. @default {false} */
  readonly stdoutCanMove?: boolean;
  /** The width of that terminal, now; undefined when nobody knows. */
  columns(): number | undefined;
  /** Its height. @default {unknown} */
  rows?(): number | undefined;
}

/** Narrower terminals get lines as they are: a column of single words helps nobody. */
const NARROWEST = 25;
/** Width of a terminal that does not tell it. */
const USUAL_COLUMNS = 80;
const MARK = "T: ";

/** Between two looks at the clock while something is waited for. */
const TICK_MS = 1_000;

/** The terminal on a screen. */
export function makeTerminal(screen: Screen, log: Log = silentLog, { quiet = false } = {}): Terminal {
  const room = log.room(">>>");
  const line = quiet ? undefined : openStatusLine(screen);
  const write = (lines: readonly string[]) => {
    line?.erase();
    screen.writeStderr(lines.map((line) => `${MARK}${line}\n`).join(""));
    line?.draw();
  };
  const say = (line: string) => {
    room.info(line);
    write(fit(visible(line), screen));
  };
  const note = quiet ? (line: string) => room.info(line) : say;
  return {
    say,
    note,
    chat: screen.stderrIsTerminal ? note : (line) => room.info(line),
    step(doing) {
      if (doing === undefined || line?.canErase) {
        if (doing !== undefined) room.info(doing);
        line?.show(doing && visible(doing));
      } else note(doing);
    },
    because(why, whom) {
      const words = `Still waiting for ${whom}: ${why}`;
      if (!line?.canErase) return void (why === undefined || note(words));
      if (why !== undefined) room.info(words);
      line.because(why && visible(why));
    },
    pause() {
      line?.erase();
      line?.hold(true);
      return { [Symbol.dispose]: () => line?.hold(false) };
    },
    copy(lines) {
      room.info(lines);
      write(visible(lines).split("\n"));
    },
    print(text) {
      line?.erase();
      const failed = screen.writeStdout(visible(text, "\\u00"));
      if (failed) throw new UserError(`Cannot write to the standard output: ${reasonOf(failed)}`, { cause: failed });
    },
    frame: screen.stdoutCanMove ? openFrame(screen) : undefined,
    complain: (text) => screen.writeStderr(visible(text)),
    heardBy: (other, options) => makeTerminal(screen, other, options),
  };
}

const USUAL_ROWS = 24;

/** Writes over what was written before: up by its lines, and erased to the end of the screen (ECMA-48, CUU and ED). */
function openFrame(screen: Screen): (draw: (columns: number) => string) => void {
  let lines = 0;
  return (draw) => {
    const rows = screen.rows?.() ?? USUAL_ROWS;
    const all = visible(draw(screen.columns() ?? USUAL_COLUMNS)).replace(/\n$/, "").split("\n");
    const shown = all.length < rows ? all : [...all.slice(0, rows - 2), `... ${all.length - rows + 2} more`];
    screen.writeStdout(`${lines > 0 ? `\x1b[${lines}A` : ""}\r\x1b[J${shown.map((line) => `${line}\n`).join("")}`);
    lines = shown.length;
  };
}

/** The line that is written over. */
interface StatusLine {
  readonly canErase: boolean;
  /** Shows what is waited for; undefined takes it away. */
  show(doing: string | undefined): void;
  because(why: string | undefined): void;
  erase(): void;
  draw(): void;
  /** Whether it is to stay away. */
  hold(held: boolean): void;
}

function openStatusLine(screen: Screen): StatusLine {
  let waiting: { readonly doing: string; readonly since: number; why?: string } | undefined;
  let timer: ReturnType<typeof setInterval> | undefined;
  let isShown = false;
  let held = false;
  const erase = () => {
    if (isShown) screen.writeStderr("\r\x1b[K");
    isShown = false;
  };
  const draw = () => {
    if (waiting === undefined || held) return;
    const { doing, since, why } = waiting;
    const seconds = Math.floor((performance.now() - since) / 1000);
    const text = `${MARK}${doing} ...${seconds > 0 ? ` ${seconds} s` : ""}${why === undefined ? "" : `: ${why}`}`;
    const columns = screen.columns() ?? USUAL_COLUMNS;
    const [first = ""] = text.split("\n");
    screen.writeStderr(`\r${first.length < columns ? first : `${first.slice(0, columns - 4)}...`}\x1b[K`);
    isShown = true;
  };
  return {
    get canErase() {
      return screen.canErase === true && (screen.columns() ?? USUAL_COLUMNS) >= NARROWEST;
    },
    show(doing) {
      clearInterval(timer);
      timer = undefined;
      if (doing === undefined) erase();
      waiting = doing === undefined ? undefined : { doing, since: performance.now() };
      if (waiting === undefined) return;
      draw();
      timer = setInterval(draw, TICK_MS);
    },
    because(why) {
      if (waiting === undefined || waiting.why === why) return;
      waiting = { doing: waiting.doing, since: waiting.since, ...(why !== undefined && { why }) };
      draw();
    },
    erase,
    draw,
    hold(value) {
      held = value;
      if (!held) draw();
    },
  };
}

function fit(text: string, screen: Screen): string[] {
  const columns = screen.columns() ?? USUAL_COLUMNS;
  if (!screen.stderrIsTerminal || columns < NARROWEST) return text.split("\n");
  return wrap(text, columns - 1 - MARK.length);
}
