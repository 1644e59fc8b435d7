import { messageOf, UserError } from "@/util/mod.ts";

/** Options of {@linkcode askForNewest}. */
export interface NewestOptions {
  /** The version of this program. */
  readonly version: string;
  /** Where it is published; `latest/download/VERSION` below has the newest version. */
  readonly releases: string;
  readonly output: "text" | "json";
  /** Writes to the standard output. */
  print(text: string): void;
  readonly signal?: AbortSignal;
}

/** How long the release page may take. */
const PATIENCE_MS = 10_000;

/**
 * Asks the release page for the newest version and tells. This is the only place that asks, and only when the user does:
 * the request has nothing of this machine in it but the address that it comes from.
 *
 * @returns the exit code: 0, whatever the newest version is
 * @throws {UserError} when the page does not answer, or not with a version
 */
export async function askForNewest({ version, releases, output, print, signal }: NewestOptions): Promise<number> {
  const newest = await readNewest(`${releases}/latest/download/VERSION`, signal);
  const order = compareVersions(version, newest);
  if (output === "json") {
    print(`${JSON.stringify({ version, newest, upToDate: order >= 0 })}\n`);
  } else if (order < 0) {
    print(`${version}, and there is ${newest}: ${releases}/latest\n`);
  } else {
    print(
      order === 0 ? `${version} is the newest version\n` : `${version} is newer than what is published, ${newest}\n`,
    );
  }
  return 0;
}

async function readNewest(url: string, signal: AbortSignal | undefined): Promise<string> {
  let answer: Response;
  let text: string;
  try {
    const late = AbortSignal.timeout(PATIENCE_MS);
    answer = await fetch(url, { signal: signal ? AbortSignal.any([signal, late]) : late });
    text = (await answer.text()).trim();
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    throw new UserError(`Cannot ask for the newest version: ${messageOf(cause)}`, { hints: [look(url)], cause });
  }
  if (!answer.ok) {
    throw new UserError(`Cannot ask for the newest version: ${url} answers with status ${answer.status}`, {
      hints: [look(url)],
    });
  }
  if (/^\d+(\.\d+){2}$/.test(text)) return text;
  throw new UserError(`Cannot ask for the newest version: ${url} answers with something else than a version`, {
    hints: [look(url)],
  });
}

function look(url: string): string {
  return `See what this machine gets from there (a proxy is named by HTTPS_PROXY): curl -L ${url}`;
}

/** Less than 0 when `one` is older than `other`, 0 when they are the same. Three numbers each. */
export function compareVersions(one: string, other: string): number {
  const [a, b] = [one, other].map((version) => version.split(".").map(Number));
  const differences = (a ?? []).map((number, place) => number - (b?.[place] ?? 0));
  return differences.find((difference) => difference !== 0) ?? 0;
}
