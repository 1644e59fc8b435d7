/**
 * The scripts by which shells complete our command line. Each is thin: at Tab it asks `telepresence complete`, by the
 * very program that stands on the line, and shows what comes (the protocol is in `complete.ts`).
 *
 * @module
 */
import bash from "./completions/telepresence.bash" with { type: "text" };
import fish from "./completions/telepresence.fish" with { type: "text" };
import zsh from "./completions/telepresence.zsh" with { type: "text" };

/** Shells that have one. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
/** A shell that has one. */
export type Shell = typeof SHELLS[number];

const SCRIPTS: Readonly<Record<Shell, string>> = { bash, zsh, fish };

/** The script for a shell, to be read by it: `eval "$(telepresence completion bash)"`. */
export function completionScript(shell: Shell): string {
  return SCRIPTS[shell];
}
