/**
 * From the words of the command line to what they mean, by the rules of Telepresence 1: those of Python's argparse
 * without abbreviations. Words are read from left to right and the first one that is wrong is told; `--help` and
 * `--version` act where they stand; words that nobody takes are told at the end, all of them; and a flag that is not
 * built yet is refused last, so that a line that was wrong before is wrong in the same words.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { type Flag, type Long, nameOf, ROWS } from "./flag_table.ts";
import type { Flags } from "./flags.ts";
import { readFlags, type Typed } from "./read_flags.ts";
import { isSubcommand, type Subcommand, SUBCOMMANDS } from "./subcommands.ts";
import { nearest } from "./_nearest.ts";
import { UsageError } from "./usage_error.ts";

/** What a command line asks for. */
export type Invocation =
  | { readonly kind: "help" }
  | { readonly kind: "version" }
  | {
    readonly kind: "run";
    readonly flags: Flags;
    /** Sentences for the user about what is allowed and probably not meant. */
    readonly warnings: readonly string[];
  }
  | { readonly kind: "subcommand"; readonly name: Subcommand; readonly args: readonly string[] };

/**
 * Reads a command line.
 *
 * @throws {UsageError} when it has no meaning, or one that is not built yet
 */
export function parse(argv: readonly string[]): Invocation {
  const [name, ...args] = argv;
  if (isSubcommand(name)) return { kind: "subcommand", name, args };
  const words = readWords(argv);
  if (words.kind !== "typed") return words;
  if (words.strays.length > 0) throw unrecognized(words.strays, argv);
  for (const { flag, value } of words.given) {
    const sentence = flag.later?.(value);
    if (sentence !== undefined) throw new UsageError(`argument ${nameOf(flag)}: ${sentence}`);
  }
  const flags = readFlags(words);
  return { kind: "run", flags, warnings: warningsOf(flags) };
}

/** One flag as it was given. */
interface Given {
  readonly flag: Flag & { readonly long: Long };
  /** Its value; empty for a switch. */
  readonly value: string;
}

interface Words extends Typed {
  readonly kind: "typed";
  readonly given: readonly Given[];
  /** Words that no flag takes. */
  readonly strays: readonly string[];
}

type Token = ReturnType<typeof tokensOf>[number];

/** Takes the words from left to right. @throws {UsageError} at the first that is wrong by itself */
function readWords(argv: readonly string[]): Words | { readonly kind: "help" } | { readonly kind: "version" } {
  const given: Given[] = [];
  const strays: string[] = [];
  let rest: readonly string[] = [];
  let unknown = -1; // the word that is not a flag: of `-xyz`, each letter is a token
  for (const token of tokensOf(argv)) {
    if (token.index === unknown) {
      if (token.kind === "option" && token.inlineValue === false) strays.push(token.value); // `-xn foo`
      continue;
    }
    const flag = token.kind === "option" ? ROWS.find(({ long }) => long === `--${token.name}`) : undefined;
    if (token.kind !== "option" || flag === undefined) {
      unknown = token.index;
      strays.push(argv[token.index] ?? "");
      continue;
    }
    const value = valueOf(flag, token);
    const problem = flag.choices?.includes(value) === false
      ? `invalid choice: '${value}' (choose from ${flag.choices.map((choice) => `'${choice}'`).join(", ")})`
      : flag.check?.(value);
    if (problem !== undefined) throw new UsageError(`argument ${nameOf(flag)}: ${problem}`);
    refuseTogether(flag, given);
    if (flag.long === "--help") return { kind: "help" };
    if (flag.long === "--version") return { kind: "version" };
    given.push({ flag, value });
    if (flag.rest && token.value !== undefined) rest = [token.value]; // `--run=ls` is one word and the line goes on
    else if (flag.rest) {
      rest = argv.slice(token.index + 1);
      // Nobody has a command of that name, and `--run -- ls -l` is what other programs teach.
      if (rest[0] === "--") rest = rest.slice(1);
      break;
    }
  }
  const all = (long: Long) => given.filter(({ flag }) => flag.long === long).map(({ value }) => value);
  return { kind: "typed", given, strays, rest, all, last: (long) => all(long).at(-1) };
}

