/**
 * What may stand at the cursor of a command line, from the tables of flags and subcommands and from what is there: a
 * shell's script (`completion_scripts.ts`) asks at each Tab, and shows what it gets.
 *
 * The answer's first line says what else the shell itself is to offer: `none`, `files`, `directories`, or `command N`,
 * where the N-th word begins a command of its own. Each other line is one candidate, and behind a tab its description.
 *
 * @module
 */
import { type Flag, isLater, ROWS } from "./flag_table.ts";
import { readSwap } from "./flag_values.ts";
import { type Option, subcommandRow, SUBCOMMANDS } from "./subcommands.ts";

/** What is there, each asked for at most once: an error or a slow answer is an empty list. */
export interface Live {
  contexts(): Promise<readonly string[]>;
  namespaces(where: LiveWhere): Promise<readonly string[]>;
  /** Names of workloads, without their kind. */
  workloads(kind: string, where: LiveWhere): Promise<readonly string[]>;
  /** Names of the containers that every pod of a workload has. */
  containers(kind: string, name: string, where: LiveWhere): Promise<readonly string[]>;
  serviceAccounts(where: LiveWhere): Promise<readonly string[]>;
  /** Beginnings of the ids of sessions that are left over. */
  leftSessions(): Promise<readonly string[]>;
  topics(): readonly string[];
}

/** What the rest of the line says about the cluster. */
export interface LiveWhere {
  readonly context?: string;
  readonly namespace?: string;
}

/** One candidate: the whole word, and what it is. */
export interface Candidate {
  readonly word: string;
  readonly help?: string;
}

/** What the shell is to show. */
export interface Completion {
  readonly also: "none" | "files" | "directories" | `command ${number}`;
  readonly candidates: readonly Candidate[];
}

const NOTHING: Completion = { also: "none", candidates: [] };
const FILES: Completion = { also: "files", candidates: [] };

/**
 * What may stand in the place of the last word.
 *
 * @param words all words behind the program's name up to the cursor; the last one is what was typed of it so far
 */
export async function complete(words: readonly string[], live: Live): Promise<Completion> {
  const before = words.slice(0, -1);
  const current = words.at(-1) ?? "";
  const [first] = before;
  const answer = first !== undefined && Object.hasOwn(SUBCOMMANDS, first)
    ? await inSubcommand(first as keyof typeof SUBCOMMANDS, before.slice(1), current, live)
    : await inSession(before, current, live);
  return { ...answer, candidates: answer.candidates.filter(({ word }) => word.startsWith(current)) };
}

async function inSession(before: readonly string[], current: string, live: Live): Promise<Completion> {
  const known: readonly Flag[] = ROWS.filter((row) => !isLater(row));
  const given: Flag[] = [];
  for (let index = 0; index < before.length; index++) {
    const word = before[index] ?? "";
    const flag = known.find(({ long, short }) => word === long || word === short || word.startsWith(`${long}=`));
    if (flag === undefined) continue;
    given.push(flag);
    if (flag.rest && !word.includes("=")) {
      const command = before[index + 1] === "--" ? index + 2 : index + 1;
      return { also: `command ${command}`, candidates: [] };
    }
    if (flag.value === undefined || word.includes("=")) continue;
    if (++index >= before.length) return await valuesOf(flag, { before, current }, live);
  }
  const inline = inlineFlag(known, current);
  if (inline) return await valuesOf(inline, { before, current }, live);
  const open = known.filter((flag) =>
    !given.some((one) => one.long === flag.long ? !flag.repeats : one.group !== undefined && one.group === flag.group)
  );
  const subcommands = before.length > 0 ? [] : Object.entries(SUBCOMMANDS)
    .filter(([, row]) => !("later" in row) && !("hidden" in row))
    .map(([word, { help }]) => ({ word, help }));
  return { also: "none", candidates: [...subcommands, ...longs(open)] };
}

