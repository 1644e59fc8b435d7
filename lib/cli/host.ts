import { homedir } from "node:os";
import type { Host } from "./main.ts";

/** The machine as it is, for the program's own `main.ts`; tests have a {@linkcode Host} of their own. */
export function systemHost(own: Pick<Host, "version" | "reportTo" | "exit" | "run" | "command">): Host {
  return {
    ...own,
    env: ownEnvironment(Deno.env.toObject()),
    home: homedir(),
    cwd: Deno.cwd,
    stderrIsTerminal: Deno.stderr.isTerminal(),
    stdoutCanMove: Deno.stdout.isTerminal() && !["", "dumb"].includes(Deno.env.get("TERM") ?? ""),
    rows: () => sizeOfTerminal()?.rows || undefined,
    canErase: Deno.stderr.isTerminal() && !["", "dumb"].includes(Deno.env.get("TERM") ?? ""),
    ...(Deno.stdin.isTerminal() && Deno.stderr.isTerminal() && { readLine }),
    bytesOf,
    columns: () => sizeOfTerminal()?.columns || undefined, // a terminal that nobody gave a size has none
    writeStdout: (text) => writeAllTo(Deno.stdout, text),
    writeStderr: (text) => void writeAllTo(Deno.stderr, text),
  };
}

/** Linux alone tells. */
function bytesOf(what: "cmdline" | "environ"): Uint8Array | undefined {
  try {
    return Deno.readFileSync(`/proc/self/${what}`);
  } catch {
    return undefined;
  }
}

/** Without what the one file (`onefile/front.c`) set for the runtime in it, and marked: the user's programs lack it. */
function ownEnvironment(all: Record<string, string>): Record<string, string> {
  const marked = ["DENO_NO_UPDATE_CHECK", "DENO_DIR"].filter((name) => all[`${name}_BY`] !== undefined);
  const ours = marked.flatMap((name) => [name, `${name}_BY`]);
  return Object.fromEntries(Object.entries(all).filter(([name]) => !ours.includes(name)));
}

/** A line of the terminal; the terminal itself hands out whole lines. */
async function readLine(): Promise<string> {
  const buffer = new Uint8Array(1024);
  const count = await Deno.stdin.read(buffer);
  return count === null ? "no" : new TextDecoder().decode(buffer.subarray(0, count));
}

function sizeOfTerminal(): { readonly columns: number; readonly rows: number } | undefined {
  try {
    return Deno.consoleSize();
  } catch {
    return undefined; // none of our three streams is a terminal
  }
}

/** How long a reader that does not read may hold us up, in steps of {@linkcode PAUSE_MS}. */
const PATIENCE = 400;
const PAUSE_MS = 5;

/**
 * Writes all of it, or gives up in silence: a reader that is gone (`telepresence --help | head -1`, a closed terminal)
 * is no reason to break a session's clean-up. The stream may be non-blocking, as the user's command shares it and may
 * have set it so.
 *
 * @returns what else kept it from being written: a full disk
 */
function writeAllTo(stream: { writeSync(bytes: Uint8Array): number }, text: string): Error | undefined {
  const bytes = new TextEncoder().encode(text);
  for (let offset = 0, waits = 0; offset < bytes.length;) {
    try {
      offset += stream.writeSync(bytes.subarray(offset));
    } catch (error) {
      const isBusy = error instanceof Deno.errors.WouldBlock;
      if (!isBusy && !(error instanceof Deno.errors.BrokenPipe)) return error instanceof Error ? error : undefined;
      if (!isBusy || ++waits > PATIENCE) return undefined;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
    }
  }
  return undefined;
}