/** The words cut by the platform: `--a=b`, `--a b`, `-ab` and `-a b` come out alike. It is told the forms, no rules. */
function tokensOf(argv: readonly string[]) {
  const options = Object.fromEntries(ROWS.map(({ long, short, value, rest }) => [long.slice(2), {
    // A flag that takes the rest is a switch for the platform: what stands behind it is cut off by its index.
    type: value === undefined || rest ? "boolean" as const : "string" as const,
    ...(short !== undefined && { short: short.slice(1) }),
  }]));
  return parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true }).tokens;
}

function valueOf(flag: Flag, token: Token & { kind: "option" }): string {
  const { value, inlineValue, rawName } = token;
  if (flag.rest) return value ?? "";
  if (flag.value === undefined) {
    if (value === undefined) return "";
    throw new UsageError(`argument ${nameOf(flag)}: ignored explicit argument '${value}'`);
  }
  // The platform takes whatever follows for the value; a word that looks like a flag is one (`-` alone does not).
  if (value === undefined || (!inlineValue && /^-./.test(value))) {
    throw new UsageError(`argument ${nameOf(flag)}: expected one argument`);
  }
  return inlineValue && rawName === flag.short && value.startsWith("=") ? value.slice(1) : value; // `-n=NAME`
}

function refuseTogether(flag: Flag, given: readonly Given[]): void {
  const other = given.find((earlier) => flag.group === earlier.flag.group && flag.long !== earlier.flag.long);
  if (flag.group === undefined || other === undefined) return;
  throw new UsageError(`argument ${nameOf(flag)}: not allowed with argument ${nameOf(other.flag)}`);
}

function unrecognized(strays: readonly string[], argv: readonly string[]): UsageError {
  return new UsageError(`unrecognized arguments: ${strays.join(" ")}`, hintsFor(strays, argv));
}

/** What may have been meant by the first word that nobody takes. */
function hintsFor(strays: readonly string[], argv: readonly string[]): string[] {
  const [stray = "", ...others] = strays;
  if (stray === "--" && others.length > 0) { // as with kubectl exec and mirrord
    const at = argv.indexOf("--");
    return [`to run a command: telepresence ${[...argv.slice(0, at), "--run", ...argv.slice(at + 1)].join(" ")}`];
  }
  if (stray.startsWith("-")) {
    const flag = stray.replace(/=.*/, "");
    const meant = OTHER_FLAGS.get(flag) ?? nearest(flag, ROWS.map(({ long }) => long));
    return meant === undefined ? [] : [`did you mean ${meant}?`];
  }
  if (isSubcommand(stray)) return [`${stray} stands first: telepresence ${stray}`];
  const elsewhere = argv[0] === stray ? hintFromElsewhere(stray, argv.slice(1)) : undefined;
  if (elsewhere !== undefined) return [elsewhere, "from another tool: telepresence help migration"];
  if (argv.length > 1 && argv[0] === stray && ["run", "exec"].includes(stray)) {
    return [`to run a command: telepresence --run ${argv.slice(argv[1] === "--" ? 2 : 1).join(" ")}`];
  }
  const known = Object.entries(SUBCOMMANDS).filter(([, row]) => !("hidden" in row)).map(([name]) => name);
  const meant = nearest(stray, known);
  if (argv[0] === stray && meant !== undefined) return [`did you mean telepresence ${meant}?`];
  if (stray === "" || others.length + 1 !== argv.length) return [];
  return [`to run a command: telepresence --run ${argv.join(" ")}`];
}