async function inSubcommand(
  name: keyof typeof SUBCOMMANDS,
  before: readonly string[],
  current: string,
  live: Live,
): Promise<Completion> {
  const { options, operands, choices, operandsAre } = subcommandRow(name);
  const previous = before.at(-1) ?? "";
  const last = options.find(({ long, short }) => previous === long || previous === short);
  if (last?.value !== undefined) return await valuesOf(last, { before, current }, live);
  const inline = inlineFlag(options, current);
  if (inline) return await valuesOf(inline, { before, current }, live);
  const flags = longs(options.filter(({ long }) => !before.includes(long)));
  if (operands === undefined) return { also: "none", candidates: flags };
  if (operandsAre === "files") return { also: current.startsWith("-") ? "none" : "files", candidates: flags };
  const values = choices ?? (operandsAre === "sessions" ? await live.leftSessions() : live.topics());
  return { also: "none", candidates: [...values.map((word) => ({ word })), ...flags] };
}

/** The flag of `--flag=`. */
function inlineFlag<T extends Option>(known: readonly T[], current: string): T | undefined {
  return known.find(({ long, value }) => value !== undefined && current.startsWith(`${long}=`));
}

function longs(flags: readonly Option[]): Candidate[] {
  return flags.map(({ long, help }) => ({ word: long, help: help.split(/(?<=[.:;]) /)[0] ?? help }));
}

/** A line up to the cursor: its whole words, and the one that the cursor stands in. */
interface Line {
  readonly before: readonly string[];
  readonly current: string;
}

/** What may be the value of a flag, as a word of its own or behind `--flag=`. */
async function valuesOf(flag: Option, { before, current }: Line, live: Live): Promise<Completion> {
  const where = whereOf(before);
  const lead = current.startsWith(`${flag.long}=`) ? `${flag.long}=` : "";
  const list = (words: readonly string[]): Completion => ({
    also: "none",
    candidates: words.map((word) => ({ word: lead + word })),
  });
  if (flag.choices !== undefined) {
    const later = (flag as Flag).later;
    return list(flag.choices.filter((choice) => later?.(choice) === undefined));
  }
  switch (flag.long) {
    case "--context":
      return list(await live.contexts());
    case "--namespace":
      return list(await live.namespaces(where));
    case "--serviceaccount":
      return list(await live.serviceAccounts(where));
    case "--swap-deployment":
      return list(await swappable(current.slice(lead.length), where, live));
    case "--mount":
      return { also: "directories", candidates: list(["true", "false"]).candidates };
    case "--logfile":
    case "--env-json":
    case "--env-file":
    case "--record":
      return FILES;
    default:
      return NOTHING;
  }
}

/** Workloads, and behind NAME: its containers. */
async function swappable(typed: string, where: LiveWhere, live: Live): Promise<string[]> {
  const [name = "", container] = typed.split(":");
  if (container === undefined) return await workloads(where, live);
  const swap = readSwap(name);
  if (typeof swap === "string") return [];
  const containers = await live.containers(swap.workload.kind, swap.workload.name, where);
  return containers.map((each) => `${name}:${each}`);
}

/** Deployments by their names, the others with their kind. */
async function workloads(where: LiveWhere, live: Live): Promise<string[]> {
  const kinds = ["statefulset", "daemonset", "replicaset", "pod"];
  const all = await Promise.all([
    live.workloads("deployment", where),
    ...kinds.map(async (kind) => (await live.workloads(kind, where)).map((name) => `${kind}/${name}`)),
  ]);
  return all.flat();
}

/** What the words before the cursor say about the cluster. */
function whereOf(before: readonly string[]): LiveWhere {
  const valueOf = (long: string) => {
    const at = before.findLastIndex((word) => word === long || word.startsWith(`${long}=`));
    const word = before[at];
    return word === undefined ? undefined : word === long ? before[at + 1] : word.slice(long.length + 1);
  };
  const [context, namespace] = [valueOf("--context"), valueOf("--namespace")];
  return { ...(context && { context }), ...(namespace && { namespace }) };
}

/** The answer as a shell's script reads it. */
export function formatCompletion({ also, candidates }: Completion): string {
  const lines = candidates.map(({ word, help }) => help === undefined ? word : `${word}\t${help}`);
  return [also, ...lines].map((line) => `${line}\n`).join("");
}
