/**
 * What the runtime cannot hand us as it is: words and variables that are not UTF-8, as names of files of another time
 * are. A word comes with U+FFFD in the place of bytes, so that the command would get another one than was typed; a
 * variable does not come at all.
 *
 * @module
 */
import { UserError } from "@/util/mod.ts";

/**
 * Refuses words that would not arrive as they were typed.
 *
 * @param bytes the words as the kernel has them; asked for only where one looks changed
 * @throws {UserError} when one is not UTF-8
 */
export function requireUtf8(words: readonly string[], bytes: () => Uint8Array | undefined): void {
  const changed = words.find((word) => word.includes("\uFFFD"));
  if (changed === undefined || isUtf8(bytes() ?? new Uint8Array())) return;
  throw new UserError(`Cannot pass on the word "${changed}": it is not UTF-8, and would arrive as another one`, {
    hints: ["Write it into a script, and run that: --run ./SCRIPT"],
  });
}

/** Names of the variables that do not reach us, of an environment as the kernel has it. */
export function lostVariables(environment: Uint8Array | undefined): string[] {
  const names: string[] = [];
  for (let start = 0; environment !== undefined && start < environment.length;) {
    const end = environment.indexOf(0, start);
    const variable = environment.subarray(start, end < 0 ? environment.length : end);
    if (!isUtf8(variable)) names.push(new TextDecoder().decode(variable).replace(/=.*/s, ""));
    start += variable.length + 1;
  }
  return names;
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}
