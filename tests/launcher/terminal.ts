/**
 * A terminal for tests: a program on a pseudo-terminal of its own, made by the machine's python3.
 *
 * @module
 */
import { sleep } from "@/util/mod.ts";

/** A program on a terminal. Disposing it closes the terminal, which ends what runs there. */
export interface OnTerminal extends AsyncDisposable {
  /** Types keys: `\x03` is Ctrl-C, `\x1a` Ctrl-Z. */
  type(keys: string): Promise<void>;
  /** Waits until the screen has this. @throws after half a minute, with the screen */
  shows(words: RegExp): Promise<RegExpExecArray>;
  /**
   * Types a line again and again until the screen has this: what is typed while a shell changes the terminal's mode may
   * get lost, on any terminal.
   */
  typeUntil(keys: string, words: RegExp): Promise<void>;
  /** How the program ended. */
  ended(): Promise<number>;
}

/** Joins the ends of our pipes with a new terminal; the program is the leader of its session, as a shell's is. */
const PYTHON = `
import os, pty, select, sys
pid, master = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
sources = [master, 0]
while True:
    ready, _, _ = select.select(sources, [], [])
    if 0 in ready:
        typed = os.read(0, 4096)
        if typed:
            os.write(master, typed)
        else:
            sources.remove(0)
            os.close(master)
            break
    if master in ready:
        try:
            shown = os.read(master, 4096)
        except OSError:
            break
        if not shown:
            break
        os.write(1, shown)
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status) & 255)
`;

const SHOWN_MS = 30_000;
/** How long keys are typed again for: what they are for may need a machine that is not busy for a moment. */
const TYPED_MS = 120_000;
const AGAIN_MS = 1_000;

/** Runs a program on a terminal, with exactly this environment. */
export function openOnTerminal(
  command: readonly string[],
  env: Record<string, string>,
  columns = 200,
): OnTerminal {
  const sized = ["sh", "-c", `stty columns ${columns}; exec "$@"`, "sh", ...command];
  const process = new Deno.Command("python3", {
    args: ["-c", PYTHON, ...sized],
    env: { PATH: Deno.env.get("PATH") ?? "", TERM: "dumb", ...env },
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const keyboard = process.stdin.getWriter();
  let screen = "";
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of process.stdout) screen += decoder.decode(chunk, { stream: true });
  })();
  const type = (keys: string) => keyboard.write(new TextEncoder().encode(keys));
  return {
    type,
    async typeUntil(keys, words) {
      const end = performance.now() + TYPED_MS;
      while (!words.test(screen)) {
        if (performance.now() > end) {
          throw new Error(`Typed for two minutes without ${words} on the screen:\n${screen}`);
        }
        await type(keys);
        for (let waited = 0; waited < AGAIN_MS && !words.test(screen); waited += 50) await sleep(50);
      }
      screen = "";
    },
    async shows(words) {
      const end = performance.now() + SHOWN_MS;
      for (;;) {
        const found = words.exec(screen);
        if (found !== null) {
          screen = screen.slice(found.index + found[0].length); // what comes next is after this
          return found;
        }
        if (performance.now() > end) throw new Error(`Waited half a minute for ${words} on the screen:\n${screen}`);
        await sleep(50);
      }
    },
    ended: async () => (await process.status).code,
    async [Symbol.asyncDispose]() {
      await keyboard.close().catch(() => {}); // it may have ended
      await Promise.all([process.status, reading]);
    },
  };
}