/** Flags of other programs, and ours. */
const OTHER_FLAGS: ReadonlyMap<string, string> = new Map([
  ["-v", "--verbose, or --version"],
  ["-V", "--version"],
  ["--port", "--expose"],
  ["-p", "--expose"],
  ["--workload", "--swap-deployment"],
  ["--target", "--swap-deployment"],
  ["--service-account", "--serviceaccount"],
]);

/** What is typed here for a first word of Telepresence 2 or mirrord, with the names that stand behind it. */
function hintFromElsewhere(word: string, others: readonly string[]): string | undefined {
  if (PLACES.includes(word)) {
    const name = others.find((other) => !other.startsWith("-")) ?? "NAME";
    const port = valueBehind(others, "--port", "-p")?.replace(/:[a-z].*$/i, "") ?? "PORT";
    return `to take a workload's place: telepresence --swap-deployment ${name} --expose ${port} --run COMMAND`;
  }
  const target = valueBehind(others, "--target", "-t");
  if (word === "exec" && target !== undefined) {
    const end = others.indexOf("--");
    const command = end < 0 ? "COMMAND" : others.slice(end + 1).join(" ");
    return `to take a workload's place: telepresence --swap-deployment ${target} --run ${command}`;
  }
  return ELSEWHERE.get(word);
}

/** The value of a flag that is none of ours, among words that end at `--`. */
function valueBehind(words: readonly string[], ...flags: readonly string[]): string | undefined {
  const end = words.indexOf("--");
  const own = end < 0 ? words : words.slice(0, end);
  const at = own.findIndex((word) => flags.includes(word.replace(/=.*/, "")));
  return at < 0 ? undefined : /=(.*)/.exec(own[at] ?? "")?.[1] ?? own[at + 1];
}

/** First words of Telepresence 2 that send a workload's traffic to this machine. */
const PLACES = ["intercept", "replace", "ingest", "wiretap"];
const NO_DAEMON = "nothing goes on in the background: a session ends with its command";
const NOTHING_INSTALLED = "there is nothing to install in the cluster, and nothing stays in it";

/** First words of Telepresence 2, and what is typed here instead. */
const ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ["connect", "there is nothing to connect: telepresence --run COMMAND, or telepresence for a shell in the cluster"],
  ["shell", "a shell in the cluster: telepresence --run-shell"],
  ["list", "sessions: telepresence status"],
  ["leave", "a session ends with its command"],
  ["quit", NO_DAEMON],
  ["stop", NO_DAEMON],
  ["helm", NOTHING_INSTALLED],
  ["install", NOTHING_INSTALLED],
  ["uninstall", NOTHING_INSTALLED],
  ["upgrade", "to ask for a newer version: telepresence version --check"],
  ["login", "there is no account: the kubeconfig says who you are"],
  ["logout", "there is no account: the kubeconfig says who you are"],
  ["loglevel", "all of it is logged by: telepresence --verbose ..."],
  ["gather-logs", "the log is telepresence.log in the current directory; --verbose writes all of it"],
  ["test-vpn", "what a session needs is looked at by: telepresence doctor"],
]);

/** Programs whose own flags are called like ours. */
const NAMESAKES = ["kubectl", "oc", "helm", "docker", "podman"];

/** `--run curl x --namespace y` gives the namespace to curl: allowed, as ever, and often not meant. */
function warningsOf({ run }: Flags): string[] {
  if (run.kind === "shell" || NAMESAKES.includes(run.words[0].split("/").at(-1) ?? "")) return [];
  const [, ...args] = run.words;
  const [last, before] = [args.at(-1), args.at(-2)];
  // Only long flags with a value: each program has a --verbose of its own.
  const flag = ROWS.find(({ long, value, rest }) => {
    if (value === undefined || rest) return false;
    return before === long || last?.startsWith(`${long}=`);
  });
  if (flag === undefined) return [];
  return [
    `Warning: ${flag.long} behind --run belongs to "${run.words[0]}". ` +
    "If it was meant for telepresence, put it before --run.",
  ];
}
