import type { PluginRunner } from "@/kube/mod.ts";
import { runProgram } from "@/process/mod.ts";
import { abortable } from "@/util/mod.ts";

/** The terminal as credential plugins may have it: all of it before the user's command starts, its words afterwards. */
export interface SharedTerminal {
  /** Runs plugins of the session's client. */
  readonly pluginRunner: PluginRunner;
  /**
   * Waits for a plugin that asks the user right now, and from then on lets none ask: the input is the command's.
   *
   * @throws the signal's reason when that comes first
   */
  handOver(signal: AbortSignal): Promise<void>;
}

/** What {@linkcode shareTerminal} needs. */
export interface SharedTerminalOptions {
  /** Tells the user a line. */
  readonly say: (line: string) => void;
  /** Keeps what is said of itself off the terminal while a plugin asks there. */
  readonly pause?: () => Disposable;
  /** Whether our standard input is a terminal. @default {what the system says} */
  readonly isTerminal?: () => boolean;
  /** How long a line may stay without its end before it is shown as it is: a question waits behind its colon. */
  readonly patienceMs?: number;
}

/** Long enough for a program that writes a line in pieces, too short for somebody who waits to wonder. */
const PATIENCE_MS = 300;

/** Shares the terminal between credential plugins and the user's command. */
export function shareTerminal(options: SharedTerminalOptions): SharedTerminal {
  const { say, pause, isTerminal = () => Deno.stdin.isTerminal(), patienceMs = PATIENCE_MS } = options;
  let handedOver = false;
  let asking: Promise<unknown> = Promise.resolve();
  const pluginRunner: PluginRunner = {
    get interactive() {
      return !handedOver && isTerminal();
    },
    async run(command, { interactive, ...rest }) {
      using lines = showLines(say, patienceMs);
      using _quiet = interactive ? pause?.() : undefined;
      const running = runProgram(command, { ...rest, inheritStdin: interactive, onStderr: lines.take });
      if (interactive) asking = Promise.allSettled([asking, running]);
      return await running;
    },
  };
  return {
    pluginRunner,
    async handOver(signal) {
      handedOver = true;
      await abortable(asking, signal);
    },
  };
}

/** Cuts text into lines and shows each when it is whole, or when its end does not come; disposing shows what is left. */
function showLines(say: (line: string) => void, patienceMs: number): Disposable & { take(text: string): void } {
  let rest = "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  const show = (line: string) => line.trim() === "" || say(line.trimEnd());
  const flush = () => {
    show(rest);
    rest = "";
  };
  return {
    take(text) {
      clearTimeout(timer);
      const lines = (rest + text).split(/\r?\n/);
      rest = lines.pop() ?? "";
      lines.forEach(show);
      if (rest !== "") timer = setTimeout(flush, patienceMs);
    },
    [Symbol.dispose]() {
      clearTimeout(timer);
      flush();
    },
  };
}
