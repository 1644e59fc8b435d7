/**
 * `telepresence help TOPIC`: the pages of `docs/` by the questions that they answer, each flag, each subcommand.
 *
 * @module
 */
import ci from "../../docs/ci.md" with { type: "text" };
import debugging from "../../docs/debugging.md" with { type: "text" };
import dns from "../../docs/dns.md" with { type: "text" };
import env from "../../docs/env.md" with { type: "text" };
import expose from "../../docs/expose.md" with { type: "text" };
import install from "../../docs/install.md" with { type: "text" };
import limits from "../../docs/limits.md" with { type: "text" };
import migration from "../../docs/migration.md" with { type: "text" };
import swap from "../../docs/swap.md" with { type: "text" };
import tunnel from "../../docs/tunnel.md" with { type: "text" };
import benchmarks from "../../docs/benchmarks.md" with { type: "text" };
import methods from "../../docs/methods.md" with { type: "text" };
import proxying from "../../docs/proxying.md" with { type: "text" };
import rbac from "../../docs/rbac.md" with { type: "text" };
import security from "../../docs/security.md" with { type: "text" };
import troubleshooting from "../../docs/troubleshooting.md" with { type: "text" };
import volumes from "../../docs/volumes.md" with { type: "text" };
import watching from "../../docs/watching.md" with { type: "text" };
import { isLater, ROWS } from "./flag_table.ts";
import { helpOfFlag, helpOfSubcommand } from "./help.ts";
import { nearest } from "./_nearest.ts";
import { plainPage } from "./_page.ts";
import { isSubcommand, SUBCOMMANDS } from "./subcommands.ts";
import { UsageError } from "./usage_error.ts";

const PAGES: Readonly<Record<string, string>> = {
  benchmarks,
  ci,
  debugging,
  dns,
  env,
  expose,
  install,
  limits,
  methods,
  migration,
  proxying,
  rbac,
  security,
  swap,
  troubleshooting,
  tunnel,
  volumes,
  watching,
};

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
  const isFlag = topic.startsWith("-"); // "env" is a page, "--env" an option
  const page = !isFlag && Object.hasOwn(PAGES, word) ? PAGES[word] : undefined;
  if (page) return plainPage(page, columns);
  if (!isFlag && isSubcommand(word)) return helpOfSubcommand(word, columns);
  const flag = ROWS.find(({ long, short }) => long === `--${word}` || short === `-${word}`);
  if (flag !== undefined) return helpOfFlag(flag, columns);
  const meant = nearest(word, topics());
  throw new UsageError(`help: no such topic: '${topic}'`, [
    ...(meant === undefined ? [] : [`did you mean telepresence help ${meant}?`]),
    `topics: ${Object.keys(PAGES).join(", ")}, each subcommand, and each option`,
  ]);
}
