/**
 * `telepresence help TOPIC`: the pages of `docs/` by the questions that they answer, each flag, each subcommand.
 *
 * @module
 */
import benchmarks from "../../docs/benchmarks.md" with { type: "text" };
import methods from "../../docs/methods.md" with { type: "text" };
import rbac from "../../docs/rbac.md" with { type: "text" };
import troubleshooting from "../../docs/troubleshooting.md" with { type: "text" };
import volumes from "../../docs/volumes.md" with { type: "text" };
import watching from "../../docs/watching.md" with { type: "text" };
import { isLater, ROWS } from "./flags.ts";
import { helpOfFlag, helpOfSubcommand } from "./help.ts";
import { nearest } from "./_nearest.ts";
import { isSubcommand, SUBCOMMANDS } from "./subcommands.ts";
import { UsageError } from "./usage_error.ts";

const PAGES: Readonly<Record<string, string>> = { benchmarks, methods, rbac, troubleshooting, volumes, watching };

/** All topics: pages, subcommands, flags. */
export function topics(): string[] {
  const built = Object.entries(SUBCOMMANDS).filter(([, row]) => !("later" in row) && !("hidden" in row));
  const flags = ROWS.filter((row) => !isLater(row)).map(({ long }) => long.slice(2));
  return [...new Set([...Object.keys(PAGES), ...built.map(([name]) => name), ...flags])];
}

/**
 * What is to be said about a topic.
 *
 * @throws {UsageError} when it is none, with the nearest one
 */
export function helpOn(topic: string, columns?: number): string {
  const word = topic.toLowerCase().replace(/^-+/, "");
  const page = Object.hasOwn(PAGES, word) ? PAGES[word] : undefined;
  if (page !== undefined) return plain(page);
  if (isSubcommand(word)) return helpOfSubcommand(word, columns);
  const flag = ROWS.find(({ long, short }) => long === `--${word}` || short === `-${word}`);
  if (flag !== undefined) return helpOfFlag(flag, columns);
  const meant = nearest(word, topics());
  throw new UsageError(`help: no such topic: '${topic}'`, [
    ...(meant === undefined ? [] : [`did you mean telepresence help ${meant}?`]),
    `topics: ${Object.keys(PAGES).join(", ")}, each subcommand, and each option`,
  ]);
}

/** A page as a terminal shows it: Markdown is readable as it is, but for comments, links and table rules. */
function plain(page: string): string {
  return page
    .replace(/<!--.*?-->\n*/gs, "")
    .replace(/\[([^\]]+)\]\(([^)]+)\)/g, (_, words: string, to: string) => words === to ? to : `${words} (${to})`)
    .replace(/^\|[ |:-]+\|\n/gm, "");
}
