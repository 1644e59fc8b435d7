/**
 * An environment as files, byte for byte as Telepresence 1 wrote them, so that what reads them goes on to work.
 *
 * @module
 */
import { messageOf } from "@/util/mod.ts";

/** Files that are wanted, by their paths. */
export interface EnvironmentFiles {
  /** A JSON object. */
  readonly json?: string;
  /** Lines `NAME=value`, as Docker Compose reads them. */
  readonly file?: string;
}

/** One JSON object: keys sorted, four blanks, no newline at the end, and nothing but printable ASCII (as Python's). */
export function formatEnvironmentJson(environment: Readonly<Record<string, string>>): string {
  const json = JSON.stringify(Object.fromEntries(sorted(environment)), null, 4);
  return json.replace(/[^\n\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/**
 * Lines `NAME=value`, sorted, the values as they are: the format has no quotes and no escapes, so that a value of
 * several lines cannot be in it.
 *
 * @returns the text, and the names that are not in it
 */
export function formatEnvironmentFile(
  environment: Readonly<Record<string, string>>,
): { readonly text: string; readonly skipped: readonly string[] } {
  const all = sorted(environment);
  const lines = all.filter(([, value]) => !value.includes("\n"));
  const skipped = all.filter(([, value]) => value.includes("\n")).map(([name]) => name);
  return { text: lines.map(([name, value]) => `${name}=${value}\n`).join(""), skipped };
}

/**
 * Writes the files that are wanted, readable by their owner alone: there are secrets in them. They stay when the
 * session ends. That one cannot be written is told, and is no reason to end a session that works.
 *
 * @param say tells the user
 */
export async function writeEnvironmentFiles(
  environment: Readonly<Record<string, string>>,
  { json, file }: EnvironmentFiles,
  say: (line: string) => void,
): Promise<void> {
  if (json !== undefined) {
    await writePrivately(json, formatEnvironmentJson(environment)).catch((error) => {
      say(`Failed to write environment as JSON: ${messageOf(error)}`);
    });
  }
  if (file === undefined) return;
  const { text, skipped } = formatEnvironmentFile(environment);
  if (skipped.length > 0) {
    say("Skipped these environment keys when writing env file because the associated values have newlines:");
    skipped.forEach(say);
  }
  await writePrivately(file, text).catch((error) => {
    say(`Failed to write environment as env file: ${messageOf(error)}`);
  });
}

/** A file that was there may have been made under a wider umask, and a pipe or a terminal has no mode of its own. */
async function writePrivately(path: string, text: string): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, mode: 0o600 });
  if ((await file.stat()).isFile) {
    await Deno.chmod(path, 0o600); // before there is a secret in it
    await file.truncate(0);
  }
  const bytes = new TextEncoder().encode(text);
  for (let offset = 0; offset < bytes.length;) offset += await file.write(bytes.subarray(offset));
}

function sorted(environment: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(environment).sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0);
}
